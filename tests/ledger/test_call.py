"""Admission and settlement of calls."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.kernel.clock import FixedClock, add_months, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger import holding, settling
from shanhe.ledger.api import (
    PLACE,
    Asset,
    Charge,
    Feed,
    IdempotencyConflict,
    InsufficientCredit,
    LeaseReclaimed,
    Ledger,
    Leg,
    LotTerms,
    NotBalanced,
    Posting,
    Preamble,
    Provenance,
    Transfer,
    preamble_of,
    woven,
)

from .conftest import TERMS, Books, move, open_books

TEXT = st.binary().map(lambda some: some.replace(PLACE, b""))
A, B, C = preamble_of(b'{"model":"a",'), preamble_of(b'{"model":"b",'), preamble_of(b'{"model":"c","n":\n,"why":\n}')


def own_of(common: Preamble | None, number: int) -> bytes:
    return b'%d\n"%%"' % number if common is C else b'"n":%d}' % number


async def lose_preambles(database: Database) -> None:
    await database.execute(
        "ALTER TABLE ledger.preamble DISABLE TRIGGER append_only; "
        "GRANT DELETE ON ledger.preamble TO CURRENT_USER; DELETE FROM ledger.preamble; "
        "REVOKE DELETE ON ledger.preamble FROM CURRENT_USER; ALTER TABLE ledger.preamble ENABLE TRIGGER append_only"
    )


class TestEvidence:
    @given(st.lists(TEXT, min_size=1), st.lists(TEXT, min_size=1))
    def test_has_all_that_went_into_it(self, common: list[bytes], values: list[bytes]) -> None:
        """In order, each value in its place; where these are not as many as places, the one behind the other."""
        whole = woven(common, PLACE.join(values))
        if len(common) == len(values) + 1:
            pairs = zip(common, [*values, b""], strict=True)
            assert whole == b"".join(piece + value for piece, value in pairs)
        else:
            assert whole == PLACE.join(common) + PLACE.join(values)


class TestCall:
    async def test_is_admitted_from_memory_and_settled_to_the_micro_credit(self, books: Books) -> None:
        ledger, payer = books.ledger, await books.wallet(1_000_000_000)
        await books.call(payer, 1000, 900)
        receipt = new_id()
        reservation = ledger.try_admit(payer.id, 1000, receipt_id=receipt)
        assert reservation is not None
        settled = await ledger.settle(reservation, books.charge(700, cost=200, evidence=b'{"model":"m"}'))
        assert settled.total_micro == 700
        view = await ledger.posting(receipt)
        assert [(t.debit, t.credit, t.amount) for t in view.transfers] == [
            (payer.id, books.revenue.id, 500),
            (payer.id, books.cost.id, 200),
        ]
        assert view.evidence == b'{"model":"m"}'
        assert sum(delta.amount for delta in view.burned) == -700
        assert (await ledger.balance(payer.id)).balance == 1_000_000_000 - 1600
        assert (await ledger.balance(books.revenue.id)).balance == 1400
        assert await books.clean()

    @pytest.mark.parametrize("payers", [1, 3])
    @pytest.mark.parametrize("ordinary", [True, False])
    async def test_is_booked_the_same_by_either_function(
        self, books: Books, database: Database, monkeypatch: pytest.MonkeyPatch, payers: int, ordinary: bool
    ) -> None:
        """Five calls of each payer in one batch, some with several legs."""
        ledger, asked, feed = books.ledger, list[bool](), Feed(database)

        def choose(*arguments: Any) -> Any:
            found = real(*arguments) if ordinary else None
            asked.append(found is not None)
            return found

        real = settling.ordinary
        monkeypatch.setattr(settling, "ordinary", choose)
        wallets = [await books.wallet(10**9) for _ in range(payers)]
        for wallet in wallets:
            await ledger.release(await ledger.admit(wallet.id, 5_000, receipt_id=new_id()))
        several = (Leg(books.cost.id, 3), Leg(books.revenue.id, 4), Leg(books.cost.id, 0), Leg(books.revenue.id, 5))
        charges = [
            books.charge(700, cost=200), books.charge(1), books.charge(5_000, cost=1), books.charge(30),
            Charge(12, several, b"{}"),
        ]  # fmt: skip
        open_calls = [
            (await ledger.admit(wallet.id, 5_000, receipt_id=new_id()), charge)
            for charge in charges for wallet in wallets
        ]  # fmt: skip
        asked.clear()
        settled = await asyncio.gather(*(ledger.settle(reserved, charge) for reserved, charge in open_calls))
        assert asked == [ordinary]
        for (reserved, charge), one in zip(open_calls, settled, strict=True):
            view = await ledger.posting(one.id)
            assert [(t.debit, t.credit, t.amount) for t in view.transfers] == [
                (reserved.payer, leg.account, leg.amount_micro) for leg in charge.legs if leg.amount_micro
            ]
            fed = await feed.one(one.id)
            assert fed is not None
            assert [(leg, between.debit, between.credit, amount) for leg, amount, between in fed.legs] == [
                (t.id, t.debit, t.credit, t.amount) for t in view.transfers
            ]
            assert view.burned == one.burned
            assert sum(delta.amount for delta in view.burned) == -charge.total_micro
            assert (view.kind, view.evidence) == ("call", b"{}")
        total = sum(charge.total_micro for charge in charges)
        assert {(await ledger.balance(wallet.id)).balance for wallet in wallets} == {10**9 - total}
        assert (await ledger.balance(books.cost.id)).balance == 204 * payers
        assert (await ledger.balance(books.revenue.id)).balance == (total - 204) * payers
        assert await books.clean()

    @pytest.mark.parametrize("ordinary", [True, False])
    @pytest.mark.parametrize(
        "begun", [(A,), (A, A), (A, B, A), (None, A), (None, None), (B, None, A), (C,), (C, C), (A, C, None, C)]
    )
    async def test_has_its_whole_evidence_whatever_of_it_is_written_once(
        self, books: Books, database: Database, monkeypatch: pytest.MonkeyPatch, ordinary: bool,
        begun: tuple[Preamble | None, ...],
    ) -> None:  # fmt: skip
        """In one batch: read back as a posting, and from the feed."""
        if not ordinary:
            monkeypatch.setattr(settling, "ordinary", lambda *_: None)
        ledger, feed, payer = books.ledger, Feed(database), await books.wallet(10**9)
        for _ in range(2):
            reserved = [await ledger.admit(payer.id, 1_000, receipt_id=new_id()) for _ in begun]
            charges = [
                msgspec.structs.replace(books.charge(900, cost=200, evidence=own_of(one, number)), preamble=one)
                for number, one in enumerate(begun)
            ]
            settled = await asyncio.gather(*map(ledger.settle, reserved, charges))
            for number, (one, booked) in enumerate(zip(begun, settled, strict=True)):
                whole = b'{"model":"c","n":%d,"why":"%%"}' % number
                if one is not C:
                    whole = (b"" if one is None else one.text) + b'"n":%d}' % number
                view, fed = await ledger.posting(booked.id), await feed.one(booked.id)
                assert view.evidence == whole
                assert [transfer.amount for transfer in view.transfers] == [700, 200]
                assert fed is not None
                assert fed.evidence == whole
                assert fed.born > 0  # so whoever reads the feed in order comes by it
        assert await books.clean()

    @pytest.mark.parametrize("begun", [(A,), (A, A, A), (A, B, A)])
    async def test_is_booked_where_what_its_evidence_begins_with_was_lost(
        self, books: Books, database: Database, begun: tuple[Preamble, ...]
    ) -> None:
        """As after a server took over that had not everything yet: it is written again, and nothing refused."""
        ledger, payer = books.ledger, await books.wallet(10**9)
        for _ in range(2):
            reserved = [await ledger.admit(payer.id, 1_000, receipt_id=new_id()) for _ in begun]
            charge = books.charge(900, evidence=b'"n":1}')
            charges = [msgspec.structs.replace(charge, preamble=one) for one in begun]
            settled = await asyncio.gather(*map(ledger.settle, reserved, charges))
            assert [(await ledger.posting(one.id)).evidence for one in settled] == [
                one.text + b'"n":1}' for one in begun
            ]
            await lose_preambles(database)
        report = await ledger.verify()
        assert {finding.invariant for finding in report.findings} == {"what evidence shares with others is there"}

    async def test_begins_with_its_own_beside_calls_that_begin_otherwise(self, books: Books) -> None:
        """One after the other, each in a batch of its own."""
        ledger, payer = books.ledger, await books.wallet(10**9)
        for one in (A, B, A):
            call = await ledger.admit(payer.id, 1_000, receipt_id=new_id())
            charge = msgspec.structs.replace(books.charge(900, evidence=b'"n":1}'), preamble=one)
            settled = await ledger.settle(call, charge)
            assert (await ledger.posting(settled.id)).evidence == one.text + b'"n":1}'
        assert await books.clean()

    async def test_can_be_given_no_other_beginning_of_its_evidence_afterwards(self, database: Database) -> None:
        await database.execute("INSERT INTO ledger.preamble VALUES ($1, $2) ON CONFLICT DO NOTHING", A.id, A.text)
        for statement in (
            "INSERT INTO ledger.preamble VALUES (gen_random_uuid(), 'another')",
            "UPDATE ledger.preamble SET text = 'another'",
            "DELETE FROM ledger.preamble",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await database.execute(statement)

    @pytest.mark.parametrize("others", [0, 1, 3])
    async def test_of_a_reclaimed_lease_lapses_and_those_beside_it_are_booked(
        self, books: Books, database: Database, others: int
    ) -> None:
        ledger = books.ledger
        wallets = [await books.wallet(10**9) for _ in range(others + 1)]
        reserved = [await ledger.admit(wallet.id, 1_000, receipt_id=new_id()) for wallet in wallets]
        await database.writes.fetch(
            "SELECT ledger.reclaim(array_agg(epoch)) FROM ledger.lease WHERE account = $1", wallets[0].id
        )
        told = await asyncio.gather(
            *(ledger.settle(one, books.charge(900)) for one in reserved), return_exceptions=True
        )
        assert isinstance(told[0], LeaseReclaimed)
        assert [one for one in told[1:] if isinstance(one, BaseException)] == []
        assert [(await ledger.balance(w.id)).balance for w in wallets] == [10**9] + [10**9 - 900] * others
        assert await books.clean()

    async def test_pays_more_than_its_id_has_numbers_for(self, books: Books) -> None:
        ledger, payer = books.ledger, await books.wallet(10**9)
        reserved = await ledger.admit(payer.id, 1_000, receipt_id=new_id())
        charge = Charge(300, tuple(Leg(books.revenue.id, 1) for _ in range(300)), b"{}")
        settled = await ledger.settle(reserved, charge)
        assert len((await ledger.posting(settled.id)).transfers) == 300
        assert await books.clean()

    async def test_beside_a_free_one_keeps_all_its_legs(self, books: Books) -> None:
        """In one batch with as many transfers as postings, of which one has two and the other none."""
        payer, receipts = await books.wallet(1_000_000), [new_id(), new_id()]
        amounts = (900, 0)
        held = [
            await books.ledger.admit(payer.id, most, receipt_id=one)
            for most, one in zip(amounts, receipts, strict=True)
        ]
        charges = [books.charge(700, cost=200), Charge(0, ())]
        await asyncio.gather(*(books.ledger.settle(one, what) for one, what in zip(held, charges, strict=True)))
        assert sorted(t.amount for t in (await books.ledger.posting(receipts[0])).transfers) == [200, 500]
        assert await books.clean()

    async def test_pays_at_most_so_much_from_subsidy(self, books: Books, clock: FixedClock) -> None:
        payer, day = await books.wallet(), timedelta(days=1)
        subsidy = await books.fund(payer, 1000, Provenance.SUBSIDY, clock.now() + 20 * day)
        purchased = await books.fund(payer, 1000)
        receipt = new_id()
        held = await books.ledger.admit(payer.id, 900, receipt_id=receipt, subsidy_max_micro=600)
        assert held.burning(500, 300) == {Provenance.SUBSIDY: 300, Provenance.PURCHASED: 200}
        with pytest.raises(NotBalanced):  # the hold has 300 that are no subsidy
            await books.ledger.settle(held, Charge(900, (Leg(books.revenue.id, 900),), subsidy_max_micro=500))
        await books.ledger.settle(held, Charge(500, (Leg(books.revenue.id, 500),), subsidy_max_micro=300))
        burned = (await books.ledger.posting(receipt)).burned
        assert [(d.lot, d.amount) for d in burned] == [(subsidy, -300), (purchased, -200)]
        with pytest.raises(InsufficientCredit):
            await books.ledger.admit(payer.id, 1400, receipt_id=new_id(), subsidy_max_micro=500)
        assert await books.clean()

    async def test_burns_earliest_expiry_then_subsidy_reward_purchased(self, books: Books, clock: FixedClock) -> None:
        payer, day = await books.wallet(), timedelta(days=1)
        purchased = await books.fund(payer, 1000)
        reward = await books.fund(payer, 1000, Provenance.REWARD, clock.now() + 20 * day)
        subsidy = await books.fund(payer, 1000, Provenance.SUBSIDY, clock.now() + 20 * day)
        soonest = await books.fund(payer, 1000, Provenance.PURCHASED, clock.now() + 10 * day)
        receipt = await books.call(payer, 3500)
        burned = (await books.ledger.posting(receipt)).burned
        assert [(d.lot, d.amount) for d in burned] == [
            (soonest, -1000), (subsidy, -1000), (reward, -1000), (purchased, -500),
        ]  # fmt: skip
        assert await books.clean()

    @pytest.mark.parametrize("first", ["call", "post", "hold"])
    async def test_burns_what_the_exchange_sold_as_if_purchased_the_oldest_first(
        self, books: Books, clock: FixedClock, first: str
    ) -> None:
        payer, ledger = await books.wallet(), books.ledger
        bought = await books.fund(payer, 1000, Provenance.EXCHANGE)
        clock.advance(hours=1)
        await books.fund(payer, 1000, Provenance.PURCHASED)
        assert (await ledger.lots(payer.id))[0].id == bought
        if first == "call":
            posting = await books.call(payer, 600)
        elif first == "post":
            posting = new_id()
            transfer = Transfer(new_id(), payer.id, books.revenue.id, 600)
            await ledger.post(Posting(id=posting, kind="test", transfers=(transfer,)))
        else:
            posting = new_id()
            later = clock.now() + timedelta(days=1)
            await ledger.hold(payer.id, 600, hold_id=posting, purpose="test", expires_at=later)
            await ledger.capture(posting, books.charge(600))
        assert [(delta.lot, delta.amount) for delta in (await ledger.posting(posting)).burned] == [(bought, -600)]

    async def test_settling_again_is_known_and_other_content_a_conflict(self, books: Books) -> None:
        ledger, payer = books.ledger, await books.wallet(1_000_000)
        receipt = new_id()
        reservation = await ledger.admit(payer.id, 100, receipt_id=receipt)
        await ledger.settle(reservation, books.charge(90))
        assert (await ledger.settle(reservation, books.charge(90))).known
        with pytest.raises(IdempotencyConflict):
            await ledger.settle(reservation, books.charge(80))
        other = await ledger.admit(payer.id, 100, receipt_id=receipt)
        assert (await ledger.settle(other, books.charge(90))).known
        third = await ledger.admit(payer.id, 100, receipt_id=receipt)
        with pytest.raises(IdempotencyConflict):
            await ledger.settle(third, books.charge(70))
        assert (await ledger.balance(payer.id)).balance == 1_000_000 - 90
        assert await books.clean()

    async def test_release_charges_nothing(self, books: Books) -> None:
        ledger, payer = books.ledger, await books.wallet(1_000_000)
        reservation = await ledger.admit(payer.id, 100, receipt_id=new_id())
        await ledger.release(reservation)
        await ledger.release(reservation)
        assert (await ledger.balance(payer.id)).available == 1_000_000
        assert await books.clean()

    async def test_never_takes_more_than_it_reserved(self, books: Books) -> None:
        payer = await books.wallet(1_000_000)
        reservation = await books.ledger.admit(payer.id, 100, receipt_id=new_id())
        with pytest.raises(NotBalanced):
            await books.ledger.settle(reservation, books.charge(101))
        with pytest.raises(NotBalanced):
            await books.ledger.settle(reservation, Charge(50, (Leg(books.revenue.id, 49),)))

    async def test_earmarked_lot_pays_only_what_it_is_meant_for(self, books: Books) -> None:
        ledger, payer = books.ledger, await books.wallet()
        await books.fund(payer, 500, earmark={"model": "small"})
        with pytest.raises(InsufficientCredit):
            await ledger.admit(payer.id, 100, receipt_id=new_id(), earmark={"model": "large"})
        reservation = await ledger.admit(payer.id, 100, receipt_id=new_id(), earmark={"model": "small", "n": 1})
        await ledger.settle(reservation, books.charge(100))
        assert (await ledger.balance(payer.id)).balance == 400
        assert await books.clean()

    async def test_free_call_books_a_receipt_without_transfers(self, books: Books) -> None:
        payer, receipt = await books.wallet(), new_id()
        reservation = await books.ledger.admit(payer.id, 0, receipt_id=receipt)
        await books.ledger.settle(reservation, Charge(0, (), b"{}"))
        assert (await books.ledger.posting(receipt)).transfers == ()
        assert await books.clean()


class TestIncome:
    async def test_is_one_pending_lot_a_day_and_platform_absorbs_subsidy_first(
        self, books: Books, clock: FixedClock
    ) -> None:
        ledger, payer = books.ledger, await books.wallet()
        given = await books.fund(payer, 600, Provenance.SUBSIDY, clock.now() + timedelta(days=100))
        await books.fund(payer, 10_000_000)
        maker = await ledger.ensure_account(new_id(), Asset.CREDIT, "income")
        for _ in range(3):
            reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
            legs = (Leg(maker.id, 700), Leg(books.revenue.id, 300))
            await ledger.settle(reservation, Charge(1000, legs, b"{}"))
        lots = {lot.provenance: lot for lot in await ledger.lots(maker.id)}
        # the first call burned 600 subsidy: the platform took 300 of it, 300 of the maker's 700 stay subsidy
        assert {key: lot.remaining for key, lot in lots.items()} == {Provenance.SUBSIDY: 300, Provenance.REWARD: 1800}
        assert lots[Provenance.SUBSIDY].expires_at == clock.now() + timedelta(days=100)
        day = clock.today()
        assert {lot.unlock_at for lot in lots.values()} == {midnight(add_months(day, TERMS.income_lock_months))}
        assert lots[Provenance.REWARD].expires_at == midnight(add_months(day, 24))
        assert lots[Provenance.SUBSIDY].parent == given
        assert (await ledger.balance(maker.id)).available == 0
        clock.advance(days=8)
        assert (await ledger.balance(maker.id)).available == 2100
        assert await books.clean()

    async def test_of_a_lot_that_was_spent_the_same_day_is_there_again(self, books: Books) -> None:
        """Income that waits for nothing, which its maker spends between two calls."""
        ledger, payer, maker = books.ledger, await books.wallet(10_000), await books.wallet()
        ledger._settler._terms = lambda _: LotTerms()
        for _ in range(2):
            reservation = await ledger.admit(payer.id, 100, receipt_id=new_id())
            await ledger.settle(reservation, Charge(100, (Leg(maker.id, 100),), b"{}"))
            await ledger.post(move(maker.id, books.revenue.id, 100))
        assert await ledger.lots(maker.id) == []
        assert await books.clean()


class TestAdmission:
    async def test_a_balance_for_fifty_admits_exactly_fifty_over_two_workers(
        self, books: Books, database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(holding, "RECALL_WAITS_S", (0.02, 0.04, 0.06, 0.08, 1.0))  # on a slow machine
        second = Ledger(database, clock, worker="two", workers=2)
        await second.start()
        await open_books(second)
        payer = await books.wallet(50 * 1000)

        async def call(number: int) -> bool:
            ledger = (books.ledger, second)[number % 2]
            try:
                reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
            except InsufficientCredit:
                return False
            await asyncio.sleep(0.01)
            await ledger.settle(reservation, books.charge(1000))
            return True

        answers = await asyncio.gather(*(call(number) for number in range(1000)))
        await second.stop()
        assert sum(answers) == 50
        assert (await books.ledger.balance(payer.id)).balance == 0
        assert await books.clean()

    async def test_a_crashed_workers_lease_is_reclaimed_and_its_late_capture_refused(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        crashed = Ledger(database, clock, worker="crashed", workers=2)
        payer = await books.wallet(100_000)
        late = await crashed.admit(payer.id, 1000, receipt_id=new_id())
        assert (await books.ledger.balance(payer.id)).leased > 0
        clock.advance(seconds=31)
        assert (await books.ledger.sweep()).leases == 1
        assert (await books.ledger.balance(payer.id)).leased == 0
        # someone else's hold: without the fence the late capture would take from what this one set aside
        expires_at = clock.now() + timedelta(days=1)
        await books.ledger.hold(payer.id, 5000, hold_id=new_id(), purpose="escrow", expires_at=expires_at)
        await crashed.account(books.revenue.id)
        with pytest.raises(LeaseReclaimed):
            await crashed.settle(late, books.charge(1000))
        assert (await books.ledger.balance(payer.id)).balance == 100_000
        await crashed.stop()
        assert await books.clean()

    async def test_a_call_older_than_half_its_lease_becomes_a_hold(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(1_000_000)
        receipt = new_id()
        reservation = await ledger.admit(payer.id, 1000, receipt_id=receipt)
        clock.advance(seconds=20)
        await ledger._book.housekeep()
        assert (await ledger.find_hold(receipt)).amount == 1000
        await ledger.settle(reservation, books.charge(400))
        assert (await ledger.find_hold(receipt)).state == "captured"
        assert (await ledger.balance(payer.id)).balance == 1_000_000 - 400
        assert await books.clean()

    async def test_stopping_gives_everything_back(self, books: Books, database: Database, clock: FixedClock) -> None:
        second = Ledger(database, clock, worker="two", workers=2)
        await second.start()
        payer = await books.wallet(1_000_000)
        await second.admit(payer.id, 1000, receipt_id=new_id())
        await second.stop()
        balance = await books.ledger.balance(payer.id)
        assert (balance.held, balance.leased) == (1000, 0)
        assert await books.clean()


class TestBurned:
    async def test_tells_by_provenance_what_calls_burned_in_a_period(self, books: Books, clock: FixedClock) -> None:
        ledger, payer = books.ledger, await books.wallet(100, provenance=Provenance.SUBSIDY)
        await books.fund(payer, 500)
        receipt = new_id()
        reservation = await ledger.admit(payer.id, 400, receipt_id=receipt)
        await ledger.settle(reservation, books.charge(300))
        today = clock.today()
        burned = await ledger.burned(payer.id, today.replace(day=1), today)
        assert sum(burned.values()) == 300
        assert burned[Provenance.SUBSIDY] + burned.get(Provenance.PURCHASED, 0) == 300
        assert await ledger.burned(payer.id, today.replace(year=2020), today.replace(year=2021)) == {}
