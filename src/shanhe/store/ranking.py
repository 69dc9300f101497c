"""Percentiles for P7. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from itertools import accumulate
from typing import Final, TypeVar

FULL_BPS: Final = 10_000
Key = TypeVar("Key", bound=Hashable)


def percentiles(amounts: Mapping[Key, int]) -> dict[Key, int]:
    """Where each amount stands among all, 0 … 10,000: (number below + half of the other equals) ÷ (number − 1).

    One alone stands in the middle; what was not used at all stands at nothing.
    """
    if len(amounts) == 1:
        return {key: FULL_BPS // 2 if amount else 0 for key, amount in amounts.items()}
    counts = sorted(Counter(amounts.values()).items())
    below = dict(zip((amount for amount, _ in counts), accumulate((n for _, n in counts), initial=0), strict=False))
    same = dict(counts)
    others = len(amounts) - 1
    return {
        key: FULL_BPS * (2 * below[amount] + same[amount] - 1) // (2 * others) if amount else 0
        for key, amount in amounts.items()
    }
