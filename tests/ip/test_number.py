"""A registration number however people write it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shanhe.ip.api import canonical, same_as

from .conftest import ways_of


class TestNumber:
    def test_is_the_same_however_it_is_written(self) -> None:
        assert {same_as(one) for one in ways_of("ZL 2026 1 0000001.2")} == {"2026100000012"}
        assert canonical("２０２６ｓｒ 0123456") == "2026SR0123456"

    @given(st.text(max_size=40))
    def test_stays_as_it_is_once_it_is_written_the_registrys_way(self, number: str) -> None:
        assert canonical(canonical(number)) == canonical(number)
