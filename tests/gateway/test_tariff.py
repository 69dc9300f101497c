"""A call is priced exactly and split without losing or making a micro-credit."""

from __future__ import annotations

import uuid
from fractions import Fraction
from math import ceil
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from shanhe.gateway.meter import BUCKETS as BUCKETS_NAMED
from shanhe.gateway.meter import Buckets
from shanhe.gateway.tariff import PER_TOKENS, Party, Prices, charge
from shanhe.gateway.terms import PriceList, waiting_price
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.money import round_half_even
from shanhe.rulebook.api import RuleAmendment, Rulebook

PLATFORM, NODE, COST = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)
COUNTS = st.integers(0, 200_000)
RATES = st.integers(0, 50_000_000)
BUCKETS = st.builds(
    Buckets, input=COUNTS, cached_input=COUNTS, output=COUNTS, reasoning=COUNTS, tool=COUNTS, cache_write=COUNTS
)
PRICES = st.builds(
    Prices,
    input=RATES,
    cached_input=RATES,
    output=RATES,
    reasoning=RATES,
    tool=RATES,
    cache_write=RATES,
    version=st.just("v"),
)


class TestRounding:
    @given(st.integers(0, 10**24), st.integers(1, 10**9))
    def test_is_half_even(self, numerator: int, denominator: int) -> None:
        assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))

    @given(st.integers(-(10**24), 10**24), st.integers(1, 10**9))
    def test_of_a_half_is_to_the_even_one(self, whole: int, half: int) -> None:
        for numerator in ((2 * whole + 1) * half, (2 * whole + 1) * half - 1, (2 * whole + 1) * half + 1):
            assert round_half_even(numerator, 2 * half) == round(Fraction(numerator, 2 * half))


class TestCharge:
    @given(PRICES, BUCKETS, st.integers(0, 10_000), st.uuids(version=4))
    def test_shares_sum_to_the_total(self, prices: Prices, buckets: Buckets, bps: int, receipt: uuid.UUID) -> None:
        charged = charge(prices, buckets, (Party("node", NODE, share_bps=bps),), PLATFORM, receipt)
        assert sum(share.amount_micro for share in charged.shares) == charged.total_micro
        assert all(share.amount_micro > 0 for share in charged.shares)
        assert charged.total_micro == round(Fraction(prices.numerator(buckets), PER_TOKENS))

    @given(PRICES, BUCKETS, st.uuids(version=4))
    def test_a_party_is_within_one_unit_of_its_due(self, prices: Prices, buckets: Buckets, receipt: uuid.UUID) -> None:
        charged = charge(prices, buckets, (Party("node", NODE, share_bps=7_000),), PLATFORM, receipt)
        node = sum(share.amount_micro for share in charged.shares if share.account == NODE)
        assert abs(node - Fraction(prices.numerator(buckets) * 7, PER_TOKENS * 10)) <= 1

    @given(PRICES, PRICES, BUCKETS, st.uuids(version=4))
    def test_cost_above_the_price_is_shown_and_not_taken_from_the_payer(
        self, prices: Prices, cost: Prices, buckets: Buckets, receipt: uuid.UUID
    ) -> None:
        charged = charge(prices, buckets, (Party("cost", COST, cost=cost),), PLATFORM, receipt)
        assert sum(share.amount_micro for share in charged.shares) == charged.total_micro
        due = Fraction(cost.numerator(buckets), PER_TOKENS)
        assert charged.uncovered_micro == round(max(Fraction(0), due - charged.total_micro))

    def test_small_shares_are_paid_on_average(self) -> None:
        """A tenth of a micro-credit a call is a hundred over a thousand calls, not nothing."""
        prices = Prices(1_000_000, 0, 0, 0, 0, "v")
        party = Party("node", NODE, share_bps=1_000)
        paid = sum(
            share.amount_micro
            for _ in range(4_000)
            for share in charge(prices, Buckets(input=1), (party,), PLATFORM, uuid.uuid4()).shares
            if share.account == NODE
        )
        assert 300 <= paid <= 500

    @given(PRICES, BUCKETS)
    def test_the_reservation_covers_whatever_the_buckets_are(self, prices: Prices, buckets: Buckets) -> None:
        total = round_half_even(prices.numerator(buckets), PER_TOKENS)
        assert total <= prices.most(buckets.prompt, buckets.completion)

    @given(PRICES, COUNTS, COUNTS)
    def test_the_reservation_is_what_the_dearest_buckets_cost_rounded_up(
        self, prices: Prices, prompt: int, completion: int
    ) -> None:
        costs = [
            Fraction(prices.numerator(read) + prices.numerator(written), PER_TOKENS)
            for read in (Buckets(input=prompt), Buckets(cached_input=prompt), Buckets(cache_write=prompt))
            for written in (Buckets(output=completion), Buckets(reasoning=completion), Buckets(tool=completion))
        ]
        assert prices.most(prompt, completion) == ceil(max(costs))


class TestPriceOfACallThatMayWait:
    def test_follows_the_rulebook_within_a_day(self, clock: FixedClock) -> None:
        """An amendment that is set aside counts for nothing from then on."""
        amounts = dict.fromkeys(BUCKETS_NAMED, 1_000)
        facts = {name: {"cost": 400} for name in amounts}
        listed = SimpleNamespace(**amounts, facts=facts, version="v", thin=False, loss=False)
        compute = SimpleNamespace(price_revision=1, prices=lambda model, on: listed)
        row = {"from": "2026-03-01", "announced": "2026-02-01", "value": 5_000, "given": True}
        rulebook = Rulebook.load()
        half = rulebook.amended([RuleAmendment("a", "P11_batch", {"parameters": {"discount": [row]}}, "council")])
        packaged = Rulebook.load()
        rulebook.adopt(half)
        prices = PriceList(cast(Any, compute), clock, rulebook)
        assert prices.of("m", clock.now()).input == 500
        rulebook.adopt(packaged)
        assert prices.of("m", clock.now()).input == waiting_price(packaged, 1_000, 400, clock.today()) == 900
        assert prices.of("m", clock.now()) is prices.of("m", clock.now())
