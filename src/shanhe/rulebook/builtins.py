"""Named builtins: each has a scalar twin on Python integers and a vector twin on numpy arrays, equal to the unit.

Lists are tuples of integers for the scalar twin and two-dimensional arrays (rows × items) for the vector twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from math import isqrt
from typing import Any

import numpy as np

from shanhe.kernel.money import round_half_even
from shanhe.rulebook import calendar as days

DECAY_BITS = 30
IRR_DENOMINATOR = 1_000_000
IRR_HIGHEST = 1_000 * IRR_DENOMINATOR
SEED_BITS = 32
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
INT64_MAX = (1 << 63) - 1
SPLIT_WIDTH = 16


def split_largest_remainder(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split by weight; what flooring leaves goes to the largest remainders, ties to the earlier share (Hamilton)."""
    whole = sum(weights)
    if whole <= 0 or total < 0:
        return tuple(0 for _ in weights)
    shares = [divmod(total * weight, whole) for weight in weights]
    missing = total - sum(share for share, _ in shares)
    order = sorted(range(len(weights)), key=lambda index: (-shares[index][1], index))
    favoured = frozenset(order[:missing])
    return tuple(share + (index in favoured) for index, (share, _) in enumerate(shares))


def _mix(seed: int) -> int:
    """A seed as a point of [0, 2³²): the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    mixed = (seed + GOLDEN) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return (mixed ^ (mixed >> 31)) >> (64 - SEED_BITS)


def split_unbiased(total: int, weights: Sequence[int], seed: int) -> tuple[int, ...]:
    """Split by systematic sampling: party i gets floor(Cᵢ + u) − floor(Cᵢ₋₁ + u), u in [0, 1) derived from `seed`.

    The sum is exact and every party's expectation over seeds is its exact share.
    """
    whole = sum(weights)
    if whole <= 0 or total < 0:
        return tuple(0 for _ in weights)
    point = _mix(seed)
    scale = whole << SEED_BITS
    marks = [((total * part << SEED_BITS) + point * whole) // scale for part in (0, *accumulate(weights))]
    return tuple(marks[index + 1] - marks[index] for index in range(len(weights)))


def waterfall(amount: int, claims: Sequence[int]) -> tuple[int, ...]:
    """Pay claims in order until the amount is used up."""
    left = max(amount, 0)
    paid = []
    for claim in claims:
        share = min(left, max(claim, 0))
        paid.append(share)
        left -= share
    return tuple(paid)


@lru_cache(maxsize=64)
def decay_table(half_life: int) -> tuple[int, ...]:
    """2^(−k / half_life) for k = 0 … half_life − 1 in units of 2⁻³⁰, rounded half-up from 128 guarded bits."""
    # Repeated exact multiplication would drift; each power is taken from the binary expansion of k / half_life.
    guard = 160
    roots = []
    root = 1 << (guard - 1)  # 2⁻¹
    for _ in range(guard):
        root = isqrt(root << guard)
        roots.append(root)
    table = []
    for step in range(half_life):
        value, rest = 1 << guard, step
        for root in roots:
            rest *= 2
            if rest >= half_life:
                rest -= half_life
                value = (value * root) >> guard
        table.append(((value >> (guard - DECAY_BITS - 1)) + 1) >> 1)
    return tuple(table)


def decay(age: int, half_life: int) -> int:
    """0.5^(age ÷ half_life) in units of 2⁻³⁰; a negative age counts as zero."""
    if half_life <= 0:
        return 0
    halvings, rest = divmod(max(age, 0), half_life)
    return decay_table(half_life)[rest] >> min(halvings, DECAY_BITS + 1)


def decay_sum(amounts: Sequence[int], ages: Sequence[int], half_life: int) -> int:
    """Σ amountᵢ × 0.5^(ageᵢ ÷ half_life) in units of 2⁻³⁰; pairs as far as the shorter list goes."""
    return sum(amount * decay(age, half_life) for amount, age in zip(amounts, ages, strict=False))


def compound(principal: int, rate_numerator: int, rate_denominator: int, periods: int) -> int:
    """Principal with compound interest after whole periods, exact until one half-even rounding."""
    grown = (rate_denominator + rate_numerator) ** max(periods, 0)
    return round_half_even(principal * grown, rate_denominator ** max(periods, 0))


def annuity(principal: int, rate_numerator: int, rate_denominator: int, periods: int) -> int:
    """The level payment per period that repays `principal` at a period rate, exact until one half-even rounding."""
    if periods <= 0:
        return 0
    if rate_numerator <= 0:
        return round_half_even(principal, periods)
    grown = (rate_denominator + rate_numerator) ** periods
    base = rate_denominator**periods
    return round_half_even(principal * rate_numerator * grown, rate_denominator * (grown - base))


def _present_value_sign(flows: Sequence[int], rate: int) -> int:
    # Horner on Σ flowᵢ·d^i·(d + r)^(n − i): the same sign as the present value, without a fraction.
    total, power = 0, 1
    for flow in flows:
        total = total * (IRR_DENOMINATOR + rate) + flow * power
        power *= IRR_DENOMINATOR
    return total


def irr(flows: Sequence[int]) -> int:
    """Internal rate of return per period in ppm: the largest whole ppm ≥ 0 at which an investment still breaks even.

    Flows must start negative and change sign once; otherwise, or when the sum of flows is negative, the result is 0.
    """
    signs = [flow > 0 for flow in flows if flow]
    if not signs or signs[0] or sum(a != b for a, b in pairwise(signs)) != 1 or sum(flows) < 0:
        return 0
    low, high = 0, IRR_HIGHEST
    if _present_value_sign(flows, high) >= 0:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if _present_value_sign(flows, middle) >= 0:
            low = middle
        else:
            high = middle
    return low


def rank_numerator(value: int, cohort: Sequence[int]) -> int:
    """2 × (number below) + number of other equals; 1 for a cohort of one."""
    if len(cohort) <= 1:
        return 1
    below = sum(other < value for other in cohort)
    equal = sum(other == value for other in cohort)
    return 2 * below + max(equal - 1, 0)


def rank_denominator(cohort: Sequence[int]) -> int:
    return 2 * (len(cohort) - 1) if len(cohort) > 1 else 2


def item(values: Sequence[int], index: int) -> int:
    """The item at `index` (from 0); 0 past either end."""
    return values[index] if 0 <= index < len(values) else 0


def _by_row(function: Callable[..., Any]) -> Callable[..., Any]:
    """The exact fallback twin: the scalar function row by row, as int64 where it fits and objects where not."""

    def rows(*columns: Any) -> Any:
        count = max(len(column) for column in columns if isinstance(column, np.ndarray))
        lists = [column.tolist() if isinstance(column, np.ndarray) else [column] * count for column in columns]
        results = [function(*row) for row in zip(*lists, strict=True)]
        return np.array(results, dtype=np.int64)

    return rows


def _decay_array(ages: Any, half_life: Any) -> Any:
    if isinstance(half_life, np.ndarray):
        return _by_row(decay)(ages, half_life)
    table = np.array(decay_table(half_life), dtype=np.int64)
    clipped = np.maximum(ages, 0)
    return table[clipped % half_life] >> np.minimum(clipped // half_life, DECAY_BITS + 1)


def _decay_sum_array(amounts: Any, ages: Any, half_life: Any) -> Any:
    width = min(amounts.shape[1], ages.shape[1])
    return (amounts[:, :width] * _decay_array(ages[:, :width], half_life)).sum(axis=1)


def _split_array(totals: Any, weights: Any) -> Any:
    """Largest remainder over columns; rows whose products would pass 64 bits go one by one."""
    rows, count = weights.shape
    whole = weights.sum(axis=1)
    most = int(weights.max(initial=0)) * int(totals.max(initial=0))
    if count > SPLIT_WIDTH or most > INT64_MAX or (totals.size and int(totals.min()) < 0):
        return _by_row(split_largest_remainder)(totals, weights)
    shares = totals[:, None] * weights // np.maximum(whole, 1)[:, None]
    rests = totals[:, None] * weights - shares * whole[:, None]
    missing = totals - shares.sum(axis=1)
    ahead = np.zeros((rows, count), dtype=np.int64)
    for one in range(count):
        for other in range(count):
            if other != one:
                before = rests[:, other] >= rests[:, one] if other < one else rests[:, other] > rests[:, one]
                ahead[:, one] += before
    return np.where(whole[:, None] > 0, shares + (ahead < missing[:, None]), 0)


def _grown_rows(function: Callable[..., int], factor: Callable[[Fraction, int], Fraction]) -> Callable[..., Any]:
    """principal × factor(rate, periods) in extended precision; where that is too near a tie, exactly."""

    def rows(principals: Any, numerators: Any, denominators: Any, periods: Any) -> Any:
        if numerators.size and (np.ptp(numerators) or np.ptp(denominators)):
            return _by_row(function)(principals, numerators, denominators, periods)
        if len(principals) == 0:
            return np.empty(0, dtype=np.int64)
        first, last = int(periods.min()), int(periods.max())
        scales = _scales(factor, Fraction(int(numerators[0]), int(denominators[0])), first, last)
        values = principals * scales[periods - first]
        results = np.rint(values).astype(np.int64)
        doubt = float(abs(values).max()) * float(np.finfo(np.longdouble).eps) * 4 + 2.0**-40
        for index in np.flatnonzero(np.abs(np.abs(values - results) - 0.5) <= doubt):
            results[index] = function(
                int(principals[index]), int(numerators[index]), int(denominators[index]), int(periods[index])
            )
        return results

    return rows


@lru_cache(maxsize=64)
def _scales(factor: Callable[[Fraction, int], Fraction], rate: Fraction, first: int, last: int) -> Any:
    """factor(rate, n) for n = first … last in extended precision, each rounded from 64 fractional bits."""
    scales = np.empty(last - first + 1, dtype=np.longdouble)
    for index in range(len(scales)):
        whole, rest = divmod(int(factor(rate, first + index) * (1 << 64)), 1 << 32)
        scales[index] = (np.longdouble(whole) + np.longdouble(rest) / (1 << 32)) / np.longdouble(1 << 32)
    return scales


def _annuity_factor(rate: Fraction, periods: int) -> Fraction:
    if periods <= 0:
        return Fraction(0)
    return rate * (1 + rate) ** periods / ((1 + rate) ** periods - 1) if rate > 0 else Fraction(1, periods)


def _compound_factor(rate: Fraction, periods: int) -> Fraction:
    return (1 + rate) ** max(periods, 0)


def _waterfall_array(amounts: Any, claims: Any) -> Any:
    due = np.maximum(claims, 0)
    before = np.cumsum(due, axis=1) - due
    return np.clip(np.maximum(amounts, 0)[:, None] - before, 0, due)


def _rank_numerator_array(values: Any, cohort: Any) -> Any:
    if cohort.shape[1] <= 1:
        return np.ones(len(cohort), dtype=np.int64)
    below = (cohort < values[:, None]).sum(axis=1)
    equal = (cohort == values[:, None]).sum(axis=1)
    return 2 * below + np.maximum(equal - 1, 0)


def _item_array(values: Any, index: Any) -> Any:
    width = values.shape[1]
    if width == 0:
        return np.zeros(len(values), dtype=np.int64)
    positions = np.broadcast_to(np.asarray(index), (len(values),))
    safe = np.clip(positions, 0, width - 1)
    return np.where(safe == positions, values[np.arange(len(values)), safe], 0)


def list_sum(values: Sequence[int]) -> int:
    return sum(values)


@dataclass(frozen=True, slots=True)
class Builtin:
    """Argument kinds: `int`, `date`, `list`, `rate` (passed as numerator and denominator)."""

    name: str
    args: tuple[str, ...]
    result: str
    scalar: Callable[..., Any]
    vector: Callable[..., Any]
    denominator: int = 1


def _builtins() -> Mapping[str, Builtin]:
    rows = (
        Builtin("add_months", ("date", "int"), "date", days.add_months, days.add_months_array),
        Builtin("months_between", ("date", "date"), "month", days.months_between, days.months_between_array),
        Builtin("year", ("date",), "int", days.year, days.year_array),
        Builtin("month", ("date",), "int", days.month, days.month_array),
        Builtin("quarter", ("date",), "int", days.quarter, days.quarter_array),
        Builtin("day_of_month", ("date",), "int", days.day_of_month, days.day_of_month_array),
        Builtin("split", ("int", "list"), "list", split_largest_remainder, _split_array),
        Builtin("split_unbiased", ("int", "list", "int"), "list", split_unbiased, _by_row(split_unbiased)),
        Builtin("waterfall", ("int", "list"), "list", waterfall, _waterfall_array),
        Builtin("decay", ("int", "int"), "ratio", decay, _decay_array, 1 << DECAY_BITS),
        Builtin("decay_sum", ("list", "list", "int"), "ratio", decay_sum, _decay_sum_array, 1 << DECAY_BITS),
        Builtin("annuity", ("int", "rate", "int"), "same", annuity, _grown_rows(annuity, _annuity_factor)),
        Builtin("compound", ("int", "rate", "int"), "same", compound, _grown_rows(compound, _compound_factor)),
        Builtin("irr", ("list",), "rate", irr, _by_row(irr), IRR_DENOMINATOR),
        Builtin("rank_numerator", ("int", "list"), "count", rank_numerator, _rank_numerator_array),
        Builtin("rank_denominator", ("list",), "count", rank_denominator, _by_row(rank_denominator)),
        Builtin("item", ("list", "int"), "item", item, _item_array),
        Builtin("sum", ("list",), "sum", list_sum, lambda values: values.sum(axis=1)),
        Builtin("count", ("list",), "count", len, _by_row(len)),
    )
    return {row.name: row for row in rows}


BUILTINS = _builtins()
