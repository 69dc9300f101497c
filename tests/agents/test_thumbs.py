"""Thumbs on an agent's answers: one each, changeable, withdrawable; question and answer by agreement only."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.agents.test_run import LETTERS

from shanhe.agents import service, store
from shanhe.agents.errors import ThumbOfAnother
from shanhe.identity.api import DataClass, NewKey
from stage.market import Market, Party, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHARED = {"up": False, "word": "太长", "share": True, "question": "写一封信", "answer": "尊敬的领导"}


async def ask(market: Market, payer: Party, name: str, token: str) -> httpx.Response:
    market.engine.replies = [says("尊敬的领导")]
    return await payer.http.post(
        "/v1/chat/completions", json={"model": name, "messages": [{"role": "user", "content": "写一封信"}]},
        headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip


async def asked(market: Market, payer: Party, name: str) -> str:
    """An answer of an agent; the path of its thumb."""
    answer = await ask(market, payer, name, payer.token)
    return f"/api/agents/runs/{answer.headers['x-shanhe-run']}/thumb"


def run_of(path: str) -> UUID:
    return UUID(path.split("/")[4])


async def offered(market: Market, slug: str, **more: Any) -> tuple[Party, Party]:
    """(its maker, somebody who pays for its answers)."""
    maker, payer = await market.party(f"maker of {slug}"), await market.party(f"payer of {slug}")
    await market.listed(maker.org, f"agent/{slug}", {**LETTERS, **more})
    return maker, payer


class TestThumb:
    async def test_is_one_an_answer_and_the_last_word_counts(self, market: Market) -> None:
        maker, payer = await offered(market, "thumbed")
        path = await asked(market, payer, "agent/thumbed")
        for up in (True, True, False):
            assert (await payer.http.put(path, json={"up": up})).status_code == 200
        told = (await maker.http.get("/api/agents/thumbed/thumbs")).json()
        assert [(one["version"], one["up"], one["down"]) for one in told["days"]] == [(1, 0, 1)]
        assert told["versions"] == [[1, 0, 1]]
        assert (await payer.http.delete(path)).json() == {"withdrawn": True}
        assert (await payer.http.delete(path)).json() == {"withdrawn": False}
        assert (await maker.http.get("/api/agents/thumbed/thumbs")).json()["days"] == []

    async def test_keeps_question_and_answer_only_while_it_is_agreed(self, market: Market) -> None:
        maker, payer = await offered(market, "agreed")
        path = await asked(market, payer, "agent/agreed")
        await payer.http.put(path, json=SHARED | {"share": False})
        kept = await store.thumb(market.services.db, run_of(path))
        assert (kept["word"], kept["question"], kept["answer"]) == ("太长", "", "")
        await payer.http.put(path, json=SHARED)
        (said,) = (await maker.http.get("/api/agents/agreed/thumbs")).json()["said"]
        assert (said["question"], said["answer"]) == ("写一封信", "尊敬的领导")
        assert not {"person", "org_id", "run"} & set(said), "the maker does not learn who"
        await payer.http.put(path, json=SHARED | {"share": False})
        kept = await store.thumb(market.services.db, run_of(path))
        assert (kept["question"], kept["answer"]) == ("", "")

    async def test_shares_nothing_that_may_be_of_citizens_or_government(self, market: Market) -> None:
        """No engine of the market is the city's own, so such a run fails; what it may share is known from its start."""
        _, payer = await offered(market, "closed", data_class="citizen")
        _, clerk = await offered(market, "opened")
        new = NewKey("citizens", permissions=frozenset({"chat"}), data_class=DataClass.CITIZEN)
        _, token = await market.services.identity.keys.create(clerk.org, new, by="tests")
        for party, name, key in ((payer, "agent/closed", payer.token), (clerk, "agent/opened", token)):
            await ask(market, party, name, key)
            (run,) = await market.services.agents.runs(party.org)
            await market.services.db.writes.execute("UPDATE agents.run SET state = 'done' WHERE id = $1", run.id)
            path = f"/api/agents/runs/{run.id}/thumb"
            refused = await party.http.put(path, json=SHARED)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_shareable")
            assert (await party.http.put(path, json={"up": True})).status_code == 200

    async def test_is_theirs_who_paid_and_the_counts_are_the_makers(self, market: Market) -> None:
        maker, payer = await offered(market, "others")
        path = await asked(market, payer, "agent/others")
        for way in ("get", "delete"):
            assert (await getattr(maker.http, way)(path)).status_code == 404
        assert (await maker.http.put(path, json={"up": True})).status_code == 404
        assert (await payer.http.get("/api/agents/others/thumbs")).status_code == 404

    async def test_is_changed_by_nobody_but_who_gave_it(self, market: Market) -> None:
        _, payer = await offered(market, "colleagues")
        run, thumbs = run_of(await asked(market, payer, "agent/colleagues")), market.services.agents.thumbs
        one, other = uuid4(), uuid4()
        await thumbs.give(run, payer.org, None, up=True)
        await store.put_thumb(market.services.db, await row(market, run, one))
        for act in (thumbs.withdraw(run, payer.org, other), thumbs.withdraw(run, payer.org, None)):
            with pytest.raises(ThumbOfAnother):
                await act
        assert not await store.put_thumb(market.services.db, await row(market, run, other))

    async def test_is_for_answers_of_what_is_offered(self, market: Market) -> None:
        maker, payer = await offered(market, "drafted")
        market.engine.replies = [says("x")]
        done = await maker.http.post("/api/agents/drafted/try", json={"messages": [{"role": "user", "content": "x"}]})
        refused = await maker.http.put(f"/api/agents/runs/{done.json()['run_id']}/thumb", json={"up": True})
        assert refused.json()["error"]["code"] == "no_thumb_here"
        path = await asked(market, payer, "agent/drafted")
        for body in (SHARED | {"answer": " "}, SHARED | {"word": "x" * 501}, {"word": "x"}):
            assert (await payer.http.put(path, json=body)).status_code == 422

    async def test_goes_with_its_run(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        _, payer = await offered(market, "aged")
        path = await asked(market, payer, "agent/aged")
        await payer.http.put(path, json=SHARED)
        monkeypatch.setattr(service, "KEEP", -service.KEEP)
        assert await market.services.agents.purge() > 0
        assert await store.thumb(market.services.db, run_of(path)) is None


async def row(market: Market, run: UUID, person: UUID) -> dict[str, Any]:
    found = await store.thumb(market.services.db, run)
    return dict(found) | {"person": person}
