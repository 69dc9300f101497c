"""Knowledge bases over a real database: filling, finding, editing, who may read, what is left of a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shanhe.gateway.api import CallError
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.retrieval import store
from shanhe.retrieval.answering import Answering, certainty, scores_of
from shanhe.retrieval.embedding import as_text
from shanhe.retrieval.errors import BadKnowledge, NameTaken, UnknownBase
from shanhe.retrieval.evaluating import Evaluating, threshold
from shanhe.retrieval.indexer import Indexer
from shanhe.retrieval.model import Asking, Base, Cut, NewBase, Question
from shanhe.retrieval.search import Search
from shanhe.retrieval.service import Knowledge
from stage.papers import Embedder, vector_of

ORG, OTHER, PERSON = new_id(), new_id(), new_id()
MINE, THEIRS = Asking(ORG), Asking(OTHER)
GUIDE = """# 购买优惠

本地企业购买积分享受七折优惠，每人每年优惠额度不超过一百万元。

# 数字游民

非本地人员在本市停留满九十天可以申请数字游民身份，有效期一年。

# 论文奖励

使用本地模型发表论文，按级别奖励五百至五千积分。
"""


class House:
    """A knowledge service on a test database, and those who work with it."""

    def __init__(self, db: Database, clock: FixedClock, folder: Path) -> None:
        self.vault = Vault(folder / "keys")
        self.embedder = Embedder()
        self.persons: dict[UUID, UUID] = {}

        async def people_of(orgs: Sequence[UUID]) -> dict[UUID, UUID]:
            return {org: self.persons[org] for org in orgs if org in self.persons}

        async def caller_of(key: UUID) -> Any:
            return object()

        async def paying(org: UUID) -> UUID:
            return new_id()

        self.knowledge = Knowledge(
            db, clock, folder=folder / "blobs", seals=Seals(self.vault, people_of), embed=self.embedder,
            caller_of=caller_of, paying_key=paying, default_model=lambda: "some-e5",
        )  # fmt: skip
        self.search = Search(self.knowledge)
        self.indexer = Indexer(self.knowledge, worker="w0")

    async def base(self, org: UUID = ORG, name: str = "政策", **fields: Any) -> Base:
        return await self.knowledge.make(org, NewBase(name, **fields), by="tests")

    async def filled(self, base: Base, name: str = "指南.md", text: str = GUIDE) -> Any:
        document, _ = await self.knowledge.bring(base, name, text.encode(), by="tests")
        while await self.indexer.work_once():
            pass
        return await self.knowledge.document(base, document.id)


@pytest.fixture
def house(database: Database, clock: FixedClock, tmp_path: Path) -> House:
    return House(database, clock, tmp_path)


class TestTurns:
    async def test_of_organisations_go_round_however_much_one_of_them_brings(self, house: House) -> None:
        many, few = await house.base(), await house.base(OTHER)
        for n in range(4):
            await house.knowledge.bring(many, f"{n}.md", GUIDE.encode(), by="tests")
        house.knowledge.clock.advance(minutes=1)  # type: ignore[attr-defined]
        for n in range(2):
            await house.knowledge.bring(few, f"{n}.md", GUIDE.encode(), by="tests")
        read = []
        for _ in range(6):
            house.knowledge.clock.advance(seconds=1)  # type: ignore[attr-defined]
            now = house.knowledge.clock.now()
            one = await store.take(house.knowledge.db, "w0", now, now)
            assert one is not None
            read.append("many" if one.base_id == many.id else "few")
            await store.fail(house.knowledge.db, one, {})
        assert read == ["many", "few", "many", "few", "many", "many"]


class TestBase:
    async def test_finds_by_words_and_meaning_and_says_why(self, house: House) -> None:
        base = await house.knowledge.edit(await house.base(), {"support_bps": 4_000})
        done = await house.filled(base)
        assert (done.state, done.format, done.pages, done.paid_micro) == ("ready", "markdown", 1, 3)
        found = await house.search.find([base], "停留满九十天可以申请数字游民身份", MINE, object())  # type: ignore[arg-type]
        best = found.hits[0]
        assert "九十天" in best.passage.text
        assert (best.word_rank, best.meaning_rank) == (1, 1)
        assert best.passage.heading == "数字游民"
        assert best.passage.document == "指南.md"
        assert 0 < best.passage.box[1] < best.passage.box[3] < 10_000
        assert "游民" in best.matched
        assert found.paid_micro == 1
        assert found.supported
        words = await house.search.find([base], "论文奖励", MINE, None)
        assert words.hits[0].passage.heading == "论文奖励"
        assert (words.paid_micro, words.hits[0].meaning_rank) == (0, 0)

    async def test_knows_what_came_was_replaced_or_edited_since_an_instant(self, house: House) -> None:
        base, clock = await house.base(), house.knowledge.clock
        for name in ("指南.md", "价目.md", "联系.md"):
            await house.filled(base, name)
        reviewed = clock.now()
        assert await house.knowledge.changed(base, reviewed) == []
        clock.advance(minutes=1)  # type: ignore[attr-defined]
        await house.filled(base, "价目.md", GUIDE + "\n# 新的价目\n\n一千元。")
        clock.advance(minutes=1)  # type: ignore[attr-defined]
        guide = next(one for one in await house.knowledge.documents(base) if one.name == "指南.md")
        (passage, *_) = await house.knowledge.chunks(base, guide)
        await house.knowledge.edit_chunk(base, passage.id, "改过的说明。", None, by="tests")
        clock.advance(minutes=1)  # type: ignore[attr-defined]
        await house.filled(base, "补充.md")
        changed = await house.knowledge.changed(base, reviewed)
        assert [name for name, _ in changed] == ["补充.md", "指南.md", "价目.md"]
        assert await house.knowledge.count(base) == 4
        assert changed == sorted(changed, key=lambda one: one[1], reverse=True)

    async def test_declines_what_nothing_supports(self, house: House) -> None:
        base = await house.knowledge.edit(await house.base(), {"support_bps": 100})
        await house.filled(base)

        async def ask(caller: Any, fields: Any) -> Any:
            raise AssertionError("no model is asked")

        answering = Answering(house.search, ask)
        answer = await answering.answer([base], "蓝鲸潜水多深", MINE, object(), "chat")  # type: ignore[arg-type]
        assert (answer.text, answer.declined, answer.citations) == ("", "unsupported", ())
        quoted = await answering.answer([base], "使用本地模型发表论文按级别奖励多少积分", MINE, object())  # type: ignore[arg-type]
        assert "五百至五千" in quoted.text
        assert quoted.citations[0].passage.page == 1

    async def test_has_a_name_of_its_own(self, house: House) -> None:
        base = await house.base()
        assert await house.knowledge.make(ORG, NewBase("政策"), by="t", base_id=base.id) == base
        with pytest.raises(NameTaken):
            await house.base()
        await house.base(OTHER)
        await house.knowledge.archive(base)
        await house.base()


class TestDocument:
    async def test_costs_only_what_is_new_in_it(self, house: House) -> None:
        base = await house.base()
        first = await house.filled(base)
        same, new = await house.knowledge.bring(base, "指南.md", GUIDE.encode(), by="t")
        assert (same.id, new) == (first.id, False)
        house.embedder.texts.clear()
        second = await house.filled(base, text=GUIDE + "\n# 师徒\n\n导师按新人补贴的两成获得奖励。\n")
        assert (second.id, second.paid_micro) == (first.id, 4)
        assert [text for text in house.embedder.texts if "师徒" in text] == house.embedder.texts
        third = await house.filled(base, text=GUIDE.replace("# 论文奖励", "# 成果"))
        found = await house.search.find([base], "师徒导师", MINE, None)
        assert not [hit for hit in found.hits if "导师" in hit.passage.text]
        assert third.state == "ready"

    async def test_keeps_edits_while_their_source_stands(self, house: House) -> None:
        base = await house.base()
        done = await house.filled(base)
        chunks = await house.knowledge.chunks(base, done)
        assert [chunk.n for chunk in chunks] == [1, 2, 3]
        edited = await house.knowledge.edit_chunk(base, chunks[1].id, "停留满三十天即可（已更正）", None, by="editor")
        assert edited.edited_by == "editor"
        found = await house.search.find([base], "已更正", MINE, object())  # type: ignore[arg-type]
        assert found.hits[0].passage.text == "停留满三十天即可（已更正）"
        await house.filled(base, text=GUIDE + "\n# 新\n\n新的内容在这里。\n")
        texts = [chunk.text for chunk in await house.knowledge.chunks(base, done)]
        assert "停留满三十天即可（已更正）" in texts
        assert len(texts) == 4

    async def test_waits_for_an_engine_and_fails_for_good_reasons(self, house: House, clock: FixedClock) -> None:
        base = await house.base()
        house.embedder.fails = [CallError(503, "no_engine", "away"), CallError(402, "insufficient_quota", "poor")]
        document, _ = await house.knowledge.bring(base, "a.md", GUIDE.encode(), by="t")
        assert await house.indexer.work_once()
        assert (await house.knowledge.document(base, document.id)).state == "waiting"
        clock.advance(seconds=60)
        assert await house.indexer.work_once()
        failed = await house.knowledge.document(base, document.id)
        assert (failed.state, failed.error and failed.error["code"]) == ("failed", "insufficient_quota")
        await house.knowledge.again(failed)
        await house.indexer.work_once()
        assert (await house.knowledge.document(base, document.id)).state == "ready"

    async def test_that_cannot_be_read_says_why(self, house: House) -> None:
        base = await house.base()
        done = await house.filled(base, name="a.pdf", text="%PDF-1.4 broken")
        assert (done.state, done.error["code"]) == ("failed", "unreadable_document")

    async def test_is_taken_up_where_a_process_left_it(self, house: House) -> None:
        base = await house.base()
        await house.knowledge.bring(base, "a.md", GUIDE.encode(), by="t")
        taken = await store.take(house.knowledge.db, "dead", house.knowledge.clock.now(), house.knowledge.clock.now())
        assert taken is not None
        vector = as_text(vector_of("x"))
        from shanhe.retrieval.chunking import pieces, source_hash
        from shanhe.retrieval.work.markup import markdown

        sources = [source_hash(piece) for piece in pieces(markdown(GUIDE.encode()))]
        await store.keep_embedded(house.knowledge.db, taken.id, [(sources[0], vector, "")])
        assert not await house.indexer.work_once()
        await store.give_back(house.knowledge.db, "dead")
        assert await house.indexer.work_once()
        assert len(house.embedder.texts) == 2  # the third was paid for before


class TestCut:
    async def test_counts_for_what_is_read_later_and_for_the_rest_when_it_is_said(self, house: House) -> None:
        base = await house.base()
        one = await house.filled(base)
        assert (await house.knowledge.counts([base]))[base.id]["passages"] == 3
        base = await house.knowledge.edit(base, {"size": 50, "separator": "享受"})
        assert await house.knowledge.preview_of(base, base.cut, one) == await house.knowledge.preview_of(
            base, Cut(50, 0, "享受"), one
        )
        await house.knowledge.again(one)  # whoever reads it again reads it as the base is cut now
        while await house.indexer.work_once():
            pass
        assert (await house.knowledge.counts([base]))[base.id]["passages"] == 4
        assert await house.knowledge.recut(base) == 0
        base = await house.knowledge.edit(base, {"size": 260, "separator": ""})
        assert await house.knowledge.recut(base) == 1
        assert (await house.knowledge.document(base, one.id)).state == "waiting"
        found = await house.search.find([base], "数字游民", MINE, None)
        assert found.hits  # found as it was until it is found as it is

    async def test_is_previewed_and_nothing_is_kept_or_paid(self, house: House) -> None:
        base = await house.base()
        one = await house.filled(base)
        calls = len(house.embedder.texts)
        (first, *_) = await house.knowledge.chunks(base, one)
        await house.knowledge.edit_chunk(base, first.id, "改过的一段", None, by="tests")
        kept = await house.knowledge.preview_of(base, base.cut, one)
        assert (kept.passages, kept.same, kept.edits) == (3, 3, 0)
        other = await house.knowledge.preview_of(base, Cut(50, 0, "七折"), one)
        assert (other.passages, other.same, other.edits) == (4, 2, 1)
        fresh = await house.knowledge.preview(base, Cut(), "新.md", "# 新\n\n一段。".encode())
        assert [piece.text for piece in fresh.shown] == ["一段。"]
        assert len(await house.knowledge.documents(base)) == 1
        assert len(house.embedder.texts) == calls + 1  # the edit alone

    @pytest.mark.parametrize("cut", [
        {"size": 49}, {"size": 1001}, {"overlap": -1}, {"size": 100, "overlap": 51}, {"separator": "x" * 21},
        {"separator": "\x07"},
    ])  # fmt: skip
    async def test_has_bounds(self, house: House, cut: dict[str, Any]) -> None:
        base = await house.base()
        with pytest.raises(BadKnowledge):
            await house.knowledge.edit(base, cut)

    async def test_that_costs_edits_says_how_many(self, house: House) -> None:
        base = await house.base()
        one = await house.filled(base)
        (first, *_) = await house.knowledge.chunks(base, one)
        await house.knowledge.edit_chunk(base, first.id, "改过的一段", None, by="tests")
        assert await house.knowledge.edits_at_stake(base) == 0
        assert await house.knowledge.edits_at_stake(await house.knowledge.edit(base, {"size": 60})) == 1


class TestReaders:
    async def test_are_decided_by_the_database(self, house: House, database: Database) -> None:
        bases = {reach: await house.base(name=reach, reach=reach) for reach in ("listed", "org", "city")}
        for base in bases.values():
            await house.filled(base)
        everything = [base.id for base in bases.values()]
        vector = as_text(vector_of("数字游民"))

        async def seen(asking: Asking) -> set[UUID]:
            """Bases whose text comes back through any of the ways to read."""
            words = await store.by_words(database, asking, everything, ["游民", "积分"], 99)
            near = await store.by_meaning(database, asking, everything, vector, 99)
            assert {row["chunk_id"] for row in words} <= {row["chunk_id"] for row in near}
            every = [row["id"] for row in await database.fetch("SELECT id FROM retrieval.chunk")]
            read = {row["base_id"] for row in await store.passages(database, asking, every)}
            found = await house.search.find(list(bases.values()), "数字游民", asking, object())  # type: ignore[arg-type]
            assert {hit.passage.base_id for hit in found.hits} <= read
            assert len(near) == 3 * len(read)
            return read

        listed, org, city = (bases[reach].id for reach in ("listed", "org", "city"))
        assert await seen(THEIRS) == {city}
        assert await seen(Asking(None, None)) == {city}
        assert await seen(MINE) == {org, city}
        await house.knowledge.let_read(bases["listed"], "person", PERSON, by="t")
        await house.knowledge.let_read(bases["org"], "org", OTHER, by="t")
        assert await seen(Asking(OTHER, PERSON)) == {listed, org, city}
        await house.knowledge.stop_reading(bases["org"], "org", OTHER)
        await house.knowledge.archive(bases["city"])
        assert await seen(THEIRS) == set()
        with pytest.raises(UnknownBase):
            await house.knowledge.readable([str(org)], THEIRS)


class TestPerson:
    async def test_leaves_nothing_readable(self, house: House, database: Database, tmp_path: Path) -> None:
        house.persons[ORG] = PERSON
        house.vault.create(PERSON)
        base = await house.base(name="我的病历")
        await house.filled(base, "病历.md", "# 诊断\n\n患者对青霉素过敏，需要避免使用。\n")
        found = await house.search.find([base], "青霉素过敏", MINE, object())  # type: ignore[arg-type]
        assert "患者对青霉素过敏" in found.hits[0].passage.text
        assert (found.hits[0].word_rank, found.hits[0].meaning_rank) == (1, 1)
        assert found.hits[0].passage.document == "病历.md"
        rows = [
            str(dict(row)) for table in ("base", "document", "chunk", "embedded")
            for row in await database.fetch(f"SELECT * FROM retrieval.{table}")
        ]  # fmt: skip
        told = "".join(rows) + "".join(
            path.read_bytes().decode("latin-1") for path in (tmp_path / "blobs").rglob("*") if path.is_file()
        )
        for word in ("青霉素", "青霉", "诊断", "病历", "青霉素".encode().decode("latin-1")):
            assert word not in told
        assert await database.fetchval("SELECT count(*) FROM retrieval.chunk WHERE vector IS NOT NULL") == 0
        house.vault.destroy(PERSON)
        assert await house.knowledge.forget(ORG) == 1
        assert await database.fetchval("SELECT count(*) FROM retrieval.chunk") == 0


class TestEvaluation:
    async def test_counts_what_is_found_cited_and_declined(self, house: House) -> None:
        base = await house.base()
        await house.filled(base)

        async def ask(caller: Any, fields: Any) -> Any:
            raise AssertionError("no model is asked")

        await house.knowledge.set_questions(base, [
            Question("本地企业购买积分享受什么优惠", "指南.md", "七折"), Question("蓝鲸潜水多深"),
            Question("停留满几天可以申请数字游民", "指南.md", "九十天"),
            Question("论文奖励多少积分", "指南.md", "没有写的话"),
        ])  # fmt: skip
        evaluating = Evaluating(house.knowledge, house.search, Answering(house.search, ask))
        made = await evaluating.run(base, MINE, object(), by="t")  # type: ignore[arg-type]
        assert (made.asked, made.answerable, made.found_bps, made.declined_bps) == (4, 3, 6_666, 10_000)
        assert [row["rank"] > 0 for row in made.result["questions"]] == [True, False, True, False]
        assert (await evaluating.past(base))[0] == made

    def test_threshold_would_rather_decline_a_tenth_than_answer_what_is_not_there(self) -> None:
        answerable = [(True, 0.30), (True, 0.31), *((True, 0.5 + n / 100) for n in range(18))]
        unanswerable = [(False, 0.32), *((False, 0.1 + n / 1_000) for n in range(19))]
        assert 0.32 < threshold([*answerable, *unanswerable]) < 0.5
        more = [(True, 0.29), (True, 0.295)]  # four of 22 would be too many
        assert threshold([*more, *answerable, *unanswerable]) < 0.3

    def test_threshold_divides_best_and_keeps_answers(self) -> None:
        assert 0.4 < threshold([(True, 0.9), (True, 0.6), (False, 0.4), (False, 0.1)]) < 0.6
        assert threshold([(True, 0.3), (False, 0.5)]) <= 0.3

    def test_model_judges_by_its_one_word(self) -> None:
        top = [{"token": " 是", "logprob": -0.1}, {"token": "否", "logprob": -2.5}]
        answer = {"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]}
        assert 0.9 < certainty(answer) < 0.95
        assert certainty({"choices": [{}]}) == 0.5

    def test_reranker_gives_shares_or_logits(self) -> None:
        rows = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
        assert scores_of({"results": rows}, 2) == [0.2, 0.9]
        low, high = scores_of({"results": [rows[1], {"index": 1, "relevance_score": 4.0}]}, 2)
        assert 0.5 < low < 0.6 < 0.95 < high < 1
