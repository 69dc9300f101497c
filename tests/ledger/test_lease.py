"""A lease lends what it has, once; what a call counted and did not use is given back, however the call ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from shanhe.kernel.clock import FixedClock, add_months, midnight
from shanhe.kernel.ids import new_id
from shanhe.ledger import leases
from shanhe.ledger.api import (
    Account,
    Asset,
    Charge,
    HoldClosed,
    IdempotencyConflict,
    InsufficientCredit,
    LeaseReclaimed,
    Ledger,
    LedgerFull,
    LedgerUnavailable,
    Leg,
    Limit,
    NotBalanced,
    Provenance,
)
from shanhe.ledger.commit import ConnectionLost, Line
from shanhe.ledger.leases import GRANT, SHRINK
from shanhe.ledger.reservation import Lease, Reservation

from .conftest import TERMS, Books
from .test_away import Faults, away, used

WEALTH = 1_000_000
DAY = "2026-11-20"


def budget(amount: int = 1000) -> Limit:
    """A key's budget of a day, which nothing has used yet."""
    return Limit(new_id(), "budget_per_day", DAY, WEALTH, amount)


def counted(charge: Charge) -> Charge:
    """The same, counted against one budget."""
    return msgspec.structs.replace(charge, limit_actuals=(charge.total_micro,))


async def spent(ledger: Ledger, limit: Limit) -> int:
    await ledger._counters.housekeep(everything=True)
    return await used(ledger, limit.scope)


def whole(lease: Lease) -> bool:
    """Whether what it has is what is free and what its open calls reserved."""
    carved = sum(one.amount_micro for one in lease.open if one.carved is not None)
    reserved = sum(one.amount_micro for one in lease.open)
    return sum(piece.amount for piece in lease.pieces) == lease.free + reserved - carved


async def somebody_elses(books: Books, payer: Account, amount: int) -> None:
    """A hold that a late capture could take from, if nothing refused it."""
    until = books.ledger._clock.now() + timedelta(days=1)
    await books.ledger.hold(payer.id, amount, hold_id=new_id(), purpose="escrow", expires_at=until)


class Lent:
    """A payer with a lease, and the lease."""

    def __init__(self, books: Books, payer: Account) -> None:
        self.books, self.ledger, self.payer = books, books.ledger, payer
        self.lease = books.ledger._book._leases[payer.id]

    @classmethod
    async def of(cls, books: Books, **lot: Any) -> Lent:
        payer = await books.wallet(WEALTH, **lot)
        await books.call(payer, 1000)
        return cls(books, payer)

    def call(self, amount: int = 1000, *limits: Limit, **more: Any) -> Reservation:
        """A call admitted from memory."""
        found = self.ledger.try_admit(self.payer.id, amount, receipt_id=new_id(), limits=limits, **more)
        assert found is not None
        return found

    def refuses(self, amount: int, **more: Any) -> bool:
        return self.ledger.try_admit(self.payer.id, amount, receipt_id=new_id(), **more) is None

    async def returned(self) -> int:
        """What is set aside once the lease is given back."""
        await self.ledger._book.stop()
        balance = await self.ledger.balance(self.payer.id)
        return balance.held + balance.leased


@pytest.fixture
async def lent(books: Books) -> Lent:
    return await Lent.of(books)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once a lease's giving back may go on to the database."""
    may, real = asyncio.Event(), Line.fetch

    async def fetch(line: Line, query: str, *args: Any) -> list[Any]:
        if query == SHRINK:
            await may.wait()
        return await real(line, query, *args)

    monkeypatch.setattr(Line, "fetch", fetch)
    return may


