"""kill -9 of PostgreSQL under load: callers wait, bounded, and every outcome they saw is in the books, once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.migrations import migrate
from shanhe.kernel.postgres import EmbeddedPostgres
from shanhe.ledger.api import Ledger, LedgerUnavailable, Posting, Transfer

from .conftest import Books, open_books

CALLERS = 20
KILLS = 2
ENOUGH = 100


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    """A durable server with our tables; each test has a payer of its own."""
    opened = EmbeddedPostgres(tmp_path_factory.mktemp("outage") / "pg")
    opened.start()
    asyncio.run(migrated(opened.dsn))
    opened.stop()
    return opened


async def migrated(dsn: str) -> None:
    database = await Database.open(dsn, size=1)
    await migrate(database)
    await database.close()


@pytest.fixture
def server(common: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    common.start()
    yield common
    common.stop()


@dataclass
class Traffic:
    """Calls and postings without end, what of them was seen done, and what is not known."""

    ledger: Ledger
    books: Books
    payer: UUID
    seen: set[UUID] = field(default_factory=set)
    unknown: set[UUID] = field(default_factory=set)
    running: bool = True

    async def call(self) -> None:
        while self.running:
            receipt = new_id()
            try:
                reservation = await self.ledger.admit(self.payer, 1000, receipt_id=receipt)
            except LedgerUnavailable:
                continue
            try:
                await self.ledger.settle(reservation, self.books.charge(700))
                self.seen.add(receipt)
            except LedgerUnavailable:
                self.unknown.add(receipt)

    async def post(self) -> None:
        while self.running:
            transfer = Transfer(new_id(), self.books.cost.id, self.books.revenue.id, 1)
            posting = Posting(id=new_id(), kind="test", transfers=(transfer,))
            try:
                await self.ledger.post(posting)
                self.seen.add(posting.id)
            except LedgerUnavailable:
                self.unknown.add(posting.id)


class TestOutage:
    async def test_no_seen_capture_is_lost_and_none_is_booked_twice(
        self, server: EmbeddedPostgres, clock: FixedClock
    ) -> None:
        database = await Database.open(server.dsn, size=2)
        ledger = Ledger(database, clock, worker="one", workers=1)
        await ledger.start()
        books = await open_books(ledger)
        payer = await books.wallet(10**12)
        traffic = Traffic(ledger, books, payer.id)
        workers = [asyncio.create_task(traffic.call()) for _ in range(CALLERS)] + [asyncio.create_task(traffic.post())]
        for _ in range(KILLS):
            await asyncio.sleep(0.4)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.sleep(0.2)
            while server.is_running:  # noqa: ASYNC110 - where others want the CPU, too, a killed process ends late
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.start)
        async with asyncio.timeout(30):
            while len(traffic.seen) <= ENOUGH:  # noqa: ASYNC110 - nothing tells of the next
                await asyncio.sleep(0.1)
        traffic.running = False
        await asyncio.gather(*workers)
        await ledger.stop()
        await database.close()
        database = await Database.open(server.dsn, size=2)
        try:
            booked = {row["id"] for row in await database.fetch("SELECT id FROM ledger.posting")}
            assert not traffic.seen - booked
            calls = await database.fetchval(
                "SELECT count(*) FROM ledger.posting p JOIN ledger.transfer t ON t.posting = p.id"
                " JOIN ledger.account a ON a.id = t.debit WHERE p.kind = 'call' AND a.id = $1", payer.id,
            )  # fmt: skip
            spent = await database.fetchval(
                "SELECT 1000000000000 - balance FROM ledger.account WHERE id = $1", payer.id
            )
            assert spent == 700 * calls
            again = Ledger(database, clock, worker="two")
            clock.advance(seconds=31)
            await again.sweep()
            report = await again.verify()
            assert report.findings == ()
            await again.stop()
        finally:
            await database.close()

    async def test_a_caller_waits_only_so_long(
        self, server: EmbeddedPostgres, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.ledger.service.LOST_LIMIT_S", 0.5)
        database = await Database.open(server.dsn, size=2)
        ledger = Ledger(database, clock, worker="one", workers=1)
        books = await open_books(ledger)
        payer = await books.wallet(10**9)
        reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
        await asyncio.to_thread(server.stop)
        with pytest.raises(LedgerUnavailable):
            await ledger.settle(reservation, books.charge(700))
        await asyncio.to_thread(server.start)
        settled = await ledger.settle(reservation, books.charge(700))
        assert settled.total_micro == 700
        await ledger.stop()
        await database.close()
