"""How often the solution that was meant for a need is among the first three, and the other way round."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import numpy as np
import pytest
import yaml

from shanhe.board.api import Corpus, Kind, Post, PostState, Words, counted, wanted
from shanhe.board.matching import CANDIDATES, fuse, reasons
from shanhe.compute.api import LlamaSupervisor, card, default_cache
from shanhe.retrieval.api import prefixes

FIRST = 3
EMBEDDING: Final = "multilingual-e5-small"
AT_ONCE: Final = 8
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


@pytest.mark.prove
@pytest.mark.model
class TestMeaning:
    async def test_finds_more_beside_words(self, tmp_path: Path) -> None:
        if not (default_cache() / card(EMBEDDING).file).exists():
            pytest.skip("needs the embedding model: shanhe models pull multilingual-e5-small")
        vectors = await embedded(tmp_path, prefixes(EMBEDDING)[1])

        def nearest(one: Kind, n: int) -> list[UUID]:
            scores = vectors[one.other] @ vectors[one][n]
            return [UUID(int=int(other)) for other in np.argsort(-scores, kind="stable")]

        both = {one: recall(ranks(one, nearest)) for one in Kind}
        words = {one: recall(ranks(one)) for one in Kind}
        alone = {one: np.mean([UUID(int=n) in nearest(one, n)[:FIRST] for n in range(len(PAIRS))]) for one in Kind}
        for name, found in (("words", words), ("meaning", alone), ("both", both)):
            print(f"recall@{FIRST} by {name}: " + ", ".join(f"{one} {found[one]:.3f}" for one in Kind))
        assert all(both[one] >= words[one] for one in Kind)
        assert all(both[one] >= 0.95 for one in Kind)


async def embedded(folder: Path, prefix: str) -> dict[Kind, Any]:
    """Unit vectors of all posts by the real model, as `Finding.learn` writes what is embedded."""
    supervisor, found = LlamaSupervisor(folder), dict[Kind, Any]()
    try:
        runner = await supervisor.start(EMBEDDING)
        transport = httpx.AsyncHTTPTransport(uds=str(runner.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://engine/v1", timeout=120) as engine:
            for kind in Kind:
                texts = [prefix + "\n".join(pair[kind.value]) for pair in PAIRS]
                rows: list[Any] = []
                for at in range(0, len(texts), AT_ONCE):
                    asked = {"model": EMBEDDING, "input": texts[at : at + AT_ONCE]}
                    answer = (await engine.post("/embeddings", json=asked)).json()["data"]
                    rows += [row["embedding"] for row in sorted(answer, key=lambda row: row["index"])]
                found[kind] = np.array(rows) / np.linalg.norm(np.array(rows), axis=1, keepdims=True)
    finally:
        await supervisor.stop()
    return found
