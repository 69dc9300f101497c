"""How passages found by words and by meaning become one list, and whether the best of them carry an answer. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from shanhe.retrieval.model import Hit

RRF_K: Final = 10
"""Reciprocal-rank fusion (Cormack, Clarke & Büttcher 2009): scores of two kinds don't add up, ranks do. With their 60,
what leads one list loses to what stands in the middle of both."""
SUPPORT_FROM: Final = 3
"""Passages of which one may carry an answer."""
FEW: Final = 30
"""Of fewer texts it can't be told which signs are rare."""
NEAR_FROM, NEAR_TO = 0.82, 0.945
"""Between which cosines the embedding tells near from far; its cosines say little outside of their own range."""


def fused(*rankings: Sequence[UUID]) -> list[tuple[UUID, float]]:
    """What rankings hold, by the sum of 1 ÷ (RRF_K + rank), best first."""
    scores: dict[UUID, float] = {}
    for ranking in rankings:
        for rank, chunk in enumerate(ranking, 1):
            scores[chunk] = scores.get(chunk, 0.0) + 1.0 / (RRF_K + rank)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))


def weights(wanted: frozenset[str], texts: Sequence[frozenset[str]]) -> dict[str, float]:
    """How much each sign of a question tells, by how few of the texts found for it hold it: the inverse document
    frequency of BM25 (Robertson & Spärck Jones 1976) over these texts. One that stands in none of them tells most: a
    question about weddings is not answered by whatever else is registered. Among few texts a sign may be missing by
    chance: they count as `FEW`."""
    count = max(len(texts), FEW)
    holding = {sign: sum(sign in text for text in texts) for sign in wanted}
    return {sign: math.log(1 + (count - n + 0.5) / (n + 0.5)) for sign, n in holding.items()}


def coverage(wanted: Mapping[str, float], present: frozenset[str]) -> float:
    """Which part of a question's signs, by their weight, stands in a text, 0–1."""
    whole = sum(wanted.values())
    return sum(weight for sign, weight in wanted.items() if sign in present) / whole if whole else 0.0


def support(hits: Sequence[Hit]) -> float:
    """0–1: how well one of the best passages carries an answer.

    Nearness in meaning alone can't tell (an embedding finds something near to anything), nor can words alone (another
    wording shares few): the same passage has to be near and to hold what the question names. A model's judgement, where
    there is one, counts as much as both.
    """
    return max((_carries(hit) for hit in hits[:SUPPORT_FROM]), default=0.0)


def _carries(hit: Hit) -> float:
    found = hit.coverage
    if hit.cosine:
        near = min(1.0, max(0.0, (hit.cosine - NEAR_FROM) / (NEAR_TO - NEAR_FROM)))
        found = (found + near) / 2
    return found if hit.rerank is None else (found + hit.rerank) / 2
