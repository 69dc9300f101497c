"""Fees that are booked while the tool works, through the city's door: paid once, or given back as if nothing were."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_asyncio
from msgspec import Raw

from shanhe.gateway import ahead, returns
from shanhe.gateway.slate import Slate, left_behind
from shanhe.identity.api import NewKey
from shanhe.kernel.errors import NotFound
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import LedgerUnavailable
from shanhe.mcp import metering, service
from shanhe.mcp.cancelling import Cancelling
from shanhe.mcp.wire import LEGACY, Sessions
from stage.market import Market, Party
from stage.publisher import HEADERS, TOOL, Publisher, asked, open_publisher

if TYPE_CHECKING:
    from shanhe.ledger.api import PostingView

pytestmark = pytest.mark.asyncio(loop_scope="package")
FEE_MICRO, MAKERS_MICRO = 5_000, 4_000
NOTHING = ("no", "wants", "error", "visit", "drops", "hangs")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def publisher(market: Market) -> AsyncIterator[Publisher]:
    async with open_publisher() as opened:
        yield opened


@pytest.fixture(autouse=True)
def every_call_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any call that lasts is booked ahead, however its tool did lately, and soon."""
    monkeypatch.setattr(ahead, "STEADY_CALLS", 0)
    monkeypatch.setattr(ahead, "BOOK_AFTER_S", 0.0)
    monkeypatch.setattr(ahead, "BEAT_S", 0.001)


class Scene:
    """A payer, a maker and a tool of its own, so that no test sees another's postings."""

    def __init__(self, market: Market, publisher: Publisher, slug: str, payer: Party, maker: Party) -> None:
        self.market, self.publisher, self.slug, self.payer, self.maker = market, publisher, slug, payer, maker
        self.services = market.services
        self.scope: UUID | None = None
        publisher.gate.clear()

    async def call(self, ends: str, *, wait: bool = True, **more: Any) -> dict[str, Any]:
        answer = await self.payer.http.post(
            f"/mcp/{self.slug}", json=asked(ends, wait=wait, **more), headers={**HEADERS, **more.pop("headers", {})}
        )
        found: dict[str, Any] = answer.json()
        return found

    async def leave(self, ends: str, after_s: float, door: str = "", **more: Any) -> None:
        """Ask, and hang up once the tool works and some time has passed."""
        question, url = asked(ends, **more), self.payer.http.base_url
        question["params"]["name"] = named = f"{door}{TOOL}"
        body, before = json.dumps(question).encode(), self.publisher.began
        key = self.payer.http.headers["authorization"]
        lines = {**HEADERS, "mcp-name": named, "host": "city", "authorization": key,
                 "content-type": "application/json", "content-length": str(len(body))}  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"POST /mcp{'' if door else f'/{self.slug}'} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
        if more.get("wait"):
            async with asyncio.timeout(20):
                while self.publisher.began == before:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.005)
        await asyncio.sleep(after_s)
        writer.close()

    async def booked(self, ends: str, **more: Any) -> asyncio.Task[dict[str, Any]]:
        """A call whose fee is in the books while its tool still works."""
        before = len(await self.postings("call"))
        task = asyncio.create_task(self.call(ends, **more))
        async with asyncio.timeout(20):
            while len(await self.postings("call")) == before:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        assert not task.done()
        return task

    async def postings(self, kind: str) -> list[PostingView]:
        wallet = await self.services.credits.wallet(self.payer.org)
        page = await self.services.ledger.postings(account=wallet.account_id, kind=kind, limit=200)
        return list(page.items)

    async def spent(self) -> int:
        """What a key's budget of today says was spent."""
        await self.services.ledger._counters.housekeep(everything=True)
        return int(await self.services.db.fetchval(
            "SELECT coalesce(sum(used), 0) FROM ledger.counter WHERE name = 'budget_per_day' AND scope = $1", self.scope
        ))  # fmt: skip

    async def nothing_open(self) -> None:
        async with asyncio.timeout(20):
            while self.services.gateway._ahead._open:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        slate = self.services.gateway._returns._slate
        assert slate is not None
        assert slate.open() == []


