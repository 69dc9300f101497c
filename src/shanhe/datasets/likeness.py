"""Near-duplicates by MinHash and bands (Broder 1997; Mining of Massive Datasets, ch. 3), then checked exactly.

A text is its set of shingles of four signs, without spaces, case and width. Candidates are texts that share a band of
hashes; of those, texts whose sets are at least as alike as asked (Jaccard) are one.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

SHINGLE: Final = 4
BANDS, ROWS = 24, 4
HASHES: Final = BANDS * ROWS
BUCKET_MAX: Final = 64
"""Earlier texts of a band that a text is compared with; in a band of more, the rest are as good as the first."""
SHINGLES_MAX: Final = 4_000
_SEED: Final = np.random.default_rng(20_261_120)
_FACTORS: Final = _SEED.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
_OFFSETS: Final = _SEED.integers(0, 2**63, HASHES, dtype=np.uint64)


def normal(text: str) -> str:
    """A text as far as likeness goes: letters, digits and signs of scripts, folded."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in folded if sign.isalnum())


def shingles(text: str) -> frozenset[int]:
    """Hashes of the text's shingles; a short text is one shingle."""
    plain = normal(text)
    ends = range(max(1, min(len(plain), SHINGLES_MAX) - SHINGLE + 1))
    return frozenset(zlib.crc32(plain[at : at + SHINGLE].encode()) for at in ends)


def signature(found: frozenset[int]) -> Any:
    """HASHES minima (uint32) over multiply-shift hashes."""
    values = np.fromiter(found, dtype=np.uint64, count=len(found))
    hashed = (values[:, None] * _FACTORS[None, :] + _OFFSETS[None, :]) >> np.uint64(32)
    return hashed.min(axis=0).astype(np.uint32)


def alike(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard: what both have, of what either has."""
    both = len(one & other)
    return both / (len(one) + len(other) - both)


def duplicates(texts: Sequence[str], at_least: float) -> dict[int, int]:
    """For each text that is as good as an earlier one: which. Chains lead to the first."""
    sets: list[frozenset[int]] = []
    buckets: dict[tuple[int, bytes], list[int]] = {}
    found: dict[int, int] = {}
    for at, text in enumerate(texts):
        mine = shingles(text)
        sets.append(mine)
        bands = signature(mine).reshape(BANDS, ROWS)
        keys = [(number, band.tobytes()) for number, band in enumerate(bands)]
        near = sorted({other for key in keys for other in buckets.get(key, ())})
        twin = next((other for other in near if alike(mine, sets[other]) >= at_least), None)
        if twin is not None:
            found[at] = twin
            continue
        for key in keys:
            bucket = buckets.setdefault(key, [])
            if len(bucket) < BUCKET_MAX:
                bucket.append(at)
    return found
