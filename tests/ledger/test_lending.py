"""What the database lends of an account, to how many, for how long, and what becomes of it when that is over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Account, Ledger, NewLot, Provenance
from shanhe.ledger.leases import LEASE_CALLS, LEASE_TTL, SOON
from shanhe.ledger.reservation import Reservation

from .conftest import TERMS, Books, move
from .test_locks import ACCOUNT, waiting

MOMENT = timedelta(microseconds=1)


@pytest.fixture
async def other(database: Database, clock: FixedClock) -> Any:
    """A second worker."""
    opened = Ledger(database, clock, worker="two", workers=2, terms=lambda _: TERMS)
    yield opened
    await opened.stop()


async def lent(ledger: Ledger, payer: Account, amount: int = 100) -> Reservation:
    """A call of it that a lease carries."""
    found = await ledger.admit(payer.id, amount, receipt_id=new_id())
    assert found.lease is not None
    return found


async def borrowed(books: Books, payer: Account) -> int:
    return (await books.ledger.balance(payer.id)).leased


class TestBlock:
    async def test_is_a_fourth_of_what_is_there_among_two_workers(self, books: Books) -> None:
        payer = await books.wallet(10_000)
        await lent(books.ledger, payer)
        assert await borrowed(books, payer) == 2_500

    async def test_is_of_so_many_calls_where_there_is_plenty(self, books: Books) -> None:
        payer = await books.wallet(10**9)
        await lent(books.ledger, payer)
        assert await borrowed(books, payer) == LEASE_CALLS * 100

    @pytest.mark.parametrize(("wealth", "lends"), [(400, True), (399, False)])
    async def test_is_none_where_each_could_not_have_a_call(self, books: Books, wealth: int, lends: bool) -> None:
        payer = await books.wallet(wealth)
        found = await books.ledger.admit(payer.id, 100, receipt_id=new_id())
        assert (found.lease is not None) is lends

    @pytest.mark.parametrize("left", [SOON, SOON + MOMENT])
    async def test_is_none_of_a_wallet_with_a_lot_that_lapses_soon(
        self, books: Books, clock: FixedClock, left: timedelta
    ) -> None:
        payer = await books.wallet(10_000, expires_at=clock.now() + left)
        await books.fund(payer, 10_000)
        found = await books.ledger.admit(payer.id, 100, receipt_id=new_id())
        assert (found.lease is None) is (left == SOON)

    @pytest.mark.parametrize(
        ("field", "since", "counts"),
        [
            ("spendable_at", MOMENT, False),
            ("spendable_at", -MOMENT, True),
            ("spendable_at", timedelta(0), True),
            ("expires_at", timedelta(0), False),
        ],
    )
    async def test_is_of_lots_that_can_be_spent_now(
        self, books: Books, clock: FixedClock, field: str, since: timedelta, counts: bool
    ) -> None:
        """A lot that is not to be counted yet, or no more, beside one that burns after it."""
        start = clock.now()
        clock.advance(days=-1)
        payer = await books.wallet()
        more = {"expires_at": start + timedelta(days=9)} if field == "spendable_at" else {}
        lot = await books.fund(payer, 10**6, **{field: start + since}, **more)
        await books.fund(payer, 10_000)
        clock.set(start)
        found = await lent(books.ledger, payer)
        assert found.lease is not None
        assert await borrowed(books, payer) == (LEASE_CALLS * 100 if counts else 2_500)
        assert (lot in {piece.lot for piece in found.lease.pieces}) is counts
        assert await books.clean()

    async def test_burns_what_ends_then_subsidy_then_rewards_then_what_was_bought_the_oldest_first(
        self, books: Books, clock: FixedClock
    ) -> None:
        """Whatever the order of their ids is, in which they are made here."""
        payer, (young, old, earned, given, ends) = await books.wallet(), sorted(new_id() for _ in range(5))
        for lot, provenance, amount, age_s in (
            (young, Provenance.PURCHASED, 3_600, 0),
            (old, Provenance.PURCHASED, 100, 1),
            (earned, Provenance.REWARD, 100, 0),
            (given, Provenance.SUBSIDY, 100, 0),
            (ends, Provenance.PURCHASED, 100, 0),
        ):
            clock.advance(seconds=-age_s)
            until = clock.now() + timedelta(days=30) if lot is ends else None
            minted = NewLot(id=lot, account=payer.id, provenance=provenance, amount=amount, expires_at=until)
            await books.ledger.post(move(books.issuance.id, payer.id, amount, lots=(minted,)))
            clock.advance(seconds=age_s)
        lease = (await lent(books.ledger, payer)).lease
        assert lease is not None
        assert [(piece.lot, piece.amount) for piece in lease.pieces] == [
            (ends, 100), (given, 100), (earned, 100), (old, 100), (young, 600)
        ]  # fmt: skip
        assert await books.clean()


class TestTime:
    @pytest.mark.parametrize("how", ["more is lent", "a call became a hold"])
    async def test_is_longer_for_whoever_asked_again(self, books: Books, clock: FixedClock, how: str) -> None:
        """A call that it carries is charged, whoever needs the account meanwhile."""
        ledger, payer = books.ledger, await books.wallet(10**6)
        old = await lent(ledger, payer)
        lease = old.lease
        assert lease is not None
        clock.advance(seconds=20)
        if how == "more is lent":
            assert await ledger._book._grant(payer.id, lease.free + 1)
        else:
            await ledger._book.housekeep()
            assert old.held is not None
        call = await lent(ledger, payer)
        assert call.lease is lease
        clock.advance(seconds=20)
        await ledger.sweep()
        await ledger.hold(payer.id, 1, hold_id=new_id(), purpose="test", expires_at=clock.now() + timedelta(days=1))
        await ledger.settle(call, books.charge(100))
        assert await books.clean()

    async def test_is_over_at_its_end_and_not_before(self, books: Books, clock: FixedClock, other: Ledger) -> None:
        """What somebody else needs of the account, and of that alone."""
        payer, elsewhere = await books.wallet(10_000), await books.wallet(10_000)
        await lent(other, payer)
        await lent(other, elsewhere)
        clock.advance(seconds=LEASE_TTL.total_seconds() - 1)
        until = clock.now() + timedelta(days=1)
        await books.ledger.hold(payer.id, 1, hold_id=new_id(), purpose="test", expires_at=until)
        assert (await books.ledger.sweep()).leases == 0
        assert await borrowed(books, payer) == 2_500
        clock.advance(seconds=1)
        await books.ledger.hold(payer.id, 9_999, hold_id=new_id(), purpose="test", expires_at=until)
        assert (await borrowed(books, payer), await borrowed(books, elsewhere)) == (0, 2_500)
        assert await books.clean()

    async def test_of_a_call_that_becomes_a_hold_is_the_calls_own(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(10**6)
        call = await ledger.admit(payer.id, 100, receipt_id=new_id(), ttl_s=7_200)
        clock.advance(seconds=20)
        await ledger._book.housekeep()
        assert (await ledger.find_hold(call.receipt_id)).expires_at == call.expires_at
        clock.advance(hours=1)
        await ledger.sweep()
        await ledger.settle(call, books.charge(100))
        assert await books.clean()

    async def test_of_several_calls_becomes_holds_of_what_each_had(self, books: Books) -> None:
        """In whatever order they are asked for."""
        ledger, payer = books.ledger, await books.wallet(10_000)
        calls = [await lent(ledger, payer, amount) for amount in (100, 250, 30)]
        for moved in (calls[::-1], [await lent(ledger, payer, amount) for amount in (40, 10)]):
            lease = moved[0].lease
            assert lease is not None
            await ledger._book.shrink(lease, moved, everything=False)
            for call in moved:
                hold = await ledger.find_hold(call.receipt_id)
                assert [lot.amount for lot in hold.lots] == [hold.amount] == [call.amount_micro]
        assert await books.clean()

    async def test_that_is_over_lends_no_more_but_anew(self, books: Books, other: Ledger) -> None:
        """Somebody took the lease back, and its worker asks for more of it."""
        ledger, payer = books.ledger, await books.wallet(10**6)
        lost = await lent(ledger, payer)
        assert await other.reclaim_worker("one") == 1
        assert lost.lease is not None
        call = await lent(ledger, payer, lost.lease.free + 1)
        assert lost.lease.gone
        assert call.lease is not lost.lease
        await ledger.settle(call, books.charge(call.amount_micro))
        assert await books.clean()


class TestSpent:
    @pytest.mark.parametrize("together", [False, True])
    async def test_lot_is_over_and_the_next_one_pays(
        self, books: Books, clock: FixedClock, other: Ledger, together: bool
    ) -> None:
        """Two calls of a lease that has of both, in two batches or in one; another worker has of the second, too."""
        ledger, payer = books.ledger, await books.wallet()
        first = await books.fund(payer, 100, expires_at=clock.now() + timedelta(days=30))
        second = await books.fund(payer, 10_000)
        calls = [await lent(ledger, payer, amount) for amount in (100, 50)]
        await lent(other, payer)
        if together:
            settled = await asyncio.gather(*(ledger.settle(one, books.charge(one.amount_micro)) for one in calls))
        else:
            settled = [await ledger.settle(one, books.charge(one.amount_micro)) for one in calls]
        assert [[(lot.lot, lot.amount) for lot in one.burned] for one in settled] == [[(first, -100)], [(second, -50)]]
        assert [lot.remaining for lot in await ledger.lots(payer.id)] == [9_950]
        assert await books.clean()

    async def test_lot_and_the_next_one_pay_one_call(self, books: Books, clock: FixedClock, other: Ledger) -> None:
        ledger, payer = books.ledger, await books.wallet()
        first = await books.fund(payer, 100, expires_at=clock.now() + timedelta(days=30))
        second = await books.fund(payer, 10_000)
        call = await lent(ledger, payer, 150)
        await lent(other, payer)
        settled = await ledger.settle(call, books.charge(150))
        assert [(lot.lot, lot.amount) for lot in settled.burned] == [(first, -100), (second, -50)]
        assert await books.clean()


class TestReclaim:
    @pytest.mark.parametrize("by", ["the end of their time", "the end of a worker", "whoever needs it"])
    async def test_frees_all_of_the_lots_that_two_workers_had(
        self, books: Books, clock: FixedClock, other: Ledger, by: str
    ) -> None:
        """Two lots of one account, each with both of them."""
        start = clock.now()
        payer = await books.wallet(1_000, expires_at=start + timedelta(days=1))
        await books.fund(payer, 5_000)
        for ledger in (books.ledger, other):
            await lent(ledger, payer)
            assert await ledger._book._grant(payer.id, 1_000)
        per_lot = await books.ledger._db.fetch("SELECT count(*) FROM ledger.lease_lot GROUP BY lot")
        assert max(row[0] for row in per_lot) == 2
        assert len(per_lot) == 2
        if by == "the end of a worker":
            assert await other.reclaim_worker("one") == 1
            assert await other.reclaim_worker("two") == 1
        else:
            clock.advance(seconds=30)
            if by == "whoever needs it":
                until = clock.now() + timedelta(days=1)
                await other.hold(payer.id, 6_000, hold_id=new_id(), purpose="test", expires_at=until)
            else:
                assert (await other.sweep()).leases == 1
        assert await borrowed(books, payer) == 0
        assert (await books.ledger.balance(payer.id)).held == (6_000 if by == "whoever needs it" else 0)
        assert await books.clean()

    async def test_of_a_dead_worker_leaves_the_others_theirs(self, books: Books, other: Ledger) -> None:
        payer, elsewhere = await books.wallet(10_000), await books.wallet(10_000)
        await other.account(books.revenue.id)
        await lent(books.ledger, payer)
        calls = [await lent(other, payer), await lent(other, elsewhere)]
        assert await other.reclaim_worker("one") == 1
        for call in calls:
            await other.settle(call, books.charge(100))
        assert await books.clean()

    async def test_of_what_a_worker_gives_back_leaves_another_its_part_of_the_lot(
        self, books: Books, other: Ledger
    ) -> None:
        payer = await books.wallet(10_000)
        await other.account(books.revenue.id)
        await lent(books.ledger, payer)
        call = await lent(other, payer)
        await books.ledger._book.stop()
        assert await borrowed(books, payer) == (10_000 - 2_500) // 4
        await other.settle(call, books.charge(100))
        assert await books.clean()

    async def test_of_what_is_over_leaves_what_is_not(self, books: Books, clock: FixedClock, other: Ledger) -> None:
        payer = await books.wallet(10_000)
        await lent(other, payer)
        clock.advance(seconds=20)
        call = await lent(books.ledger, payer)
        clock.advance(seconds=10)
        assert (await other.sweep()).leases == 1
        await books.ledger.settle(call, books.charge(100))
        assert await books.clean()

    async def test_takes_no_more_accounts_at_once_than_it_may(self, books: Books) -> None:
        for _ in range(3):
            await lent(books.ledger, await books.wallet(10_000))
        store, now = books.ledger._store, books.ledger._clock.now()
        assert [await store.reclaim_worker("one", now, 2) for _ in range(3)] == [2, 1, 0]


class TestSweep:
    async def test_of_holds_takes_those_whose_time_is_over_so_many_at_once(
        self, books: Books, clock: FixedClock
    ) -> None:
        payer, ends = await books.wallet(100), clock.now() + timedelta(minutes=1)
        for until in (ends, ends, ends, ends + MOMENT):
            await books.ledger.hold(payer.id, 10, hold_id=new_id(), purpose="test", expires_at=until)

        async def swept(now: datetime) -> int:
            return (await books.ledger._store.sweep(now, 2))[0]

        assert await swept(ends - MOMENT) == 0
        assert [await swept(ends) for _ in range(3)] == [2, 1, 0]
        assert (await books.ledger.balance(payer.id)).held == 10
        assert await books.clean()

    async def test_leaves_a_hold_that_ended_while_it_waited(self, books: Books, database: Database) -> None:
        ledger, payer, hold_id = books.ledger, await books.wallet(100), new_id()
        until = ledger._clock.now() + timedelta(minutes=1)
        for identifier in (hold_id, new_id()):
            await ledger.hold(payer.id, 10, hold_id=identifier, purpose="test", expires_at=until)
        async with waiting(database, ACCOUNT, payer.id, lambda: ledger._store.sweep(until, 9)) as others:
            await ledger.escrow.trim(others, {hold_id: 0})
        assert (await ledger.find_hold(hold_id)).state == "voided"
        assert (await ledger.balance(payer.id)).held == 0
        assert await books.clean()
