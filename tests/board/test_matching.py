"""What fits, and why: words with their weights, both ways, reasons, and fusion with nearness in meaning."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from shanhe.board.api import Corpus, Finding, Kind, PostState, counted, wanted
from shanhe.board.fits import CallError
from shanhe.board.matching import fuse, pieces, reasons
from shanhe.board.model import Post

from .conftest import NEED, NOON, SOLUTION, UNTIL, Town

OTHER = replace(
    SOLUTION,
    title="水库溃坝洪水演进模拟",
    text="二维水动力模型推演溃坝后的淹没范围与到达时间，支持应急预案。",
    sector="environment",
)


def post(words: Any, number: int) -> Post:
    return Post(UUID(int=number), UUID(int=number + 100), PostState.OPEN, words, 1, NOON, NOON, NOON)


class TestCorpus:
    def test_ranks_by_shared_words_and_says_which(self) -> None:
        corpus = Corpus()
        corpus.put(UUID(int=1), counted(SOLUTION))
        corpus.put(UUID(int=2), counted(OTHER))
        (best, score, weights), *rest = corpus.ranked(wanted(NEED.title, NEED.text))
        assert best == UUID(int=1)
        assert score == pytest.approx(sum(weights.values()))
        found = dict(pieces(SOLUTION, weights))
        assert {"杀青", "滚筒", "焦边"} <= set(found)
        assert all(weight > 0 for weight in found.values())
        assert not rest or rest[0][1] < score / 3

    def test_forgets_what_leaves_and_takes_the_newest_words(self) -> None:
        corpus = Corpus()
        corpus.put(UUID(int=1), counted(SOLUTION))
        corpus.put(UUID(int=1), counted(OTHER))
        assert corpus.ranked(wanted("杀青")) == []
        assert [one for one, *_ in corpus.ranked(wanted("溃坝洪水"))] == [UUID(int=1)]
        corpus.drop(UUID(int=1))
        assert (len(corpus), corpus.ranked(wanted("溃坝洪水"))) == (0, [])


class TestReasons:
    def test_speak_for_and_against(self) -> None:
        today = NOON.date()
        good = {one.code: one.good for one in reasons(post(NEED, 1), post(SOLUTION, 2), today)}
        assert good == {"sector": True, "readiness": True, "money": True, "time": None}
        poor = replace(SOLUTION, sector="health", readiness=5, price_fen=12_000_001)
        assert {one.code: one.good for one in reasons(post(poor, 2), post(NEED, 1), today)} == {
            "sector": False, "readiness": False, "money": False, "time": None,
        }  # fmt: skip
        silent = replace(NEED, readiness=0, budget_from_fen=None, budget_to_fen=None)
        assert [one.good for one in reasons(post(silent, 1), post(SOLUTION, 2), today)] == [True, None, None, None]
        assert reasons(post(NEED, 1), post(SOLUTION, 2), date(2027, 1, 1))[3].good is False

    def test_move_a_post_by_about_a_place(self) -> None:
        one, two, three = (UUID(int=n) for n in (1, 2, 3))
        assert [name for name, _ in fuse([one, two, three], [], {two: 1})] == [two, one, three]
        assert next(name for name, _ in fuse([one, two, three], [], {three: 1})) == one
        assert next(name for name, _ in fuse([one, two], [two, three], {})) == two


class TestFinding:
    async def test_finds_both_ways_and_nothing_of_ones_own(self, town: Town) -> None:
        firm, lab, finding = await town.company(), await town.researcher(), town.board.finding
        need, solution = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        await town.posted(firm, SOLUTION)
        await town.posted(lab, OTHER)
        there, back = await finding.of(need), await finding.of(solution)
        assert (there.way, there.found[0].post.id) == ("words", solution.id)
        assert {fit.post.org_id for fit in there.found} == {lab}
        assert [fit.post.id for fit in back.found] == [need.id]
        assert there.found[0].cosine is None
        await town.board.posts.withdraw(solution.id, lab)
        assert solution.id not in [fit.post.id for fit in (await finding.of(need)).found]

    async def test_ranks_by_meaning_too_where_the_owner_pays_for_it(self, town: Town) -> None:
        """A scripted engine: what speaks of heat points one way, everything else another."""
        asked: list[str] = []

        async def embed(caller: Any, model: str, texts: Any) -> Any:
            asked.extend(texts)
            rows = [{"index": n, "embedding": [1.0, 0.0] if "温" in text else [0.0, 1.0]} for n, text in
                    enumerate(texts)]  # fmt: skip
            return SimpleNamespace(answer={"data": rows}, paid_micro=7, receipt_id=None)

        async def payer(org_id: UUID) -> Any:
            return org_id

        finding = Finding(town.board.posts, embed=embed, payer=payer, model=lambda: "multilingual-e5-small")
        firm, lab = await town.company(), await town.researcher()
        need, near = await town.posted(firm, NEED), await town.posted(lab, SOLUTION)
        shy = await town.posted(lab, replace(OTHER, by_meaning=False))
        assert [await finding.learn(one) for one in (need, need, near, shy)] == [True, True, True, False]
        assert [text.partition("\n")[0] for text in asked] == [f"passage: {NEED.title}", f"passage: {SOLUTION.title}"]
        assert await finding.paid_micro(near) == 7
        found = await finding.of(need)
        assert (found.way, found.found[0].post.id, found.found[0].cosine) == ("both", near.id, 1.0)
        assert found.found[0].meaning_rank == found.found[0].word_rank == 1
        stored = await town.db.fetchval("SELECT vector FROM board.vector WHERE post = $1", near.id)
        assert stored.startswith("\x1e")
        await town.board.posts.change(need.id, firm, replace(NEED, until=UNTIL.replace(day=1)))
        assert (await finding.of(await town.board.posts.get(need.id))).way == "words"

    async def test_goes_by_words_where_the_owner_cannot_pay(self, town: Town) -> None:
        async def embed(caller: Any, model: str, texts: Any) -> Any:
            raise CallError(402, "insufficient_credit", "no credit")

        async def payer(org_id: UUID) -> Any:
            return org_id

        finding = Finding(town.board.posts, embed=embed, payer=payer, model=lambda: "e5")
        need = await town.posted(await town.company(), NEED)
        assert not await finding.learn(need)
        assert (await finding.of(need)).way == "words"

    async def test_searches_by_words(self, town: Town) -> None:
        lab = await town.researcher()
        await town.posted(lab, OTHER)
        wanted = await town.posted(lab, SOLUTION)
        found = await town.board.finding.search(Kind.SOLUTION, "请问哪里有杀青测温？")
        assert [one.id for one in found] == [wanted.id]
        assert await town.board.finding.search(Kind.NEED, "杀青") == []
