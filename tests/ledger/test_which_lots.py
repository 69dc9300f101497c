"""Whoever takes credits takes the same lots: in the order in which they burn (C12), none that cannot be spent now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import every
from shanhe.ledger.api import (
    Account,
    AlreadyReversed,
    Asset,
    EscrowRequest,
    IdempotencyConflict,
    InsufficientCredit,
    NewLot,
    Posting,
    Provenance,
    Reservation,
    Transfer,
)

from .conftest import Books, move

SIZE = 10
MARK = {"model": "small"}
INSTANT = timedelta(microseconds=1)
WAYS = ("hold", "bounded hold", "payment", "order")


class Wallet:
    """A wallet and ways to take ten credits out of it, or to set them aside."""

    def __init__(self, books: Books, database: Database, account: Account) -> None:
        self.books, self.db, self.account = books, database, account
        self.ids = sorted((new_id() for _ in range(20)), reverse=True)
        """What is issued later has a smaller id: nothing lies in order by chance."""

    async def lot(self, provenance: Provenance = Provenance.PURCHASED, **more: object) -> UUID:
        new = NewLot(id=self.ids.pop(0), account=self.account.id, provenance=provenance, amount=SIZE, **more)  # type: ignore[arg-type]
        issue = Transfer(new_id(), self.books.issuance.id, self.account.id, SIZE)
        await self.books.ledger.post(Posting(id=new_id(), kind="grant", transfers=(issue,), lots=(new,)))
        assert new.id is not None
        return new.id

    async def take(self, way: str, amount: int = SIZE) -> None:
        """`InsufficientCredit` when there is none that may be taken."""
        ledger, until = self.books.ledger, self.books.ledger._clock.now() + timedelta(minutes=5)
        if way == "hold":
            await ledger.hold(self.account.id, amount, hold_id=new_id(), purpose="prize", expires_at=until)
        elif way == "bounded hold":
            await ledger.admit(self.account.id, amount, receipt_id=new_id(), subsidy_max_micro=10 * SIZE)
        elif way == "payment":
            paid = Transfer(new_id(), self.account.id, self.books.revenue.id, amount)
            await ledger.post(Posting(id=new_id(), kind="test", transfers=(paid,)))
        else:
            async with self.db.transaction() as conn:
                asked = EscrowRequest(new_id(), self.account.id, amount)
                (found,) = await ledger.escrow.hold(conn, [asked])
            if found.verdict == "short":
                raise InsufficientCredit(self.account.id, found.available, amount)

    async def used_up(self) -> set[UUID]:
        query = "SELECT id FROM ledger.lot WHERE account = $1 AND remaining = held"
        return {row["id"] for row in await self.db.fetch(query, self.account.id)}

    async def taken(self, way: str) -> AsyncIterator[UUID]:
        """Lots in the order in which they are used up, each by one taking of its size, until that is refused."""
        before = await self.used_up()
        while True:
            try:
                await self.take(way)
            except InsufficientCredit:
                return
            (lot,) = (after := await self.used_up()) - before
            yield lot
            before = after


def pieces(reservation: Reservation) -> list[tuple[UUID, int, Provenance]]:
    assert reservation.held is not None
    return [(piece.lot, piece.amount, piece.provenance) for piece in reservation.held.pieces]


@pytest.fixture
async def wallet(books: Books, database: Database) -> Wallet:
    return Wallet(books, database, await books.wallet())


@pytest.mark.parametrize("way", WAYS)
class TestTaking:
    @pytest.mark.parametrize("marked", [False, True])
    async def test_uses_up_what_ends_first_then_by_provenance_then_the_oldest(
        self, wallet: Wallet, clock: FixedClock, way: str, marked: bool
    ) -> None:
        soon, later = clock.now() + timedelta(days=20), clock.now() + timedelta(days=60)
        if marked:
            await wallet.lot(earmark=MARK, expires_at=soon)
        last = await wallet.lot()
        bought = []
        for _ in range(2):
            clock.advance(seconds=1)
            bought.append(await wallet.lot(expires_at=later))
        reward = await wallet.lot(Provenance.REWARD, expires_at=later)
        subsidy = await wallet.lot(Provenance.SUBSIDY, expires_at=later)
        first = await wallet.lot(expires_at=soon)
        expected = [first, subsidy, reward, *bought, last]
        if way == "order":
            expected.remove(subsidy)
        assert [lot async for lot in wallet.taken(way)] == expected
        assert await wallet.books.clean()

    @pytest.mark.parametrize("marked", [False, True])
    async def test_begins_and_ends_with_a_lots_time_to_the_instant(
        self, wallet: Wallet, clock: FixedClock, way: str, marked: bool
    ) -> None:
        now = clock.now() + timedelta(days=1)
        if marked:
            await wallet.lot(earmark=MARK, expires_at=now + timedelta(seconds=1))
        await wallet.lot(expires_at=now)
        await wallet.lot(spendable_at=now + INSTANT, expires_at=now + timedelta(seconds=1))
        ends = await wallet.lot(expires_at=now + INSTANT)
        begins = await wallet.lot(spendable_at=now)
        clock.advance(days=1)
        assert [lot async for lot in wallet.taken(way)] == [ends, begins]

    async def test_of_part_of_a_lot_leaves_the_rest_to_the_next(
        self, wallet: Wallet, clock: FixedClock, way: str
    ) -> None:
        first = await wallet.lot()
        clock.advance(seconds=1)
        second = await wallet.lot()
        await wallet.take(way, SIZE - 3)
        assert await wallet.used_up() == set()
        await wallet.take(way, SIZE)
        assert await wallet.used_up() == {first}
        with pytest.raises(InsufficientCredit) as refused:
            await wallet.take(way, 4)
        assert refused.value.available_micro == 3
        await wallet.take(way, 3)
        assert await wallet.used_up() == {first, second}
        assert await wallet.books.clean()

    async def test_asks_workers_to_give_back_what_they_borrow_and_it_lacks(
        self, books: Books, database: Database, dsn: str, way: str
    ) -> None:
        rich = Wallet(books, database, await books.wallet(1_000_000))
        await books.call(rich.account, 1_000)
        heard = asyncio.get_running_loop().create_future()
        listening = await asyncpg.connect(dsn)
        await listening.add_listener("ledger_recall", lambda *told: heard.done() or heard.set_result(told[-1]))
        with contextlib.suppress(InsufficientCredit):  # or it gets it, once it was given back
            await rich.take(way, 998_999)
        assert await asyncio.wait_for(heard, timeout=30) == str(rich.account.id)
        await listening.close()


class TestHold:
    @pytest.mark.parametrize("other", ["account", "amount", "purpose", "end"])
    @pytest.mark.parametrize("marked", [False, True])
    async def test_is_another_one_under_the_same_number(
        self, books: Books, clock: FixedClock, other: str, marked: bool
    ) -> None:
        """A request that comes again gets what it got; one that only has its number gets nothing."""
        wallets = [await books.wallet(100), await books.wallet(100)]
        if marked:
            for wallet in wallets:
                await books.fund(wallet, 10, earmark=MARK)
        for wallet in wallets:
            await books.fund(wallet, 50, Provenance.REWARD, clock.now() + timedelta(days=9))
        ledger, identifier, until = books.ledger, new_id(), clock.now() + timedelta(minutes=5)
        first = await ledger.hold(wallets[0].id, 70, hold_id=identifier, purpose="call", expires_at=until)
        again = await ledger.hold(wallets[0].id, 70, hold_id=identifier, purpose="call", expires_at=until)
        bounded = await ledger.admit(wallets[0].id, 70, receipt_id=identifier, subsidy_max_micro=0)
        assert pieces(first) == pieces(again) == pieces(bounded)
        assert [(amount, name) for _, amount, name in pieces(first)] == [
            (50, Provenance.REWARD), (20, Provenance.PURCHASED),
        ]  # fmt: skip
        assert (await ledger.find_hold(identifier)).expires_at == until
        wallet, amount, purpose = wallets[other == "account"], 71 if other == "amount" else 70, "call"
        if other == "purpose":
            identifier, purpose = new_id(), "prize"
            await ledger.hold(wallet.id, amount, hold_id=identifier, purpose="order", expires_at=until)
        if other == "end":
            await ledger.void(first)
        with pytest.raises(IdempotencyConflict):
            await ledger.hold(wallet.id, amount, hold_id=identifier, purpose=purpose, expires_at=until)
        with pytest.raises(IdempotencyConflict):
            await ledger.admit(wallet.id, amount, receipt_id=identifier, subsidy_max_micro=0)
        assert await books.clean()

    async def test_counts_only_subsidy_against_its_bound(self, wallet: Wallet, clock: FixedClock) -> None:
        """What burns before it does not use it up."""
        bought = await wallet.lot(expires_at=clock.now() + timedelta(days=20))
        subsidies = [
            await wallet.lot(Provenance.SUBSIDY, expires_at=clock.now() + timedelta(days=days)) for days in (30, 31)
        ]
        ledger = wallet.books.ledger
        held = await ledger.admit(wallet.account.id, SIZE + 12, receipt_id=new_id(), subsidy_max_micro=12)
        assert [(lot, amount) for lot, amount, _ in pieces(held)] == [
            (bought, 10),
            (subsidies[0], 10),
            (subsidies[1], 2),
        ]
        with pytest.raises(InsufficientCredit):
            await ledger.admit(wallet.account.id, 1, receipt_id=new_id(), subsidy_max_micro=0)


class TestOrder:
    async def test_takes_what_is_locked_from_the_instant_on_at_which_the_lock_ends(
        self, wallet: Wallet, clock: FixedClock
    ) -> None:
        await wallet.lot(unlock_at=clock.now() + INSTANT)
        free = await wallet.lot(unlock_at=clock.now())
        assert [lot async for lot in wallet.taken("order")] == [free]

    async def test_stands_until_the_first_of_its_lots_ends(
        self, wallet: Wallet, clock: FixedClock, database: Database
    ) -> None:
        ends = [clock.now() + timedelta(days=days) for days in (30, 20)]
        for end in ends:
            await wallet.lot(expires_at=end)
        async with database.transaction() as conn:
            asked = [EscrowRequest(new_id(), wallet.account.id, amount) for amount in (SIZE + 1, SIZE - 1)]
            verdicts = await wallet.books.ledger.escrow.hold(conn, asked)
        assert [one.expiry for one in verdicts] == [ends[1], ends[0]]

    async def test_under_the_number_of_somebody_elses_is_refused(
        self, wallet: Wallet, books: Books, database: Database
    ) -> None:
        other = await books.wallet(SIZE)
        await wallet.lot()
        asked = EscrowRequest(new_id(), wallet.account.id, SIZE)
        for request, verdict in (
            (asked, "held"),
            (EscrowRequest(asked.id, other.id, SIZE), "conflict"),
            (asked, "known"),
        ):
            async with database.transaction() as conn:
                (found,) = await books.ledger.escrow.hold(conn, [request])
            assert found.verdict == verdict
        assert (await books.ledger.balance(other.id)).held == 0


class TestIssue:
    @pytest.mark.parametrize(
        ("more", "spent"),
        [
            ({"earmark": MARK}, False),
            ({"spendable_at": INSTANT}, False),
            ({"spendable_at": timedelta(0)}, True),
            ({"expires_at": timedelta(0)}, False),
            ({"expires_at": INSTANT}, True),
        ],
    )
    async def test_pays_in_its_own_posting_only_what_it_could_pay_then(
        self, books: Books, clock: FixedClock, more: dict[str, Any], spent: bool
    ) -> None:
        wallet, now = await books.wallet(), clock.now()
        times = {name: now + value if isinstance(value, timedelta) else value for name, value in more.items()}
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=SIZE, **times)
        ways = ((books.issuance.id, wallet.id), (wallet.id, books.revenue.id))
        legs = tuple(Transfer(new_id(), debit, credit, SIZE) for debit, credit in ways)
        with contextlib.nullcontext() if spent else pytest.raises(InsufficientCredit):
            await books.ledger.post(Posting(id=new_id(), kind="test", transfers=legs, lots=(lot,)))
        assert (await books.ledger.balance(wallet.id)).balance == 0
        assert await books.clean()


class TestList:
    async def test_comes_in_pages_in_burn_order_whatever_is_spent_meanwhile(
        self, wallet: Wallet, clock: FixedClock
    ) -> None:
        soon, later = clock.now() + timedelta(days=20), clock.now() + timedelta(days=60)
        for end in (None, later, soon, soon, None):
            for provenance in (Provenance.REWARD, Provenance.PURCHASED):
                await wallet.lot(provenance, expires_at=end)
        ledger, before, seen = wallet.books.ledger, None, list[UUID]()
        whole = [lot.id for lot in await ledger.lots(wallet.account.id)]
        while page := await ledger.lots(wallet.account.id, before=before, limit=3):
            seen += [lot.id for lot in page]
            await wallet.take("payment", SIZE * len(page))
            before = seen[-1]
        assert seen == whole
        assert [lot.id async for lot in every(partial(ledger.lots, wallet.account.id, spent=True, limit=3))] == whole

    async def test_of_all_lots_comes_in_pages_those_that_are_spent_last(self, wallet: Wallet) -> None:
        lots = sorted([await wallet.lot() for _ in range(6)])
        await wallet.take("payment", 2 * SIZE)
        listed = partial(wallet.books.ledger.lots, wallet.account.id, spent=True, limit=2)
        assert [lot.id async for lot in every(listed)] == lots[2:] + lots[:2]


class TestHandedOn:
    async def test_keeps_its_lock_and_its_end(self, books: Books, clock: FixedClock) -> None:
        """What is locked can't be sold by whoever got it, either (C6)."""
        giver, taker, now = await books.wallet(), await books.wallet(), clock.now()
        times = {"spendable_at": now, "unlock_at": now + timedelta(days=9), "expires_at": now + timedelta(days=90)}
        await books.fund(giver, SIZE, **times)
        await books.ledger.post(move(giver.id, taker.id, SIZE))
        (lot,) = await books.ledger.lots(taker.id)
        assert {name: getattr(lot, name) for name in times} == times
        assert await books.clean()


class TestMoney:
    async def test_that_was_moved_is_moved_back_once(self, books: Books) -> None:
        """Between accounts that bear no lots."""
        ledger, cash = books.ledger, await books.ledger.system_account("cash", Asset.CNY)
        account = await ledger.ensure_account(new_id(), Asset.CNY, "wallet")
        paid = move(cash.id, account.id, SIZE)
        await ledger.post(paid)
        await ledger.post(move(cash.id, account.id, SIZE))
        await ledger.reverse(paid.id, actor="test", reason="test")
        with pytest.raises(AlreadyReversed):
            await ledger.reverse(paid.id, actor="test", reason="test")
        assert (await ledger.balance(account.id)).balance == SIZE
        assert await books.clean()
