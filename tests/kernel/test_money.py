"""Amounts as people write them and as they are booked, and the one way of rounding."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.kernel.errors import Unreadable
from shanhe.kernel.money import (
    AMOUNT_MAX,
    FEN,
    MICRO,
    format_credits,
    format_fen,
    parse_credits,
    parse_yuan,
    round_half_even,
    said_credits,
)


class TestRounding:
    @given(st.integers(-(10**6), 10**6), st.integers(1, 12))
    def test_is_to_the_nearest_and_a_half_to_the_even_one(self, numerator: int, denominator: int) -> None:
        exact = Decimal(numerator) / Decimal(denominator)
        assert round_half_even(numerator, denominator) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))

    @pytest.mark.parametrize(("halves", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
    def test_of_a_half(self, halves: int, rounded: int) -> None:
        assert round_half_even(halves, 2) == rounded


class TestAmount:
    @given(st.integers(-AMOUNT_MAX, AMOUNT_MAX).filter(lambda micro: abs(micro) < 10**15 * MICRO))
    def test_is_read_as_it_was_written(self, micro: int) -> None:
        assert parse_credits(format_credits(micro)) == micro
        assert parse_credits(said_credits(micro)) == micro
        fen = micro % (10**15 * FEN)
        assert parse_yuan(format_fen(fen)) == fen

    @pytest.mark.parametrize(("text", "micro"), [("12.5", 12_500_000), (" +1,000 ", 10**9), ("-0.000001", -1)])
    def test_is_exact(self, text: str, micro: int) -> None:
        assert parse_credits(text) == micro

    @pytest.mark.parametrize("text", ["", "12.", ".5", "1e3", "0.0000001", "一百", "1 000", "--1", "0x10"])
    def test_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(Unreadable):
            parse_credits(text)

    def test_is_at_most_what_the_ledger_books_at_once(self) -> None:
        assert parse_credits(format_credits(AMOUNT_MAX)) == AMOUNT_MAX
        with pytest.raises(Unreadable):
            parse_credits(format_credits(AMOUNT_MAX + 1))
        assert AMOUNT_MAX < 2**63, "it fits a column of the database"
