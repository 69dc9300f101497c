"""Closing a period: when it may be, and what is refused afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from shanhe.kernel.clock import FixedClock, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Asset,
    NewLot,
    OpeningBalance,
    PeriodClosed,
    PeriodNotOver,
    Provenance,
    TrialRow,
    TrialSum,
)
from shanhe.ledger.store import PERIOD_LOCK

from .conftest import Books, move

WAITED_FOR = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory')"


def added_up(rows: Sequence[TrialRow]) -> list[TrialSum]:
    sums: dict[tuple[Asset, str], list[int]] = {}
    for row in rows:
        known = sums.setdefault((row.account.asset, row.account.kind), [0, 0, 0, 0])
        for at, value in enumerate((1, row.debits, row.credits, row.balance)):
            known[at] += value
    return [TrialSum(*of, *values) for of, values in sorted(sums.items())]


class TestPeriod:
    async def test_that_is_being_closed_is_waited_for_by_what_is_dated_in_it(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        """Soon after midnight, when it is the evening before in UTC."""
        wallet, yesterday = await books.wallet(100), clock.today()
        clock.set(midnight(yesterday + timedelta(days=1)) + timedelta(minutes=10))
        async with database.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock($1)", PERIOD_LOCK)
            posting = asyncio.create_task(books.ledger.post(move(wallet.id, books.revenue.id, 1, day=yesterday)))
            while not posting.done() and not await conn.fetchval(WAITED_FOR):  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.01)
            assert not posting.done()
            await conn.execute("INSERT INTO ledger.period VALUES ($1, $2, 'auditor')", yesterday, clock.now())
        with pytest.raises(PeriodClosed):
            await posting
        assert (await books.ledger.balance(wallet.id)).balance == 100

    async def test_has_the_calls_of_its_small_hours(self, books: Books, clock: FixedClock) -> None:
        """When it is the day before in UTC: of a lease, and of a hold."""
        ledger, wallet = books.ledger, await books.wallet(100_000)
        clock.set(midnight(clock.today() + timedelta(days=1)) + timedelta(hours=1))
        of_a_lease = await books.call(wallet, 100)
        held = await ledger.admit(wallet.id, 100, receipt_id=new_id(), subsidy_max_micro=1)
        of_a_hold = (await ledger.settle(held, books.charge(100))).id
        for call in (of_a_lease, of_a_hold):
            assert (await ledger.posting(call)).day == clock.today()

    async def test_closed_days_take_no_more_postings(self, books: Books, clock: FixedClock) -> None:
        ledger, wallet = books.ledger, await books.wallet(100)
        yesterday = clock.today()
        clock.advance(days=1)
        await ledger.close_period(yesterday, actor="auditor")
        with pytest.raises(PeriodClosed):
            await ledger.post(move(wallet.id, books.revenue.id, 1, day=yesterday))
        with pytest.raises(PeriodClosed) as again:
            await ledger.close_period(yesterday, actor="auditor")
        assert "posting" not in again.value.message
        assert str(yesterday) in (again.value.hint or "")
        await ledger.post(move(wallet.id, books.revenue.id, 1))
        assert (await ledger.opening_balances())[wallet.id] == 100
        assert await books.clean()

    async def test_that_still_runs_names_the_last_day_that_can_be_closed(self, books: Books, clock: FixedClock) -> None:
        yesterday = clock.today()
        clock.advance(days=1)
        with pytest.raises(PeriodNotOver) as refused:
            await books.ledger.close_period(clock.today(), actor="auditor")
        assert str(yesterday) in (refused.value.hint or "")

    async def test_that_ended_just_now_can_not_be_closed_yet(self, books: Books, clock: FixedClock) -> None:
        """A call of its last second may still be on its way."""
        yesterday = clock.today()
        clock.set(midnight(yesterday + timedelta(days=1)) + timedelta(minutes=4))
        with pytest.raises(PeriodNotOver) as refused:
            await books.ledger.close_period(yesterday, actor="auditor")
        assert str(yesterday - timedelta(days=1)) in (refused.value.hint or "")
        clock.advance(minutes=2)
        await books.ledger.close_period(yesterday, actor="auditor")

    async def test_of_which_a_close_counts_all_is_counted_no_more(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        """A trial balance is the same with any number of closes before it, and reads nothing that they counted."""
        ledger, wallet = books.ledger, await books.wallet(10_000)
        for day in range(3):
            await books.call(wallet, 100, 10 + day)
            clock.advance(days=1)
            late = move(wallet.id, books.revenue.id, 5, day=clock.today() - timedelta(days=1))
            await ledger.post(late)
            await books.call(wallet, 100, 20)
            before, of_today = await ledger.trial_balance(), await ledger.period(clock.today(), clock.today())
            assert await ledger.trial_sums() == added_up(before)
            await ledger.close_period(clock.today() - timedelta(days=1), actor="auditor")
            assert await ledger.trial_balance() == before
            assert await ledger.trial_sums() == added_up(before)
            assert await ledger.period(clock.today(), clock.today()) == of_today
            assert all(row.balance == row.credits - row.debits for row in before)
            carried = await ledger.opening_balances()
            assert carried[wallet.id] == (await ledger.balance(wallet.id)).balance + 20
            clock.advance(days=1)
        await database.execute("ALTER TABLE ledger.transfer DISABLE TRIGGER append_only")
        await database.execute("GRANT DELETE ON ledger.transfer TO CURRENT_USER")
        await books.call(wallet, 100, 7)
        before = await ledger.trial_balance()
        await database.execute("DELETE FROM ledger.transfer WHERE at < $1", clock.now() - timedelta(days=2))
        assert await ledger.trial_balance() == before

    async def test_closed_by_a_version_that_kept_no_turnover_is_counted_from_the_beginning(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        ledger, wallet = books.ledger, await books.wallet(10_000)
        await books.call(wallet, 100, 10)
        clock.advance(days=1)
        before = await ledger.trial_balance()
        await ledger.close_period(clock.today() - timedelta(days=1), actor="auditor")
        await database.execute("UPDATE ledger.period_balance SET debits = NULL, credits = NULL")
        assert await ledger.trial_balance() == before

    async def test_into_which_a_clock_set_back_booked_is_found_and_counted_by_the_next_close(
        self, books: Books, clock: FixedClock
    ) -> None:
        ledger, wallet = books.ledger, await books.wallet(10_000)
        clock.advance(days=1)
        await ledger.close_period(clock.today() - timedelta(days=1), actor="auditor")
        assert await books.clean()
        clock.advance(days=-1)
        await books.call(wallet, 100, 10)
        clock.advance(days=2)
        found = {(one.invariant, one.subject, one.expected, one.found) for one in (await ledger.verify()).findings}
        said = "a close counted all that is dated by it"
        assert found == {(said, str(wallet.id), 9_990, 10_000), (said, str(books.revenue.id), 10, 0)}
        await ledger.close_period(clock.today() - timedelta(days=1), actor="auditor")
        assert await books.clean()
        assert all(row.balance == row.credits - row.debits for row in await ledger.trial_balance())

    async def test_books_are_taken_over_in_one_posting(self, books: Books) -> None:
        wallet = await books.wallet()
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=50)
        await books.ledger.open_books([OpeningBalance(wallet.id, 50, (lot,))], posting_id=new_id(), actor="admin")
        assert (await books.ledger.balance(wallet.id)).balance == 50
        assert await books.clean()
