"""Postings, holds, reversals: what is booked, what is refused, and what is read of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger import store
from shanhe.ledger.api import (
    AlreadyReversed,
    Asset,
    Charge,
    HoldClosed,
    IdempotencyConflict,
    InsufficientCredit,
    Ledger,
    Leg,
    LotDelta,
    NewLot,
    NotBalanced,
    Posting,
    Provenance,
    Transfer,
    UnknownAccount,
    UnknownPosting,
)
from shanhe.ledger.errors import BadCursor

from .conftest import Books, move


class TestPosting:
    async def test_same_id_is_booked_once_and_other_content_refused(self, books: Books) -> None:
        account = await books.ledger.ensure_account(new_id(), Asset.CNY, "wallet")
        cash = await books.ledger.system_account("cash", Asset.CNY)
        posting = move(cash.id, account.id, 100)
        results = await asyncio.gather(*(books.ledger.post(posting) for _ in range(5)))
        assert sorted(result.known for result in results) == [False, True, True, True, True]
        with pytest.raises(IdempotencyConflict):
            await books.ledger.post(
                Posting(id=posting.id, kind="test", transfers=move(cash.id, account.id, 1).transfers)
            )
        with pytest.raises(IdempotencyConflict):
            await books.ledger.post(Posting(id=new_id(), kind="test", transfers=posting.transfers))
        assert (await books.ledger.balance(account.id)).balance == 100
        assert await books.clean()

    @pytest.mark.parametrize("other", ["kind", "fewer", "more"])
    async def test_same_id_of_another_kind_or_with_other_transfers_is_refused(self, books: Books, other: str) -> None:
        account = await books.ledger.ensure_account(new_id(), Asset.CNY, "wallet")
        cash = await books.ledger.system_account("cash", Asset.CNY)
        one, two, three = (Transfer(new_id(), cash.id, account.id, amount) for amount in (10, 20, 40))
        booked = Posting(id=new_id(), kind="test", transfers=(one, two))
        await books.ledger.post(booked)
        more: dict[str, dict[str, Any]] = {
            "kind": {"kind": "another"}, "fewer": {"transfers": (one,)}, "more": {"transfers": (one, two, three)},
        }  # fmt: skip
        with pytest.raises(IdempotencyConflict):
            await books.ledger.post(msgspec.structs.replace(booked, **more[other]))
        assert (await books.ledger.balance(account.id)).balance == 30
        assert await books.clean()

    async def test_of_a_batch_only_what_fits_is_booked_in_order(self, books: Books) -> None:
        account = await books.ledger.ensure_account(new_id(), Asset.CNY, "wallet")
        cash = await books.ledger.system_account("cash", Asset.CNY)
        await books.ledger.post(move(cash.id, account.id, 100))
        steps = [-60, -60, +30, -60, -60, -5]
        answers = await asyncio.gather(
            *(
                books.ledger.post(move(account.id, cash.id, -step) if step < 0 else move(cash.id, account.id, step))
                for step in steps
            ),
            return_exceptions=True,
        )
        refused = [isinstance(answer, InsufficientCredit) for answer in answers]
        assert refused == [False, True, False, False, True, False]
        assert (await books.ledger.balance(account.id)).balance == 5
        assert await books.clean()

    async def test_that_is_refused_mints_no_lots_beside_one_that_is_booked(self, books: Books) -> None:
        giver, taker = await books.wallet(10), await books.wallet()
        postings = []
        for amount in (50, 10):
            lot = NewLot(id=new_id(), account=taker.id, provenance=Provenance.PURCHASED, amount=amount)
            out = Transfer(new_id(), giver.id, taker.id, amount)
            postings.append(Posting(id=new_id(), kind="test", transfers=(out,), lots=(lot,)))
        refused, _ = await asyncio.gather(*map(books.ledger.post, postings), return_exceptions=True)
        assert isinstance(refused, InsufficientCredit)
        assert [lot.issued for lot in await books.ledger.lots(taker.id)] == [10]
        assert await books.clean()

    async def test_of_one_batch_burn_the_lots_in_their_own_order(self, books: Books, clock: FixedClock) -> None:
        wallet = await books.wallet(10, expires_at=clock.now() + timedelta(days=1))
        await books.fund(wallet, 10)
        ends = {lot.id: lot.expires_at for lot in await books.ledger.lots(wallet.id)}
        first, second = (move(wallet.id, books.revenue.id, 10) for _ in range(2))
        await asyncio.gather(books.ledger.post(first), books.ledger.post(second))
        lots = [(await books.ledger.posting(one.id)).lots for one in (first, second)]
        assert [ends[one.lot] is not None for (one,) in lots] == [True, False]

    async def test_of_the_same_number_that_reverses_another_is_refused(self, books: Books) -> None:
        account = await books.ledger.ensure_account(new_id(), Asset.CNY, "wallet")
        cash = await books.ledger.system_account("cash", Asset.CNY)
        paid = move(cash.id, account.id, 100)
        await books.ledger.post(paid)
        with pytest.raises(IdempotencyConflict):
            await books.ledger.post(msgspec.structs.replace(paid, reverses=new_id()))

    async def test_money_that_arrives_and_leaves_in_one_posting_is_fine(self, books: Books) -> None:
        customer = await books.ledger.ensure_account(new_id(), Asset.CNY, "wallet")
        cash = await books.ledger.system_account("cash", Asset.CNY)
        sales = await books.ledger.system_account("revenue", Asset.CNY)
        transfers = (Transfer(new_id(), cash.id, customer.id, 70), Transfer(new_id(), customer.id, sales.id, 70))
        await books.ledger.post(Posting(id=new_id(), kind="sale", transfers=transfers))
        assert (await books.ledger.balance(sales.id)).balance == 70
        assert await books.clean()

    async def test_between_wallets_the_lots_split_and_keep_provenance(self, books: Books, clock: FixedClock) -> None:
        payer, other = await books.wallet(), await books.wallet()
        expiry = clock.now() + timedelta(days=30)
        subsidy = await books.fund(payer, 100, Provenance.SUBSIDY, expiry)
        await books.fund(payer, 100)
        await books.ledger.post(move(payer.id, other.id, 150))
        lots = await books.ledger.lots(other.id)
        assert [(lot.provenance, lot.remaining, lot.expires_at) for lot in lots] == [
            (Provenance.SUBSIDY, 100, expiry),
            (Provenance.PURCHASED, 50, None),
        ]
        assert lots[0].parent == subsidy
        assert await books.clean()

    async def test_what_reaches_a_wallet_in_lots_is_handed_on_by_a_later_batch(self, books: Books) -> None:
        first, between, last = await books.wallet(10), await books.wallet(3), await books.wallet()
        legs = (Transfer(new_id(), first.id, between.id, 10), Transfer(new_id(), between.id, last.id, 10))
        with pytest.raises(InsufficientCredit):
            await books.ledger.post(Posting(id=new_id(), kind="test", transfers=legs))
        await asyncio.gather(
            books.ledger.post(move(first.id, between.id, 10)), books.ledger.post(move(between.id, last.id, 13)),
            return_exceptions=True,
        )  # fmt: skip
        assert await books.clean()

    async def test_what_a_batch_issues_is_burned_by_its_other_postings(self, books: Books) -> None:
        wallet = await books.wallet()
        minted = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=10)
        legs = (
            Transfer(new_id(), books.issuance.id, wallet.id, 10),
            Transfer(new_id(), wallet.id, books.revenue.id, 7),
        )
        await books.ledger.post(Posting(id=new_id(), kind="test", transfers=legs, lots=(minted,)))
        assert (await books.ledger.balance(wallet.id)).balance == 3
        assert await books.clean()

    async def test_subsidy_never_turns_into_something_tradeable(self, books: Books) -> None:
        payer, other = await books.wallet(), await books.wallet()
        subsidy = await books.fund(payer, 100, Provenance.SUBSIDY)
        sold = NewLot(account=other.id, provenance=Provenance.EXCHANGE, amount=100, parent=subsidy)
        with pytest.raises(NotBalanced, match="subsidy"):
            await books.ledger.post(move(payer.id, other.id, 100, lots=(sold,)))
        assert await books.clean()

    async def test_what_cannot_be_right_is_refused(self, books: Books) -> None:
        ledger, wallet = books.ledger, await books.wallet(100)
        cash = await ledger.system_account("cash", Asset.CNY)
        for posting in (
            move(books.issuance.id, cash.id, 1),
            move(books.issuance.id, books.revenue.id, 0),
            move(books.issuance.id, wallet.id, 5),
            move(
                books.issuance.id,
                wallet.id,
                5,
                lots=(NewLot(account=wallet.id, provenance=Provenance.REWARD, amount=4),),
            ),
        ):
            with pytest.raises(NotBalanced):
                await ledger.post(posting)
        with pytest.raises(UnknownAccount):
            await ledger.post(move(new_id(), cash.id, 1))

    async def test_transfers_can_be_neither_changed_nor_deleted(self, books: Books, database: Database) -> None:
        await books.wallet(100)
        for statement in (
            "UPDATE ledger.transfer SET amount = 1",
            "DELETE FROM ledger.posting",
            "TRUNCATE ledger.transfer",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await database.execute(statement)

    async def test_a_pledge_is_a_floor(self, books: Books) -> None:
        wallet = await books.wallet(1000)
        await books.ledger.set_floor(wallet.id, 600)
        with pytest.raises(InsufficientCredit):
            await books.call(wallet, 401)
        await books.call(wallet, 400)
        with pytest.raises(InsufficientCredit):
            await books.ledger.set_floor(wallet.id, 601)
        assert await books.clean()


class TestReversal:
    async def test_gives_back_what_others_of_its_batch_cannot_spend_yet(self, books: Books) -> None:
        wallet = await books.wallet(10)
        (lot,) = await books.ledger.lots(wallet.id)
        await books.ledger.post(move(wallet.id, books.revenue.id, 10))
        await asyncio.gather(
            books.ledger.post(move(books.revenue.id, wallet.id, 10, deltas=(LotDelta(lot.id, 10),))),
            books.ledger.post(move(wallet.id, books.revenue.id, 10)),
            return_exceptions=True,
        )
        assert await books.clean()

    async def test_restores_the_lots_that_were_burned_once(self, books: Books) -> None:
        payer = await books.wallet(10_000_000)
        receipt = await books.call(payer, 1000)
        await books.ledger.reverse(receipt, actor="auditor", reason="test")
        assert (await books.ledger.balance(payer.id)).balance == 10_000_000
        assert [lot.remaining for lot in await books.ledger.lots(payer.id)] == [10_000_000]
        with pytest.raises(AlreadyReversed):
            await books.ledger.reverse(receipt, actor="auditor", reason="again")
        assert await books.clean()

    async def test_of_income_that_was_spent_leaves_a_receivable(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(10_000_000)
        maker = await ledger.ensure_account(new_id(), Asset.CREDIT, "income")
        receipt = new_id()
        reservation = await ledger.admit(payer.id, 1000, receipt_id=receipt)
        await ledger.settle(reservation, Charge(1000, (Leg(maker.id, 800), Leg(books.revenue.id, 200))))
        clock.advance(days=8)
        await ledger.post(move(maker.id, books.revenue.id, 500))
        await ledger.reverse(receipt, actor="auditor", reason="refund")
        owed = await ledger.system_account("receivable", Asset.CREDIT, str(maker.id))
        assert (await ledger.balance(owed.id)).balance == -500
        assert (await ledger.balance(maker.id)).balance == 0
        assert (await ledger.balance(payer.id)).balance == 10_000_000
        assert await books.clean()

    @pytest.mark.parametrize("spent", [0, 1, 599, 600, 700, 800])
    async def test_of_income_earned_twice_by_one_call_is_owed_once(
        self, books: Books, clock: FixedClock, spent: int
    ) -> None:
        """As maker and as holder of a right."""
        ledger, payer = books.ledger, await books.wallet(10_000_000)
        maker = await ledger.ensure_account(new_id(), Asset.CREDIT, "income")
        receipt = new_id()
        reservation = await ledger.admit(payer.id, 1000, receipt_id=receipt)
        legs = (Leg(maker.id, 600), Leg(books.revenue.id, 200), Leg(maker.id, 200))
        await ledger.settle(reservation, Charge(1000, legs))
        clock.advance(days=8)
        if spent:
            await ledger.post(move(maker.id, books.revenue.id, spent))
        await ledger.reverse(receipt, actor="auditor", reason="refund")
        owed = await ledger.system_account("receivable", Asset.CREDIT, str(maker.id))
        assert (await ledger.balance(owed.id)).balance == -spent
        assert (await ledger.balance(maker.id)).balance == 0
        assert (await ledger.balance(payer.id)).balance == 10_000_000
        assert await books.clean()

    async def test_leaves_income_that_is_held_to_whom_it_is_held_for(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(10_000_000)
        maker = await ledger.ensure_account(new_id(), Asset.CREDIT, "income")
        receipt, hold = new_id(), new_id()
        reservation = await ledger.admit(payer.id, 1000, receipt_id=receipt)
        await ledger.settle(reservation, Charge(1000, (Leg(maker.id, 800), Leg(books.revenue.id, 200))))
        clock.advance(days=8)
        until = clock.now() + timedelta(days=1)
        await ledger.hold(maker.id, 300, hold_id=hold, purpose="escrow", expires_at=until)
        await ledger.reverse(receipt, actor="auditor", reason="refund")
        owed = await ledger.system_account("receivable", Asset.CREDIT, str(maker.id))
        assert (await ledger.balance(owed.id)).balance == -300
        assert (await ledger.balance(maker.id)).balance == 300
        await ledger.capture(hold, books.charge(300))
        assert await books.clean()

    async def test_of_a_grant_that_was_spent_is_refused(self, books: Books) -> None:
        """Only a call's makers come to owe what they spent."""
        wallet = await books.wallet()
        lot = NewLot(account=wallet.id, provenance=Provenance.REWARD, amount=500)
        grant = move(books.issuance.id, wallet.id, 500, lots=(lot,))
        await books.ledger.post(grant)
        await books.call(wallet, 1)
        with pytest.raises(InsufficientCredit):
            await books.ledger.reverse(grant.id, actor="auditor", reason="mistake")
        assert (await books.ledger.balance(wallet.id)).balance == 499
        assert await books.clean()


