"""Named builtins: their properties, and their vector twins."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.rulebook import builtins, calendar
from shanhe.rulebook.builtins import BUILTINS
from stage.draws import draws

AMOUNT = st.integers(0, 10**12)
WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=8).map(tuple)
DAY = st.integers(calendar.FIRST_DAY, calendar.LAST_DAY)


class TestSplit:
    @given(AMOUNT, WEIGHTS)
    def test_loses_nothing_and_stays_within_one_unit(self, total: int, weights: tuple[int, ...]) -> None:
        shares = builtins.split_largest_remainder(total, weights)
        assert sum(shares) == (total if sum(weights) else 0)
        for share, weight in zip(shares, weights, strict=True):
            assert not sum(weights) or abs(share - Fraction(total * weight, sum(weights))) < 1

    def test_gives_ties_to_the_earlier_share(self) -> None:
        assert builtins.split_largest_remainder(10, (1, 1, 1)) == (4, 3, 3)
        assert builtins.split_largest_remainder(1, (1, 1)) == (1, 0)

    @given(AMOUNT, WEIGHTS, st.integers(0, 2**63 - 1))
    def test_unbiased_split_is_exact_in_sum(self, total: int, weights: tuple[int, ...], seed: int) -> None:
        shares = builtins.split_unbiased(total, weights, seed)
        assert sum(shares) == (total if sum(weights) else 0)
        assert all(share >= 0 for share in shares)

    def test_unbiased_split_pays_small_shares_their_due_on_average(self) -> None:
        rounds = 20_000
        small = sum(builtins.split_unbiased(1, (1, 99), seed)[0] for seed in range(rounds))
        assert 0.008 < small / rounds < 0.012


class TestDecay:
    def test_halves_at_the_half_life(self) -> None:
        assert builtins.decay(0, 730) == 2**30
        assert builtins.decay(730, 730) == 2**29
        assert builtins.decay(730 * 40, 730) == 0

    @given(st.integers(0, 5_000))
    def test_is_the_power_of_two_to_the_last_bit(self, age: int) -> None:
        assert abs(builtins.decay(age, 730) - 2**30 * 0.5 ** (age / 730)) <= 1


class TestMoneyMath:
    def test_annuity_repays_the_loan(self) -> None:
        payment = builtins.annuity(1_000_000, 1, 100, 12)
        left = Fraction(1_000_000)
        for _ in range(12):
            left = left * Fraction(101, 100) - payment
        assert abs(left) < 12
        assert builtins.annuity(1200, 0, 1, 12) == 100

    @given(st.integers(1, 10**9), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
    def test_irr_is_the_last_rate_that_breaks_even(self, cost: int, gains: list[int]) -> None:
        flows = (-cost, *gains)
        rate = builtins.irr(flows)

        def worth(ppm: int) -> Fraction:
            return sum(Fraction(flow) / Fraction(10**6 + ppm, 10**6) ** i for i, flow in enumerate(flows))

        if sum(flows) < 0 or not any(gains):
            assert rate == 0
        else:
            assert worth(rate) >= 0
            assert rate == builtins.IRR_HIGHEST or worth(rate + 1) < 0

    @given(AMOUNT, st.lists(AMOUNT, max_size=6))
    def test_waterfall_pays_in_order(self, amount: int, claims: list[int]) -> None:
        paid = builtins.waterfall(amount, claims)
        assert sum(paid) == min(amount, sum(claims))
        for index, (got, due) in enumerate(zip(paid, claims, strict=True)):
            assert got == due or not any(paid[index + 1 :])

    def test_cohort_rank_counts_equals_by_half(self) -> None:
        cohort = (10, 20, 20, 30)
        assert [builtins.rank_numerator(x, cohort) for x in (10, 20, 30)] == [0, 3, 6]
        assert builtins.rank_denominator(cohort) == 6
        assert Fraction(builtins.rank_numerator(5, (5,)), builtins.rank_denominator((5,))) == Fraction(1, 2)


class TestCalendar:
    def test_clamps_to_the_last_day(self) -> None:
        jan = date(2024, 1, 31).toordinal()
        assert date.fromordinal(calendar.add_months(jan, 1)) == date(2024, 2, 29)
        assert date.fromordinal(calendar.add_months(jan, 13)) == date(2025, 2, 28)
        assert date.fromordinal(calendar.add_months(jan, -2)) == date(2023, 11, 30)

    @given(DAY, DAY)
    def test_months_between_is_the_largest_that_fits(self, start: int, end: int) -> None:
        months = calendar.months_between(start, end)
        assert calendar.add_months(start, months) <= end or calendar.add_months(start, months) == calendar.FIRST_DAY
        assert (
            calendar.add_months(start, months + 1) > end or calendar.add_months(start, months + 1) == calendar.LAST_DAY
        )

    @settings(deadline=None)
    @given(st.lists(st.tuples(DAY, DAY, st.integers(-2000, 2000)), min_size=1, max_size=30))
    def test_array_twins_agree(self, rows: list[tuple[int, int, int]]) -> None:
        start, end, months = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        assert calendar.add_months_array(start, months).tolist() == [calendar.add_months(a, n) for a, _, n in rows]
        assert calendar.months_between_array(start, end).tolist() == [calendar.months_between(a, b) for a, b, _ in rows]
        for name in ("year", "month", "quarter", "day_of_month"):
            twin = BUILTINS[name]
            assert twin.vector(start).tolist() == [twin.scalar(a) for a, _, _ in rows]


class TestTwins:
    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 10**9), st.lists(st.integers(0, 10**9), min_size=3, max_size=3)), min_size=1)
    )
    def test_of_lists_agree(self, rows: list[tuple[int, list[int]]]) -> None:
        amounts = np.array([amount for amount, _ in rows], dtype=np.int64)
        lists = np.array([items for _, items in rows], dtype=np.int64)
        for name in ("split", "waterfall", "rank_numerator"):
            twin = BUILTINS[name]
            assert twin.vector(amounts, lists).tolist() == [
                list(out) if isinstance(out := twin.scalar(a, tuple(xs)), tuple) else out for a, xs in rows
            ]
        for name in ("sum", "count", "irr", "rank_denominator"):
            twin = BUILTINS[name]
            assert twin.vector(lists).tolist() == [twin.scalar(tuple(xs)) for _, xs in rows]
        assert BUILTINS["decay"].vector(amounts % 9999, 730).tolist() == [
            builtins.decay(a % 9999, 730) for a, _ in rows
        ]
        assert BUILTINS["item"].vector(lists, amounts % 5).tolist() == [builtins.item(xs, a % 5) for a, xs in rows]


class TestGrownColumns:
    @settings(deadline=None, max_examples=draws(100))
    @given(
        st.lists(st.integers(0, 10**11), min_size=1, max_size=20),
        st.integers(0, 1500),
        st.integers(1, 60),
    )
    def test_equal_their_scalars_to_the_unit(self, principals: list[int], bps: int, periods: int) -> None:
        columns = [np.array(principals), *(np.full(len(principals), value) for value in (bps, 120_000, periods))]
        for name in ("annuity", "compound"):
            builtin = BUILTINS[name]
            expected = [builtin.scalar(principal, bps, 120_000, periods) for principal in principals]
            assert builtin.vector(*columns).tolist() == expected

    def test_go_exactly_where_a_tie_is_near(self) -> None:
        halves = np.arange(1, 400, 2)  # at no rate over two periods every odd principal is a tie
        columns = [halves, *(np.full(len(halves), value) for value in (0, 1, 2))]
        assert BUILTINS["annuity"].vector(*columns).tolist() == [
            BUILTINS["annuity"].scalar(int(p), 0, 1, 2) for p in halves
        ]

    def test_go_exactly_where_extended_precision_misses_a_tie(self) -> None:
        ties = np.array([30, 110, 190])  # × 1.05 is 31.5, 115.5 and 199.5; what approximates 1.05 is less
        columns = [ties, *(np.full(len(ties), value) for value in (1, 20, 1))]
        for name in ("annuity", "compound"):
            builtin = BUILTINS[name]
            exact = [builtin.scalar(int(tie), 1, 20, 1) for tie in ties]
            assert builtin.vector(*columns).tolist() == exact == [32, 116, 200]

    def test_take_rates_that_differ_by_row(self) -> None:
        columns = [np.array([10**6] * 3), np.array([1, 2, 3]), np.array([100] * 3), np.array([12] * 3)]
        assert BUILTINS["compound"].vector(*columns).tolist() == [1126825, 1268242, 1425761]


class TestSplitColumns:
    @settings(deadline=None, max_examples=draws(150))
    @given(
        st.lists(st.tuples(st.integers(0, 10**15), st.lists(st.integers(0, 10**6), min_size=4, max_size=4)), min_size=1)
    )
    def test_equal_their_scalar(self, rows: list[tuple[int, list[int]]]) -> None:
        totals, weights = np.array([total for total, _ in rows]), np.array([parts for _, parts in rows])
        expected = [list(BUILTINS["split"].scalar(total, parts)) for total, parts in rows]
        assert BUILTINS["split"].vector(totals, weights).tolist() == expected


class TestDecaySum:
    @settings(deadline=None, max_examples=draws(80))
    @given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 9000)), min_size=1, max_size=12))
    def test_is_the_sum_of_decays_both_ways(self, pairs: list[tuple[int, int]]) -> None:
        amounts, ages = [amount for amount, _ in pairs], [age for _, age in pairs]
        expected = sum(amount * BUILTINS["decay"].scalar(age, 730) for amount, age in pairs)
        assert BUILTINS["decay_sum"].scalar(amounts, ages, 730) == expected
        assert BUILTINS["decay_sum"].vector(np.array([amounts]), np.array([ages]), 730).tolist() == [expected]
