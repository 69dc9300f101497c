"""What is set aside for orders: each has lots behind all of it, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.ledger.conftest import Books

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Account,
    Asset,
    Delivery,
    EscrowRequest,
    EscrowVerdict,
    HoldLacks,
    InsufficientCredit,
    Posting,
    Transfer,
)
from shanhe.ledger.holding import HoldRow


async def set_aside(books: Books, database: Database, *requests: EscrowRequest) -> list[EscrowVerdict]:
    async with database.transaction() as conn:
        return await books.ledger.escrow.hold(conn, requests)


class TestEscrow:
    async def test_refuses_what_does_not_fit_beside_what_does(self, books: Books, database: Database) -> None:
        wallet = await books.wallet(100)
        asked = [EscrowRequest(new_id(), wallet.id, amount) for amount in (50, 80, 30)]
        verdicts = await set_aside(books, database, *asked)
        assert [(one.verdict, one.available) for one in verdicts] == [("held", 0), ("short", 50), ("held", 0)]
        assert (await books.ledger.balance(wallet.id)).held == 80
        assert await books.clean()

    async def test_knows_what_it_set_aside_beside_what_it_has_not(self, books: Books, database: Database) -> None:
        wallet = await books.wallet(100)
        first, second = EscrowRequest(new_id(), wallet.id, 40), EscrowRequest(new_id(), wallet.id, 50)
        await set_aside(books, database, first)
        verdicts = await set_aside(books, database, second, first)
        assert [one.verdict for one in verdicts] == ["held", "known"]
        assert await books.clean()


class TestHold:
    async def test_of_a_free_call_names_no_lot_beside_others(self, books: Books, clock: FixedClock) -> None:
        """Three at once, as a queue sends them."""
        wallet, until = await books.wallet(100), clock.now() + timedelta(minutes=10)
        rows = [HoldRow(new_id(), wallet.id, amount, "call", until, None) for amount in (30, 0, 40)]
        await books.ledger._holder._flush(rows)
        held = [await row.future for row in rows]
        assert [[piece.amount for piece in one.pieces] for one in held] == [[30], [], [40]]
        assert await books.clean()


class Market:
    """A seller's credits and a buyer's money, each set aside, and whom their trades go to."""

    seller: Account
    money: Account
    receiver: Account
    payee: Account
    fund: Account
    source: UUID
    payment: UUID

    def __init__(self, books: Books, database: Database) -> None:
        self.books, self.db = books, database

    @classmethod
    async def of(cls, books: Books, database: Database, credits: int = 100, fen: int = 100) -> Market:
        made, ledger = cls(books, database), books.ledger
        made.seller, made.receiver = await books.wallet(credits), await books.wallet()
        made.money = await ledger.ensure_account(new_id(), Asset.CNY, "exchange_cash")
        made.payee = await ledger.ensure_account(new_id(), Asset.CNY, "exchange_cash")
        made.fund = await ledger.system_account("ecosystem", Asset.CNY)
        bank = await ledger.system_account("cash", Asset.CNY, "bank")
        paid = Transfer(new_id(), bank.id, made.money.id, fen)
        await ledger.post(Posting(id=new_id(), kind="deposit", transfers=(paid,)))
        made.source, made.payment = new_id(), new_id()
        asked = (EscrowRequest(made.source, made.seller.id, 60), EscrowRequest(made.payment, made.money.id, 60))
        await set_aside(books, database, *asked)
        return made

    def trade(self, quantity: int, price: int, fee: int = 0, **more: Any) -> Delivery:
        known = {"receiver": self.receiver.id, "payee": self.payee.id, "evidence": b"{}"} | more
        return Delivery(
            id=new_id(), source=self.source, quantity=quantity, payment=self.payment, price=price, fee=fee, **known
        )

    async def deliver(self, trades: Sequence[Delivery]) -> None:
        async with self.db.transaction() as conn:
            await self.books.ledger.escrow.deliver(conn, trades, kind="trade", fund=self.fund.id, unlock_at=None)

    async def balances(self) -> list[int]:
        accounts = (self.seller, self.receiver, self.money, self.payee, self.fund)
        return [(await self.books.ledger.balance(account.id)).balance for account in accounts]


class TestDelivery:
    async def test_of_several_books_each_with_its_own_evidence_and_nothing_for_what_is_free(
        self, books: Books, database: Database
    ) -> None:
        market = await Market.of(books, database)
        trades = [
            market.trade(10, 20, 2, evidence=b"1"),
            market.trade(1, 0, evidence=b"2"),
            market.trade(5, 5, evidence=b"3"),
        ]
        await market.deliver(trades)
        found = [await books.ledger.posting(one.id) for one in trades]
        assert [one.evidence for one in found] == [b"1", b"2", b"3"]
        assert [[leg.amount for leg in one.transfers] for one in found] == [[10, 20, 2], [1], [5, 5]]
        assert await market.balances() == [84, 16, 75, 23, 2]
        assert await books.clean()

    @pytest.mark.parametrize("side", ["source", "payment"])
    @pytest.mark.parametrize("fault", ["ended", "lost", "short"])
    async def test_from_a_hold_that_lacks_something_books_nothing(
        self, books: Books, database: Database, side: str, fault: str
    ) -> None:
        market = await Market.of(books, database)
        hold = getattr(market, side)
        if fault == "ended":
            await database.execute("UPDATE ledger.hold SET state = 'expired' WHERE id = $1", hold)
        elif fault == "lost":
            await database.execute("DELETE FROM ledger.hold WHERE id = $1", hold)
        else:
            async with database.transaction() as conn:
                await books.ledger.escrow.trim(conn, {hold: 9})
        before = await market.balances()
        with pytest.raises(HoldLacks):
            await market.deliver([market.trade(5, 5), market.trade(5, 5)])
        assert await market.balances() == before
        async with database.transaction() as conn:
            needs = {market.source: 10, market.payment: 10}
            assert await books.ledger.escrow.lacking(conn, needs) == {hold}

    async def test_to_somebody_unknown_books_nothing(self, books: Books, database: Database) -> None:
        market = await Market.of(books, database)
        with pytest.raises(asyncpg.PostgresError, match="an account is unknown"):
            await market.deliver([market.trade(5, 5, receiver=new_id())])
        assert await books.clean()

    async def test_is_not_booked_into_a_day_that_is_closed(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        """The clock was put back."""
        market = await Market.of(books, database)
        day = clock.today()
        clock.advance(days=1)
        await books.ledger.close_period(day, actor="accounts")
        clock.advance(days=-1)
        with pytest.raises(asyncpg.PostgresError, match="is closed"):
            await market.deliver([market.trade(5, 5)])
        assert await books.clean()

    async def test_says_of_what_was_set_aside_whether_any_of_it_was_used(
        self, books: Books, database: Database
    ) -> None:
        used, unused = [await Market.of(books, database) for _ in range(2)]
        await used.deliver([used.trade(5, 5)])
        holds = [used.source, used.payment, unused.source, unused.payment]
        async with database.transaction() as conn:
            await books.ledger.escrow.trim(conn, dict.fromkeys(holds, 0))
        states = [(await books.ledger.find_hold(one)).state for one in holds]
        assert states == ["captured", "captured", "voided", "voided"]

    @pytest.mark.parametrize("act", ["cut", "joined"])
    async def test_is_waited_for_by_whoever_changes_what_it_takes_from(
        self, books: Books, database: Database, act: str
    ) -> None:
        market, more, escrow = await Market.of(books, database), new_id(), books.ledger.escrow
        await set_aside(books, database, EscrowRequest(more, market.seller.id, 20))

        async def change() -> None:
            async with database.transaction() as conn:
                if act == "cut":
                    await escrow.trim(conn, {market.source: 12})
                else:
                    assert await escrow.merge(conn, market.source, more)

        async with database.transaction() as conn:
            await escrow.deliver(conn, [market.trade(25, 25)], kind="trade", fund=market.fund.id, unlock_at=None)
            changing = asyncio.create_task(change())
            while not changing.done() and not await conn.fetchval(  # noqa: ASYNC110 - nothing tells when it waits
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            ):
                await asyncio.sleep(0.01)
            assert not changing.done()
        await changing
        left = {"cut": 12, "joined": 35 + 20}[act]
        assert (await books.ledger.find_hold(market.source)).amount == left
        assert (await books.ledger.balance(market.seller.id)).held == left + (20 if act == "cut" else 0)
        assert await books.clean()

    async def test_leaves_nobody_what_an_order_has_set_aside(self, books: Books, database: Database) -> None:
        market = await Market.of(books, database)
        with pytest.raises(InsufficientCredit) as refused:
            out = Transfer(new_id(), market.money.id, market.payee.id, 50)
            await books.ledger.post(Posting(id=new_id(), kind="test", transfers=(out,)))
        assert refused.value.available_micro == 40


class TestCut:
    async def test_keeps_the_first_of_its_lots(self, books: Books, database: Database, clock: FixedClock) -> None:
        wallet, order = await books.wallet(), new_id()
        for days, amount in ((1, 10), (2, 7), (3, 5)):
            await books.fund(wallet, amount, expires_at=clock.now() + timedelta(days=days))
        await set_aside(books, database, EscrowRequest(order, wallet.id, 22))
        async with database.transaction() as conn:
            await books.ledger.escrow.trim(conn, {order: 15})
        held = {lot.issued: lot.held for lot in await books.ledger.lots(wallet.id)}
        assert held == {10: 10, 7: 5, 5: 0}
        assert await books.clean()

    async def test_of_what_has_ended_or_has_less_frees_nothing(self, books: Books, database: Database) -> None:
        wallet, orders = await books.wallet(100), [new_id() for _ in range(3)]
        await set_aside(books, database, *(EscrowRequest(one, wallet.id, 20) for one in orders))
        await books.ledger.void(orders[0])
        async with database.transaction() as conn:
            cut = await books.ledger.escrow.trim(conn, {orders[0]: 0, orders[1]: 21, orders[2]: 5})
        assert cut == 1
        assert (await books.ledger.balance(wallet.id)).held == 25
        assert await books.clean()


class TestLineage:
    @pytest.mark.parametrize("seconds", [0, 1])
    async def test_of_what_is_sold_has_no_lock_that_has_not_ended(
        self, books: Books, database: Database, clock: FixedClock, seconds: int
    ) -> None:
        """The database's own word, whoever asks."""
        wallet = await books.wallet(100, unlock_at=clock.now() + timedelta(seconds=seconds))
        (parent,) = await books.ledger.lots(wallet.id)
        insert = (
            "INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, open) "
            "VALUES ($1, $2, $3, $4, 1, 1, $5, true)"
        )
        await database.execute(insert, new_id(), wallet.id, "purchased", parent.id, clock.now())
        if seconds:
            with pytest.raises(asyncpg.PostgresError, match="is locked until"):
                await database.execute(insert, new_id(), wallet.id, "exchange", parent.id, clock.now())
        else:
            await database.execute(insert, new_id(), wallet.id, "exchange", parent.id, clock.now())
