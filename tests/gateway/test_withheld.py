"""Answers that are withheld because the ledger was away, or that a death took, cost nothing, whatever was booked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from shanhe.gateway import returns, settlement
from shanhe.gateway.api import CallError, ResourceTerms
from shanhe.gateway.express import Express
from shanhe.gateway.pipeline import Pipeline
from shanhe.gateway.returns import Returns
from shanhe.gateway.settlement import Unsettled
from shanhe.gateway.slate import left_behind
from shanhe.kernel.ids import new_id
from shanhe.kernel.purse import Budget, OverBudget
from shanhe.ledger.api import LedgerBusy, LedgerFull, LedgerUnavailable
from shanhe.ledger.reservation import State

from .conftest import RATES, TOKEN, Desk
from .engine import DONE, chunk, raw, stream, usage_chunk
from .test_express import Line, warm

if TYPE_CHECKING:
    from shanhe.gateway.tolls import Toll
    from shanhe.identity.api import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")
BUDGET_MICRO = 100_000_000
FEE_MICRO = 5_000
COST_MICRO = (9 * RATES.input + 2 * RATES.output) // 1_000_000
FIELDS = {"model": "syn", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}


class Lossy:
    """The desk's ledger: `losing` says whether the next settlements are `booked`, or `lost` on their way; both times
    their answer is. `ends` lets what was lost be answered again."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self.losing, self.asked = desk, "", 0
        ledger, settle, soon = desk.ledger, desk.ledger.settle, desk.ledger.settle_soon

        async def settles(reservation: Any, charge: Any, **more: Any) -> Any:
            self.asked += 1
            if self.losing != "lost":
                found = await settle(reservation, charge, **more)
            if self.losing:
                raise LedgerUnavailable("its answer was lost")
            return found

        def settles_soon(reservation: Any, charge: Any, landed: Any) -> bool:
            if self.losing == "lost":
                asyncio.get_running_loop().call_soon(landed, LedgerUnavailable("lost"))
                return True
            told = (lambda _: landed(LedgerUnavailable("its answer was lost"))) if self.losing else landed
            return soon(reservation, charge, told)

        monkeypatch.setattr(ledger, "settle", settles)
        monkeypatch.setattr(ledger, "settle_soon", settles_soon)
        for room, name, value in (
            (settlement, "RETRY_WAIT_S", 0), (returns, "RETRY_FIRST_S", 0.001), (returns, "RETRY_MOST_S", 0.01),
            (returns, "UNKNOWN_TRIES", 3),
        ):  # fmt: skip
            monkeypatch.setattr(room, name, value)

    @property
    def returns(self) -> Returns:
        return self.desk.gateway._returns

    async def settled(self) -> None:
        """Until nothing is given back any more, and nothing is noted."""
        async with asyncio.timeout(10):
            await asyncio.gather(*self.returns._tasks)
        slate = self.returns._slate
        assert slate is not None
        assert slate.open() == []

    async def postings(self) -> tuple[list[UUID], list[UUID]]:
        """(calls that stand, those that were given back)."""
        rows = await self.desk.gateway.charges._db.fetch(
            "SELECT p.id, r.id AS back FROM ledger.posting p LEFT JOIN ledger.posting r ON r.reverses = p.id"
            " JOIN ledger.transfer t ON t.posting = p.id JOIN ledger.account a ON a.id = t.debit"
            " WHERE p.kind = 'call' AND a.owner = $1 GROUP BY 1, 2", self.desk.org,
        )  # fmt: skip
        return [row["id"] for row in rows if not row["back"]], [row["id"] for row in rows if row["back"]]

    async def budget(self) -> int:
        """What the key's budget of today says was spent."""
        await self.desk.ledger._counters.housekeep(everything=True)
        scope = self.desk.keys.known[TOKEN].limit_scope
        return int(await self.desk.gateway.charges._db.fetchval(
            "SELECT coalesce(sum(used), 0) FROM ledger.counter WHERE name = 'budget_per_day' AND scope = $1", scope
        ))  # fmt: skip

    def paying(self, purse: Purse | Budget) -> Caller:
        """The key's caller, with a purse."""
        return msgspec.structs.replace(self.desk.keys.known[TOKEN], purse=purse)

    async def toll(self, caller: Caller | None = None) -> Toll:
        """The fee of a call of a tool, held."""
        charges, name = self.desk.gateway.charges, f"mcp/tool-{new_id().hex[-8:]}"
        makers = ((new_id(), 1_000_000),)
        terms = ResourceTerms(name=name, role="mcp_developer", markup_bps=0, fee_micro=FEE_MICRO, makers=makers)
        await charges.publish(terms, actor="tests")
        return await self.desk.gateway.toll(caller or self.desk.keys.known[TOKEN], name, f"{name}/t")

    async def die(self) -> None:
        """The process is killed, and another one starts. What it had in its hands has no answer."""
        died = self.returns
        assert died._slate is not None
        died._slate._file.close(keep=True)
        died._slate = None
        for task in died._tasks:
            task.cancel()
        died.start()
        assert died._recovery is not None
        await died._recovery
        assert died._folder is not None
        with left_behind(died._folder) as slates:
            assert slates == []


