"""Feedback makes the next version; and when a person takes their consent back, nothing of their clone is left."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from shanhe.clones.api import BadFeedback, CloneRefused, GateClosed, NothingToTeach, State, UnknownFeedback
from shanhe.compute.address import UNIX, socket_path
from shanhe.identity.api import PurposeRefused
from shanhe.kernel.errors import ShanheError
from shanhe.retrieval.api import NewBase, UnknownBase
from shanhe.studio.errors import NotDeployable
from shanhe.studio.foreman import Foreman
from stage.market import Market, Party, TalkingEngine, says

from .likeness import PERSONA, asked, consent, person

pytestmark = pytest.mark.asyncio(loop_scope="package")
WORKER = (sys.executable, "-I", "-S", str(Path(__file__).parents[1] / "studio" / "worker.py"))
BASE = "qwen2.5-coder-0.5b-instruct"
WORDS = ("桂花树下的老院子", "三十年没换过的钢笔", "先问孩子想写什么", "家里的地址从不外传")
"""In the persona, the knowledge base, a correction, a document's name."""


def needles(slug: str) -> tuple[str, ...]:
    """The words of one clone: nothing of these may be left."""
    return tuple(f"{one}（{slug}）" for one in WORDS)


class Child(TalkingEngine):
    """Stands for the process that holds a base with adapters."""

    async def listen(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(path))


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def child(market: Market, tmp_path_factory: Any) -> AsyncIterator[Child]:
    services = market.services
    base = tmp_path_factory.mktemp("base") / "base.gguf"
    base.write_bytes(b"base")

    async def file(model: str) -> Path:
        return base

    services.compute.model_file = file  # type: ignore[method-assign]
    await services.compute.ensure_local(BASE)
    local, stands = Child(), Child()
    local.default = says("多写就好。")
    await local.listen(socket_path(services.settings.data, BASE))
    yield stands
    await stands.stop()
    await local.stop()


async def work(market: Market) -> None:
    services = market.services
    studio = services.workshop.studio
    foreman = Foreman(studio, services.compute, worker="t", environment={}, command=WORKER)
    assert await foreman.work_once()


async def taught(market: Market, maker: Party, name: str, count: int = 10) -> UUID:
    """Lessons that a user gave and the maker accepted, as a version of the data set."""
    services = market.services
    user, payer = await person(market, f"user of {name[6:]}"), await market.party(f"users of {name}")
    consents = services.identity.consents
    for n in range(count):
        given_answer = await asked(market, payer, name, f"第{n}个问题怎么答？")
        assert given_answer.status_code == 200, given_answer.text
        answer = given_answer.json()
        text, run = answer["choices"][0]["message"]["content"], UUID(answer["shanhe"]["run_id"])
        given: dict[str, Any] = {"good": False, "question": f"第{n}个问题怎么答？", "answer": text,
                                 "label": answer["AIGC"],
                                 "correction": f"{needles(name[6:])[2]}，第{n}步再动笔。"}  # fmt: skip
        say = services.teaching.say
        if n == 0:
            with pytest.raises(PurposeRefused):  # the user has to agree, too
                await say(user, payer.org, run, **given)
            await consents.give(user, "clone_training", notice_version="1")
            for wrong in ({"answer": text + "。"}, {"label": {}}):
                with pytest.raises(BadFeedback):  # nobody teaches a clone what it never said
                    await say(user, payer.org, run, **{**given, **wrong})
            with pytest.raises(BadFeedback):
                await say(user, maker.org, run, **given)
        found = await say(user, payer.org, run, **given)
        if n == 0:
            with pytest.raises(BadFeedback):
                await say(user, payer.org, run, **given)
            with pytest.raises(NothingToTeach):  # nothing is taken in that nobody reviewed
                await services.teaching.collect(name, maker.org, by="t")
        await services.teaching.decide(found.id, maker.org, accept=True, by="t")
    version, lessons = await services.teaching.collect(name, maker.org, by="t")
    assert lessons == count
    return version


async def made(market: Market, maker: Party, slug: str) -> tuple[UUID, UUID]:
    """A clone with a persona and a knowledge base: (person, mandate)."""
    services, who = market.services, await person(market, slug)
    found = await consent(market, maker, f"clone/{slug}", who, called=f"王老师 {slug}")
    base = await services.library.knowledge.make(maker.org, NewBase(f"{slug}的资料", "org", "general", ""), by="t")
    words = needles(slug)
    text = f"# 写作\n\n{words[1]}，写作文要先列提纲再动笔。".encode()
    await services.library.knowledge.bring(base, f"{words[3]}.md", text, by="t")
    await market.indexed()
    content = {**PERSONA, "model": BASE, "instructions": f"你常说{words[0]}。", "grounded": False,
               "knowledge": [str(base.id)], "clone": {"mandate": str(found.id)}}  # fmt: skip
    await market.listed(maker.org, f"clone/{slug}", content)
    return who, found.id


