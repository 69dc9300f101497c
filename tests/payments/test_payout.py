"""Income turned into cash: what may leave, who must agree, one posting, and the way back."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID

import asyncpg
import pytest

from shanhe.kernel.ids import new_id
from shanhe.ledger.api import (
    Asset,
    InsufficientCredit,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments import payout_sheet
from shanhe.payments import payouts as payouts_module
from shanhe.payments.api import (
    BANK_FILE,
    OpenPayee,
    PayeeKind,
    Payout,
    PayoutOutOfBounds,
    PayoutSamePerson,
    PayoutState,
    PayoutStateError,
    ProviderRefused,
    ProviderUnavailable,
    SandboxPayouts,
)

from .conftest import NOON
from .treasury import CLERK, MICRO, RULES, Works


class TestSheet:
    @pytest.mark.parametrize(("most", "cut"), [(2, True), (3, False)])
    async def test_that_leaves_payouts_out_says_so_in_its_last_line(
        self, works: Works, monkeypatch: pytest.MonkeyPatch, most: int, cut: bool
    ) -> None:
        for module in (payouts_module, payout_sheet):
            monkeypatch.setattr(module, "PAGE_ROWS", 1)
        monkeypatch.setattr(payout_sheet, "SHEET_ROWS_MAX", most)
        await works.ripe(900)
        await works.payee()
        for ref in ("a", "b", "c"):
            await works.payouts.request(works.maker, 200 * MICRO, client_ref=ref, actor="person:maker")
        lines = "".join([line async for line in payout_sheet.payouts_csv(works.payouts)]).splitlines()
        assert len(lines) == 1 + most + cut
        assert ("其余未列" in lines[-1]) is cut


class TestPayout:
    async def test_is_one_balanced_posting_and_then_confirmed(self, works: Works) -> None:
        await works.ripe(5_000)
        await works.payee(kind=PayeeKind.PERSON)
        sent = await works.approved(4_000)
        assert sent.state is PayoutState.SENT
        assert (sent.gross_fen, sent.withheld_fen, sent.net_fen) == (400_000, 64_000, 336_000)
        assert await works.income_micro() == 1_000 * MICRO
        assert await works.fen("cash", "sandbox") == 336_000
        assert await works.fen("payable", "withheld tax") == 64_000
        assert await works.fen("expense", "income of makers") == -400_000
        works.clock.advance(seconds=11)
        await works.payouts.settle()
        assert (await works.payouts.get(sent.id)).state is PayoutState.CONFIRMED
        assert (await works.ledger.verify()).clean

    async def test_of_a_month_is_taxed_together(self, works: Works) -> None:
        await works.ripe(5_000)
        await works.payee(kind=PayeeKind.PERSON)
        first = await works.approved(1_000, ref="a")
        second = await works.approved(3_000, ref="b")
        assert (first.withheld_fen, second.withheld_fen) == (4_000, 60_000)

    async def test_needs_three_people(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:o3")
        with pytest.raises(PayoutSamePerson):
            await works.payouts.approve(asked.id, by="person:o3")
        await works.payouts.approve(asked.id, by="person:o1")
        for by in ("person:o1", "person:o3"):
            with pytest.raises(PayoutSamePerson):
                await works.payouts.approve(asked.id, by=by)
        with pytest.raises(asyncpg.CheckViolationError):
            await works.db.execute("UPDATE payments.payout SET second_by = first_by")
        assert (await works.payouts.get(asked.id)).state is PayoutState.FIRST

    async def test_knows_a_person_by_a_key_of_theirs(self, works: Works) -> None:
        async def behind(by: str) -> str:
            return {"key:1": "person:o1", "key:3": "person:o3"}.get(by, by)

        works.payouts.person_behind = behind
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:o3")
        with pytest.raises(PayoutSamePerson):
            await works.payouts.approve(asked.id, by="key:3")
        await works.payouts.approve(asked.id, by="person:o1")
        for by in ("key:1", "key:3"):
            with pytest.raises(PayoutSamePerson):
                await works.payouts.approve(asked.id, by=by)
        assert (await works.payouts.get(asked.id)).state is PayoutState.FIRST

    async def test_by_one_person_names_the_opening_that_stood_for_the_second(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 500 * MICRO, client_ref="p1", actor="person:maker")
        await works.payouts.approve(asked.id, by="person:o1")
        seen, glass = list[int](), new_id()

        async def alone(conn: object, payout: Payout, gross_fen: int, by: str) -> UUID | None:
            seen.append(gross_fen)
            return glass if len(seen) > 1 else None

        works.payouts.alone = alone
        with pytest.raises(PayoutSamePerson):
            await works.payouts.approve(asked.id, by="person:o1")
        with pytest.raises(PayoutSamePerson):  # who asked never approves, whatever is open
            await works.payouts.approve(asked.id, by="person:maker")
        done = await works.payouts.approve(asked.id, by="person:o1")
        assert (done.glass, done.gross_fen, seen) == (glass, seen[0], [seen[0]] * 2)
        posting = await works.ledger.posting(done.posting_id)
        assert posting.actor == f"person:o1 + break-glass:{glass}"

    async def test_refused_by_the_bank_gives_the_lots_back(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee("6200 0000 1111 0000")
        sent = await works.approved(300)
        works.clock.advance(seconds=11)
        await works.payouts.settle()
        assert (await works.payouts.get(sent.id)).state is PayoutState.FAILED
        assert await works.income_micro() == 500 * MICRO
        assert await works.fen("cash", "sandbox") == 0
        assert (await works.payouts.earnings(works.maker)).available_micro == 500 * MICRO
        await works.payouts.fail(sent.id, by=CLERK, reason="again")
        assert (await works.ledger.verify()).clean

    async def test_is_not_undone_and_confirmed_at_once(self, works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
        """A statement shows that it was sent while an operator says that it came back."""
        await works.ripe(500)
        await works.payee()
        done = await works.approved(500, channel="bank_file")
        real, told = works.ledger.reverse, list[asyncio.Task[Payout]]()

        async def meanwhile(posting: UUID, **more: Any) -> Any:
            told.append(asyncio.create_task(works.payouts.confirm(done.id, by=CLERK)))
            await asyncio.sleep(0.05)
            return await real(posting, **more)

        monkeypatch.setattr(works.ledger, "reverse", meanwhile)
        assert (await works.payouts.fail(done.id, by=CLERK, reason="退票")).state is PayoutState.FAILED
        with pytest.raises(PayoutStateError):
            await told[0]
        failed = await works.payouts.fail(done.id, by="person:another", reason="退票")
        assert (failed.state, failed.ended_by) == (PayoutState.FAILED, CLERK)

    async def test_is_booked_once_after_a_crash_at_any_step(self, works: Works, monkeypatch) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.approve(asked.id, by="person:o1")

        async def crash(*_: object, **__: object) -> None:
            raise OSError("gone")

        channel = works.payouts._channels["sandbox"]
        for target, name in ((works.ledger, "post"), (works.payouts, "_moved"), (channel, "send")):
            with monkeypatch.context() as patch:
                patch.setattr(target, name, crash)
                with pytest.raises(OSError, match="gone"):
                    if (await works.payouts.get(asked.id)).state is PayoutState.FIRST:
                        await works.payouts.approve(asked.id, by="person:o2")
                    else:
                        await works.payouts.settle()
        await works.payouts.settle()
        assert await works.income_micro() == 200 * MICRO
        assert await works.fen("cash", "sandbox") == 30_000

    async def test_that_came_back_is_reversed_once_after_a_crash(self, works: Works, monkeypatch) -> None:
        """Marked, then reversed, then failed: a process that dies between two of these leaves what goes on."""
        await works.ripe(500)
        await works.payee()
        done = await works.approved(500, channel="bank_file")

        async def crash(*_: object, **__: object) -> None:
            raise OSError("gone")

        for target, name in ((works.ledger, "reverse"), (works.payouts, "_moved")):
            with monkeypatch.context() as patch:
                patch.setattr(target, name, crash)
                with pytest.raises(OSError, match="gone"):
                    await works.payouts.fail(done.id, by=CLERK, reason="退票")
            assert (await works.payouts.get(done.id)).state is PayoutState.RETURNING
            with pytest.raises(PayoutStateError):
                await works.payouts.confirm(done.id, by=CLERK)
        await works.payouts.settle()
        assert (await works.payouts.get(done.id)).state is PayoutState.FAILED
        assert (await works.income_micro(), await works.fen("cash", "bank_transfer")) == (500 * MICRO, 0)
        assert (await works.ledger.verify()).clean

    async def test_waits_for_no_transaction_while_it_is_reversed(self, works: Works, monkeypatch) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(500, channel="bank_file")
        real, idle = works.ledger.reverse, list[int]()

        async def seen(posting: UUID, **more: Any) -> Any:
            idle.append(await works.db.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state = 'idle in transaction'"
            ))  # fmt: skip
            return await real(posting, **more)

        monkeypatch.setattr(works.ledger, "reverse", seen)
        await works.payouts.fail(done.id, by=CLERK, reason="退票")
        assert idle == [0]

    async def test_that_its_channel_is_sending_is_not_said_to_have_failed(self, works: Works, monkeypatch) -> None:
        """An operator says that it did not leave while it leaves: it would be paid, and the income be there again."""
        await works.ripe(500)
        await works.payee()
        channel, told = works.payouts._channels["sandbox"], list[BaseException]()
        real = channel.send

        async def meanwhile(payout: Payout, payee: OpenPayee) -> None:
            try:
                await works.payouts.fail(payout.id, by=CLERK, reason="未付出")
            except PayoutStateError as error:
                told.append(error)
            await real(payout, payee)

        monkeypatch.setattr(channel, "send", meanwhile)
        done = await works.approved(500)
        assert (done.state, len(told), await works.income_micro()) == (PayoutState.SENT, 1, 0)
        works.clock.advance(seconds=11)
        with pytest.raises(PayoutStateError):  # what the channel knows counts
            await works.payouts.fail(done.id, by=CLERK, reason="未付出")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED

    @pytest.mark.parametrize("reached", [False, True])
    async def test_is_sent_by_no_channel_to_an_account_that_was_found_wrong_while_it_was_away(
        self, works: Works, monkeypatch: pytest.MonkeyPatch, reached: bool
    ) -> None:
        """It comes back, unless the channel had it before and may pay it."""
        await works.ripe(500)
        await works.payee()
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        real = SandboxPayouts.send

        async def away(channel: SandboxPayouts, payout: Payout, open_: OpenPayee) -> None:
            if reached:
                await real(channel, payout, open_)
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(SandboxPayouts, "send", away)
            done = await works.approved(300)
        await works.payouts.payees.record_check(payee.id, passed=False, reference="户名不符", by="person:o1")
        sent = AsyncMock()
        monkeypatch.setattr(SandboxPayouts, "send", sent)
        await works.payouts.settle()
        assert sent.await_count == 0
        found = await works.payouts.get(done.id)
        assert (found.state, found.ended_by) == (
            (PayoutState.SENT, None) if reached else (PayoutState.FAILED, "payouts")
        )
        assert await works.income_micro() == (200 if reached else 500) * MICRO

    @pytest.mark.parametrize("reached", [False, True])
    async def test_that_its_channel_refuses_comes_back_unless_it_may_still_pay(
        self, works: Works, monkeypatch, reached: bool
    ) -> None:
        await works.ripe(500)
        await works.payee()
        channel = works.payouts._channels["sandbox"]
        real = channel.send

        async def refuse(payout: Payout, payee: OpenPayee) -> None:
            if reached:
                await real(payout, payee)
            raise ProviderRefused("sandbox", "REPEATED" if reached else "NO_ACCOUNT")

        monkeypatch.setattr(channel, "send", refuse)
        done = await works.approved(500)
        assert done.state is (PayoutState.SENT if reached else PayoutState.FAILED)
        assert await works.income_micro() == (0 if reached else 500 * MICRO)

    async def test_is_booked_however_many_wait_for_the_bank(self, works: Works, monkeypatch) -> None:
        monkeypatch.setattr(payouts_module, "BATCH_ROWS", 1)
        await works.ripe(1_000)
        await works.payee()
        for ref in ("a", "b"):
            done = await works.approved(500, channel="bank_file", ref=ref)
            assert done.state is PayoutState.APPROVED

    async def test_that_waits_is_listed_oldest_first_page_by_page(self, works: Works) -> None:
        await works.ripe(1_000)
        await works.payee()
        asked = [
            await works.payouts.request(works.maker, 200 * MICRO, client_ref=ref, actor="person:maker")
            for ref in ("a", "b", "c", "d")
        ]
        await works.payouts.refuse(asked[1].id, by="person:o1", reason="账户有误")
        first = await works.payouts.list(waiting=True, limit=2)
        assert [one.id for one in first] == [asked[0].id, asked[2].id]
        rest = await works.payouts.list(waiting=True, before=first[-1].id)
        assert [one.id for one in rest] == [asked[3].id]
        assert [one.id for one in await works.payouts.list(limit=1)] == [asked[3].id]

    async def test_asked_for_many_times_at_once_is_never_more_than_was_earned(
        self, works: Works, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await works.ripe(500)
        await works.payee()
        open_micro = payouts_module.payout_store.open_micro

        async def slow(conn: Any, org_id: UUID) -> int:
            found = await open_micro(conn, org_id)
            await asyncio.sleep(0.05)  # long enough for another to look, were it let
            return found

        monkeypatch.setattr(payouts_module.payout_store, "open_micro", slow)
        asked = await asyncio.gather(
            *(
                works.payouts.request(works.maker, 300 * MICRO, client_ref=ref, actor="person:maker")
                for ref in "abcdef"
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Payout) for one in asked) == 1
        assert sum(isinstance(one, PayoutOutOfBounds) for one in asked) == 5
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(works.maker, 200 * MICRO + 1, client_ref="g", actor="person:maker")
        await works.payouts.request(works.maker, 200 * MICRO, client_ref="g", actor="person:maker")

    async def test_is_asked_for_once_until_it_is_booked(self, works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 500 * MICRO, client_ref="a", actor="person:maker")
        monkeypatch.setattr(works.payouts, "settle", AsyncMock())
        for clerk, state in (("person:o1", PayoutState.FIRST), ("person:o2", PayoutState.APPROVING)):
            assert (await works.payouts.approve(asked.id, by=clerk)).state is state
            with pytest.raises(PayoutOutOfBounds):
                await works.payouts.request(works.maker, 200 * MICRO, client_ref="b", actor="person:maker")

    async def test_may_come_to_the_least_and_the_most_of_the_rule_and_to_no_fen_beyond(self, works: Works) -> None:
        today = works.clock.today()
        price, least, most = (
            int(RULES.parameter("P10_payout", name, today)) for name in ("settlement_price", "minimum", "maximum")
        )
        await works.ripe(most * 2 // price + 1)
        await works.payee()
        least_micro, beyond_micro = -(-least * MICRO // price), -(-(most + 1) * MICRO // price)
        for ref, amount in (("too little", least_micro - 1), ("too much", beyond_micro)):
            with pytest.raises(PayoutOutOfBounds):
                await works.payouts.request(works.maker, amount, client_ref=ref, actor="person:maker")
        for ref, amount in (("least", least_micro), ("most", beyond_micro - 1)):
            await works.payouts.request(works.maker, amount, client_ref=ref, actor="person:maker")

    async def test_of_subsidy_that_was_asked_for_is_not_asked_for_again(self, works: Works) -> None:
        await works.ripe(300)
        await works.ripe(300, Provenance.SUBSIDY)
        await works.payee()
        ask = works.payouts.request
        asked = await ask(works.maker, 500 * MICRO, client_ref="a", actor="person:maker", with_subsidy=True)
        assert (asked.state, asked.subsidy_micro) == (PayoutState.REVIEW, 200 * MICRO)
        with pytest.raises(PayoutOutOfBounds):
            await ask(works.maker, 101 * MICRO, client_ref="b", actor="person:maker", with_subsidy=True)
        rest = await ask(works.maker, 100 * MICRO, client_ref="b", actor="person:maker", with_subsidy=True)
        assert rest.subsidy_micro == 100 * MICRO
        with pytest.raises(PayoutSamePerson):
            await works.payouts.review(asked.id, by="person:maker", note="真实使用")

    async def test_is_taxed_with_what_was_paid_out_before_in_its_month_and_no_other(self, works: Works) -> None:
        await works.ripe(3_000)
        await works.payee(kind=PayeeKind.PERSON)
        works.clock.set(NOON.replace(month=7, day=2))
        first = await works.approved(1_000, BANK_FILE, ref="a")
        await works.payouts.confirm(first.id, by="person:o2")
        works.clock.set(NOON.replace(month=7, day=30))
        second = await works.approved(1_000, BANK_FILE, ref="b")
        await works.payouts.fail(second.id, by="person:o2", reason="账户已销户")
        again = await works.approved(1_000, BANK_FILE, ref="again")
        assert again.withheld_fen == second.withheld_fen
        works.clock.set(NOON.replace(month=8, day=1))
        third = await works.approved(1_000, ref="c")
        assert first.gross_fen == second.gross_fen == third.gross_fen
        assert (second.withheld_fen or 0) > (first.withheld_fen or 0) == third.withheld_fen

    async def test_by_a_channel_is_nothing_to_send_at_the_bank(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        await works.approved(200, ref="a")
        assert await works.desk().outgoing() == []
        by_file = await works.approved(200, BANK_FILE, ref="b")
        assert [one.reference for one in await works.desk().outgoing()] == [by_file.reference]
        await works.payouts.confirm(by_file.id, by="person:o2")
        assert await works.desk().outgoing() == []
        by_file = await works.approved(100, BANK_FILE, ref="c")
        await works.payouts.fail(by_file.id, by="person:o2", reason="账户已销户")
        assert await works.desk().outgoing() == []

    async def test_whose_income_went_before_it_was_booked_is_nothing_to_send_at_the_bank(
        self, works: Works, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await works.ripe(500)
        await works.payee()
        with monkeypatch.context() as patch:
            patch.setattr(works.payouts, "settle", AsyncMock())
            cut_off = await works.approved(500, BANK_FILE)
        assert [one.reference for one in await works.desk().outgoing()] == [cut_off.reference]
        income = await works.ledger.ensure_account(works.maker, Asset.CREDIT, "income")
        sink = await works.ledger.system_account("revenue", Asset.CREDIT)
        spent = Transfer(new_id(), income.id, sink.id, MICRO)
        await works.ledger.post(Posting(id=new_id(), kind="x", transfers=(spent,)))
        await works.payouts.settle()
        assert (await works.payouts.get(cut_off.id)).state is PayoutState.REFUSED
        assert await works.desk().outgoing() == []

    async def test_takes_no_income_that_another_approved_just_now_takes(self, works: Works) -> None:
        """Both approvals look at the income before either of the two is in the ledger."""
        for _ in range(2):
            await works.ripe(300)
        await works.payee()
        asked = [
            await works.payouts.request(works.maker, 300 * MICRO, client_ref=ref, actor="person:maker") for ref in "ab"
        ]
        for one in asked:
            await works.payouts.approve(one.id, by="person:o1")
        looked, of = asyncio.Barrier(2), works.payouts._earned.of
        turns = 0

        async def both_look(org_id: UUID) -> Any:
            nonlocal turns
            turns += 1
            found = await of(org_id)
            if turns <= 2:
                await looked.wait()
            return found

        works.payouts._earned.of = both_look  # type: ignore[method-assign]
        await asyncio.gather(*(works.payouts.approve(one.id, by="person:o2") for one in asked))
        ended = [await works.payouts.get(one.id) for one in asked]
        assert {one.state for one in ended} <= {PayoutState.SENT, PayoutState.CONFIRMED}, [one.reason for one in ended]
        assert not set(ended[0].lots or ()) & set(ended[1].lots or ())
        assert await works.income_micro() == 0

    async def test_takes_no_income_that_another_takes_whose_booking_was_cut_off(
        self, works: Works, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(2):
            await works.ripe(300)
        await works.payee()
        first, second = [
            await works.payouts.request(works.maker, 300 * MICRO, client_ref=ref, actor="person:maker") for ref in "ab"
        ]
        for one in (first, second):
            await works.payouts.approve(one.id, by="person:o1")
        with monkeypatch.context() as patch:
            patch.setattr(works.payouts, "settle", AsyncMock())
            await works.payouts.approve(first.id, by="person:o2")
        await works.payouts.approve(second.id, by="person:o2")
        await works.payouts.settle()
        ended = [await works.payouts.get(one.id) for one in (first, second)]
        assert {one.state for one in ended} <= {PayoutState.SENT, PayoutState.CONFIRMED}, [one.reason for one in ended]
        assert await works.income_micro() == 0

    async def test_of_income_that_was_used_in_between_pays_nothing(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 500 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.approve(asked.id, by="person:o1")
        income = await works.ledger.ensure_account(works.maker, Asset.CREDIT, "income")
        sink = await works.ledger.system_account("revenue", Asset.CREDIT)
        spent = Transfer(new_id(), income.id, sink.id, MICRO)
        await works.ledger.post(Posting(id=new_id(), kind="x", transfers=(spent,)))
        with pytest.raises(InsufficientCredit):
            await works.payouts.approve(asked.id, by="person:o2")
        refused = await works.payouts.refuse(asked.id, by="person:o2", reason="收入已用")
        assert refused.state is PayoutState.REFUSED
        with pytest.raises(PayoutStateError):
            await works.payouts.approve(asked.id, by="person:o2")