class TestLease:
    @pytest.mark.parametrize("unsubsidised", [False, True])
    async def test_lends_all_that_it_has_and_no_more(self, lent: Lent, unsubsidised: bool) -> None:
        assert lent.refuses(lent.lease.free + 1, unsubsidised=unsubsidised)
        last = lent.call(lent.lease.free, unsubsidised=unsubsidised)
        assert lent.refuses(1, unsubsidised=unsubsidised)
        before = (await lent.ledger.balance(lent.payer.id)).balance
        await lent.ledger.settle(last, lent.books.charge(last.amount_micro))
        assert (await lent.ledger.balance(lent.payer.id)).balance == before - last.amount_micro
        assert await lent.books.clean()

    async def test_gives_back_all_of_a_lot_that_it_has_on_both_sides_of_another(self, lent: Lent) -> None:
        """Some of what was granted first is left when a lot arrives that burns before it, and more is granted."""
        subsidy = await lent.books.fund(lent.payer, 5000, Provenance.SUBSIDY)
        for _ in range(4):
            await lent.books.call(lent.payer, 40_000)
        await asyncio.gather(*lent.ledger._book._tasks)
        lots = [piece.lot for piece in lent.lease.pieces]
        assert lots[0] == lots[-1] != subsidy
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_is_of_nothing_that_is_pledged(self, books: Books) -> None:
        payer = await books.wallet(WEALTH)
        await books.ledger.set_floor(payer.id, WEALTH - 50_000)
        await books.call(payer, 1000)
        assert 0 < (await books.ledger.balance(payer.id)).leased <= 49_000
        assert Lent(books, payer).refuses(49_001)

    async def test_is_of_nothing_that_cannot_be_spent_yet(self, books: Books, clock: FixedClock) -> None:
        """A maker's income of this week, say, which would burn first."""
        now = clock.now()
        payer = await books.wallet(100_000, expires_at=now + timedelta(days=90))
        spendable = (await books.ledger.lots(payer.id))[0].id
        later, ends = now + timedelta(days=7), now + timedelta(days=30)
        await books.fund(payer, WEALTH, Provenance.REWARD, expires_at=ends, spendable_at=later)
        await books.call(payer, 1000)
        lent = Lent(books, payer)
        assert {piece.lot for piece in lent.lease.pieces} == {spendable}
        assert (await books.ledger.balance(payer.id)).leased <= 50_000
        clock.advance(days=7)
        await books.call(payer, 1000)
        assert {piece.lot for piece in Lent(books, payer).lease.pieces} != {spendable}
        assert await lent.returned() == 0
        assert await books.clean()

    @pytest.mark.parametrize("unsubsidised", [False, True])
    async def test_that_is_over_lends_nothing(self, lent: Lent, clock: FixedClock, unsubsidised: bool) -> None:
        clock.advance(seconds=29)
        assert not lent.refuses(1, unsubsidised=unsubsidised)
        clock.advance(seconds=1)
        assert lent.refuses(1, unsubsidised=unsubsidised)

    async def test_with_subsidy_in_front_pays_no_call_that_no_subsidy_may_and_counts_none(
        self, books: Books, clock: FixedClock
    ) -> None:
        lent = await Lent.of(books, provenance=Provenance.SUBSIDY, expires_at=clock.now() + timedelta(days=9))
        limit = budget()
        await lent.ledger.release(await lent.ledger.admit(lent.payer.id, 1000, receipt_id=new_id(), limits=(limit,)))
        assert lent.refuses(1000, limits=(limit,), unsubsidised=True)
        with pytest.raises(InsufficientCredit):
            await lent.ledger.admit(lent.payer.id, 1000, receipt_id=new_id(), limits=(limit,), subsidy_max_micro=0)
        assert await spent(lent.ledger, limit) == 0

    async def test_that_was_recalled_leaves_holds_and_lends_nothing_for_a_while(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leases, "DIRECT_FOR_S", 3_600.0)
        running = lent.call()
        lent.ledger._book.recall(str(lent.payer.id))
        await asyncio.gather(*lent.ledger._book._tasks)
        assert (await lent.ledger.find_hold(running.receipt_id)).amount == 1000
        assert (await lent.ledger.balance(lent.payer.id)).leased == 0
        assert (await lent.ledger.admit(lent.payer.id, 1000, receipt_id=new_id())).held is not None

    async def test_whose_recall_did_not_reach_the_database_is_as_it_was(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults, running = Faults(monkeypatch), lent.call()
        faults.before = away
        await lent.ledger._book.shrink(lent.lease, [running], everything=True)
        faults.none()
        assert whole(lent.lease)
        await lent.ledger.settle(running, lent.books.charge(700))
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_whose_recall_was_heard_and_its_answer_lost_goes_on_by_the_holds_that_it_left(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults, running = Faults(monkeypatch), lent.call()
        lost = [ConnectionLost("its answer was lost")]
        faults.after = lambda query: lost.pop() if query == SHRINK and lost else None
        await lent.ledger._book.shrink(lent.lease, [running], everything=True)
        await lent.ledger.settle(running, lent.books.charge(700))
        assert (await lent.ledger.find_hold(running.receipt_id)).state == "captured"
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_that_was_lent_more_and_did_not_hear_of_it_is_not_renewed_with_it(
        self, lent: Lent, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While its account is in use a lease is renewed for ever: nobody could spend what this worker does not know
        of, and it would lapse there."""
        faults, book = Faults(monkeypatch), lent.ledger._book
        faults.after = lambda query: ConnectionLost("its answer was lost") if query == GRANT else None
        running = [lent.call() for _ in range(lent.lease.free // 1000)]
        await asyncio.gather(*book._tasks)
        faults.none()
        for one in running:
            await lent.ledger.release(one)
        for _ in range(6):
            clock.advance(seconds=10)
            await book.housekeep()
            await lent.books.call(lent.payer, 1000)
        await lent.ledger.sweep()
        leased = (await lent.ledger.balance(lent.payer.id)).leased
        assert leased == sum(piece.amount for lease in book._leases.values() for piece in lease.pieces) > 0
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_that_disagrees_with_the_database_lends_no_more(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults = Faults(monkeypatch)
        faults.before = lambda query: asyncpg.CheckViolationError("no") if query == SHRINK else None
        await lent.ledger._book.shrink(lent.lease, [], everything=False)
        faults.none()
        assert lent.refuses(1)

    async def test_that_was_reclaimed_meanwhile_ends_its_calls_and_counts_none(
        self, lent: Lent, clock: FixedClock
    ) -> None:
        limit = budget()
        await lent.ledger.release(await lent.ledger.admit(lent.payer.id, 1000, receipt_id=new_id(), limits=(limit,)))
        moved, kept = lent.call(1000, limit), lent.call(1000, limit)
        assert await lent.ledger.reclaim_worker("one") == 1
        await lent.ledger._book.shrink(lent.lease, [moved], everything=False)
        assert lent.refuses(1)
        for one in (moved, kept):
            with pytest.raises(LeaseReclaimed):
                await lent.ledger.settle(one, counted(lent.books.charge(700)))
        assert await spent(lent.ledger, limit) == 0
        assert await lent.books.clean()

    async def test_of_which_a_call_learns_that_it_was_reclaimed_lends_no_more(self, lent: Lent) -> None:
        running = lent.call()
        assert await lent.ledger.reclaim_worker("one") == 1
        with pytest.raises(LeaseReclaimed):
            await lent.ledger.settle(running, lent.books.charge(700))
        assert lent.refuses(1)

    async def test_that_asks_for_more_and_hears_that_it_was_reclaimed_makes_way_for_another(self, lent: Lent) -> None:
        assert await lent.ledger.reclaim_worker("one") == 1
        call = await lent.ledger.admit(lent.payer.id, lent.lease.free + 1, receipt_id=new_id())
        assert call.lease not in (None, lent.lease)
        assert lent.lease.gone
        await lent.ledger.settle(call, lent.books.charge(700))
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_that_was_reclaimed_pays_no_call_over_two_lots_either(self, books: Books) -> None:
        payer = await books.wallet(1500)
        await books.fund(payer, WEALTH)
        await books.call(payer, 1000)
        running = Lent(books, payer).call()
        assert await books.ledger.reclaim_worker("one") == 1
        await somebody_elses(books, payer, 5000)
        with pytest.raises(LeaseReclaimed):
            await books.ledger.settle(running, books.charge(1000))
        assert (await books.ledger.balance(payer.id)).balance == WEALTH + 500
        assert await books.clean()

    async def test_takes_into_a_hold_no_call_that_was_settled_while_it_waited(self, lent: Lent) -> None:
        running, lock = lent.call(), lent.ledger._book._locks.setdefault(lent.payer.id, asyncio.Lock())
        async with lock:
            giving = asyncio.create_task(lent.ledger._book.shrink(lent.lease, [running], everything=True))
            await asyncio.sleep(0)
            await lent.ledger.settle(running, lent.books.charge(700))
        await giving
        assert await lent.returned() == 0
        assert (await lent.ledger.balance(lent.payer.id)).balance == WEALTH - 1700
        assert await lent.books.clean()


class TestRelease:
    async def test_of_a_call_that_moves_into_a_hold_voids_the_hold(self, lent: Lent, slow: asyncio.Event) -> None:
        running = lent.call()
        moving = asyncio.create_task(lent.ledger._book.shrink(lent.lease, [running], everything=False))
        await asyncio.sleep(0)
        releasing = asyncio.create_task(lent.ledger.release(running))
        await asyncio.sleep(0)
        slow.set()
        await asyncio.gather(moving, releasing)
        assert (await lent.ledger.find_hold(running.receipt_id)).state == "voided"
        assert await lent.returned() == 0

    async def test_of_lots_that_were_set_apart_puts_them_back(self, lent: Lent) -> None:
        before = lent.lease.free
        await lent.ledger.release(lent.call(unsubsidised=True))
        assert (lent.lease.free, whole(lent.lease)) == (before, True)

    @pytest.mark.parametrize("wealth", [WEALTH, 2000])
    async def test_gives_back_what_was_counted(self, books: Books, wealth: int) -> None:
        limit, payer = budget(), await books.wallet(wealth)
        for most in (None, 0):
            await books.ledger.release(
                await books.ledger.admit(payer.id, 1000, receipt_id=new_id(), limits=(limit,), subsidy_max_micro=most)
            )
        assert await spent(books.ledger, limit) == 0

    @pytest.mark.parametrize("booked", [True, False])
    async def test_after_an_unknown_outcome_frees_what_was_not_asked_for(
        self, lent: Lent, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, booked: bool
    ) -> None:
        faults, running = Faults(monkeypatch), lent.call()
        fault = lambda query: ConnectionLost("lost") if "settle" in query else None  # noqa: E731
        faults.before, faults.after = (faults.before, fault) if booked else (fault, faults.after)
        with pytest.raises(LedgerUnavailable):
            await lent.ledger.settle(running, lent.books.charge(700))
        faults.none()
        await lent.ledger.release(running)
        assert whole(lent.lease)
        assert await lent.returned() == (0 if booked else 700), "what nobody knows of lapses with the lease"
        clock.advance(seconds=31)
        await lent.ledger.sweep()
        assert await lent.returned() == 0
        assert (await lent.ledger.balance(lent.payer.id)).balance == WEALTH - 1000 - 700 * booked
        assert await lent.books.clean()


class TestRefusal:
    """What does not go through counts against no budget."""

    @pytest.mark.parametrize("most", [None, 0, 500])
    async def test_for_want_of_credit(self, books: Books, most: int | None) -> None:
        limit, payer = budget(), await books.wallet(500)
        with pytest.raises(InsufficientCredit):
            await books.ledger.admit(payer.id, 1000, receipt_id=new_id(), limits=(limit,), subsidy_max_micro=most)
        assert await spent(books.ledger, limit) == 0

    async def test_of_a_free_call_whose_receipt_is_in_use(self, books: Books) -> None:
        limit, payer, receipt = budget(1), await books.wallet(2000), new_id()
        await books.ledger.admit(payer.id, 1000, receipt_id=receipt)
        with pytest.raises(IdempotencyConflict):
            await books.ledger.admit(payer.id, 0, receipt_id=receipt, limits=(limit,))
        assert await spent(books.ledger, limit) == 0

    async def test_of_a_receipt_that_was_booked_otherwise(self, lent: Lent) -> None:
        limit, receipt = budget(), new_id()
        first, second, third = [
            await lent.ledger.admit(lent.payer.id, 1000, receipt_id=receipt, limits=(limit,)) for _ in range(3)
        ]
        await lent.ledger.settle(first, counted(lent.books.charge(700)))
        assert (await lent.ledger.settle(second, counted(lent.books.charge(700)))).known
        with pytest.raises(IdempotencyConflict):
            await lent.ledger.settle(third, counted(lent.books.charge(600)))
        assert whole(lent.lease)
        assert await spent(lent.ledger, limit) == 700
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_by_the_database_without_a_cause_that_is_known(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit = budget()
        running = await lent.ledger.admit(lent.payer.id, 1000, receipt_id=new_id(), limits=(limit,))
        faults = Faults(monkeypatch)
        faults.before = lambda query: asyncpg.DataError("no") if "settle_calls" in query else None
        with pytest.raises(LedgerUnavailable):
            await lent.ledger.settle(running, counted(lent.books.charge(700)))
        faults.none()
        assert whole(lent.lease)
        assert await spent(lent.ledger, limit) == 0
        assert await lent.returned() == 0


class TestCharge:
    async def test_counts_what_it_came_to(self, lent: Lent) -> None:
        limit = budget()
        running = await lent.ledger.admit(lent.payer.id, 1000, receipt_id=new_id(), limits=(limit,))
        await lent.ledger.settle(running, counted(lent.books.charge(700)))
        assert whole(lent.lease)
        assert await spent(lent.ledger, limit) == 700

    async def test_pays_nobody_their_own_money(self, lent: Lent) -> None:
        with pytest.raises(NotBalanced):
            await lent.ledger.settle(lent.call(), Charge(100, (Leg(lent.payer.id, 100),)))

    async def test_is_paid_by_both_lots_that_its_lease_has_it_from(self, books: Books) -> None:
        payer = await books.wallet(1500)
        first, second = (await books.ledger.lots(payer.id))[0].id, await books.fund(payer, WEALTH)
        await books.call(payer, 1000)
        running = Lent(books, payer).call()
        await books.ledger.settle(running, books.charge(1000))
        burned = (await books.ledger.posting(running.receipt_id)).burned
        assert [(one.lot, one.amount) for one in burned] == [(first, -500), (second, -500)]
        assert await books.clean()

    async def test_of_a_hold_that_somebody_else_gave_back_is_refused(self, books: Books) -> None:
        payer, number = await books.wallet(2000), new_id()
        running = await books.ledger.admit(payer.id, 1000, receipt_id=number)
        assert running.held is not None
        await books.ledger.void(number)
        await somebody_elses(books, payer, 1500)
        with pytest.raises(HoldClosed):
            await books.ledger.settle(running, books.charge(700))
        assert (await books.ledger.balance(payer.id)).balance == 2000
        assert await books.clean()

    async def test_is_booked_as_what_it_is_by_whom_it_says(self, lent: Lent) -> None:
        ledger, charge = lent.ledger, lent.books.charge(700)
        one, other, third = lent.call(), lent.call(), lent.call()
        await asyncio.gather(ledger.settle(one, charge), ledger.settle(other, charge, kind="capture"))
        await ledger.settle(third, charge, actor="somebody")
        found = [await ledger.posting(call.receipt_id) for call in (one, other, third)]
        assert [(view.kind, view.actor) for view in found] == [("call", ""), ("capture", ""), ("call", "somebody")]

    async def test_of_one_receipt_asked_for_twice_at_once_is_booked_once(self, lent: Lent) -> None:
        receipt = new_id()
        calls = [await lent.ledger.admit(lent.payer.id, 1000, receipt_id=receipt) for _ in range(2)]
        done = await asyncio.gather(*(lent.ledger.settle(one, lent.books.charge(700)) for one in calls))
        assert sorted(one.known for one in done) == [False, True]
        assert (await lent.ledger.balance(lent.payer.id)).balance == WEALTH - 1700
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_that_is_not_waited_for_can_be_asked_for_again_where_nobody_knows(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults, running = Faults(monkeypatch), lent.call()
        told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        faults.after = lambda query: ConnectionLost("lost") if "settle" in query else None
        assert lent.ledger.settle_soon(running, lent.books.charge(700), told.set_result)
        for row in lent.ledger._settling._queue:
            row.deadline = 0.0
        assert isinstance(await told, LedgerUnavailable)
        faults.none()
        assert (await lent.ledger.settle(running, lent.books.charge(700))).total_micro == 700
        assert (await lent.ledger.balance(lent.payer.id)).balance == WEALTH - 1700
        assert await lent.books.clean()

    async def test_of_unknown_outcome_is_not_said_to_be_refused_by_a_disk_that_is_full_since(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults, asked = Faults(monkeypatch), list[Exception]([LedgerFull(), ConnectionLost("lost")])
        faults.before = lambda query: asked.pop() if "settle_calls" in query and asked else None
        with pytest.raises(LedgerUnavailable):
            await lent.ledger.settle(lent.call(), lent.books.charge(700))

    async def test_of_a_fee_is_asked_for_again_after_a_full_disk(
        self, lent: Lent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults, running = Faults(monkeypatch), lent.call(unsubsidised=True)
        fee = Charge(1000, (Leg(lent.books.revenue.id, 1000),), b"{}", subsidy_max_micro=0)
        faults.before = lambda query: LedgerFull() if "settle_calls" in query else None
        with pytest.raises(LedgerFull):
            await lent.ledger.settle(running, fee)
        faults.none()
        assert whole(lent.lease)
        assert running in lent.lease.open
        await lent.ledger.settle(running, fee)
        assert whole(lent.lease)
        assert await lent.returned() == 0
        assert await lent.books.clean()

    async def test_by_subsidy_is_known_by_the_lot_that_paid(self, books: Books) -> None:
        payer = await books.wallet()
        lot = await books.fund(payer, 1000, Provenance.SUBSIDY)
        maker = await books.ledger.ensure_account(new_id(), Asset.CREDIT, "income")
        running = await books.ledger.admit(payer.id, 1000, receipt_id=new_id())
        await books.ledger.settle(running, Charge(1000, (Leg(maker.id, 1000),)))
        (income,) = await books.ledger.lots(maker.id)
        assert (income.parent, income.provenance) == (lot, Provenance.SUBSIDY)
        assert income.unlock_at == midnight(add_months(books.ledger._clock.today(), TERMS.income_lock_months))
