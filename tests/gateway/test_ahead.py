"""Booking ahead on the real ledger: random calls, losses and deaths of the process against a pure oracle."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.conftest import TERMS, Books, open_books

from shanhe.gateway import ahead, returns
from shanhe.gateway.ahead import Ahead
from shanhe.gateway.returns import Returns
from shanhe.gateway.settlement import Fee
from shanhe.gateway.slate import SLOTS, Slate, left_behind
from shanhe.gateway.tolls import Toll
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Account, Ledger, LedgerUnavailable

FEE_MICRO = 700
FUNDS_MICRO = 1_000_000
CALL = st.tuples(
    st.booleans(),  # whether there is something to pay for
    st.sampled_from(["at its end", "in flight", "ahead"]),  # when it ends
    st.sampled_from(["", "", "", "lost", "refused", "unasked"]),  # what goes wrong with the booking
)
STEP = st.one_of(CALL, CALL, CALL, st.just("death"))


def died(slate: Slate) -> None:
    """What the kernel does with the file of a process that is killed."""
    slate._file.close(keep=True)


def opened(folder: Path) -> list[list[tuple[int, UUID]]]:
    """What slates that nobody holds have open."""
    with left_behind(folder) as slates:
        return [slate.open() for slate in slates]


class Fees:
    """The settler's part: what is charged is always the same."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.counted = 0
        self.trouble = ""

    def fee_of(self, call: Any) -> Fee:
        charge = self.books.charge(FEE_MICRO)
        parts: Any = None
        return Fee(call, call.reservation, charge, parts, parts, datetime(2026, 11, 20, tzinfo=UTC).date())

    def fee_soon(self, fee: Fee, landed: Any) -> bool:
        if self.trouble == "unasked":
            return False
        if self.trouble == "refused":
            raise LedgerUnavailable("too many wait")
        told = landed
        if self.trouble == "lost":

            def told(error: Exception | None) -> None:
                fee.reservation.sent = True
                landed(LedgerUnavailable("its answer was lost"))

        return self.books.ledger.settle_soon(fee.reservation, fee.charge, told)

    async def settle_fee(self, call: Any) -> None:
        fee, call.reservation = self.fee_of(call), None
        await self.books.ledger.settle(fee.reservation, fee.charge)
        self.count_fee(fee)

    async def fee_again(self, fee: Fee) -> None:
        await self.books.ledger.settle(fee.reservation, fee.charge)

    def count_fee(self, fee: Fee) -> None:
        self.counted += 1
        fee.call.paid_micro = FEE_MICRO