@pytest_asyncio.fixture(loop_scope="module")
async def lossy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lossy]:
    desk.keys.known[TOKEN] = desk.caller(budget_day_micro=BUDGET_MICRO)
    yield Lossy(desk, monkeypatch)


@asynccontextmanager
async def going(lossy: Lossy, monkeypatch: pytest.MonkeyPatch, way: str) -> AsyncIterator[Line]:
    """A connection whose calls all go that way: what the short way has not begun is the pipeline's."""
    async with warm(lossy.desk) as line:
        with monkeypatch.context() as all_of_them:
            all_of_them.setattr(*(Express, "begin", lambda *_: False) if way == "pipeline" else (Pipeline, "run", None))
            yield line


class TestWholeAnswer:
    @pytest.mark.parametrize("losing", ["booked", "lost"])
    @pytest.mark.parametrize("way", ["pipeline", "short"])
    async def test_of_unknown_outcome_is_withheld_and_given_back(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch, way: str, losing: str
    ) -> None:
        async with going(lossy, monkeypatch, way) as line:
            before, lossy.losing = await lossy.desk.balance(), losing
            status, _, answer = await line.ask()
            lossy.losing = ""
        assert (status, answer["error"]["code"]) == (503, "ledger_unavailable")
        await lossy.settled()
        (_,), back = await lossy.postings()
        assert len(back) == (losing == "booked")
        assert await lossy.desk.balance() == before
        assert await lossy.budget() == COST_MICRO, "of the first call"
        assert (await lossy.desk.chat()).status_code == 200

    async def test_that_was_delivered_is_charged_whatever_happens(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await lossy.desk.chat()
        before = await lossy.desk.balance()
        lossy.desk.engine.scripts.append(stream(chunk("He"), chunk("llo", finish="stop"), usage_chunk(9, 2), DONE))
        lossy.losing = "lost"
        monkeypatch.setattr(settlement, "RETRY_WAIT_S", 0.1)
        answer = await lossy.desk.chat(stream=True)
        assert "ledger_unavailable" in answer.text
        lossy.losing = ""
        await asyncio.gather(*lossy.desk.gateway._settler._open)
        assert before - await lossy.desk.balance() == COST_MICRO
        assert [len(some) for some in await lossy.postings()] == [2, 0]

    @pytest.mark.parametrize("error", [LedgerFull(), LedgerBusy(1), OSError("away")])
    async def test_that_was_delivered_is_charged_once_the_ledger_can(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        before, spent = await lossy.desk.balance(), await lossy.budget()
        lossy.desk.engine.scripts.append(stream(chunk("He"), chunk("llo", finish="stop"), usage_chunk(9, 2), DONE))
        real, tried = lossy.desk.ledger.settle, list[int]()

        async def settle(*some: Any, **more: Any) -> Any:
            tried.append(1)
            if len(tried) < 10:
                raise error
            return await real(*some, **more)

        monkeypatch.setattr(lossy.desk.ledger, "settle", settle)
        answer = await lossy.desk.chat(stream=True)
        assert "is charged once it can" in answer.text
        assert '"stop"' not in answer.text
        await asyncio.gather(*lossy.desk.gateway._settler._open)
        assert before - await lossy.desk.balance() == await lossy.budget() - spent == COST_MICRO

    async def test_is_not_begun_as_a_stream_while_the_disk_is_full(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lossy.desk.ledger, "refused_for_room", lambda: True)
        answer = await lossy.desk.chat(stream=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk_full")
        assert lossy.desk.engine.requests == []

    async def test_is_not_begun_as_a_stream_while_the_database_cannot_say_who_is_paid(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(_: Any) -> None:
            raise OSError("away")

        lossy.desk.engine.scripts.append(stream(chunk("He"), chunk("llo", finish="stop"), usage_chunk(9, 2), DONE))
        monkeypatch.setattr(lossy.desk.gateway._settler._terms, "load", away)
        answer = await lossy.desk.chat(stream=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ledger_unavailable")

    async def test_that_its_asker_keeps_is_asked_for_until_it_is_known_and_never_given_back(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, kept = await lossy.desk.balance(), list[bytes]()

        async def keep(answer: bytes) -> None:
            kept.append(answer)
            lossy.losing, lossy.asked = "booked", 0

        real = lossy.desk.ledger.settle

        async def ends(*some: Any, **more: Any) -> Any:
            if lossy.asked == 3:
                lossy.losing = ""
            return await real(*some, **more)

        monkeypatch.setattr(lossy.desk.ledger, "settle", ends)
        gateway, caller = lossy.desk.gateway, lossy.desk.keys.known[TOKEN]
        assert (await gateway.ask(caller, FIELDS, receipt_id=new_id(), keep=keep)).paid_micro == COST_MICRO
        monkeypatch.setattr(lossy.desk.ledger, "settle", real)
        with pytest.raises(Unsettled):
            await gateway.ask(caller, FIELDS, receipt_id=new_id(), keep=keep)
        lossy.losing = ""
        await lossy.settled()
        assert [len(some) for some in await lossy.postings()] == [2, 0]  # its asker finds the second, and has it
        assert (len(kept), before - await lossy.desk.balance()) == (2, 2 * COST_MICRO)

    @pytest.mark.parametrize("way", ["pipeline", "short"])
    async def test_that_a_full_disk_refused_is_noted_no_more_and_counts_nothing(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        async def settles(*_: Any, **__: Any) -> None:
            raise LedgerFull

        def settles_soon(reservation: Any, charge: Any, landed: Any) -> bool:
            asyncio.get_running_loop().call_soon(landed, LedgerFull())
            return True

        async with going(lossy, monkeypatch, way) as line:
            before = await lossy.desk.balance()
            monkeypatch.setattr(lossy.desk.ledger, "settle", settles)
            monkeypatch.setattr(lossy.desk.ledger, "settle_soon", settles_soon)
            status, *_ = await line.ask()
        assert status == 503
        await lossy.settled()
        assert (await lossy.desk.balance(), await lossy.budget()) == (before, COST_MICRO), "of the first call"

    async def test_that_its_asker_keeps_and_a_full_disk_refused_holds_nothing(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def settles(*_: Any, **__: Any) -> None:
            raise LedgerFull

        async def keep(_: bytes) -> None:
            """It is kept."""

        before = await lossy.desk.balance()
        monkeypatch.setattr(lossy.desk.ledger, "settle", settles)
        with pytest.raises(LedgerFull):
            await lossy.desk.gateway.ask(lossy.desk.keys.known[TOKEN], FIELDS, receipt_id=new_id(), keep=keep)
        assert (await lossy.desk.balance(), await lossy.budget()) == (before, 0)


class Purse:
    """Writes down what is set aside and what was paid of it."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.settled: list[tuple[int, int | None]] = []

    async def hold(self, micro: int) -> None:
        if self.held == [0]:
            raise OverBudget(micro, 3)
        self.held.append(micro)

    async def settle(self, held_micro: int, paid_micro: int | None) -> None:
        self.settled.append((held_micro, paid_micro))


class TestPurse:
    async def test_has_set_aside_what_a_call_may_cost_and_has_back_what_it_did_not(self, lossy: Lossy) -> None:
        purse, gateway = Purse(), lossy.desk.gateway
        caller = lossy.paying(purse)
        done = await gateway.ask(caller, FIELDS)
        [held] = purse.held
        assert (held > COST_MICRO, purse.settled) == (True, [(held, done.paid_micro)])
        lossy.desk.engine.scripts.append(raw(400, b"{}"))
        with pytest.raises(CallError):
            await gateway.ask(caller, FIELDS)
        lossy.losing = "lost"
        with pytest.raises(LedgerUnavailable):
            await gateway.ask(caller, FIELDS)
        lossy.losing = ""
        await lossy.settled()
        assert purse.settled == [(held, COST_MICRO), (held, 0), (held, None)]

    async def test_without_enough_refuses_the_call_before_anything_is_reserved(self, lossy: Lossy) -> None:
        purse, before = Purse(), await lossy.desk.balance()
        purse.held = [0]
        caller = lossy.paying(purse)
        with pytest.raises(CallError, match="3 µ are left of the budget") as refused:
            await lossy.desk.gateway.ask(caller, FIELDS)
        assert (refused.value.code, purse.settled, await lossy.budget()) == ("run_budget_exceeded", [], 0)
        assert (lossy.desk.engine.requests, await lossy.desk.balance()) == ([], before)

    async def test_pays_the_fee_of_a_tool_and_has_it_back_where_nothing_came_of_it(self, lossy: Lossy) -> None:
        purse = Purse()
        caller = lossy.paying(purse)
        await (await lossy.toll(caller)).book()
        await (await lossy.toll(caller)).give_back()
        ahead = await lossy.toll(caller)
        lossy.losing = "lost"
        with pytest.raises(LedgerUnavailable):
            await ahead.book()
        lossy.losing = ""
        await lossy.settled()
        assert [paid for _, paid in purse.settled] == [FEE_MICRO, 0, None]
        assert [held for held, _ in purse.settled] == purse.held


class TestFee:
    @pytest.mark.parametrize("losing", ["booked", "lost"])
    async def test_of_unknown_outcome_is_given_back(self, lossy: Lossy, losing: str) -> None:
        before = await lossy.desk.balance()
        toll = await lossy.toll()
        lossy.losing = losing
        with pytest.raises(LedgerUnavailable):
            await toll.book()
        lossy.losing = ""
        assert toll.paid_micro == 0
        await lossy.settled()
        assert [len(some) for some in await lossy.postings()] == [0, int(losing == "booked")]
        assert await lossy.desk.balance() == before
        assert await lossy.budget() == 0
        toll = await lossy.toll()
        await toll.book()
        assert (toll.paid_micro, before - await lossy.desk.balance()) == (FEE_MICRO, FEE_MICRO)

    async def test_of_a_call_that_came_to_nothing_is_free_again(self, lossy: Lossy) -> None:
        toll = await lossy.toll()
        assert toll.call is not None
        reservation = toll.call.reservation
        await toll.give_back()
        assert reservation.state is State.RELEASED

    async def test_is_paid_by_a_wallet_that_has_just_as_much_and_a_budget_too(self, lossy: Lossy) -> None:
        desk = lossy.desk
        desk.org = new_id()
        desk.keys.known[TOKEN] = desk.caller(budget_day_micro=2 * FEE_MICRO)
        await desk.fund(2 * FEE_MICRO)
        for left in (FEE_MICRO, 0):
            toll = await lossy.toll(lossy.paying(Budget(FEE_MICRO)))
            await toll.book()
            assert await desk.balance() == left
        await desk.fund(FEE_MICRO)
        with pytest.raises(CallError, match="budget"):
            await lossy.toll()
        with pytest.raises(CallError, match="budget"):
            await lossy.toll(lossy.paying(Budget(FEE_MICRO - 1)))

    async def test_is_given_back_when_who_waits_for_its_booking_leaves(self, lossy: Lossy) -> None:
        before = await lossy.desk.balance()
        toll = await lossy.toll()
        assert toll.call is not None
        reservation = toll.call.reservation
        assert reservation is not None
        booking = asyncio.create_task(toll.book())
        async with asyncio.timeout(20):
            while reservation.state is State.OPEN:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
        booking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await booking
        await lossy.settled()
        assert [len(some) for some in await lossy.postings()] == [0, 1]
        assert await lossy.desk.balance() == before
        assert await lossy.budget() == 0


async def away(*_: Any, **__: Any) -> None:
    raise OSError("away")


class TestDeath:
    @pytest.mark.parametrize("way", ["pipeline", "short"])
    async def test_between_the_booking_and_the_answer_withholds_the_answer_and_gives_it_back(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        """The process has given its notes up for whoever starts next while the ledger was at it."""
        ledger, returns = lossy.desk.ledger, lossy.returns
        settle, soon = ledger.settle, ledger.settle_soon

        def end() -> None:
            assert returns._slate is not None
            returns._slate._file.close(keep=True)
            returns._slate = None

        async def settles(*given: Any, **more: Any) -> Any:
            found = await settle(*given, **more)
            end()
            return found

        def settles_soon(reservation: Any, charge: Any, landed: Any) -> bool:
            def told(error: Exception | None) -> None:
                end()
                landed(error)

            return soon(reservation, charge, told)

        async with warm(lossy.desk) as line:
            before, known = await lossy.desk.balance(), (await lossy.postings())[0]
            monkeypatch.setattr(ledger, "settle", settles)
            monkeypatch.setattr(ledger, "settle_soon", settles_soon)
            status = (await line.ask())[0] if way == "short" else (await lossy.desk.chat()).status_code
        monkeypatch.setattr(ledger, "settle", settle)
        monkeypatch.setattr(ledger, "settle_soon", soon)
        assert status == 503
        assert before - await lossy.desk.balance() == COST_MICRO
        returns.start()
        assert returns._recovery is not None
        assert await returns._recovery == 1
        assert (await lossy.postings())[0] == known
        assert await lossy.desk.balance() == before

    async def test_gives_back_what_was_booked_and_not_answered_and_nothing_else(
        self, lossy: Lossy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One call is answered, one's booking was heard of by nobody, one was withheld and not given back yet."""
        async with warm(lossy.desk) as line:
            answered = await lossy.desk.balance()
            real = lossy.desk.ledger.settle_soon

            def unheard(reservation: Any, charge: Any, _: Any) -> bool:
                return real(reservation, charge, lambda _: None)

            monkeypatch.setattr(lossy.desk.ledger, "settle_soon", unheard)
            line.send()
            async with asyncio.timeout(10):
                while len((await lossy.postings())[0]) < 2:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.005)
        monkeypatch.setattr(lossy.desk.ledger, "settle_soon", real)
        reverse, lossy.losing = lossy.desk.ledger.reverse, "booked"
        monkeypatch.setattr(lossy.desk.ledger, "reverse", away)
        await lossy.desk.chat()
        assert answered - await lossy.desk.balance() == 2 * COST_MICRO
        monkeypatch.setattr(lossy.desk.ledger, "reverse", reverse)
        await lossy.die()
        assert [len(some) for some in await lossy.postings()] == [1, 2]
        assert await lossy.desk.balance() == answered
        lossy.desk.gateway._pipeline.in_flight.clear()