@pytest_asyncio.fixture(loop_scope="package")
async def scene(market: Market, publisher: Publisher, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    slug = f"ahead-{new_id().hex[-10:]}"
    maker, payer = await market.party(f"maker of {slug}"), await market.party(f"payer of {slug}")
    hangs = "hangs" in request.node.name  # only then the city's patience is waited for: a busy machine may exceed it
    content = publisher.content if hangs else publisher.content | {"timeout_ms": 20_000}
    await market.listed(maker.org, f"mcp/{slug}", content, fee_micro=FEE_MICRO)
    key = NewKey("bounded", permissions=frozenset({"chat", "receipts", "usage"}), budget_day_micro=10 * FEE_MICRO)
    made, token = await market.services.identity.keys.create(payer.org, key, by="tests")
    payer.http.headers["authorization"] = f"Bearer {token}"
    opened = Scene(market, publisher, slug, payer, maker)
    opened.scope = made.limit_scope
    yield opened
    market.services.gateway._ahead._watched.clear()


class TestPaid:
    async def test_fee_is_in_the_books_before_the_tool_answers_and_once(self, scene: Scene) -> None:
        before = await scene.market.wallet(scene.payer.org)
        task = await scene.booked("paid")
        (posting,) = await scene.postings("call")
        with pytest.raises(NotFound) as running:
            await scene.services.gateway.receipt(posting.id, scene.payer.org)
        assert running.value.code == "receipt_pending"
        assert (await scene.services.gateway.recent(scene.payer.org)).calls == ()
        scene.publisher.gate.set()
        meta = (await task)["result"]["_meta"]
        assert (meta["shanhe/paid_micro"], UUID(meta["shanhe/receipt"])) == (FEE_MICRO, posting.id)
        assert before - await scene.market.wallet(scene.payer.org) == FEE_MICRO
        assert await scene.market.income(scene.maker.org) == MAKERS_MICRO
        assert len(await scene.postings("call")) == 1
        assert await scene.postings("reversal") == []
        (used,) = await scene.services.gateway.usage(scene.payer.org, posting.day, posting.day)
        assert (used.calls, used.amount_micro) == (1, FEE_MICRO)
        assert await scene.spent() == FEE_MICRO
        assert (await scene.services.gateway.receipt(posting.id, scene.payer.org)).status == "completed"
        await scene.nothing_open()

    async def test_answer_on_the_sessions_next_stream_is_paid_for(self, scene: Scene) -> None:
        path, http = f"/mcp/{scene.slug}", scene.payer.http
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"capabilities": {}}}
        session = (await http.post(path, json=hello)).headers["mcp-session-id"]
        headers = {"mcp-session-id": session, "accept": "text/event-stream"}
        first = await http.post(path, json=asked("later", work_ms=60, number=7), headers=headers)
        assert "paid_micro" not in first.text
        assert len(scene.services.gateway._ahead._open) == 1
        second = await http.get(path, headers=headers)
        assert '"shanhe/paid_micro":5000' in second.text
        assert (len(await scene.postings("call")), await scene.postings("reversal")) == (1, [])
        await scene.nothing_open()

    async def test_answer_waits_for_the_ledgers_word(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        words, real = list[Any](), scene.services.ledger.settle_soon

        def late(reservation: Any, charge: Any, landed: Any) -> bool:
            return real(reservation, charge, lambda error: words.append((landed, error)))

        monkeypatch.setattr(scene.services.ledger, "settle_soon", late)
        task = await scene.booked("paid")
        scene.publisher.gate.set()
        async with asyncio.timeout(20):
            while not words:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        assert not (await asyncio.wait({task}, timeout=0.2))[0]
        ((landed, error),) = words
        landed(error)
        assert (await task)["result"]["_meta"]["shanhe/paid_micro"] == FEE_MICRO
        await scene.nothing_open()

    async def test_unknown_outcome_is_asked_again_and_booked_once(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger, real = scene.services.ledger, scene.services.ledger.settle_soon

        def lost(reservation: Any, charge: Any, landed: Any) -> bool:
            return real(reservation, charge, lambda error: landed(LedgerUnavailable("lost")))

        monkeypatch.setattr(ledger, "settle_soon", lost)
        task = await scene.booked("paid")
        scene.publisher.gate.set()
        assert (await task)["result"]["_meta"]["shanhe/paid_micro"] == FEE_MICRO
        assert (len(await scene.postings("call")), await scene.postings("reversal")) == (1, [])
        await scene.nothing_open()


class TestNothing:
    @pytest.mark.parametrize("ends", NOTHING)
    async def test_came_of_it_and_all_is_as_before(self, scene: Scene, ends: str) -> None:
        before = await scene.market.wallet(scene.payer.org)
        lots = await scene.services.ledger.lots((await scene.services.credits.wallet(scene.payer.org)).account_id)
        task = await scene.booked(ends)
        scene.publisher.gate.set()
        answer = await task
        assert "shanhe/receipt" not in str(answer)
        (posting,), (back,) = await scene.postings("call"), await scene.postings("reversal")
        assert (back.reverses, back.actor) == (posting.id, returns.ACTOR)
        assert await scene.market.wallet(scene.payer.org) == before
        assert await scene.market.income(scene.maker.org) == 0
        now = await scene.services.ledger.lots((await scene.services.credits.wallet(scene.payer.org)).account_id)
        assert [(lot.id, lot.remaining) for lot in now] == [(lot.id, lot.remaining) for lot in lots]
        assert await scene.spent() == 0
        assert await scene.services.gateway.usage(scene.payer.org, posting.day, posting.day) == []
        day = await scene.services.gateway.ledger_day(posting.day)
        assert scene.payer.org not in {key.org_id for key in day.keys}
        receipt = await scene.services.gateway.receipt(posting.id, scene.payer.org)
        assert (receipt.status, receipt.reversed_by) == ("reversed", back.id)
        (row,) = (await scene.services.gateway.recent(scene.payer.org)).calls
        assert row.status == "reversed"
        (record,) = await scene.services.tools.calls(org_id=scene.payer.org)
        assert (record.paid_micro, record.receipt_id) == (0, None)
        await scene.nothing_open()

    async def test_late_answer_that_never_comes_costs_nothing(self, scene: Scene) -> None:
        path, http = f"/mcp/{scene.slug}", scene.payer.http
        before = await scene.market.wallet(scene.payer.org)
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"capabilities": {}}}
        session = (await http.post(path, json=hello)).headers["mcp-session-id"]
        headers = {"mcp-session-id": session, "accept": "text/event-stream"}
        await http.post(path, json=asked("later", work_ms=60, number=8), headers=headers)
        relay = scene.services.mcp._relay
        for key in list(relay._waiting):
            relay._late(key)  # what its timer does
        await scene.nothing_open()
        assert await scene.market.wallet(scene.payer.org) == before
        assert len(await scene.postings("reversal")) == 1

    async def test_reversal_waits_for_the_database_and_happens_once(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger, real, asked_for = scene.services.ledger, scene.services.ledger.reverse, list[UUID]()
        before = await scene.market.wallet(scene.payer.org)

        async def reverse(posting: UUID, **more: Any) -> Any:
            asked_for.append(posting)
            if len(asked_for) == 1:
                raise OSError("away")
            if len(asked_for) == 2:
                await real(posting, **more)
                raise LedgerUnavailable("its answer was lost")
            return await real(posting, **more)

        monkeypatch.setattr(ledger, "reverse", reverse)
        monkeypatch.setattr(ahead, "REVERSED_WITHIN_S", 0.0)
        monkeypatch.setattr(returns, "RETRY_FIRST_S", 0.001)
        task = await scene.booked("no")
        scene.publisher.gate.set()
        assert (await task)["result"]["isError"]  # the answer did not wait
        await scene.nothing_open()
        assert len(asked_for) == 3
        assert len(await scene.postings("reversal")) == 1
        assert await scene.market.wallet(scene.payer.org) == before


class TestQuick:
    async def test_call_is_booked_at_its_end_and_leaves_no_pair_of_entries(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ahead, "BOOK_AFTER_S", 60.0)
        assert (await scene.call("no", wait=False))["result"]["isError"]
        assert await scene.postings("call") == []
        assert (await scene.call("paid", wait=False))["result"]["_meta"]["shanhe/paid_micro"] == FEE_MICRO
        assert (len(await scene.postings("call")), await scene.postings("reversal")) == (1, [])

    async def test_tool_that_failed_lately_is_not_booked_ahead(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ahead, "STEADY_CALLS", 2)
        tool = f"mcp/{scene.slug}/{TOOL}"
        known = scene.services.gateway._ahead._paid
        for ends, streak in (("paid", 1), ("no", 0), ("paid", 1), ("paid", 2), ("paid", 2)):
            await scene.call(ends, wait=False)
            assert known.get(tool, 0) == streak
        task = await scene.booked("no")
        scene.publisher.gate.set()
        await task
        assert known.get(tool, 0) == 0
        await scene.nothing_open()


def died(slate: Slate) -> None:
    """What the kernel does with the file of a process that is killed."""
    slate._file.close(keep=True)


class TestDeath:
    async def test_of_a_process_gives_back_once_what_it_had_not_ended(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its call was booked and unanswered; another was never booked; a third was ended."""
        monkeypatch.setattr(returns, "UNKNOWN_TRIES", 2)
        monkeypatch.setattr(returns, "RETRY_FIRST_S", 0.001)
        before = await scene.market.wallet(scene.payer.org)
        gateway = scene.services.gateway
        receipts = []
        for _ in range(2):
            scene.publisher.gate.set()
            answer = await scene.call("paid", work_ms=20)
            receipts.append(UUID(answer["result"]["_meta"]["shanhe/receipt"]))
        folder = scene.services.settings.data / "run" / "fees"
        dead = Slate.make(folder)
        dead.note(receipts[0])
        dead.note(new_id())
        ended = dead.note(receipts[1])
        assert ended is not None
        dead.wipe(ended)
        assert await gateway.recover_fees() == 0  # it lives
        died(dead)
        assert sorted(await asyncio.gather(gateway.recover_fees(), gateway.recover_fees())) == [0, 1]
        assert await gateway.recover_fees() == 0
        (back,) = await scene.postings("reversal")
        assert back.reverses == receipts[0]
        assert before - await scene.market.wallet(scene.payer.org) == FEE_MICRO
        with left_behind(folder) as slates:
            assert slates == []

    async def test_in_the_middle_of_giving_back_gives_back_once(self, scene: Scene) -> None:
        """The reversal is in the books, the slate still says open."""
        task = await scene.booked("no")
        scene.publisher.gate.set()
        await task
        (posting,) = await scene.postings("call")
        dead = Slate.make(scene.services.settings.data / "run" / "fees")
        dead.note(posting.id)
        died(dead)
        assert await scene.services.gateway.recover_fees() == 0
        assert len(await scene.postings("reversal")) == 1

    async def test_leaves_a_call_of_a_later_batch_to_a_second_look(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A batch that was under way when its process died is booked after the first look."""
        monkeypatch.setattr(returns, "RETRY_FIRST_S", 0.001)
        gateway, real = scene.services.gateway, scene.services.ledger.reverse
        scene.publisher.gate.set()
        receipt = UUID((await scene.call("paid"))["result"]["_meta"]["shanhe/receipt"])
        looks = 0

        async def reverse(posting: UUID, **more: Any) -> Any:
            nonlocal looks
            looks += 1
            return await real(posting if looks > 3 else new_id(), **more)

        monkeypatch.setattr(scene.services.ledger, "reverse", reverse)
        dead = Slate.make(scene.services.settings.data / "run" / "fees")
        dead.note(receipt)
        died(dead)
        assert await gateway.recover_fees() == 1
        assert looks == 4


class TestLeaving:
    """In the version without sessions a client cancels a call by leaving it."""

    @pytest.mark.parametrize("door", ["its own", "everybody's"])
    async def test_cancels_the_call_at_the_publisher_and_costs_nothing(self, scene: Scene, door: str) -> None:
        before, closed = await scene.market.wallet(scene.payer.org), scene.publisher.hung_up
        await scene.leave("paid", 0.05, door=f"{scene.slug}__" if door == "everybody's" else "", wait=True)
        async with asyncio.timeout(20):
            while not (records := await scene.services.tools.calls(org_id=scene.payer.org)):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)
            while scene.publisher.hung_up == closed:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.005)
        assert not scene.publisher.gate.is_set()
        assert [(one.state, one.error, one.paid_micro) for one in records] == [("refused", "cancelled", 0)]
        await scene.nothing_open()
        assert await scene.market.wallet(scene.payer.org) == before
        assert await scene.spent() == 0

    @pytest.mark.parametrize("door", ["its own", "everybody's"])
    async def test_pays_for_what_the_tool_has_done_a_moment_later(
        self, scene: Scene, door: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (metering, service):
            monkeypatch.setattr(module, "LEFT_WAIT_S", 20.0)
        await scene.leave("paid", 0.3, door=f"{scene.slug}__" if door == "everybody's" else "", wait=True)
        await asyncio.sleep(0.2)
        scene.publisher.gate.set()
        async with asyncio.timeout(20):
            while not (records := await scene.services.tools.calls(org_id=scene.payer.org)):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)
        assert [(one.state, one.error, one.paid_micro) for one in records] == [("done", "", FEE_MICRO)]
        assert await scene.spent() == FEE_MICRO
        assert await scene.market.income(scene.maker.org) == MAKERS_MICRO


