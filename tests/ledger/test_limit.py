"""Limits over a period: what counts against them, in memory and after a process died."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger import counters, lent
from shanhe.ledger.api import (
    Charge,
    LeaseReclaimed,
    Ledger,
    Leg,
    Limit,
    LimitExceeded,
)

from .conftest import Books


async def started(ledger: Ledger) -> None:
    """Started, and done with what dead processes left."""
    await ledger.start()
    await asyncio.gather(*ledger._recalls)


async def killed(ledger: Ledger) -> None:
    """Its file stays as it is, held by nobody, and what it had in memory is gone."""
    ledger._counters._blocks.clear()
    ledger._book._leases.clear()
    await ledger.stop()


class TestLimit:
    async def test_counts_over_two_workers_and_returns_what_was_not_used(
        self, books: Books, database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(counters, "RECALL_WAITS_S", (0.03, 0.06, 0.11, 1.0))  # on a slow machine
        second = Ledger(database, clock, worker="two", workers=2)
        await second.start()
        payer, key = await books.wallet(10**12), new_id()
        limit = Limit(key, "requests_per_minute", "12:00", 50, 1)

        async def call(number: int) -> bool:
            ledger = (books.ledger, second)[number % 2]
            try:
                reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id(), limits=(limit,))
            except LimitExceeded:
                return False
            await ledger.settle(reservation, Charge(10, (Leg(books.revenue.id, 10),), b"", (1,)))
            return True

        assert sum(await asyncio.gather(*(call(number) for number in range(200)))) == 50
        budget = Limit(key, "budget_per_day", "today", 1000, 600)
        for _ in range(3):  # 600 asked, 100 used: three times fits, a fourth would not
            reservation = await books.ledger.admit(payer.id, 600, receipt_id=new_id(), limits=(budget,))
            await books.ledger.settle(reservation, Charge(100, (Leg(books.revenue.id, 100),), b"", (100,)))
        await second.stop()
        assert await books.clean()

    async def test_takes_back_what_a_long_call_did_not_use_after_its_block_was_forgotten(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_day", "today", 1000, 600)
        reservation = await books.ledger.admit(payer.id, 600, receipt_id=new_id(), limits=(budget,))
        monkeypatch.setattr(counters, "IDLE_S", -1.0)
        await books.ledger._counters.housekeep()  # nobody else called for a minute and a half
        await books.ledger.settle(reservation, Charge(100, (Leg(books.revenue.id, 100),), b"", (100,)))
        await books.ledger.admit(payer.id, 600, receipt_id=new_id(), limits=(budget,))

    async def test_takes_back_all_of_a_charge_that_lapsed(self, books: Books, database: Database) -> None:
        ledger, payer = books.ledger, await books.wallet(10**12)
        budget = Limit(new_id(), "budget_per_day", "today", 1000, 600)
        for _ in range(2):
            reservation = await ledger.admit(payer.id, 600, receipt_id=new_id(), limits=(budget,))
            await database.writes.fetch(
                "SELECT ledger.reclaim(array_agg(epoch)) FROM ledger.lease WHERE account = $1", payer.id
            )
            with pytest.raises(LeaseReclaimed):
                await ledger.settle(reservation, Charge(100, (Leg(books.revenue.id, 100),), b"", (100,)))

    async def test_takes_back_once_what_lapses_before_it_is_released(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(10**12)
        budget = Limit(new_id(), "budget_per_day", "today", 1000, 600)
        reservation = await ledger.admit(payer.id, 600, receipt_id=new_id(), limits=(budget,), subsidy_max_micro=600)
        small = msgspec.structs.replace(budget, amount=400)
        used = await ledger.admit(payer.id, 400, receipt_id=new_id(), limits=(small,))
        await ledger.settle(used, Charge(400, (Leg(books.revenue.id, 400),), b"", (400,)))
        clock.advance(minutes=20)
        assert (await ledger.sweep()).holds == 1
        await ledger.release(reservation)
        await ledger.count((budget,))
        with pytest.raises(LimitExceeded):
            await ledger.count((msgspec.structs.replace(budget, amount=1),))

    async def test_that_is_lowered_counts_at_once_whatever_was_lent_under_the_old_one(self, books: Books) -> None:
        payer, old = await books.wallet(10**12), Limit(new_id(), "budget_per_day", "today", 10_000, 10)
        new = msgspec.structs.replace(old, cap=100)

        async def call(limit: Limit) -> None:
            reservation = await books.ledger.admit(payer.id, 10, receipt_id=new_id(), limits=(limit,))
            await books.ledger.settle(reservation, Charge(10, (Leg(books.revenue.id, 10),), b"", (10,)))

        await call(old)
        for _ in range(9):
            await call(new)
        with pytest.raises(LimitExceeded):
            await call(new)
        await call(old)  # raised again

    async def test_gets_back_what_a_killed_process_had_borrowed_and_not_used(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_month", "2026-11", 1000, 10)
        for number in range(5):  # each borrows an eighth of what is left of the month, uses 10 and is killed
            dying = Ledger(database, clock, worker=f"life {number}", workers=2, lent=tmp_path)
            await started(dying)
            reservation = await dying.admit(payer.id, 10, receipt_id=new_id(), limits=(budget,))
            await dying.settle(reservation, Charge(10, (Leg(books.revenue.id, 10),), b"", (10,)))
            await killed(dying)
        again = Ledger(database, clock, worker="again", workers=2, lent=tmp_path)
        await started(again)
        assert await database.fetchval("SELECT used FROM ledger.counter WHERE scope = $1", budget.scope) == 50
        await again.admit(payer.id, 950, receipt_id=new_id(), limits=(msgspec.structs.replace(budget, amount=950),))
        with pytest.raises(LimitExceeded):
            await again.admit(payer.id, 1, receipt_id=new_id(), limits=(msgspec.structs.replace(budget, amount=1),))
        await again.stop()
        assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a folder of the test alone

    async def test_counts_as_used_what_a_power_cut_left_behind(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file on the disk may be older than what was used of it since."""
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_month", "2026-11", 1000, 10)
        dying = Ledger(database, clock, worker="dying", workers=2, lent=tmp_path)
        await started(dying)
        await dying.admit(payer.id, 10, receipt_id=new_id(), limits=(budget,))
        await killed(dying)
        monkeypatch.setattr(lent, "this_boot", lambda: "another start of the machine")
        again = Ledger(database, clock, worker="again", workers=2, lent=tmp_path)
        await started(again)
        assert await database.fetchval("SELECT used FROM ledger.counter WHERE scope = $1", budget.scope) == 125
        await again.stop()
        assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a folder of the test alone

    async def test_gets_what_was_left_back_once_even_if_its_file_stays(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_month", "2026-11", 1000, 10)
        dying = Ledger(database, clock, worker="dying", workers=2, lent=tmp_path)
        await started(dying)
        await dying.admit(payer.id, 10, receipt_id=new_id(), limits=(budget,))
        await database.execute("UPDATE ledger.counter SET used = 900 WHERE scope = $1", budget.scope)
        await killed(dying)

        def stays(*_: object, **__: object) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "unlink", stays)
        for number in range(2):
            again = Ledger(database, clock, worker=f"again {number}", workers=2, lent=tmp_path)
            await started(again)
            used = await database.fetchval("SELECT used FROM ledger.counter WHERE scope = $1", budget.scope)
            assert used == 900 - 115, "what was left of 125"
            await again.stop()

    async def test_counts_as_used_what_cannot_be_read_and_gets_back_the_rest(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        payer = await books.wallet(10**12)
        torn, whole = (Limit(new_id(), "budget_per_month", "2026-11", 1000, 10) for _ in range(2))
        dying = Ledger(database, clock, worker="dying", workers=2, lent=tmp_path)
        await started(dying)
        await dying.admit(payer.id, 10, receipt_id=new_id(), limits=(torn,))
        await dying.admit(payer.id, 10, receipt_id=new_id(), limits=(whole,))
        await killed(dying)
        (file,) = tmp_path.iterdir()  # noqa: ASYNC240 - a folder of the test alone
        file.write_bytes(file.read_bytes().replace(str(torn.scope).encode(), b"\xff" * 36))
        again = Ledger(database, clock, worker="again", workers=2, lent=tmp_path)
        await started(again)
        rows = await database.fetch("SELECT scope, used FROM ledger.counter")
        assert dict(rows) == {torn.scope: 125, whole.scope: 10}
        await again.stop()

    async def test_is_given_back_by_who_stops_while_a_call_waits_for_it(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_month", "2026-11", 10, 10)
        ledger = Ledger(database, clock, worker="ending", workers=2, lent=tmp_path)
        await started(ledger)
        await ledger.admit(payer.id, 10, receipt_id=new_id(), limits=(budget,))
        block = ledger._counters._blocks[budget.scope, budget.name, budget.window]  # as a call that waits keeps it
        await ledger.stop()
        assert not any(line._connection for line in ledger._lines)
        assert block.cell[0] == 0
        assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a folder of the test alone

    async def test_gets_it_back_from_who_is_stopped_as_soon_as_it_started(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_month", "2026-11", 1000, 10)
        dying = Ledger(database, clock, worker="dying", workers=2, lent=tmp_path)
        await started(dying)
        await dying.admit(payer.id, 10, receipt_id=new_id(), limits=(budget,))
        await killed(dying)
        again = Ledger(database, clock, worker="again", workers=2, lent=tmp_path)
        await again.start()
        await again.stop()
        assert await database.fetchval("SELECT used FROM ledger.counter WHERE scope = $1", budget.scope) == 10
        assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a folder of the test alone

    async def test_is_kept_where_nothing_can_be_noted(
        self, books: Books, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        (tmp_path / "lent").write_text("a file where the folder should be")
        ledger = Ledger(database, clock, worker="alone", workers=2, lent=tmp_path / "lent")
        await started(ledger)
        payer, budget = await books.wallet(10**12), Limit(new_id(), "budget_per_month", "2026-11", 100, 60)
        reservation = await ledger.admit(payer.id, 60, receipt_id=new_id(), limits=(budget,))
        with pytest.raises(LimitExceeded):
            await ledger.admit(payer.id, 60, receipt_id=new_id(), limits=(budget,))
        await ledger.release(reservation)
        await ledger.admit(payer.id, 60, receipt_id=new_id(), limits=(budget,))
        await ledger.stop()


class TestCounter:
    """The database's part: what is counted by scope, name and window."""

    async def test_is_one_for_each_name_and_window(self, database: Database, clock: FixedClock) -> None:
        scope, later = new_id(), clock.now() + timedelta(minutes=1)
        names, windows = ["calls", "calls", "tokens"], ["monday", "sunday", "monday"]

        async def take(now: datetime, *needs: int) -> list[tuple[int, int]]:
            rows = await database.writes.fetch(
                counters.TAKE, now, [scope] * 3, names, windows, [10, 10, 100], list(needs), 4
            )  # fmt: skip
            by_place = {row["ord"]: (row["granted"], row["used_now"]) for row in rows}
            return [by_place[place] for place in (1, 2, 3)]

        async def back(*amounts: int) -> list[int]:
            await database.writes.fetch(counters.RETURN, [scope] * 3, names, windows, list(amounts))
            order = "SELECT used FROM ledger.counter WHERE scope = $1 ORDER BY name, win"
            return [row["used"] for row in await database.fetch(order, scope)]

        assert await take(clock.now(), 10, 11, 7) == [(10, 10), (0, 0), (25, 25)]
        assert await take(later, 1, 1, 75) == [(0, 10), (2, 2), (75, 100)]
        assert await database.fetch("SELECT FROM ledger.counter WHERE touched <> $1", later) == []
        assert await back(4, 0, 30) == [6, 2, 70]
        assert await back(0, 9, 0) == [6, 0, 70]

    async def test_that_is_full_is_asked_for_at_those_who_borrow_of_it(
        self, database: Database, dsn: str, clock: FixedClock
    ) -> None:
        heard, scope = asyncio.get_running_loop().create_future(), new_id()
        listening = await asyncpg.connect(dsn)
        await listening.add_listener("ledger_counter", lambda *told: heard.done() or heard.set_result(told[-1]))
        await database.writes.fetch(counters.TAKE, clock.now(), [scope], ["calls"], ["monday"], [10], [11], 4)
        assert (await asyncio.wait_for(heard, timeout=30)).split(counters.SEPARATOR) == [str(scope), "calls", "monday"]
        await listening.close()
