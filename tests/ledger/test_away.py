"""A database that goes away, fills up or keeps its answer at one step of a call: nothing stays set aside for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger import counters, holding, leases, service, settling
from shanhe.ledger.api import Ledger, LedgerFull, LedgerUnavailable, Limit
from shanhe.ledger.commit import ConnectionLost, GroupCommit, Line
from shanhe.ledger.settling import BOOKED

from .conftest import Books
from .test_full import REFUSE, ROOM

AWAY_S = 0.2
Fault = Callable[[str], Exception | None]


class Faults:
    """`before` and `after` say what a query meets on its way there, and its answer on its way back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before: Fault = lambda query: None
        self.after: Fault = lambda query: None
        real = Line.fetch

        async def fetch(line: Line, query: str, *args: Any) -> list[Any]:
            if (error := self.before(query)) is not None:
                raise error
            found = await real(line, query, *args)
            if (error := self.after(query)) is not None:
                raise error
            return found

        monkeypatch.setattr(Line, "fetch", fetch)
        for room in (holding, leases, service):
            monkeypatch.setattr(room, "LOST_LIMIT_S", AWAY_S)
        for room in (holding, leases, settling):
            monkeypatch.setattr(room, "RETRY_WAIT_S", 0.01)

    def none(self) -> None:
        self.before = self.after = lambda query: None


def away(query: str) -> Exception | None:
    return ConnectionLost("away", sent=False)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.fixture
async def crowded(database: Database) -> AsyncIterator[Database]:
    yield database
    await database.execute(ROOM)


class TestReservation:
    async def test_that_moves_into_a_hold_while_the_disk_is_full_is_settled_all_the_same(
        self, ledger: Ledger, books: Books, crowded: Database, clock: FixedClock
    ) -> None:
        payer = await books.wallet(1_000_000)
        reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
        clock.advance(seconds=16)  # more than half a lease
        await crowded.execute(REFUSE)
        await ledger._book.housekeep()
        await crowded.execute(ROOM)
        async with asyncio.timeout(5):
            await ledger.settle(reservation, books.charge(700))
        await ledger._book.stop()
        assert await held(ledger, payer.id) == 0
        assert (await ledger.verify()).findings == ()

    @pytest.mark.parametrize("way", ["lease", "hold"])
    async def test_stands_after_a_full_disk_and_is_settled_or_released_then(
        self, ledger: Ledger, books: Books, crowded: Database, way: str
    ) -> None:
        payer = await books.wallet(1_000_000 if way == "lease" else 2_000)
        for again in (True, False):
            reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
            assert (reservation.held is None) is (way == "lease")
            await crowded.execute(REFUSE)
            with pytest.raises(LedgerFull):
                await ledger.settle(reservation, books.charge(700))
            await crowded.execute(ROOM)
            if again:
                await ledger.settle(reservation, books.charge(700))
            else:
                await ledger.release(reservation)
        await ledger._book.stop()
        assert await held(ledger, payer.id) == 0
        assert (await ledger.balance(payer.id)).balance == (1_000_000 if way == "lease" else 2_000) - 700
        assert (await ledger.verify()).findings == ()

    async def test_in_a_hold_that_cannot_be_voided_now_is_voided_once_the_database_is_there(
        self, ledger: Ledger, books: Books, faults: Faults
    ) -> None:
        payer = await books.wallet(2_000)
        reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
        faults.before = away
        await ledger.release(reservation)
        faults.none()
        assert await held(ledger, payer.id) == 1000
        await asyncio.gather(ledger._void_loose(), ledger._void_loose())  # as when its housekeeping is at it, too
        assert await held(ledger, payer.id) == 0

    async def test_whose_answer_is_lost_for_good_leaves_no_hold(
        self, ledger: Ledger, books: Books, faults: Faults
    ) -> None:
        payer = await books.wallet(2_000)
        faults.after = lambda query: ConnectionLost("lost") if "ledger.hold(" in query else None
        faults.before = lambda query: None
        with pytest.raises(LedgerUnavailable):
            await ledger.admit(payer.id, 1000, receipt_id=new_id())
        faults.none()
        assert await held(ledger, payer.id) == 1000
        await ledger._void_loose()
        assert await held(ledger, payer.id) == 0


