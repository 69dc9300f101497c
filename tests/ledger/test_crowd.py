"""Many at once: two workers lend, hold, trade and lapse the same wallets' lots; nothing is lost, doubled or stuck.

What happens together is drawn at random; in which order the database takes it, nobody says. So each step tells only
what it was told itself, and between rounds everything that was told has to add up.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Account,
    Asset,
    Charge,
    Delivery,
    EscrowRequest,
    HoldClosed,
    InsufficientCredit,
    LeaseReclaimed,
    Ledger,
    Leg,
    Limit,
    NotBalanced,
    Posting,
    Provenance,
    Transfer,
    UnknownHold,
)
from shanhe.ledger.reservation import Reservation
from shanhe.ledger.service import CALL_TTL

from .conftest import TERMS, Books, open_books

FIRST = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
WALLETS = 3
WORKERS = 2
ROUNDS = 40
STEPS_AT_ONCE = 8
SEEDS_QUICK, SEEDS_PROVED = 3, 200
MARK = {"model": "small"}
CAP = 10**12
DAY = "2026-03-02"
MINTED = (Provenance.PURCHASED, Provenance.SUBSIDY, Provenance.REWARD)
ENDS = (None, timedelta(minutes=15), timedelta(days=1), timedelta(days=30), timedelta(days=400))
CRASH, FORGET = 0.02, 0.5
OLD_HOLD = "no open hold is older than its expiry"
"""Time passes here before the next sweep."""

BURNED = """
  SELECT p.id, coalesce(-sum(u.delta) FILTER (WHERE l.provenance = 'subsidy'), 0)::bigint AS subsidy,
         bool_or(l.earmark IS NOT NULL) AS marked
  FROM ledger.posting p, unnest(p.lots, p.lot_deltas) u(lot, delta) JOIN ledger.lot l ON l.id = u.lot
  WHERE u.delta < 0 AND p.id = ANY($1) GROUP BY p.id"""
OPEN = "SELECT id FROM ledger.hold WHERE account = ANY($1) AND state = 'open'"
LAPSED = """
  SELECT t.debit, sum(t.amount)::bigint AS amount FROM ledger.transfer t JOIN ledger.account a ON a.id = t.credit
  WHERE a.kind = 'breakage' AND t.debit = ANY($1) GROUP BY t.debit"""


@dataclass(eq=False)
class Purse:
    """A wallet with its money and its income, and what is known to have happened to them."""

    credits: Account
    cash: Account
    income: Account
    balance: int = 0
    money: int = 0
    lapsed: int = 0


@dataclass(eq=False)
class Open:
    """What a worker set aside, for a call or by a hold; `subsidy_max`, `marked`: what it may burn."""

    purse: Purse
    reservation: Reservation
    books: Books
    subsidy_max: int | None = None
    marked: bool = False
    busy: bool = False


@dataclass(eq=False)
class Order:
    """An escrow: of credits or of money."""

    purse: Purse
    selling: bool
    left: int
    busy: bool = False


class Crowd:
    """Steps drawn at random, several at once; between rounds everything is compared."""

    def __init__(self, db: Database, seed: int) -> None:
        self.db = db
        self.rng = random.Random(seed)
        self.clock = FixedClock(FIRST)
        self.opened: list[Open] = []
        self.orders: dict[UUID, Order] = {}
        self.calls: list[Open] = []
        self.counted: dict[UUID, int] = defaultdict(int)
        self.lives = 0
        self.lost: set[UUID] = set()
        """Receipts of calls whose worker died and may have been making holds of them."""
        self.draws: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.fund, 5), (self.pay_in, 2), (self.admit, 14), (self.settle, 12), (self.release, 4), (self.hold, 5),
            (self.move, 3), (self.reverse, 3), (self.place, 12), (self.amend, 2), (self.trade, 6), (self.end, 4),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        self.books = [await self.begin(number) for number in range(WORKERS)]
        self.purses = [await self.purse() for _ in range(WALLETS)]
        self.ids = [purse.credits.id for purse in self.purses]
        steps, weights = [step for step, _ in self.draws], [weight for _, weight in self.draws]
        for _ in self.purses:
            await asyncio.gather(self.fund(), self.pay_in())
        for _ in range(rounds):
            chosen = self.rng.choices(steps, weights, k=self.rng.randint(1, STEPS_AT_ONCE))
            await asyncio.gather(*(step() for step in chosen))
            await self.wait()
            await self.compare()
        await self.let_go()

    async def begin(self, number: int) -> Books:
        """A worker is started, under a name and with connections that only it has."""
        self.lives += 1
        db = await Database.open(self.db.dsn, size=2)
        ledger = Ledger(db, self.clock, worker=self.name(number), workers=WORKERS, terms=lambda _: TERMS)
        await ledger.start()
        return await open_books(ledger)

    def name(self, number: int) -> str:
        return f"worker {number} of life {self.lives}"

    async def purse(self) -> Purse:
        owner, ledger = new_id(), self.books[0].ledger
        return Purse(
            await ledger.ensure_account(owner, Asset.CREDIT, "wallet"),
            await ledger.ensure_account(owner, Asset.CNY, "exchange_cash"),
            await ledger.ensure_account(owner, Asset.CREDIT, "income"),
        )

    # -- steps --------------------------------------------------------------------------------------------------------

    def amount(self) -> int:
        return self.rng.choice([1, 2, 7, self.rng.randint(1, 200), self.rng.randint(1, 5000)])

    def some(self, most: int) -> int:
        """All of it, nothing, or a part."""
        return self.rng.choice([most, 0, self.rng.randint(0, most)])

    def idle(self) -> Open | None:
        """Something that is set aside and that nobody else ends in this round."""
        found = [one for one in self.opened if not one.busy]
        if not found:
            return None
        one = self.rng.choice(found)
        one.busy = True
        return one

    async def fund(self) -> None:
        purse, books, amount = self.rng.choice(self.purses), self.rng.choice(self.books), self.amount() * 20
        ends = self.rng.choice(ENDS)
        until = None if ends is None else self.clock.now() + ends
        mark = MARK if self.rng.random() < 0.15 else None
        await books.fund(purse.credits, amount, self.rng.choice(MINTED), until, earmark=mark)
        purse.balance += amount

    async def pay_in(self) -> None:
        purse, books, amount = self.rng.choice(self.purses), self.rng.choice(self.books), self.amount() * 10
        bank = await books.ledger.system_account("cash", Asset.CNY, "bank")
        transfer = Transfer(new_id(), bank.id, purse.cash.id, amount)
        await books.ledger.post(Posting(id=new_id(), kind="deposit", transfers=(transfer,)))
        purse.money += amount

    async def admit(self) -> None:
        purse, books, amount = self.rng.choice(self.purses), self.rng.choice(self.books), self.amount()
        if self.rng.random() < 0.03:
            amount = 0
        bound = self.rng.choice([None, None, 0, amount // 2])
        mark = self.rng.choice([None, None, MARK])
        limit = Limit(purse.credits.owner, "budget", DAY, CAP, amount)
        try:
            reservation = await books.ledger.admit(
                purse.credits.id, amount, receipt_id=new_id(), limits=(limit,), earmark=mark, subsidy_max_micro=bound
            )
        except InsufficientCredit:
            return
        self.opened.append(Open(purse, reservation, books, bound, mark is not None))

    async def settle(self) -> None:
        one = self.idle()
        if one is None:
            return
        total = self.some(one.reservation.amount_micro)
        maker = self.rng.choice([purse for purse in self.purses if purse is not one.purse])
        receiver = self.rng.choice([maker.income, maker.credits])
        part = self.some(total)
        legs = [Leg(one.books.revenue.id, total - part), Leg(receiver.id, part)]
        charge = Charge(
            total, tuple(leg for leg in legs if leg.amount_micro), b"{}",
            limit_actuals=(total,) * len(one.reservation.limits), subsidy_max_micro=one.subsidy_max,
        )  # fmt: skip
        try:
            await one.books.ledger.settle(one.reservation, charge)
        except (LeaseReclaimed, HoldClosed):
            return
        finally:
            self.opened.remove(one)
        one.purse.balance -= total
        if receiver is maker.credits:
            maker.balance += part
        if one.reservation.limits:
            self.counted[one.purse.credits.owner] += total
        if total:
            self.calls.append(one)

    async def release(self) -> None:
        one = self.idle()
        if one is not None:
            await one.books.ledger.release(one.reservation)
            self.opened.remove(one)

    async def hold(self) -> None:
        purse, books, amount = self.rng.choice(self.purses), self.rng.choice(self.books), self.amount()
        until = self.clock.now() + self.rng.choice([timedelta(minutes=1), timedelta(days=300)])
        try:
            reservation = await books.ledger.hold(
                purse.credits.id, amount, hold_id=new_id(), purpose="prize", expires_at=until
            )
        except InsufficientCredit:
            return
        self.opened.append(Open(purse, reservation, books))

    async def move(self) -> None:
        (giver, taker), amount = self.rng.sample(self.purses, 2), self.amount()
        transfer = Transfer(new_id(), giver.credits.id, taker.credits.id, amount)
        try:
            await self.rng.choice(self.books).ledger.post(Posting(id=new_id(), kind="move", transfers=(transfer,)))
        except (InsufficientCredit, NotBalanced):  # the latter of locked lots, which nobody passes on
            return
        giver.balance -= amount
        taker.balance += amount

    async def reverse(self) -> None:
        if not self.calls:
            return
        call = self.calls.pop(self.rng.randrange(len(self.calls)))
        ledger = self.rng.choice(self.books).ledger
        try:
            done = await ledger.reverse(call.reservation.receipt_id, actor="auditor", reason="random")
        except InsufficientCredit:  # what a hold captured, and who got it has spent
            return
        view = await ledger.posting(done.id)
        for purse in self.purses:
            purse.balance += view.moved(purse.credits.id)

    async def place(self) -> None:
        """Several orders in one transaction, as the exchange takes them."""
        orders = {
            new_id(): Order(self.rng.choice(self.purses), self.rng.random() < 0.5, self.amount())
            for _ in range(self.rng.randint(1, 5))
        }
        self.orders |= {key: orders[key] for key in await self.set_aside(orders)}

    async def set_aside(self, orders: dict[UUID, Order]) -> list[UUID]:
        requests = [
            EscrowRequest(key, one.purse.credits.id if one.selling else one.purse.cash.id, one.left)
            for key, one in orders.items()
        ]
        async with self.db.transaction() as conn:
            verdicts = await self.rng.choice(self.books).ledger.escrow.hold(conn, requests)
        return [key for key, verdict in zip(orders, verdicts, strict=True) if verdict.verdict == "held"]

    def taken_up(self, most: int) -> dict[UUID, Order]:
        """Some orders that nobody else touches in this round."""
        keys = [key for key, one in self.orders.items() if not one.busy and one.left]
        found = {key: self.orders[key] for key in self.rng.sample(keys, min(len(keys), most))}
        for one in found.values():
            one.busy = True
        return found

    async def amend(self) -> None:
        """An order gets more: another escrow is set aside and joined to its own."""
        for key, one in self.taken_up(1).items():
            extra = {new_id(): Order(one.purse, one.selling, self.amount())}
            for other in await self.set_aside(extra):
                async with self.db.transaction() as conn:
                    assert await self.books[0].ledger.escrow.merge(conn, key, other)
                one.left += extra[other].left
            one.busy = False

    async def trade(self) -> None:
        orders = self.taken_up(6)
        ledger, left = self.rng.choice(self.books).ledger, {key: one.left for key, one in orders.items()}
        fund = await ledger.system_account("ecosystem", Asset.CNY)
        trades = []
        for sell, seller in orders.items():
            for buy, buyer in orders.items():
                if (
                    seller.selling
                    and not buyer.selling
                    and seller.purse is not buyer.purse
                    and left[sell]
                    and left[buy]
                ):
                    quantity, price = self.some(left[sell] - 1) + 1, self.some(left[buy] - 1) + 1
                    left[sell] -= quantity
                    left[buy] -= price
                    trades.append(
                        Delivery(
                            id=new_id(), source=sell, receiver=buyer.purse.credits.id, quantity=quantity, payment=buy,
                            payee=seller.purse.cash.id, price=price, fee=self.some(price), evidence=b"{}",
                        )
                    )  # fmt: skip
        unlock_at = self.clock.now() + timedelta(days=1)
        async with self.db.transaction() as conn:
            await ledger.escrow.deliver(conn, trades, kind="trade", fund=fund.id, unlock_at=unlock_at)
        for one in trades:
            seller, buyer = orders[one.source].purse, orders[one.payment].purse
            seller.balance -= one.quantity
            buyer.balance += one.quantity
            buyer.money -= one.price
            seller.money += one.price - one.fee
        for key, order in orders.items():
            order.left, order.busy = left[key], False

    async def end(self) -> None:
        """Orders end, or are cut to what they still need."""
        orders = self.taken_up(3)
        keep = {key: self.rng.choice([0, one.left // 2]) for key, one in orders.items()}
        async with self.db.transaction() as conn:
            await self.books[0].ledger.escrow.trim(conn, keep)
        for key, one in orders.items():
            one.left, one.busy = keep[key], False

    # -- between rounds -----------------------------------------------------------------------------------------------

    async def wait(self) -> None:
        """Mostly not at all, at times for days; workers look after their leases, and now and then one dies."""
        for books in self.books:
            await asyncio.gather(*books.ledger._book._tasks)
            if self.rng.random() < FORGET:
                books.ledger._book._direct_until_s.clear()  # a second goes by quicker than here
        passed = self.rng.choice([0, 0, 0, self.rng.randint(1, 20), self.rng.randint(20, 120), 0, 60 * 20, 86_400 * 20])
        if passed:
            self.clock.advance(seconds=passed)
            for books in self.rng.sample(self.books, self.rng.randint(0, WORKERS)):
                await books.ledger._book.housekeep()
            await self.rng.choice(self.books).ledger.sweep()
        if self.rng.random() < CRASH:
            await self.crash(self.rng.randrange(WORKERS))

    async def crash(self, number: int) -> None:
        """A worker is gone with all that it had in memory; its leases are taken back at once, or once they lapse."""
        dead = self.books[number]
        await self.kill(dead.ledger)
        self.books[number] = await self.begin(number)
        taken_back = self.rng.random() < 0.5
        if taken_back:
            await self.books[number].ledger.reclaim_worker(dead.ledger._worker)
        for one in [one for one in self.opened if one.books is dead]:
            try:
                found = await self.books[number].ledger._open_hold(one.reservation.receipt_id)
            except (UnknownHold, HoldClosed):
                self.opened.remove(one)
                if not taken_back:
                    self.lost.add(one.reservation.receipt_id)
            else:
                one.reservation, one.books = found, self.books[number]

    async def kill(self, worker: Ledger) -> None:
        """It hears and does nothing any more, and at times was just making holds of its calls: what it asked the server
        for may still happen, and nobody is told."""
        if self.rng.random() < 0.5:
            for account in list(worker._book._leases):
                worker._book.recall(str(account))
            for _ in range(self.rng.randint(0, 20)):
                await asyncio.sleep(0)
        assert worker._keeper is not None
        for line in worker._lines:
            line._drop()
        doing = [worker._keeper, *worker._recalls, *worker._book._tasks]
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)
        await worker._db.close()

    async def compare(self) -> None:
        ledger = self.books[0].ledger
        report = await ledger.verify()
        assert [one for one in report.findings if one.invariant != OLD_HOLD] == []
        for row in await self.db.fetch(LAPSED, self.ids):
            purse = next(purse for purse in self.purses if purse.credits.id == row["debit"])
            purse.balance -= row["amount"] - purse.lapsed
            purse.lapsed = row["amount"]
        for purse in self.purses:
            assert (await ledger.balance(purse.credits.id)).balance == purse.balance
            assert (await ledger.balance(purse.cash.id)).balance == purse.money
        calls = {one.reservation.receipt_id: one for one in self.calls}
        for row in await self.db.fetch(BURNED, list(calls)):
            call = calls[row["id"]]
            assert row["subsidy"] <= (call.subsidy_max if call.subsidy_max is not None else CAP)
            assert call.marked or not row["marked"]

    async def let_go(self) -> None:
        """Everything is given back: nothing is set aside any more, and budgets say what calls cost. What nobody can
        give back is a hold that a worker made while it died; it ends with its time."""
        for one in self.opened:
            await one.books.ledger.release(one.reservation)
        async with self.db.transaction() as conn:
            await self.books[0].ledger.escrow.trim(conn, dict.fromkeys(self.orders, 0))
        for books in self.books:
            await self.leave(books.ledger)
        self.clock.advance(minutes=1)
        last = await self.begin(0)
        await last.ledger.sweep()
        orphans = {row["id"] for row in await self.db.fetch(OPEN, self.ids)}
        assert orphans <= self.lost
        if orphans:
            self.clock.advance(seconds=CALL_TTL.total_seconds())
            await last.ledger.sweep()
        assert await self.db.fetch("SELECT * FROM ledger.lot WHERE account = ANY($1) AND held <> 0", self.ids) == []
        assert await self.db.fetch("SELECT * FROM ledger.account WHERE id = ANY($1) AND held <> 0", self.ids) == []
        for scope, amount in self.counted.items():
            used = await self.db.fetchval("SELECT sum(used) FROM ledger.counter WHERE scope = $1", scope)
            assert used == amount if self.lives == WORKERS + 1 else used >= amount  # who died had borrowed some
        assert await last.clean()
        await self.leave(last.ledger)

    async def leave(self, worker: Ledger) -> None:
        """A worker ends in order."""
        await worker.stop()
        await worker._db.close()


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_loses_doubles_and_blocks_nothing(self, database: Database, seed: int) -> None:
        await Crowd(database, seed).live(ROUNDS)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_loses_doubles_and_blocks_nothing_whoever_comes(self, database: Database, seed: int) -> None:
        await Crowd(database, seed).live(ROUNDS)
