"""A fee that divides into whole µ is split the same way for every receipt, so its split may be remembered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.gateway.commission import Commission, Maker, Markup, Referral, Royalty, part
from shanhe.gateway.meter import Buckets
from shanhe.gateway.settlement import FEE_METER, Outcome, Settler
from shanhe.gateway.terms import TermsBook
from shanhe.gateway.tolls import NO_PRICES
from shanhe.ledger.api import Provenance

PLATFORM = UUID(int=1)
NUMBERS = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))
FEES = st.sampled_from((1, 3, 999, 1_000, 5_000, 12_345, 250_000))


def commission(fees: list[int], rate_ppm: int, referral_bps: int) -> Commission:
    markups = tuple(
        Markup("mcp_developer", f"mcp/{n}", 100, fee, (Maker(UUID(int=10 + n), 1),)) for n, fee in enumerate(fees)
    )
    royalties = (Royalty("mcp/0", UUID(int=3), rate_ppm),) if rate_ppm else ()
    referral = Referral(UUID(int=4), referral_bps) if referral_bps else None
    return Commission(markups, royalties, referral, 8_000, 2_000, {})


class TestFee:
    @given(
        st.lists(FEES, min_size=1, max_size=3), st.sampled_from((0, 1_000, 33_333)), st.sampled_from((0, 300)), NUMBERS,
        NUMBERS,
    )  # fmt: skip
    def test_of_whole_parts_is_split_the_same_for_every_receipt(
        self, fees: list[int], rate_ppm: int, referral_bps: int, one: UUID, other: UUID
    ) -> None:
        asked = commission(fees, rate_ppm, referral_bps)

        def split(receipt: UUID) -> object:
            return part(NO_PRICES, Buckets(), (), asked, PLATFORM, receipt, lambda total, most:
                        {Provenance.PURCHASED: total}, lambda amount, weights: [amount])  # fmt: skip

        if asked.whole:
            assert split(one) == split(other)

    @pytest.mark.parametrize(("fee_micro", "earned"), [(5_000, {4_000}), (2, {1, 2})])
    async def test_that_does_not_divide_is_rounded_by_the_number_of_each_receipt(
        self, fee_micro: int, earned: set[int]
    ) -> None:
        none: Any = None
        asked, terms = commission([fee_micro], 0, 0), cast(TermsBook, SimpleNamespace(platform=PLATFORM))
        settler = Settler(none, terms, none, lambda amount, weights: [amount], none, none)
        reservation = SimpleNamespace(burning=lambda total, most: {Provenance.PURCHASED: total})
        amounts = set()
        for receipt in (UUID(int=n << 120) for n in range(200)):
            call: Any = SimpleNamespace(
                receipt_id=receipt, reservation=reservation, admission=SimpleNamespace(prices=NO_PRICES)
            )
            shares = settler._fee_parted(call, asked, Outcome(FEE_METER, "completed", None, none)).charged.shares
            assert sum(share.amount_micro for share in shares) == fee_micro
            amounts.add(shares[0].amount_micro)
        assert amounts == earned

    def test_that_does_not_divide_is_not_whole(self) -> None:
        assert commission([5_000], 0, 0).whole
        assert commission([5_000], 1_000, 0).whole
        assert not commission([1], 0, 0).whole
        assert not commission([5_000], 33_333, 0).whole
        assert not commission([1_000], 0, 333).whole