class Course:
    """Steps on the real ledger; what was answered is what was paid for."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.clock = FixedClock(datetime(2026, 11, 20, 2, 0, tzinfo=UTC))
        self.answered = 0

    async def run(self, steps: list[Any]) -> None:
        ledger = Ledger(self.database, self.clock, worker="w", terms=lambda _: TERMS)
        await ledger.start()
        self.books = await open_books(ledger)
        self.fees = Fees(self.books)
        self.payer = await self.books.wallet(FUNDS_MICRO)
        self.earned = (await ledger.balance(self.books.revenue.id)).balance
        self.begin()
        try:
            for step in steps:
                await (self.death() if step == "death" else self.call(*step))
            await self.death()
            await self.check(self.payer)
        finally:
            await ledger.stop()
        assert await self.books.clean()

    def begin(self) -> None:
        settler: Any = self.fees
        self.returns = Returns(self.books.ledger, self.folder)
        self.returns.start()
        self.ahead = Ahead(settler, self.returns)
        release = self.books.ledger.release

        async def given_back(call: Any) -> None:
            await release(call.reservation)

        async def booked(call: Any, paid_micro: int | None) -> None:
            """These callers have no purse."""

        self.tolls: Any = SimpleNamespace(ahead=self.ahead, settler=settler, release=given_back, booked=booked)

    async def call(self, paid: bool, when: str, trouble: str) -> None:
        self.fees.trouble = trouble
        toll = await self.held()
        if when != "at its end":
            self.beat(toll)
        if when == "ahead" and toll.booking is not None:
            await toll.booking.done()
        self.fees.trouble = ""
        if not paid:
            await toll.give_back()
            return
        await toll.book()
        assert toll.paid_micro == FEE_MICRO
        self.answered += 1

    def beat(self, *tolls: Toll) -> None:
        """They have run for long enough."""
        for toll in tolls:
            toll.under_way()
        self.ahead._on_beat()

    async def held(self) -> Toll:
        receipt = new_id()
        reservation = await self.books.ledger.admit(self.payer.id, FEE_MICRO, receipt_id=receipt)
        call: Any = SimpleNamespace(
            receipt_id=receipt, reservation=reservation, paid_micro=0, parsed=SimpleNamespace(model="tool")
        )
        return Toll(self.tolls, call)

    async def death(self) -> None:
        """Three calls are under way when the process dies: booked, in flight, and noted but never sent."""
        booked, flying = await self.held(), await self.held()
        self.beat(booked, flying)
        assert booked.booking is not None
        await booked.booking.done()
        slate = self.returns._slate
        assert slate is not None
        slate.note(new_id())
        assert len(slate.open()) == 3
        if self.returns._recovery is not None:
            await self.returns._recovery
        died(slate)
        assert flying.booking is not None
        await flying.booking.done()  # the database ends what was sent to it; how late is `TestDeath`'s in mcp_gateway
        self.begin()
        assert self.returns._recovery is not None
        await self.returns._recovery
        assert opened(self.folder) == []

    async def check(self, payer: Account) -> None:
        balance = await self.books.ledger.balance(payer.id)
        assert FUNDS_MICRO - balance.balance == FEE_MICRO * self.answered
        earned = (await self.books.ledger.balance(self.books.revenue.id)).balance - self.earned
        assert earned == FEE_MICRO * self.answered
        assert self.fees.counted == self.answered
        assert self.ahead._open == {}
        await self.ahead.stop()
        await self.returns.stop()
        assert list(self.folder.iterdir()) == []


class TestCourse:
    @pytest.fixture
    def place(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(returns, "UNKNOWN_TRIES", 3)
        monkeypatch.setattr(returns, "RETRY_FIRST_S", 0.001)
        monkeypatch.setattr(ahead, "STEADY_CALLS", 0)
        monkeypatch.setattr(ahead, "BOOK_AFTER_S", -1.0)
        monkeypatch.setattr(ahead, "BEAT_S", 60.0)
        return dsn

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(STEP, min_size=3, max_size=12))
    def test_leaves_paid_what_was_answered_and_nothing_else(self, place: str, steps: list[Any]) -> None:
        async def run() -> None:
            database = await Database.open(place, size=4)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    await Course(database, Path(folder)).run(steps)
                finally:
                    await database.close()

        asyncio.run(run())


WRITER = """
import sys, time
from pathlib import Path
from uuid import UUID
from shanhe.gateway.slate import Slate
slate = Slate.make(Path(sys.argv[1]))
slate.note(UUID(int=1)); slate.wipe(slate.note(UUID(int=2))); slate.note(UUID(int=3))
print("noted", flush=True)
time.sleep(60)
"""


class TestSlate:
    def test_of_a_process_that_is_killed_says_what_it_had_open(self, tmp_path: Path) -> None:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"noted\n"
        assert opened(tmp_path) == []  # it is held
        writer.kill()
        writer.wait()
        writer.stdout.close()
        with left_behind(tmp_path) as (slate,):
            assert [number.int for _, number in slate.open()] == [1, 3]
            assert opened(tmp_path) == []  # one at a time
        (again,) = opened(tmp_path)  # not wiped: still there
        assert len(again) == 2

    def test_is_bounded(self, tmp_path: Path) -> None:
        slate = Slate.make(tmp_path)
        size = slate.path.stat().st_size
        slots = [slate.note(UUID(int=number + 1)) for number in range(SLOTS)]
        assert slate.note(new_id()) is None
        for slot in slots:
            assert slot is not None
            slate.wipe(slot)
        assert slate.note(new_id()) is not None
        assert slate.path.stat().st_size == size
        slate.close()
        assert slate.path.exists()  # something is open

    def test_with_nothing_open_is_removed(self, tmp_path: Path) -> None:
        slate = Slate.make(tmp_path)
        slot = slate.note(new_id())
        assert slot is not None
        slate.wipe(slot)
        slate.close()
        assert list(tmp_path.iterdir()) == []

    def test_that_is_no_slate_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "other.slate").write_bytes(b"short")
        assert opened(tmp_path) == []
        assert (tmp_path / "other.slate").exists()

    async def test_that_cannot_be_written_books_nothing_ahead(self, tmp_path: Path) -> None:
        (tmp_path / "fees").write_text("a file where the folder should be")
        nothing: Any = None
        kept = Returns(nothing, tmp_path / "fees")
        kept.start()
        book = Ahead(nothing, kept)
        toll: Any = SimpleNamespace(runs=True)
        book.watch(toll, "tool")
        assert not book._watched
        assert await kept.recover() == 0
        await book.stop()
        await kept.stop()