class TestTakingBack:
    """In the versions with a handshake a client cancels a call by a message of its own, at everybody's door too."""

    async def begun(self, scene: Scene) -> dict[str, str]:
        """The headers of a session at everybody's door."""
        hello = {
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": LEGACY[0], "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
        }  # fmt: skip
        plain = {"accept": "application/json, text/event-stream", "mcp-protocol-version": LEGACY[0]}
        answer = await scene.payer.http.post("/mcp", json=hello, headers=plain)
        assert answer.status_code == 200
        return plain | {"mcp-session-id": answer.headers["mcp-session-id"]}

    async def works(self, scene: Scene, session: dict[str, str], call: int | str) -> asyncio.Task[Any]:
        """A call whose tool works."""
        question, before = asked("paid", wait=True), scene.publisher.began
        question["id"], question["params"]["name"] = call, f"{scene.slug}__{TOOL}"
        task = asyncio.create_task(scene.payer.http.post("/mcp", json=question, headers=session, timeout=20))
        async with asyncio.timeout(20):
            while scene.publisher.began == before:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        return task

    async def taken_back(self, scene: Scene, session: dict[str, str], call: int | str) -> int:
        told = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call}}
        return (await scene.payer.http.post("/mcp", json=told, headers=session)).status_code

    @pytest.mark.parametrize("call", [7, "seven"])
    async def test_costs_nothing(self, scene: Scene, call: int | str) -> None:
        before = await scene.market.wallet(scene.payer.org)
        session = await self.begun(scene)
        task = await self.works(scene, session, call)
        assert await self.taken_back(scene, session, call) == 202
        assert (await task).json()["result"]["isError"]
        records = await scene.services.tools.calls(org_id=scene.payer.org)
        assert [(one.state, one.error, one.paid_micro) for one in records] == [("refused", "cancelled", 0)]
        await scene.nothing_open()
        assert await scene.market.wallet(scene.payer.org) == before

    async def test_is_not_for_another_session_with_the_same_number(self, scene: Scene) -> None:
        mine, other = await self.begun(scene), await self.begun(scene)
        task = await self.works(scene, mine, 7)
        assert await self.taken_back(scene, other, 7) == 202
        assert await self.taken_back(scene, {**mine, "mcp-session-id": "forged"}, 7) == 202
        scene.publisher.gate.set()
        assert (await task).json()["result"]["_meta"]["shanhe/paid_micro"] == FEE_MICRO

    async def test_reaches_a_call_that_runs_in_another_process(self, scene: Scene) -> None:
        sessions = Sessions(b"k" * 32)
        here, there = (Cancelling(scene.services.db, sessions) for _ in range(2))
        session = here.begun(b"payer").encode()
        with here.running(session, b"payer", 7) as left:
            assert left is not None
            waits = asyncio.create_task(left())
            async with asyncio.timeout(20):
                while not waits.done():  # a notice before the listener is there is lost
                    await there.cancel(session, b"payer", Raw(b'{"requestId":7}'))
                    await asyncio.sleep(0.05)