class TestHold:
    async def test_captures_a_part_and_frees_the_rest(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(300)
        await books.fund(payer, 700)
        hold = new_id()
        await ledger.hold(payer.id, 500, hold_id=hold, purpose="escrow", expires_at=clock.now() + timedelta(days=1))
        assert (await ledger.balance(payer.id)).available == 500
        settled = await ledger.capture(hold, books.charge(350))
        assert [delta.amount for delta in settled.burned] == [-300, -50]
        assert (await ledger.balance(payer.id)).available == 650
        with pytest.raises(HoldClosed):
            await ledger.void(hold)
        assert await books.clean()

    async def test_of_a_process_that_has_ended_is_charged_or_never_will_be(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        """A batch that was under way when who sent it died must not land after its call was begun again."""
        payer = await books.wallet(300)
        taken, unknown = [
            await books.ledger.admit(payer.id, 10, receipt_id=new_id(), subsidy_max_micro=5) for _ in range(2)
        ]
        await books.ledger.settle(taken, books.charge(10))
        after = Ledger(database, clock, worker="after", workers=2)
        assert (await after.fate(taken.receipt_id)).id == taken.receipt_id
        for _ in range(2):
            with pytest.raises(UnknownPosting):
                await after.fate(unknown.receipt_id)
        with pytest.raises(HoldClosed):
            await books.ledger.settle(unknown, books.charge(10))
        assert (await books.ledger.balance(payer.id)).available == 290
        await after.stop()
        assert await books.clean()

    async def test_expires_and_returns_to_its_lots(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(300)
        hold = await ledger.hold(
            payer.id, 200, hold_id=new_id(), purpose="escrow", expires_at=clock.now() + timedelta(minutes=5)
        )
        clock.advance(minutes=6)
        assert (await ledger.sweep()).holds == 1
        assert (await ledger.balance(payer.id)).available == 300
        with pytest.raises(HoldClosed):
            await ledger.capture(hold, books.charge(10))
        assert await books.clean()

    async def test_what_an_expired_lot_gets_back_goes_to_breakage(self, books: Books, clock: FixedClock) -> None:
        ledger = books.ledger
        payer = await books.wallet(300, expires_at=clock.now() + timedelta(days=1))
        hold = await ledger.hold(
            payer.id, 200, hold_id=new_id(), purpose="escrow", expires_at=clock.now() + timedelta(days=9)
        )
        clock.advance(days=2)
        await ledger.sweep()
        breakage = await ledger.system_account("breakage", Asset.CREDIT)
        assert (await ledger.balance(breakage.id)).balance == 100
        await ledger.void(hold)
        await ledger.sweep()
        assert (await ledger.balance(breakage.id)).balance == 300
        assert (await ledger.balance(payer.id)).balance == 0
        assert await books.clean()


class TestReading:
    async def test_statement_runs_from_opening_to_closing_over_pages(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(1_000_000)
        clock.advance(days=1)
        for _ in range(5):
            await books.call(payer, 1000, 10)
        today = clock.today()
        first = await ledger.statement(payer.id, today, today, limit=3)
        assert (first.opening, first.closing) == (1_000_000, 999_970)
        rest = await ledger.statement(payer.id, today, today, limit=3, cursor=first.next)
        assert (rest.opening, rest.closing, rest.next) == (999_970, 999_950, None)
        streamed = [line async for line in ledger.stream_statement(payer.id, today, today)]
        assert [line.balance for line in streamed] == [999_990, 999_980, 999_970, 999_960, 999_950]

    @pytest.mark.parametrize("late", ["true", "false"])
    async def test_a_statement_opens_the_same_counted_from_either_end(
        self, books: Books, clock: FixedClock, monkeypatch: pytest.MonkeyPatch, late: str
    ) -> None:
        monkeypatch.setattr(
            store, "_IS_LATE", f"SELECT {late} WHERE $1::uuid IS NOT NULL AND $2::timestamptz IS NOT NULL"
        )
        ledger, payer, pages = books.ledger, await books.wallet(1_000_000), list[int]()
        for day in range(3):
            clock.advance(days=1)
            for _ in range(day + 1):
                await books.call(payer, 1000, 10)
        today = clock.today()
        for account, opening in ((payer.id, 999_970), (books.revenue.id, 30)):
            assert (await ledger.statement(account, today, today)).opening == opening
        cursor = None
        while page := await ledger.statement(payer.id, today, today, limit=1, cursor=cursor):
            pages.append(page.opening)
            cursor = page.next
            if cursor is None:
                break
        assert pages == [999_970, 999_960, 999_950, 999_940]

    async def test_a_long_statement_counts_what_came_before_it_once(
        self, books: Books, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "STREAM_ROWS", 2)
        counted = []

        async def balance_at(*asked: Any) -> int:
            counted.append(asked)
            return await was(*asked)

        was = store._balance_at
        monkeypatch.setattr(store, "_balance_at", balance_at)
        payer = await books.wallet(1_000_000)
        clock.advance(days=1)
        for _ in range(5):
            await books.call(payer, 1000, 10)
        streamed = [line async for line in books.ledger.stream_statement(payer.id, clock.today(), clock.today())]
        assert [line.balance for line in streamed] == [999_990, 999_980, 999_970, 999_960, 999_950]
        assert len(counted) == 1

    async def test_postings_are_listed_newest_first_by_account(self, books: Books, clock: FixedClock) -> None:
        payer = await books.wallet(1_000_000)
        receipts = []
        for _ in range(5):
            clock.advance(seconds=1)
            receipts.append(await books.call(payer, 1000, 10))
        page = await books.ledger.postings(account=payer.id, kind="call", limit=3)
        assert [view.id for view in page.items] == receipts[:1:-1]
        rest = await books.ledger.postings(account=payer.id, limit=9, cursor=page.next)
        assert [view.id for view in rest.items[:2]] == [receipts[1], receipts[0]]
        everything = await books.ledger.postings(limit=50)
        assert len(everything.items) == 6

    @pytest.mark.parametrize("limit", [1, 2])
    async def test_postings_of_a_kind_are_found_under_any_number_of_calls(
        self, books: Books, clock: FixedClock, limit: int
    ) -> None:
        payer = await books.wallet(1_000)
        for _ in range(limit * 8 + 1):
            await books.call(payer, 100, 10)
        for account in (payer.id, None):
            found, cursor = list[str](), None
            while page := await books.ledger.postings(account=account, kind="grant", limit=limit, cursor=cursor):
                found += [view.kind for view in page.items]
                cursor = page.next
                if cursor is None:
                    break
            assert found == ["grant"]

    async def test_a_posting_with_many_legs_of_an_account_is_listed_once(self, books: Books) -> None:
        payer = await books.wallet(1_000)
        for _ in range(2):
            legs = tuple(Transfer(new_id(), payer.id, books.revenue.id, 1) for _ in range(20))
            await books.ledger.post(Posting(id=new_id(), kind="fee", transfers=legs, actor="x"))
        first = await books.ledger.postings(account=payer.id, limit=2)
        assert [view.kind for view in first.items] == ["fee", "fee"]
        rest = await books.ledger.postings(account=payer.id, limit=2, cursor=first.next)
        assert [view.kind for view in rest.items] == ["grant"]

    @pytest.mark.parametrize("days", [0, 1, 400])
    async def test_old_postings_are_listed_like_new_ones(self, books: Books, clock: FixedClock, days: int) -> None:
        payer = await books.wallet(1_000)
        receipts = [await books.call(payer, 100, 10) for _ in range(3)]
        clock.advance(days=days)
        receipts.append(await books.call(payer, 100, 10))
        for kind in ("call", None):
            page = await books.ledger.postings(kind=kind, limit=4)
            assert {view.id for view in page.items} == set(receipts)
            assert page.items[0].id == receipts[-1]

    @pytest.mark.parametrize("cursor", ["x", "2026-11-20T10:00:00~", f"2026-11-20T10:00:00~{UUID(int=1)}", "~", "\0"])
    async def test_a_cursor_that_no_page_said_is_refused(self, books: Books, clock: FixedClock, cursor: str) -> None:
        payer, today = await books.wallet(1000), clock.today()
        with pytest.raises(BadCursor):
            await books.ledger.postings(account=payer.id, cursor=cursor)
        with pytest.raises(BadCursor):
            await books.ledger.statement(payer.id, today, today, cursor=cursor)

    async def test_trial_balance_sums_to_zero(self, books: Books) -> None:
        await books.call(await books.wallet(1000), 100)
        rows = await books.ledger.trial_balance()
        assert sum(row.balance for row in rows) == 0
        assert all(row.balance == row.credits - row.debits for row in rows)


class TestVerify:
    async def test_finds_a_forged_balance_and_a_forged_lot(self, books: Books, database: Database) -> None:
        wallet = await books.wallet(100)
        await database.execute("UPDATE ledger.account SET balance = 101 WHERE id = $1", wallet.id)
        await database.execute("UPDATE ledger.lot SET remaining = 99 WHERE account = $1", wallet.id)
        report = await books.ledger.verify()
        assert not report.clean
        assert {finding.invariant for finding in report.findings} >= {
            "each asset sums to zero",
            "balance = fold of transfers",
            "lots sum to their account's balance",
            "a lot's remainder = fold of what postings did to it",
        }

    async def test_named_lots_are_burned_instead_of_the_order(self, books: Books) -> None:
        payer = await books.wallet(100)
        later = await books.fund(payer, 100)
        await books.ledger.post(move(payer.id, books.revenue.id, 60, deltas=(LotDelta(later, -60),)))
        assert {lot.id: lot.remaining for lot in await books.ledger.lots(payer.id)}[later] == 40
        with pytest.raises(InsufficientCredit):
            await books.ledger.post(move(payer.id, books.revenue.id, 60, deltas=(LotDelta(later, -60),)))
        assert await books.clean()
