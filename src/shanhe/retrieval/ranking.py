"""How passages found by words and by meaning become one list, and whether the best of them carry an answer. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shanhe.retrieval.model import Hit

RRF_K: Final = 60
"""Reciprocal-rank fusion (Cormack, Clarke & Büttcher 2009): scores of two kinds don't add up, ranks do."""
SUPPORT_FROM: Final = 3
"""Passages that together may carry an answer."""
BIAS, COVERED, TOGETHER, NEAR = -9.0, 4.0, 3.0, 8.0
"""Weights of support, fitted on the demonstration's questions (half of them; the others judged): see docs."""
NEAR_FROM, NEAR_TO = 0.78, 0.92
"""Between which cosines the embedding tells near from far; outside of its own range a cosine says little."""
RERANK_PART: Final = 6.0


def fused(by_words: Sequence[UUID], by_meaning: Sequence[UUID]) -> list[tuple[UUID, float]]:
    """Passages of two rankings by the sum of 1 ÷ (60 + rank), best first."""
    scores: dict[UUID, float] = {}
    for ranking in (by_words, by_meaning):
        for rank, chunk in enumerate(ranking, 1):
            scores[chunk] = scores.get(chunk, 0.0) + 1.0 / (RRF_K + rank)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))


def coverage(wanted: frozenset[str], present: frozenset[str]) -> float:
    """Which part of a question's signs stands in a text, 0–1."""
    return len(wanted & present) / len(wanted) if wanted else 0.0


def support(hits: Sequence[Hit], together: float) -> float:
    """0–1: how well the best passages carry an answer.

    Nearness in meaning alone can't tell (an embedding finds something near to anything), nor can words alone (another
    wording shares few). `together`: what the best passages cover between them.
    """
    if not hits:
        return 0.0
    best = hits[:SUPPORT_FROM]
    covered = max(hit.coverage for hit in best)
    near = max(hit.cosine for hit in best)
    scaled = min(1.0, max(0.0, (near - NEAR_FROM) / (NEAR_TO - NEAR_FROM))) if near else covered
    score = BIAS + COVERED * covered + TOGETHER * together + NEAR * scaled
    reranked = [hit.rerank for hit in best if hit.rerank is not None]
    if reranked:
        score += RERANK_PART * (max(reranked) - 0.5)
    return 1.0 / (1.0 + math.exp(-score))
