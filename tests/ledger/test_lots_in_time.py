"""Lots and time: a hold outlives its lot's expiry and what it frees lapses; earmarks; repeats after the money went."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.ledger.conftest import Books

from shanhe.kernel.clock import FixedClock, add_months, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Asset,
    Charge,
    InsufficientCredit,
    Leg,
    LotHistory,
    Posting,
    Provenance,
    Transfer,
    call_facts,
    earmark,
)
from shanhe.ledger.leases import SOON


class TestExpiry:
    async def test_a_hold_placed_before_expiry_is_honoured_after_it(self, books: Books, clock: FixedClock) -> None:
        wallet = await books.wallet(100, expires_at=clock.now() + timedelta(days=1))
        later = clock.now() + timedelta(days=9)
        held = await books.ledger.hold(wallet.id, 40, hold_id=new_id(), purpose="order", expires_at=later)
        clock.advance(days=2)
        assert (await books.ledger.sweep()).lots == 1
        assert (await books.ledger.balance(wallet.id)).balance == 40
        settled = await books.ledger.capture(held, Charge(30, (Leg(books.revenue.id, 30),)))
        assert settled.total_micro == 30
        assert (await books.ledger.sweep()).lots == 1, "what the capture left free lapses"
        assert (await books.ledger.balance(wallet.id)).balance == 0
        breakage = await books.ledger.system_account("breakage", Asset.CREDIT)
        assert (await books.ledger.balance(breakage.id)).balance == 70
        assert (await books.ledger.verify()).clean

    async def test_what_is_released_later_goes_to_breakage(self, books: Books, clock: FixedClock) -> None:
        wallet = await books.wallet(100, expires_at=clock.now() + timedelta(days=1))
        later = clock.now() + timedelta(days=3)
        await books.ledger.hold(wallet.id, 100, hold_id=new_id(), purpose="order", expires_at=later)
        clock.advance(days=2)
        assert (await books.ledger.sweep()).lots == 0
        clock.advance(days=2)
        assert (await books.ledger.sweep()).holds == 1
        await books.ledger.sweep()
        assert (await books.ledger.balance(wallet.id)).balance == 0

    async def test_income_lives_by_its_own_terms_and_subsidy_as_long_as_the_payers(
        self, books: Books, clock: FixedClock
    ) -> None:
        soon, ends = clock.now() + timedelta(days=1), {}
        for provenance in (Provenance.PURCHASED, Provenance.SUBSIDY):
            payer = await books.wallet(1000, provenance=provenance, expires_at=soon)
            maker = await books.ledger.ensure_account(new_id(), Asset.CREDIT, "income")
            reservation = await books.ledger.admit(payer.id, 1000, receipt_id=new_id())
            await books.ledger.settle(reservation, Charge(1000, (Leg(maker.id, 800), Leg(books.revenue.id, 200))))
            (lot,) = await books.ledger.lots(maker.id)
            ends[lot.provenance] = lot.expires_at
        later = midnight(add_months(clock.today(), 24))
        assert ends == {Provenance.REWARD: later, Provenance.SUBSIDY: soon}

    async def test_cannot_be_held_or_spent_once_expired(self, books: Books, clock: FixedClock) -> None:
        wallet = await books.wallet(100, expires_at=clock.now() + timedelta(days=1))
        clock.advance(days=1)
        with pytest.raises(InsufficientCredit):
            await books.ledger.admit(wallet.id, 1, receipt_id=new_id())

    async def test_is_not_outlived_by_a_lease_that_is_in_use(self, books: Books, clock: FixedClock) -> None:
        wallet = await books.wallet(1_000_000, expires_at=clock.now() + SOON + timedelta(minutes=1))
        for _ in range(66):
            await books.call(wallet, 10)
            clock.advance(seconds=10)
            await books.ledger._book.housekeep()
        with pytest.raises(InsufficientCredit):
            await books.call(wallet, 10)
        await books.ledger.sweep()
        assert (await books.ledger.balance(wallet.id)).balance == 0
        assert await books.clean()

    async def test_the_schedule_shows_what_lapses_when_and_what_is_held(
        self, books: Books, clock: FixedClock, database: Database
    ) -> None:
        ends = clock.now() + timedelta(days=5)
        wallet = await books.wallet(100, provenance=Provenance.SUBSIDY, expires_at=ends)
        await books.fund(wallet, 50)
        await books.ledger.hold(
            wallet.id, 10, hold_id=new_id(), purpose="x", expires_at=clock.now() + timedelta(days=9)
        )
        history = LotHistory(database)
        (lapse,) = await history.lapses(clock.now(), clock.now() + timedelta(days=30))
        assert (lapse.account, lapse.amount, lapse.held, lapse.lots) == (wallet.id, 100, 10, 1)
        assert await history.lapses(clock.now(), ends) == []


class TestEarmark:
    async def test_pays_only_for_what_it_is_for(self, books: Books) -> None:
        mark = earmark(department="edu", fiscal_year=2026, models=["b", "a"])
        wallet = await books.wallet(100, earmark=mark)
        wrong = (("police", "a", 2026), ("edu", "c", 2026), ("edu", "a", 2027), (None, "a", 2026))
        for department, model, year in wrong:
            facts = call_facts(model=model, department=department, fiscal_year=year, earmarks=[mark or {}])
            with pytest.raises(InsufficientCredit):
                await books.ledger.admit(wallet.id, 10, receipt_id=new_id(), earmark=facts)
        facts = call_facts(model="b", department="edu", fiscal_year=2026, earmarks=[mark or {}])
        call = await books.ledger.admit(wallet.id, 10, receipt_id=new_id(), earmark=facts)
        await books.ledger.settle(call, Charge(10, (Leg(books.revenue.id, 10),)))
        assert (await books.ledger.balance(wallet.id)).balance == 90

    async def test_a_list_of_models_never_opens_another_list(self, books: Books, database: Database) -> None:
        wallet = await books.wallet(10, earmark=earmark(models=["a", "b"]))
        await books.fund(wallet, 20, earmark=earmark(models=["b"]))
        await books.fund(wallet, 40)
        marks = await LotHistory(database).earmarks(wallet.id)
        assert sorted(str(mark) for mark in marks) == ["{'models': ['a|b']}", "{'models': ['b']}"]
        for model, room in (("a", 50), ("b", 70), ("c", 40)):
            facts = call_facts(model=model, fiscal_year=2026, earmarks=marks)
            with pytest.raises(InsufficientCredit):
                await books.ledger.admit(wallet.id, room + 1, receipt_id=new_id(), earmark=facts)
            call = await books.ledger.admit(wallet.id, room, receipt_id=new_id(), earmark=facts)
            await books.ledger.release(call)


class TestRepeat:
    async def test_a_posting_is_known_after_what_it_moved_is_gone(self, books: Books) -> None:
        first = await books.ledger.ensure_account(new_id(), Asset.CREDIT, "budget", lots=False)
        move = Posting(id=new_id(), kind="x", transfers=(Transfer(new_id(), books.issuance.id, first.id, 10),))
        await books.ledger.post(move)
        spend = Posting(id=new_id(), kind="x", transfers=(Transfer(new_id(), first.id, books.revenue.id, 10),))
        assert not (await books.ledger.post(spend)).known
        assert (await books.ledger.post(spend)).known
        other = Posting(id=new_id(), kind="x", transfers=(Transfer(new_id(), first.id, books.revenue.id, 10),))
        with pytest.raises(InsufficientCredit):
            await books.ledger.post(other)
