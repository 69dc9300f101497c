from __future__ import annotations

import pytest

from shanhe.compute.model import ADDRESSED, DEFAULT_FEATURES
from shanhe.compute.suppliers import features_of


class TestSupplier:
    @pytest.mark.parametrize("host", ["api.openai.com", "mine.openai.azure.com", "dashscope.aliyuncs.com"])
    def test_outside_of_the_city_may_fetch_a_pictures_address(self, host: str) -> None:
        assert ADDRESSED in features_of(host)

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "vllm", "10.0.0.5", "x.pai-eas.aliyuncs.com", "mine.inference.ml.azure.com",
                 "openai.com.evil.example", "notopenai.com"],
    )  # fmt: skip
    def test_that_might_be_a_server_of_ones_own_may_not(self, host: str) -> None:
        assert ADDRESSED not in features_of(host) | DEFAULT_FEATURES
