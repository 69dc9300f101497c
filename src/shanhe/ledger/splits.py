"""Shares laid end to end: integers that sum exactly and are right on average (DESIGN's split, P6's rounding)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from hashlib import blake2b
from math import lcm
from typing import Final
from uuid import UUID

DITHER_BITS: Final = 64


def split_exact(amounts: Sequence[Fraction | int], seed: UUID) -> list[int]:
    """Integers for exact, non-negative shares: party i gets floor(Cᵢ + u) − floor(Cᵢ₋₁ + u), C = running sums.

    u ∈ [0, 1) follows from `seed` (a receipt id), so repeating gives the same and every party gets its due on average.
    Each result differs from its share by less than one. When the exact sum is an integer the results sum to it;
    otherwise they sum to it rounded down or up.
    """
    for amount in amounts:
        if amount < 0:
            raise ValueError(f"a share cannot be negative: {amount}")
    denominator = lcm(*(amount.denominator for amount in amounts))
    numerators = [amount.numerator * (denominator // amount.denominator) for amount in amounts]
    return split_scaled(numerators, denominator, seed)


def split_scaled(numerators: Sequence[int], denominator: int, seed: UUID) -> list[int]:
    """`split_exact` for shares numeratorᵢ ÷ denominator, in integers throughout: the form a hot path has at hand."""
    digest = blake2b(seed.bytes, digest_size=DITHER_BITS // 8, person=b"shanhe-split").digest()
    dither = int.from_bytes(digest, "big") * denominator
    divisor = denominator << DITHER_BITS
    running, before, result = 0, 0, []
    for numerator in numerators:
        running += numerator
        after = ((running << DITHER_BITS) + dither) // divisor
        result.append(after - before)
        before = after
    return result
