"""Shares laid end to end: integers that sum exactly and are right on average (DESIGN's split, P6's rounding)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from hashlib import blake2b
from typing import Final
from uuid import UUID

DITHER_BITS: Final = 64


def split_exact(amounts: Sequence[Fraction | int], seed: UUID) -> list[int]:
    """Integers for exact, non-negative shares: party i gets floor(Cᵢ + u) − floor(Cᵢ₋₁ + u), C = running sums.

    u ∈ [0, 1) follows from `seed` (a receipt id), so repeating gives the same and every party gets its due on average.
    Each result differs from its share by less than one. When the exact sum is an integer the results sum to it;
    otherwise they sum to it rounded down or up.
    """
    if len(amounts) == 1 and isinstance(amounts[0], int):
        return [amounts[0]]
    digest = blake2b(seed.bytes, digest_size=DITHER_BITS // 8, person=b"shanhe-split").digest()
    dither = int.from_bytes(digest, "big")
    scale = 1 << DITHER_BITS
    # floor(n/d + dither/2⁶⁴) in integers: Fraction arithmetic would take a gcd at every step
    numerator, denominator = 0, 1
    before, result = 0, []
    for amount in amounts:
        if amount < 0:
            raise ValueError(f"a share cannot be negative: {amount}")
        n, d = amount.numerator, amount.denominator
        if d == denominator:
            numerator += n
        else:
            numerator, denominator = numerator * d + n * denominator, denominator * d
        after = (numerator * scale + dither * denominator) // (denominator * scale)
        result.append(after - before)
        before = after
    return result