async def held(ledger: Ledger, account: Any) -> int:
    return (await ledger.balance(account)).held


class TestSettlement:
    async def test_that_is_explained_while_the_database_falls_again_counts_once(
        self, ledger: Ledger, books: Books, faults: Faults, clock: FixedClock
    ) -> None:
        """Two captures are booked, their answers lost; the database falls again between the two explanations."""
        payer = await books.wallet(1_000_000)
        scope = new_id()
        limit = Limit(scope, "budget_per_month", "2026-11", 1_000_000, 1000)
        calls = [await ledger.admit(payer.id, 1000, receipt_id=new_id(), limits=(limit,)) for _ in range(2)]
        lost, told = [1], [0]

        def after(query: str) -> Exception | None:
            if "settle" in query and "check" not in query and lost:
                lost.pop()
                return ConnectionLost("its answer was lost")
            return None

        def before(query: str) -> Exception | None:
            if query == BOOKED:
                told[0] += 1
                return ConnectionLost("away", sent=False) if told[0] == 2 else None
            return None

        faults.after, faults.before = after, before
        await asyncio.gather(
            *(ledger.settle(one, msgspec.structs.replace(books.charge(700), limit_actuals=(700,))) for one in calls)
        )
        faults.none()
        await ledger._counters.housekeep(everything=True)
        assert told[0] == 3
        assert await used(ledger, scope) == 1400
        await ledger._book.stop()
        assert await held(ledger, payer.id) == 0
        assert (await ledger.verify()).findings == ()


async def used(ledger: Ledger, scope: Any) -> int:
    return int(await ledger._db.fetchval("SELECT sum(used) FROM ledger.counter WHERE scope = $1", scope))


class TestCounter:
    async def test_of_an_idle_key_is_kept_until_the_database_is_there_to_take_it_back(
        self, ledger: Ledger, faults: Faults, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scope = new_id()
        limit = Limit(scope, "budget_per_month", "2026-11", 1_000_000, 1000)
        await ledger.count((limit,))
        monkeypatch.setattr(counters, "IDLE_S", -1.0)
        faults.before = away
        await ledger._counters.housekeep()
        faults.none()
        await ledger._counters.housekeep()
        assert await used(ledger, scope) == 1000


class TestQueue:
    async def test_goes_on_after_a_batch_that_could_not_be_flushed(self) -> None:
        class Row:
            payer, deadline = new_id(), 0.0

            def __init__(self, bad: bool) -> None:
                self.bad, self.future = bad, asyncio.get_running_loop().create_future()

        async def flush(rows: list[Row]) -> None:
            await asyncio.sleep(0.01)
            if any(row.bad for row in rows):
                raise KeyError("a mistake of ours")
            for row in rows:
                row.future.set_result(None)

        queue: GroupCommit[Any] = GroupCommit(flush)
        bad, good = Row(True), Row(False)
        queue.submit(bad)
        await asyncio.sleep(0)
        queue.submit(good)
        with pytest.raises(LedgerUnavailable):
            await bad.future
        async with asyncio.timeout(1):
            await good.future
        await queue.stop()


class TestLease:
    async def test_whose_growth_the_database_did_not_hear_of_is_not_lent_longer_than_it_says(
        self, ledger: Ledger, books: Books, faults: Faults, clock: FixedClock
    ) -> None:
        payer = await books.wallet(1_000_000)
        reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
        clock.advance(seconds=16)
        faults.before = away
        await ledger._book.housekeep()
        faults.none()
        lease = ledger._book._leases[payer.id]
        assert lease.expires_at - clock.now() == timedelta(seconds=14)
        assert reservation in lease.open
