"""Whoever needs rows of several accounts takes the accounts in the order of their ids, and of an account nothing before
it: so nobody waits for somebody who waits for them. Where others do otherwise, what was undone is done again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Account,
    Asset,
    Charge,
    EscrowRequest,
    Leg,
    Posting,
    Preamble,
    Transfer,
    preamble_of,
)
from shanhe.ledger.holding import HoldRow
from shanhe.ledger.reservation import Reservation

from .conftest import Books
from .test_escrow import Market, set_aside

ACCOUNT = "SELECT FROM ledger.account WHERE id = $1 FOR UPDATE"
STRIPE = "SELECT FROM ledger.stripe WHERE account = $1 FOR UPDATE"
WAITED_FOR = "SELECT EXISTS (SELECT FROM pg_locks l WHERE pg_backend_pid() = ANY(pg_blocking_pids(l.pid)))"
TAKEN = """
WITH account AS (SELECT id FROM ledger.account FOR UPDATE SKIP LOCKED),
  lot AS (SELECT id FROM ledger.lot FOR UPDATE SKIP LOCKED),
  hold AS (SELECT id FROM ledger.hold FOR UPDATE SKIP LOCKED),
  lease AS (SELECT epoch FROM ledger.lease FOR UPDATE SKIP LOCKED),
  lent AS (SELECT epoch, lot FROM ledger.lease_lot FOR UPDATE SKIP LOCKED)
SELECT id FROM ledger.account WHERE id NOT IN (SELECT id FROM account)
UNION ALL SELECT account FROM ledger.lot WHERE id NOT IN (SELECT id FROM lot)
UNION ALL SELECT account FROM ledger.hold WHERE id NOT IN (SELECT id FROM hold)
UNION ALL SELECT account FROM ledger.lease WHERE epoch NOT IN (SELECT epoch FROM lease)
UNION ALL SELECT l.account FROM ledger.lease_lot o JOIN ledger.lot l ON l.id = o.lot
  WHERE (o.epoch, o.lot) NOT IN (SELECT epoch, lot FROM lent)
