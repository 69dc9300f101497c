"""What a change does, in numbers that name nobody: who gains, in groups that are never small, and how sure it is.

The interval is a Poisson bootstrap over those concerned: next month is taken to be like this one, each of them turning
up as often as chance has it. The seed follows from what is compared, so that anybody gets the same interval again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np

REPLICATES: Final = 1_000
TAIL: Final = 0.025
"""On each side: the interval holds 95 % of the replicates."""
GROUPS_MOST: Final = 10
SEED_HEX: Final = 16


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 95 of 100 replicates of the month lie; before, after, and the difference of the two."""

    before: tuple[int, int]
    after: tuple[int, int]
    difference: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """As many people side by side in the order of their difference; means, rounded half to even."""

    people: int
    before: int
    after: int
    difference: int


Pair = tuple[int, int]


def behind(pairs: Sequence[Pair]) -> tuple[int, int, int]:
    """How many have anything before, anything after, and another amount than before."""
    return (sum(a != 0 for a, _ in pairs), sum(b != 0 for _, b in pairs), sum(a != b for a, b in pairs))


def few(count: int, least: int) -> bool:
    """Whether a sum that so many stand behind would tell of one of them; of nobody it tells nothing."""
    return 0 < count < least


def groups_of(pairs: Sequence[Pair], least: int) -> list[Group]:
    """At most ten groups of (nearly) equal size, from who gets less to who gets more.

    None is smaller than `least`; and as those for whom nothing changes add nothing to a sum, so many stand behind each
    figure, or nobody does: a group of which that is not so is put together with the next.
    """
    count = min(GROUPS_MOST, len(pairs) // max(least, 1))
    if not count:
        return []
    ordered = sorted(pairs, key=lambda pair: (pair[1] - pair[0], pair[0]))
    edges = [index * len(ordered) // count for index in range(count + 1)]
    parts = [ordered[first:last] for first, last in pairwise(edges)]
    while any(told := [_tells(part, least) for part in parts]):
        if len(parts) == 1:
            return []
        at = told.index(True)
        first = at if at < len(parts) - 1 else at - 1
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return [_group(part) for part in parts]


def _tells(part: Sequence[Pair], least: int) -> bool:
    return any(few(count, least) for count in behind(part))


def _group(part: Sequence[Pair]) -> Group:
    n = len(part)
    before, after = sum(pair[0] for pair in part), sum(pair[1] for pair in part)
    return Group(n, mean(before, n), mean(after, n), mean(after - before, n))


def mean(total: int, n: int) -> int:
    return round(Fraction(total, n))


def interval(pairs: Sequence[Pair], least: int, seed: str) -> Interval | None:
    """None for fewer than `least`: nothing can be said of next month from them."""
    if len(pairs) < least:
        return None
    random = np.random.default_rng(int(seed[:SEED_HEX], 16))
    before = np.array([pair[0] for pair in pairs], dtype=np.float64)
    after = np.array([pair[1] for pair in pairs], dtype=np.float64)
    sums = np.empty((REPLICATES, 3))
    for row in range(REPLICATES):
        times = random.poisson(1.0, len(pairs))
        sums[row, 0], sums[row, 1], sums[row, 2] = times @ before, times @ after, times @ (after - before)
    low, high = np.quantile(sums, [TAIL, 1 - TAIL], axis=0)
    return Interval(*((round(float(low[at])), round(float(high[at]))) for at in range(3)))


def hidden(counts: dict[str, int], least: int) -> dict[str, int | None]:
    """Counts of a whole that is known: a small one is hidden, and so are the next smallest as long as the hidden ones
    together, which follow from the rest, are one or few."""
    small = {name for name, n in counts.items() if few(n, least)}
    others = sorted((n, name) for name, n in counts.items() if name not in small and n)
    while small and others and (len(small) == 1 or few(sum(counts[name] for name in small), least)):
        small.add(others.pop(0)[1])
    return {name: None if name in small else n for name, n in counts.items()}


def plain(value: Interval | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {"before": list(value.before), "after": list(value.after), "difference": list(value.difference)}
