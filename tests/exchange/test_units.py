"""Prices as people write them."""

from __future__ import annotations

import pytest

from shanhe.exchange.errors import BadPrice
from shanhe.exchange.model import TICKS_MAX
from shanhe.exchange.units import parse_price, yuan_of


class TestPrice:
    @pytest.mark.parametrize(
        ("text", "ticks"),
        [("0.6543", 6543), ("0.5", 5000), (" 1 ", 10_000), ("0.0001", 1), ("0.654300000000", 6543), ("12.05", 120_500)],
    )
    def test_is_read_to_the_tick(self, text: str, ticks: int) -> None:
        assert parse_price(text) == ticks

    @pytest.mark.parametrize("text", ["", "0", "0.0000", "0.65431", "0.00009", "-1", "1.", ".5", "1e3", "1,000", "1 2"])
    def test_that_is_no_positive_number_of_ticks_is_refused(self, text: str) -> None:
        with pytest.raises(BadPrice):
            parse_price(text)

    def test_is_bounded(self) -> None:
        assert parse_price(yuan_of(TICKS_MAX)) == TICKS_MAX
        with pytest.raises(BadPrice):
            parse_price(yuan_of(TICKS_MAX + 1))