async def trained(market: Market, maker: Party, name: str, lessons: UUID) -> None:
    """Lessons were made a version of a clone."""
    await market.services.teaching.train(name, maker.org, lessons, {"epochs": 1}, by="t")
    await work(market)


async def reviewed(market: Market, child: Child, maker: Party, slug: str) -> str:
    """A clone's first version answers now: its engine."""
    services, name = market.services, f"clone/{slug}"
    n = await services.teaching.offer(name, maker.org, 1, by="t")
    await services.store.review(name, n, approve=True, note="better", reviewer="tests", reviewer_org=None)
    (engine,) = [one for one in services.compute.engines() if one.models[0].model == f"clone-{slug}"]
    await child.listen(socket_path(services.settings.data, engine.url.removeprefix(UNIX)))
    return engine.name


async def left(market: Market, texts: tuple[str, ...]) -> list[str]:
    """Where any of these texts can be read: tables as they are, and every file of the city's folder."""
    services, found = market.services, []
    tables = await services.db.fetch(
        """SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
    )
    for table in tables:
        rows = await services.db.fetch(f"SELECT t::text AS row FROM {table['name']} t")
        found += [f"{table['name']}: {text}" for row in rows for text in texts if text in row["row"]]
    for path in services.settings.data.rglob("*"):
        if path.is_file() and not path.is_socket():
            body = path.read_bytes()
            found += [f"{path}: {text}" for text in texts if text.encode() in body]
    return found


class TestNextVersion:
    async def test_learns_reviewed_corrections_and_passes_a_gate(self, market: Market, child: Child) -> None:
        services, teaching = market.services, market.services.teaching
        maker, payer = await market.party("improves"), await market.party("asks the improved")
        await made(market, maker, "improves")
        name = "clone/improves"
        version = await taught(market, maker, name)

        stranger = await market.party("trains others")
        with pytest.raises(CloneRefused):  # a name of a person's clone is nobody else's
            await services.workshop.studio.order(stranger.org, "clone-improves", version, _recipe(), by="t")
        await trained(market, maker, name, version)
        (gate,) = await teaching.gates(name, maker.org)
        assert (gate.number, gate.passed, gate.standing_bps) == (1, True, 0)
        with pytest.raises(NotDeployable):  # not before the listing's review
            await services.workshop.studio.deploy("clone-improves", maker.org, 1, by="t")
        await reviewed(market, child, maker, "improves")

        # the adapter answers now, through the clone alone
        model = services.compute.model("clone-improves")
        assert model is not None
        listed = [one["id"] for one in (await payer.http.get("/v1/models")).json()["data"]]
        assert "clone-improves" not in listed
        assert (await asked(market, payer, "clone-improves", "Hi")).status_code == 404
        child.default = says("先问孩子。")
        answer = await asked(market, payer, name, "作文怎么写？")
        assert answer.status_code == 200, answer.text
        assert child.requests[-1]["lora"] == [{"id": 0, "scale": 1.0}]

        # a version that is worse than what answers is not offered, by no way
        orders = services.settings.data / "studio" / "ORDERS"
        orders.write_text('{"right_bps": 0}')
        await teaching.train(name, maker.org, version, {"epochs": 2}, by="t")
        await work(market)
        orders.unlink()
        worse, first = await teaching.gates(name, maker.org)
        assert (worse.number, worse.passed, first.number, first.passed) == (2, False, 1, True)
        assert worse.compared is not None
        both = worse.compared
        assert (both.number, both.asked, both.right, both.other_right, both.difference) == (1, 1, 0, 1, -100.0)
        assert "在相同的 1 道题上比在用的第 1 版差：-100.0" in worse.why_zh
        with pytest.raises(GateClosed, match="worse than version 1 in service"):
            await teaching.offer(name, maker.org, 2, by="t")
        # scores of other questions are not compared
        await services.db.execute("DELETE FROM studio.comparison")
        await services.db.execute("UPDATE studio.model SET score_bps = 10000 WHERE name = 'clone-improves'")
        with pytest.raises(GateClosed, match="the same questions"):
            await teaching.offer(name, maker.org, 2, by="t")
        now = (await services.store.offer(name)).version
        content = {**now.content, "clone": {**now.content["clone"], "adapter": 2}}
        await services.store.draft(name, content, now.terms, owner=maker.org, actor="t")
        with pytest.raises(ShanheError, match="evaluation: it was not compared"):
            await services.store.submit(name, owner=maker.org)


class TestRevocation:
    async def test_unloads_and_deletes_everything(self, market: Market, child: Child) -> None:
        services, name, words = market.services, "clone/taken-back", needles("taken-back")
        owner, payer = await market.party("loses a clone"), await market.party("asks too late")
        _, number = await made(market, owner, "taken-back")
        await trained(market, owner, name, await taught(market, owner, name))
        engine, maker = await reviewed(market, child, owner, "taken-back"), owner.org
        mandate = await services.clones.of_maker(number, maker)
        assert list((services.settings.data / "models").rglob("*clone-taken-back*"))
        assert {text for text in words for one in await left(market, words) if text in one} >= set(words[:2])
        assert mandate.person_id is not None

        done = await services.clones.revoke(mandate.id, mandate.person_id)
        assert done.state is State.REVOKED
        assert done.cleared_at is not None
        assert done.cleared["definitions"] == done.cleared["knowledge_bases"] == 1
        assert done.cleared["feedback"] == 10

        assert await left(market, (*words, "王老师 taken-back")) == []
        assert not list(services.settings.data.rglob("*clone-taken-back*"))
        assert [one for one in services.compute.engines() if one.name == engine] == []
        assert services.compute.model("clone-taken-back") is None or not services.compute.route(
            "clone-taken-back", data_class="general", exclude=frozenset(), needs=frozenset()
        )
        assert (await asked(market, payer, name, "Hi")).status_code == 404
        assert (await payer.http.get("/a2a/clone/taken-back/.well-known/agent-card.json")).status_code == 404
        skills = (await payer.http.get("/.well-known/agent-card.json")).json()["skills"]
        assert name not in [skill["id"] for skill in skills]
        assert name not in [card.listing.name for card in await services.store.cards()]
        with pytest.raises(UnknownBase):
            await services.library.knowledge.named(maker, "taken-back的资料")
        with pytest.raises(NotDeployable):
            await services.workshop.studio.deploy("clone-taken-back", maker, 1, by="t", reviewed=True)
        ledger = [one for one in await services.identity.consents.of(mandate.person_id) if one.about]
        assert all(one.withdrawn_at is not None for one in ledger)
        # again changes nothing, and the maker can't bring it back
        assert (await services.clones.revoke(mandate.id, mandate.person_id)).cleared_at == done.cleared_at
        content = {**PERSONA, "clone": {"mandate": str(mandate.id)}}
        listing = (await services.store.mine(maker))[0][0]
        from shanhe.store.api import Terms

        await services.store.draft(listing.name, content, Terms(2_000), owner=maker, actor="t")
        with pytest.raises(ShanheError):
            await services.store.submit(listing.name, owner=maker)

    async def test_in_the_ledger_of_consents_is_enough(self, market: Market, child: Child) -> None:
        """Withdrawn on the page of one's data: refused at once, deleted by the next tick."""
        maker = await market.party("is left")
        who, mandate = await made(market, maker, "is-left")
        await market.services.identity.consents.withdraw(who, "clone_likeness")
        await market.services.clones.tick()
        done = await market.services.clones.of_maker(mandate, maker.org)
        assert done.state is State.REVOKED
        assert done.cleared_at is not None

    async def test_that_fails_is_tried_again(
        self, market: Market, child: Child, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        maker, clones = await market.party("has trouble"), market.services.clones
        who, mandate = await made(market, maker, "trouble")

        async def away(found: Any) -> dict[str, int]:
            raise OSError("the disk is away")

        remove = clones._remove
        monkeypatch.setattr(clones, "_remove", (away, *remove))
        half = await clones.revoke(mandate, who)
        assert half.state is State.REVOKED
        assert half.cleared_at is None
        monkeypatch.setattr(clones, "_remove", remove)
        await clones.tick()
        assert (await clones.of_maker(mandate, maker.org)).cleared_at is not None

    async def test_of_the_users_consent_leaves_their_lessons_out(self, market: Market, child: Child) -> None:
        maker = await market.party("loses lessons")
        await made(market, maker, "loses")
        name = "clone/loses"
        await taught(market, maker, name, 2)
        user = await market.services.db.fetchval("SELECT person_id FROM clones.feedback WHERE name = $1", name)
        given = await market.services.teaching.queue(name, maker.org)
        assert len(given) == 2
        await market.services.identity.consents.withdraw(user, "clone_training")
        with pytest.raises(NothingToTeach):
            await market.services.teaching.collect(name, maker.org, by="t")
        assert await market.services.teaching.queue(name, maker.org) == []  # nor does the maker read them any more
        with pytest.raises(UnknownFeedback):
            await market.services.teaching.decide(given[0].id, maker.org, accept=False, by="t")


def _recipe() -> Any:
    from shanhe.studio.model import Recipe

    return Recipe(BASE, epochs=1, adapter=True)