class TestOutcomes:
    @pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.prove)])
    async def test_at_random_conserve_what_everybody_has(self, scene: Scene, seed: int) -> None:
        """Calls side by side, some quick, some booked ahead, ending in every way, some with a client that leaves."""
        dice = random.Random(seed)
        scene.payer.http.headers["authorization"] = f"Bearer {scene.payer.token}"  # no budget in the way
        before = await scene.market.wallet(scene.payer.org)
        kinds = ["paid"] * 5 + ["no", "wants", "error", "visit", "drops"]

        async def one(number: int) -> str:
            ends, work_ms = dice.choice(kinds), dice.choice([0, 3, 10, 40])
            if dice.random() < 0.2:
                await scene.leave(ends, dice.choice([0.0, 0.005, 0.02]), work_ms=work_ms, number=number)
                return ""
            answer = await scene.call(ends, wait=False, work_ms=work_ms, number=number)
            meta = answer.get("result", {}).get("_meta", {})
            assert (meta.get("shanhe/paid_micro", 0) == FEE_MICRO) is (ends == "paid"), answer
            return str(meta.get("shanhe/receipt", ""))

        seen = await asyncio.gather(*(one(number) for number in range(60)))
        receipts = {UUID(receipt) for receipt in seen if receipt}
        async with asyncio.timeout(20):  # calls whose client left end, too
            while len(await scene.services.tools.calls(org_id=scene.payer.org)) < 60:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.02)
        await scene.nothing_open()
        calls, back = await scene.postings("call"), {one.reverses for one in await scene.postings("reversal")}
        kept = [posting for posting in calls if posting.id not in back]
        assert receipts <= {posting.id for posting in kept}
        assert before - await scene.market.wallet(scene.payer.org) == FEE_MICRO * len(kept)
        assert await scene.market.income(scene.maker.org) == MAKERS_MICRO * len(kept)
        records = await scene.services.tools.calls(org_id=scene.payer.org)
        assert {one.receipt_id for one in records if one.receipt_id} == {posting.id for posting in kept}
        report = await scene.services.ledger.verify()
        assert report.findings == ()
