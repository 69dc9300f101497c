"""How often the solution that was meant for a need is among the first three, and the other way round."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from shanhe.board.api import Corpus, Kind, Post, PostState, Words, counted, wanted
from shanhe.board.matching import CANDIDATES, fuse, reasons

FIRST = 3
PAIRS = yaml.safe_load((Path(__file__).parent / "data" / "pairs.yaml").read_text(encoding="utf-8"))
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def post(kind: Kind, n: int, pair: Any) -> Post:
    title, text = pair[kind.value]
    words = Words(kind, title, text, pair["sector"], date(2026, 6, 30), readiness=6)
    return Post(UUID(int=n), UUID(int=n + (1000 if kind is Kind.NEED else 2000)), PostState.OPEN, words, 1, NOON, NOON,
                NOON)  # fmt: skip


def ranks(one: Kind, meaning: Any = None) -> list[int]:
    """The place of each post's own counterpart (0: not found). `meaning(one, n)`: the others, nearest first."""
    posts = [post(one.other, n, pair) for n, pair in enumerate(PAIRS)]
    corpus = Corpus()
    for other in posts:
        corpus.put(other.id, counted(other.words))
    found = []
    for n, pair in enumerate(PAIRS):
        asks = post(one, n, pair)
        worded = [name for name, *_ in corpus.ranked(wanted(asks.words.title, asks.words.text))][:CANDIDATES]
        meant = [] if meaning is None else meaning(one, n)[:CANDIDATES]
        why = {other.id: reasons(asks, other, NOON.date()) for other in posts}
        good = {name: sum((r.good is True) - (r.good is False) for r in found) for name, found in why.items()}
        order = [name for name, _ in fuse(worded, meant, good)]
        found.append(order.index(UUID(int=n)) + 1 if UUID(int=n) in order else 0)
    return found


def recall(found: list[int]) -> float:
    return sum(0 < rank <= FIRST for rank in found) / len(found)


class TestWords:
    def test_alone_find_most_of_what_was_meant_both_ways(self) -> None:
        assert len(PAIRS) >= 30
        there, back = recall(ranks(Kind.NEED)), recall(ranks(Kind.SOLUTION))
        print(f"recall@{FIRST} by words: need→solution {there:.3f}, solution→need {back:.3f}")
        assert there >= 0.9
        assert back >= 0.9