"""
"""Whose rows somebody has locked: an account for each."""
STRIPES_TAKEN = """
WITH free AS (SELECT account FROM ledger.stripe FOR UPDATE SKIP LOCKED)
SELECT account FROM ledger.stripe WHERE account NOT IN (SELECT account FROM free)
"""
Work = Callable[[], Awaitable[Any]]
Act = Callable[["Scene"], Awaitable[tuple[list[UUID], Work]]]


class Scene:
    """What the acts below are made of: wallets, and calls of theirs."""

    def __init__(self, books: Books, db: Database) -> None:
        self.books, self.ledger, self.db = books, books.ledger, db
        self.until = books.ledger._clock.now() + timedelta(minutes=1)

    async def wallets(self, count: int = 2, amount: int = 100_000) -> list[Account]:
        """The youngest first: not in the order of their ids."""
        found = [await self.books.wallet(amount) for _ in range(count)]
        return sorted(found, key=lambda one: one.id, reverse=True)

    async def called(self, *payers: Account) -> list[Reservation]:
        """A call of each, from a lease."""
        found = [await self.ledger.admit(one.id, 100, receipt_id=new_id()) for one in payers]
        assert all(one.lease is not None for one in found)
        await asyncio.gather(*self.ledger._book._tasks)
        return found

    async def held(self, *payers: Account) -> list[Reservation]:
        """A hold of each."""
        hold = self.ledger.hold
        return [await hold(one.id, 100, hold_id=new_id(), purpose="test", expires_at=self.until) for one in payers]

    async def settle(self, calls: Sequence[Reservation], *receivers: Account) -> None:
        """All in one batch."""
        legs = tuple(Leg(one.id, 30) for one in receivers)
        charge = Charge(30 * len(legs), legs, b"{}")
        await asyncio.gather(*(self.ledger.settle(one, charge) for one in calls))


async def a_posting(scene: Scene) -> tuple[list[UUID], Work]:
    one, two, three = await scene.wallets(3)
    transfers = tuple(Transfer(new_id(), a.id, b.id, 10) for a, b in ((one, two), (two, three), (three, one)))
    posting = Posting(id=new_id(), kind="test", transfers=transfers)
    return [one.id, two.id, three.id], lambda: scene.ledger.post(posting)


async def calls_of_two(scene: Scene) -> tuple[list[UUID], Work]:
    payers = await scene.wallets()
    calls = await scene.called(*payers)
    return [one.id for one in payers], lambda: scene.settle(calls, scene.books.revenue)


async def a_call(scene: Scene) -> tuple[list[UUID], Work]:
    (payer,) = await scene.wallets(1)
    calls = await scene.called(payer)
    return [payer.id], lambda: scene.settle(calls, scene.books.revenue)


async def a_call_that_pays_its_maker(scene: Scene) -> tuple[list[UUID], Work]:
    maker, payer = await scene.wallets()
    calls = await scene.called(payer)
    return [maker.id, payer.id], lambda: scene.settle(calls, maker)


async def calls_that_pay_makers(scene: Scene) -> tuple[list[UUID], Work]:
    """From a lease and from a hold."""
    maker, payer, other, another = await scene.wallets(4)
    calls = await scene.called(payer) + await scene.held(other)
    accounts = [maker.id, payer.id, other.id, another.id]
    return accounts, lambda: scene.settle(calls, maker, another)


async def holds_in_a_group(scene: Scene) -> tuple[list[UUID], Work]:
    payers = await scene.wallets(3)
    rows = [HoldRow(new_id(), one.id, 10, "test", scene.until, None) for one in payers]
    return [one.id for one in payers], lambda: scene.ledger._holder._flush(rows)


async def a_hold_of_bounded_subsidy(scene: Scene) -> tuple[list[UUID], Work]:
    (payer,) = await scene.wallets(1)
    admit = scene.ledger.admit
    return [payer.id], lambda: admit(payer.id, 100, receipt_id=new_id(), subsidy_max_micro=10)


async def a_lease(scene: Scene) -> tuple[list[UUID], Work]:
    (payer,) = await scene.wallets(1)
    return [payer.id], lambda: scene.ledger.admit(payer.id, 100, receipt_id=new_id())


async def a_recall(scene: Scene) -> tuple[list[UUID], Work]:
    (payer,) = await scene.wallets(1)
    (call,) = await scene.called(payer)
    assert call.lease is not None
    lease = call.lease
    return [payer.id], lambda: scene.ledger._book.shrink(lease, [call], everything=True)


async def an_escrow(scene: Scene) -> tuple[list[UUID], Work]:
    payers = await scene.wallets(3)
    asked = [EscrowRequest(new_id(), one.id, 10) for one in payers]
    return [one.id for one in payers], lambda: set_aside(scene.books, scene.db, *asked)


async def a_cut(scene: Scene) -> tuple[list[UUID], Work]:
    payers = await scene.wallets(3)
    keep = {one.receipt_id: 50 for one in await scene.held(*payers)}

    async def cut() -> None:
        async with scene.db.transaction() as conn:
            await scene.ledger.escrow.trim(conn, keep)

    return [one.id for one in payers], cut


async def a_join(scene: Scene) -> tuple[list[UUID], Work]:
    (payer,) = await scene.wallets(1)
    one, two = await scene.held(payer, payer)

    async def join() -> None:
        async with scene.db.transaction() as conn:
            assert await scene.ledger.escrow.merge(conn, one.receipt_id, two.receipt_id)

    return [payer.id], join


async def a_trade(scene: Scene) -> tuple[list[UUID], Work]:
    market = await Market.of(scene.books, scene.db)
    accounts = [market.seller, market.money, market.receiver, market.payee, market.fund]
    return [one.id for one in accounts], lambda: market.deliver([market.trade(10, 10)])


async def a_sweep_of_holds(scene: Scene) -> tuple[list[UUID], Work]:
    payers = await scene.wallets(3)
    await scene.held(*payers)
    return [one.id for one in payers], lambda: scene.ledger._store.sweep(scene.until, 10)


async def a_sweep_of_leases(scene: Scene) -> tuple[list[UUID], Work]:
    payers = await scene.wallets(3)
    await scene.called(*payers)
    return [one.id for one in payers], lambda: scene.ledger.reclaim_worker("one")


ACTS: list[Act] = [
    a_posting, a_call, calls_of_two, a_call_that_pays_its_maker, calls_that_pay_makers, holds_in_a_group,
    a_hold_of_bounded_subsidy, a_lease, a_recall, an_escrow, a_cut, a_join, a_trade, a_sweep_of_holds,
    a_sweep_of_leases,
]  # fmt: skip


@asynccontextmanager
async def waiting(db: Database, lock: str, subject: UUID, work: Work) -> AsyncIterator[asyncpg.Connection[Any]]:
    """While `work` waits for a row that somebody has locked; it is done afterwards."""
    async with db.transaction() as others:
        await others.execute(lock, subject)
        working = asyncio.ensure_future(work())
        while not working.done() and not await others.fetchval(WAITED_FOR):  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)
        assert not working.done()
        yield others
    await working


async def taken(db: Database, query: str) -> list[UUID]:
    async with db.transaction() as conn:
        return [row[0] for row in await conn.fetch(query)]


class TestAccounts:
    @pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
    async def test_come_first_and_in_the_order_of_their_ids(self, books: Books, database: Database, act: Act) -> None:
        """Others have one of them: all before it are taken by now, nothing of it and nothing of those after it."""
        scene, place, count = Scene(books, database), 0, 1
        while place < count:
            accounts, work = await act(scene)
            accounts, count = sorted(accounts), len(accounts)
            async with waiting(database, ACCOUNT, accounts[place], work):
                found = await taken(database, TAKEN)
            assert set(found) - set(accounts[:place]) == {accounts[place]}
            assert found.count(accounts[place]) == 1
            assert set(accounts[:place]) <= set(found)
            place += 1
        assert await books.clean()


class TestStripes:
    @pytest.mark.parametrize("how", ["posting", "calls", "holds"])
    async def test_come_in_the_order_of_their_ids(self, books: Books, database: Database, how: str) -> None:
        ledger, scene = books.ledger, Scene(books, database)
        unbounded = [await ledger.system_account("test", Asset.CREDIT, str(number)) for number in range(3)]
        one, two, three = sorted(unbounded, key=lambda account: account.id)

        async def work() -> None:
            if how == "posting":
                transfers = tuple(Transfer(new_id(), a.id, b.id, 10) for a, b in ((three, one), (two, one)))
                await ledger.post(Posting(id=new_id(), kind="test", transfers=transfers))
            else:
                await scene.settle(reserved, three, two, one)

        (payer,) = await scene.wallets(1)
        reserve = scene.held if how == "holds" else scene.called
        reserved = await reserve(payer)
        await work()
        for place, account in enumerate((one, two, three)):
            reserved = await reserve(payer)
            async with waiting(database, STRIPE, account.id, work):
                found = await taken(database, STRIPES_TAKEN)
            assert set(found) == {other.id for other in (one, two, three)[: place + 1]}
        assert await books.clean()


class TestPreambles:
    async def test_of_a_batch_come_in_the_order_of_their_ids(self, books: Books, database: Database) -> None:
        scene = Scene(books, database)
        first, last = sorted((preamble_of(b'{"model":"a",'), preamble_of(b'{"model":"b",')), key=lambda one: one.id)
        (payer,) = await scene.wallets(1)
        calls = await scene.called(payer, payer)

        async def work() -> None:
            legs = (Leg(books.revenue.id, 100),)
            charges = [Charge(100, legs, b'"n":1}', preamble=one) for one in (last, first)]
            await asyncio.gather(*map(books.ledger.settle, calls, charges))

        async def write(conn: Any, preamble: Preamble) -> None:
            await conn.execute("INSERT INTO ledger.preamble VALUES ($1, $2)", preamble.id, preamble.text)

        async with database.transaction() as others:
            await write(others, first)
            working = asyncio.ensure_future(work())
            while not working.done() and not await others.fetchval(WAITED_FOR):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.01)
            await others.execute("SET LOCAL lock_timeout = '1ms'")
            await write(others, last)
        await working
        assert await books.clean()


class TestUndone:
    """Somebody has an account and asks for one before it, which this has; the server ends one of the two."""

    @pytest.mark.parametrize(
        "act", [a_call_that_pays_its_maker, holds_in_a_group, a_posting], ids=lambda act: act.__name__
    )
    async def test_work_is_done_again(self, books: Books, database: Database, act: Act) -> None:
        accounts, work = await act(Scene(books, database))
        first, *_, last = sorted(accounts)
        async with waiting(database, ACCOUNT, last, work) as others:
            await others.execute("SET LOCAL deadlock_timeout = '1min'")  # so it isn't the others that are ended
            await others.execute(ACCOUNT, first)
        assert await books.clean()
