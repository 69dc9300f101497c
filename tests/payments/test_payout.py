"""Income turned into cash: what may leave, who must agree, one posting, and the way back."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.ledger.api import (
    Asset,
    Charge,
    InsufficientCredit,
    Ledger,
    Leg,
    LotTerms,
    NewLot,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments import bank_store, payout_store
from shanhe.payments import payouts as payouts_module
from shanhe.payments.api import (
    BANK_FILE,
    BankDesk,
    CheckResult,
    ExplainsAnother,
    MoreThanSent,
    NotElsewhere,
    NotExplained,
    NothingToPay,
    NotReturned,
    OpenPayee,
    PayeeKind,
    PayeeNotChecked,
    PayeeState,
    Payments,
    Payout,
    PayoutOutOfBounds,
    Payouts,
    PayoutSamePerson,
    PayoutState,
    PayoutStateError,
    ProviderRefused,
    ProviderUnavailable,
    Report,
    SandboxPayouts,
    Suspense,
    SuspenseDecided,
    SuspenseKind,
    SuspenseState,
    UnknownPayout,
)
from shanhe.payments.bank_model import LineState
from shanhe.rulebook.api import Rulebook
from shanhe.wiring.payments import payees_of, tell_makers
from stage.rows import all_rows, changed

from .conftest import NOON

CLERK = "person:clerk"
MICRO = 1_000_000
PENDING_DAYS = 7
RULES = Rulebook.load()


class Works:
    """A maker whose agent others call, a treasury of three operators, and a bank."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.clock = db, FixedClock(NOON)
        months = {Provenance.REWARD: 24, Provenance.SUBSIDY: 12}
        terms = LotTerms(income_pending_days=PENDING_DAYS, income_expiry_months=months)
        self.ledger = Ledger(db, self.clock, terms=lambda _: terms)
        self.vault = Vault(folder)
        self.maker, self.person = uuid4(), uuid4()
        self.vault.create(self.person)
        self.relatives: set[UUID] = set()
        self.payouts = self.treasury()

    def treasury(self, seals: Seals | None = None) -> Payouts:
        return Payouts(
            self.db, self.clock, ledger=self.ledger, rulebook=RULES, vault=self.vault, related=self.related,
            channels={"sandbox": SandboxPayouts(self.db, self.clock)}, seals=seals,
        )  # fmt: skip

    async def related(self, one: UUID, other: UUID) -> bool:
        return other in self.relatives

    async def earn(self, credits: int, provenance: Provenance = Provenance.PURCHASED, own: int = 0) -> UUID:
        """A call of somebody new pays the maker, `own` of it with credits that the payer bought; returns the payer."""
        payer = uuid4()
        wallet = await self.ledger.ensure_account(payer, Asset.CREDIT, "wallet")
        income = await self.ledger.ensure_account(self.maker, Asset.CREDIT, "income")
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        amount = (credits + own) * MICRO
        lots = [NewLot(account=wallet.id, provenance=provenance, amount=credits * MICRO)]
        if own:
            lots.append(NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=own * MICRO))
        transfer = Transfer(new_id(), issuance.id, wallet.id, amount)
        await self.ledger.post(Posting(id=new_id(), kind="grant", transfers=(transfer,), lots=tuple(lots)))
        reservation = await self.ledger.admit(wallet.id, amount, receipt_id=new_id())
        evidence = msgspec.json.encode({"org_id": payer})
        await self.ledger.settle(reservation, Charge(amount, (Leg(income.id, amount),), evidence))
        return payer

    async def ripe(self, credits: int, provenance: Provenance = Provenance.PURCHASED) -> None:
        await self.earn(credits, provenance)
        self.clock.advance(days=PENDING_DAYS)

    async def payee(self, account: str = "6200 0000 1111 2222", kind: PayeeKind = PayeeKind.ORGANISATION) -> None:
        made = await self.payouts.payees.set(
            self.maker, person_id=self.person, kind=kind, holder="青山机器人", account=account, bank="山河银行"
        )
        await self.payouts.payees.record_check(made.id, passed=True, reference="证件核对 0421", by="person:o1")

    async def approved(self, credits: int, channel: str = "", ref: str = "p1", **more: bool) -> Payout:
        asked = await self.payouts.request(self.maker, credits * MICRO, client_ref=ref, actor="person:maker", **more)
        if asked.state is PayoutState.REVIEW:
            await self.payouts.review(asked.id, by="person:o1", note="真实使用")
        await self.payouts.approve(asked.id, by="person:o1", channel=channel)
        return await self.payouts.approve(asked.id, by="person:o2", channel=channel)

    async def fen(self, kind: str, name: str) -> int:
        account = await self.ledger.system_account(kind, Asset.CNY, name)
        return (await self.ledger.balance(account.id)).balance

    def desk(self) -> BankDesk:
        payments = Payments(self.db, self.clock, {})
        desk = BankDesk(self.db, self.clock, ledger=self.ledger, payments=payments, vault=self.vault)
        desk.statements.know_payees(payees_of(desk, payments, self.payouts))
        desk.matching.on_sent("payout", self.payouts.on_statement)
        desk.matching.on_returned("payout", self.payouts.on_return)
        return desk

    async def income_micro(self) -> int:
        account = await self.ledger.ensure_account(self.maker, Asset.CREDIT, "income")
        return (await self.ledger.balance(account.id)).balance


@pytest.fixture
async def works(database: Database, tmp_path: Path):
    made = Works(database, tmp_path / "keys")
    yield made
    await made.ledger.stop()


class TestEarnings:
    async def test_are_pending_until_refunds_are_over(self, works: Works) -> None:
        await works.earn(500)
        before = await works.payouts.earnings(works.maker)
        assert (before.reward_micro, before.pending_micro) == (0, 500 * MICRO)
        works.clock.advance(days=PENDING_DAYS)
        after = await works.payouts.earnings(works.maker)
        assert (after.reward_micro, after.pending_micro, after.available_micro) == (500 * MICRO, 0, 500 * MICRO)

    async def test_from_subsidy_of_related_payers_are_never_cash(self, works: Works) -> None:
        relative = await works.earn(300, Provenance.SUBSIDY)
        works.relatives.add(relative)
        await works.ripe(200, Provenance.SUBSIDY)
        earnings = await works.payouts.earnings(works.maker)
        assert (earnings.subsidy_micro, earnings.related_micro) == (200 * MICRO, 300 * MICRO)
        await works.payee()
        with pytest.raises(PayoutOutOfBounds):  # without asking for it, subsidy income stays where it is
            await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(
                works.maker, 201 * MICRO, client_ref="a", actor="person:maker", with_subsidy=True
            )
        done = await works.approved(200, with_subsidy=True)
        assert (done.state, done.reviewed_by, done.subsidy_micro) == (PayoutState.SENT, "person:o1", 200 * MICRO)
        left = await works.payouts.earnings(works.maker)  # what was paid out of the day's lot was the unrelated part
        assert (left.subsidy_micro, left.related_micro) == (0, 300 * MICRO)

    async def test_from_subsidy_are_what_unrelated_payers_paid_with_subsidy(self, works: Works) -> None:
        """What they bought themselves stands in a lot of its own, and makes no relative's subsidy cash."""
        works.relatives.add(await works.earn(300, Provenance.SUBSIDY))
        await works.earn(100, Provenance.SUBSIDY, own=150)
        works.clock.advance(days=PENDING_DAYS)
        earnings = await works.payouts.earnings(works.maker)
        assert (earnings.reward_micro, earnings.subsidy_micro, earnings.related_micro) == (
            150 * MICRO, 100 * MICRO, 300 * MICRO
        )  # fmt: skip

    async def test_are_no_cash_where_they_are_set_aside_earmarked_or_expired(self, works: Works) -> None:
        await works.ripe(500)
        account = (await works.ledger.ensure_account(works.maker, Asset.CREDIT, "income")).id
        issuance = await works.ledger.system_account("issuance", Asset.CREDIT)
        soon = works.clock.now() + timedelta(hours=1)
        lots = (
            NewLot(account=account, provenance=Provenance.REWARD, amount=70 * MICRO, expires_at=soon),
            NewLot(account=account, provenance=Provenance.REWARD, amount=90 * MICRO, earmark={"models": ["m"]}),
        )
        transfer = Transfer(new_id(), issuance.id, account, 160 * MICRO)
        await works.ledger.post(Posting(id=new_id(), kind="grant", transfers=(transfer,), lots=lots))
        assert (await works.payouts.earnings(works.maker)).reward_micro == 570 * MICRO
        works.clock.set(soon)
        assert (await works.payouts.earnings(works.maker)).reward_micro == 500 * MICRO
        later = soon + timedelta(days=1)
        await works.ledger.hold(account, 40 * MICRO, hold_id=new_id(), purpose="test", expires_at=later)
        assert (await works.payouts.earnings(works.maker)).reward_micro == 460 * MICRO

    async def test_that_were_asked_for_cannot_be_asked_for_again(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(works.maker, 300 * MICRO, client_ref="b", actor="person:maker")
        again = await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.cancel(works.maker, again.id, by="owner")
        await works.payouts.request(works.maker, 500 * MICRO, client_ref="c", actor="person:maker")

    @pytest.mark.parametrize("credits", [-1, 0, 99, 501])
    async def test_are_paid_within_bounds_only(self, works: Works, credits: int) -> None:
        await works.ripe(500)
        await works.payee()
        with pytest.raises(PayoutOutOfBounds):
            await works.payouts.request(works.maker, credits * MICRO, client_ref="a", actor="person:maker")


class TestQuote:
    async def test_says_before_the_second_approval_what_the_payout_then_pays(self, works: Works) -> None:
        await works.ripe(9_000)
        await works.payee(kind=PayeeKind.PERSON)
        first = await works.approved(1_000, ref="a")
        quoted = await works.payouts.quote(works.maker, 5_000 * MICRO, PayeeKind.PERSON)
        paid = await works.approved(5_000, ref="b")
        amounts = ("gross_fen", "withheld_fen", "net_fen")
        assert [quoted.outputs[name] for name in amounts] == [getattr(paid, name) for name in amounts]
        assert quoted.trace == paid.trace
        assert first.withheld_fen != 0
        alone = await works.payouts.quote(uuid4(), 5_000 * MICRO, PayeeKind.PERSON)
        assert alone.outputs["withheld_fen"] < quoted.outputs["withheld_fen"]  # the month's first payout counts


class TestNews:
    async def test_of_a_payout_reach_its_maker_with_what_they_are_about(self, works: Works) -> None:
        notifier = Notifier(works.db, works.clock)
        tell_makers(works.payouts, notifier)

        async def said() -> list[str]:
            return [one.title.zh for one in await notifier.inbox(works.person, [works.maker])]

        await works.ripe(900)
        await works.payee()
        assert await said() == []  # an account that passed needs nothing of them
        sent = await works.approved(300, ref="a")
        assert await said() == ["提现 300.00 元已批准"]
        await works.payouts.confirm(sent.id, by=CLERK)
        assert (await said())[0] == "提现 300.00 元已到账"
        asked = await works.payouts.request(works.maker, 300 * MICRO, client_ref="b", actor="person:maker")
        await works.payouts.refuse(asked.id, by=CLERK, reason="材料不全")
        assert (await said())[0] == "提现申请未通过"
        back = await works.approved(300, channel=BANK_FILE, ref="c")
        await works.payouts.files.export(by=CLERK)
        await works.payouts.fail(back.id, by=CLERK, reason="账号不符")
        assert (await said())[0] == "提现 300.00 元未能付出"
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        for _ in range(2):  # said once
            await works.payouts.payees.record_check(payee.id, passed=False, reference="x", by=CLERK)
        assert (await said())[0] == "收款账户未通过核验"
        assert len(await said()) == 6


class TestPayee:
    async def test_is_sealed_and_shown_by_its_last_digits(self, works: Works) -> None:
        await works.payee()
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        assert (payee.last4, payee.state) == ("2222", PayeeState.PASSED)
        row = await works.db.fetchrow("SELECT holder, account FROM payments.payee")
        assert "青山".encode() not in row["holder"]
        assert b"6200" not in row["account"]
        assert (await works.payouts.payees.open(payee.id)).account == "6200000011112222"
        works.vault.destroy(works.person)
        with pytest.raises(PersonErased):
            await works.payouts.payees.open(payee.id)

    async def test_must_be_checked_before_the_first_approval(self, works: Works) -> None:
        await works.ripe(500)
        with pytest.raises(PayeeNotChecked):
            await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.PERSON, holder="王小山", account="62000000", bank="b"
        )
        asked = await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        with pytest.raises(PayeeNotChecked):
            await works.payouts.approve(asked.id, by="person:o1")

    async def test_that_changes_needs_a_new_check(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        asked = await works.payouts.request(works.maker, 200 * MICRO, client_ref="a", actor="person:maker")
        await works.payouts.approve(asked.id, by="person:o1")
        await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.PERSON, holder="别人", account="62009999", bank="b"
        )
        with pytest.raises(PayeeNotChecked):
            await works.payouts.approve(asked.id, by="person:o2")

    async def test_that_was_found_wrong_is_asked_for_nothing(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        await works.payouts.payees.record_check(payee.id, passed=False, reference="户名不符", by="person:o1")
        with pytest.raises(PayeeNotChecked):
            await works.payouts.request(works.maker, 300 * MICRO, client_ref="a", actor="person:maker")

    async def test_of_one_person_is_a_persons_whatever_they_say(self, works: Works) -> None:
        """An organisation invoices and pays its own tax; a person's is withheld."""

        maker = works.maker

        async def person_of(org_id: UUID) -> UUID | None:
            return works.person if org_id == maker else None

        works.payouts = works.treasury(Seals(works.vault, person_of))
        with pytest.raises(Invalid):
            await works.payee()
        await works.payee(kind=PayeeKind.PERSON)
        works.maker = uuid4()
        await works.payee()

    async def test_is_checked_by_a_plug_in_where_there_is_one(self, works: Works) -> None:
        class Bureau:
            name = "bureau"

            async def check(self, kind: PayeeKind, payee: OpenPayee) -> CheckResult:
                return CheckResult(payee.holder == "王小山", "B-1")

        works.payouts.payees._check = Bureau()
        for holder, state in (("王小山", PayeeState.PASSED), ("李四", PayeeState.FAILED)):
            payee = await works.payouts.payees.set(
                works.maker, person_id=works.person, kind=PayeeKind.PERSON, holder=holder, account="62000000", bank="b"
            )
            assert (payee.state, payee.checked_by, payee.check_ref) == (state, "bureau", "B-1")


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


class TestBankFile:
    async def test_lists_what_was_approved_and_the_statement_confirms_it(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        assert done.state is PayoutState.APPROVED
        file = await works.payouts.files.export(by=CLERK)
        batch = file.id
        (_, row) = csv.reader(io.StringIO(file.text))
        assert row == ["1", "青山机器人", "6200000011112222", "山河银行", "300.00", done.reference]
        assert (file.payouts, file.net_fen) == (1, 30_000)
        assert (await works.payouts.get(done.id)).sent_by == CLERK
        assert await works.payouts.files.export(batch, by="person:other") == file
        with pytest.raises(NothingToPay):  # no second file, and no empty one
            await works.payouts.files.export(by=CLERK)
        (made,) = await works.payouts.files.batches()
        assert (made.id, made.by, made.payouts, made.net_fen, made.waiting) == (batch, CLERK, 1, 30_000, 1)
        with pytest.raises(UnknownPayout):
            await works.payouts.files.export(uuid4(), by=CLERK)
        desk = works.desk()
        statement = f"日期,借方,贷方,对方户名,附言\n20260608,300.00,,青山机器人,{done.reference}"
        report = await desk.statements.take(statement.encode(), name="s", actor="person:o1", second="person:2")
        assert report.counts["matched"] == 1
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert await works.fen("cash", "bank_transfer") == 30_000

    async def test_leaves_out_whose_account_was_found_wrong_after_the_approvals(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        await works.approved(300, channel=BANK_FILE)
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        await works.payouts.payees.record_check(payee.id, passed=False, reference="户名不符", by="person:o1")
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)
        await works.payee("6200 0000 3333 4444")  # and stays wrong when its maker names another one
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)

    async def test_has_whose_maker_named_another_account_after_the_approvals(self, works: Works) -> None:
        """Whoever took over an account of the city gets nothing that was approved before."""
        await works.ripe(500)
        await works.payee()
        await works.approved(300, channel=BANK_FILE)
        await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.ORGANISATION, holder="贼", account="6200000099998888",
            bank="x",
        )  # fmt: skip
        assert "6200000011112222" in (await works.payouts.files.export(by=CLERK)).text

    async def test_leaves_out_when_it_is_downloaded_again_what_has_ended_since_and_says_who_had_it(
        self, works: Works
    ) -> None:
        """A file that went to the bank twice would pay what failed, whose maker has the income back."""
        await works.ripe(1_000)
        await works.payee()
        done = [await works.approved(150, channel=BANK_FILE, ref=f"p{n}") for n in range(4)]
        file = await works.payouts.files.export(by=CLERK)
        assert file.payouts == 4
        await works.payouts.fail(done[0].id, by=CLERK, reason="账户已销户")
        await works.payouts.confirm(done[1].id, by=CLERK)
        text = f"日期,借方,贷方,附言\n20260608,150.00,,{done[2].reference}\n"
        await works.desk().statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        again = await works.payouts.files.export(file.id, by="person:other")
        assert [row[-1] for row in csv.reader(io.StringIO(again.text))][1:] == [done[3].reference]
        await works.payouts.fail(done[3].id, by=CLERK, reason="账户已销户")
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(file.id, by=CLERK)
        noted = await works.db.fetch(
            "SELECT actor, object, details FROM kernel.act WHERE action = 'payout.file' ORDER BY id"
        )
        assert [(row["actor"], row["object"], row["details"]["net_fen"]) for row in noted] == [
            (CLERK, f"payout_file:{file.id}", 60_000), ("person:other", f"payout_file:{file.id}", 15_000),
        ]  # fmt: skip

    async def test_that_the_bank_sends_in_one_sum_is_explained_by_its_number(self, works: Works) -> None:
        """A bank's payroll service debits the file, not its rows; what comes back of one of them is sent again."""
        await works.ripe(1_000)
        await works.payee()
        done = [await works.approved(150, channel=BANK_FILE, ref=f"p{n}") for n in range(3)]
        file = await works.payouts.files.export(by=CLERK)
        await works.payouts.fail(done[2].id, by=CLERK, reason="银行未受理")
        desk = works.desk()
        await desk.statements.take(
            "日期,借方,贷方,附言\n20260608,300.00,,代发2笔\n".encode(), name="s", actor="person:o1", second="person:2"
        )
        (item,) = await desk.suspense()
        await desk.explain(item.id, [file.id], actor=CLERK, note="代发")
        states = [(await works.payouts.get(one.id)).state for one in done]
        assert states == [PayoutState.CONFIRMED, PayoutState.CONFIRMED, PayoutState.FAILED]
        assert (await desk.outgoing(), await works.fen("suspense", "bank transfers")) == ([], 0)
        assert await works.fen("cash", "bank_transfer") == 30_000
        sheet = await desk.balances.on(works.clock.today())
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.items) == (-30_000, -30_000, ())
        works.clock.advance(days=14)
        text = f"日期,借方,贷方,附言\n20260609,150.00,,{done[0].reference}\n20260609,,150.00,退汇{done[1].reference}\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        (twice,) = await desk.suspense()  # it was sent before
        assert (twice.kind, twice.amount_fen) == (SuspenseKind.OUTGOING, 15_000)
        back = await works.payouts.get(done[1].id)
        assert (back.state, back.ended_by) == (PayoutState.FAILED, "bank")
        reversal = (await works.ledger.reversed_among([back.posting_id]))[back.posting_id]
        await desk.statements.take(
            "日期,借方,贷方,附言\n20260610,,150.00,不明\n".encode(), name="s", actor="person:o1", second="person:2"
        )
        stray = next(item for item in await desk.suspense() if not item.outgoing)
        with pytest.raises(ExplainsAnother):  # the return's own line has shown it
            await desk.explain(stray.id, [reversal], actor=CLERK, note="退汇")

    async def test_of_what_is_sent_again_that_the_bank_sends_in_one_sum_is_explained_by_its_number(
        self, works: Works
    ) -> None:
        await works.ripe(1_000)
        await works.payee()
        done = [await works.approved(150, channel=BANK_FILE, ref=f"p{n}") for n in range(2)]
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        works.clock.advance(days=14)

        async def upload(day: int, *rows: str) -> list[Suspense]:
            text = "\n".join(["日期,借方,贷方,附言", *(f"202606{day:02d},{row}" for row in rows)])
            await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
            return await desk.suspense()

        assert not await upload(8, *(f"150.00,,{one.reference}" for one in done))
        for item in await upload(9, *(f",140.00,退汇{one.reference}" for one in done)):
            await desk.resend(item.id, actor=CLERK, note="户名有误", fee_fen=1_000)
        file = await works.payouts.files.export(by=CLERK)
        assert (file.payouts, file.net_fen) == (2, 30_000)
        large, small = sorted(await upload(10, "300.00,,代发2笔", "150.00,,代发"), key=lambda item: -item.amount_fen)
        with pytest.raises(NotExplained):
            await desk.explain(small.id, [file.id], actor=CLERK, note="代发")
        await desk.explain(large.id, [file.id], actor=CLERK, note="代发")
        assert await desk.outgoing() == []
        assert await works.fen("payable", "returned transfers") == 0
        for again in (file.id, *(item.resend_id for item in [large, small])):
            with pytest.raises((ExplainsAnother, NotExplained)):
                await desk.explain(small.id, [again], actor=CLERK, note="代发")
        await desk.book(small.id, actor=CLERK, note="手续费")
        sheet = await desk.balances.on(works.clock.today())
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.unexplained_fen, sheet.items) == (-47_000, -47_000, 0, ())
        named = [row[-1] for row in csv.reader(io.StringIO(file.text))][1:]
        (twice,) = await upload(11, f"150.00,,{named[0]}")  # it was sent before
        assert (twice.kind, twice.amount_fen) == (SuspenseKind.OUTGOING, 15_000)
        assert (await works.ledger.verify()).clean

    async def test_that_a_line_shows_just_now_explains_no_other_line(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk, reference = works.desk(), done.reference or ""
        text = "日期,借方,贷方,附言\n20260608,300.00,,代发\n20260608,300.00,,代付\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        one, other = await desk.suspense()
        async with works.db.transaction() as conn:
            assert not await bank_store.shown(conn, reference)
            explaining = asyncio.create_task(desk.explain(one.id, [done.posting_id], actor=CLERK, note="代发"))
            await asyncio.wait({explaining}, timeout=0.5)
            line = await bank_store.line(conn, other.file_hash, other.row)
            await bank_store.decide_line(conn, line, LineState.MATCHED, "payout sent", None, reference)
        with pytest.raises(ExplainsAnother):
            await explaining

    async def test_that_somebody_confirmed_is_still_shown_by_its_line_and_by_its_return(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        await works.payouts.confirm(done.id, by=CLERK)
        desk = works.desk()
        text = f"日期,借方,贷方,附言\n20260608,300.00,,{done.reference}\n20260609,,300.00,退汇{done.reference}\n"
        works.clock.advance(days=14)
        report = await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        assert report.counts["matched"] == 2
        assert (await works.payouts.get(done.id)).state is PayoutState.FAILED
        assert (await works.income_micro(), await works.fen("cash", "bank_transfer")) == (500 * MICRO, 0)

    async def test_that_failed_or_went_another_way_is_not_what_the_bank_sent(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        failed = await works.approved(200, channel=BANK_FILE, ref="a")
        await works.payouts.fail(failed.id, by=CLERK, reason="账户已销户")
        other = await works.approved(300, ref="b")
        desk = works.desk()
        text = f"日期,借方,贷方,附言\n20260608,200.00,,{failed.reference}\n20260608,300.00,,{other.reference}\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        assert sorted((item.kind, item.amount_fen) for item in await desk.suspense()) == [
            (SuspenseKind.OUTGOING, 20_000), (SuspenseKind.OUTGOING, 30_000),
        ]  # fmt: skip
        assert await works.fen("cash", "bank_transfer") == 50_000

    async def test_that_names_two_of_ours_has_to_go_to_both_their_payees(self, works: Works) -> None:
        """A thief at the bank, himself a maker, writes his own reference beside somebody else's."""
        done = await self.sent(works, "6200000011112222")
        works.maker, works.person = uuid4(), uuid4()
        works.vault.create(works.person)
        await works.ripe(500)
        await works.payee("6200 0000 9999 8888")
        theirs = await works.approved(150, channel=BANK_FILE, ref="theirs")
        await works.payouts.files.export(by=CLERK)
        remark = f"{done.reference} {theirs.reference}"
        text = f"日期,借方,贷方,对方户名,对方账号,附言\n20260620,150.00,,青山机器人,6200000011112222,{remark}\n"
        works.clock.advance(days=14)
        await works.desk().statements.take(text.encode(), name="t", actor="person:o1", second="person:2")
        assert (await works.payouts.get(theirs.id)).state is PayoutState.SENT

    @pytest.mark.parametrize("account", ["6200000011112222", "6200 **** **** 2222", ""])
    async def test_is_confirmed_where_the_bank_names_its_payee(self, works: Works, account: str) -> None:
        done = await self.sent(works, account)
        assert done.state is PayoutState.CONFIRMED

    async def sent(self, works: Works, account: str, holder: str = "青山机器人") -> Payout:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        text = f"日期,借方,贷方,对方户名,对方账号,附言\n20260608,300.00,,{holder},{account},{done.reference}\n"
        works.clock.advance(days=14)
        await works.desk().statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        return await works.payouts.get(done.id)

    @pytest.mark.parametrize(("account", "holder"), [("6217000099998888", "青山机器人"), ("", "张三")])
    async def test_that_went_to_another_account_counts_as_sent_only_when_somebody_accepts_it(
        self, works: Works, account: str, holder: str
    ) -> None:
        """Whoever sends by hand at the bank may write another account beside our reference."""
        done = await self.sent(works, account, holder)
        assert done.state is PayoutState.SENT
        desk = works.desk()
        (item,) = await desk.suspense()
        assert (item.kind, item.amount_fen) == (SuspenseKind.ELSEWHERE, 30_000)
        assert [one.reference for one in await desk.outgoing()] == [done.reference]
        await desk.accept(item.id, actor="person:a + person:b", note="代收账户，已核实")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert (await works.fen("suspense", "bank transfers"), await desk.outgoing()) == (0, [])

    async def test_that_went_to_another_account_is_not_accepted_once_it_has_been_sent(self, works: Works) -> None:
        done = await self.sent(works, "6217000099998888")
        desk = works.desk()
        (item,) = await desk.suspense()
        text = f"日期,借方,贷方,对方户名,对方账号,附言\n20260609,300.00,,,6200000011112222,{done.reference}\n"
        await desk.statements.take(text.encode(), name="t", actor="person:o1", second="person:2")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        with pytest.raises(NotElsewhere):
            await desk.accept(item.id, actor="person:a + person:b", note="代收")

    @pytest.mark.parametrize("read", ["at once", "one by one", "the return first"])
    async def test_came_back_where_the_bank_returns_what_it_sent(self, works: Works, read: str) -> None:
        """The account was closed: the bank debits, and credits the same sum again, in one statement or days later."""
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        came = f"20260608,,300.00,青山机器人,退汇{done.reference}"
        left = f"20260608,300.00,,青山机器人,{done.reference}"
        files = {"at once": [[came, left]], "one by one": [[left], [came]], "the return first": [[came], [left]]}
        for rows in files[read]:
            await desk.statements.take(
                "\n".join(["日期,借方,贷方,对方户名,附言", *rows]).encode(),
                name="s",
                actor="person:o1",
                second="person:2",
            )
        ended = await works.payouts.get(done.id)
        assert (ended.state, ended.ended_by, "退汇" in ended.reason) == (PayoutState.FAILED, "bank", True)
        assert (await works.income_micro(), await works.fen("cash", "bank_transfer")) == (500 * MICRO, 0)
        assert await works.fen("suspense", "bank transfers") == 0
        again = await desk.statements.take(
            f"日期,贷方,附言\n20260609,300,{done.reference}".encode(), name="t", actor="person:o1", second="person:2"
        )
        assert again.counts["suspense"] == 1
        (item,) = await desk.suspense()
        with pytest.raises(MoreThanSent):  # the maker has the income back already
            await desk.resend(item.id, actor=CLERK, note="n")
        assert (await works.ledger.verify()).clean

    @pytest.mark.parametrize("read", ["at once", "the return first"])
    async def test_came_back_in_part_waits_for_somebody(self, works: Works, read: str) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk, left, came = works.desk(), f"20260608,300.00,,{done.reference}", f"20260608,,299.00,{done.reference}"
        for rows in {"at once": [[left, came]], "the return first": [[came], [left]]}[read]:
            await desk.statements.take(
                "\n".join(["日期,借方,贷方,附言", *rows]).encode(), name="s", actor="person:o1", second="person:2"
            )
        assert [(item.kind, item.amount_fen) for item in await desk.suspense()] == [(SuspenseKind.CAME_BACK, 29_900)]
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert await works.income_micro() == 200 * MICRO

    async def test_came_back_in_part_is_sent_again_with_what_the_bank_kept(self, works: Works) -> None:
        """The maker gets the whole; the city bears the bank's charge; every step balances, and none goes twice."""
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        works.clock.advance(days=14)

        async def upload(day: int, out: str, back: str, remark: str) -> Report:
            text = f"日期,借方,贷方,附言\n202606{day:02d},{out},{back},{remark}\n"
            return await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")

        async def fens() -> tuple[int, ...]:
            named = (("cash", "bank_transfer"), ("suspense", "bank transfers"), ("payable", "returned transfers"),
                     ("expense", "bank charges"))  # fmt: skip
            return tuple([await works.fen(kind, name) for kind, name in named])

        await upload(8, "300.00", "", done.reference or "")
        await upload(9, "", "290.00", f"退汇 {done.reference}")
        (item,) = await desk.suspense()
        assert item.kind is SuspenseKind.CAME_BACK
        for fee_fen in (-1, 1_001):
            with pytest.raises(MoreThanSent):
                await desk.resend(item.id, actor=CLERK, note="n", fee_fen=fee_fen)
        again = await desk.resend(item.id, actor=CLERK, note="户名有误，已更正", fee_fen=1_000)
        assert (again.state, again.fee_fen) == (SuspenseState.RESENT, 1_000)
        assert await fens() == (1_000, 0, 30_000, -1_000)
        (owed,) = await desk.outgoing()
        assert (owed.kind, owed.amount_fen, owed.reference == done.reference) == ("resend", 30_000, False)
        assert (await desk.origin(owed)).subject_id == done.id
        with pytest.raises(SuspenseDecided):
            await desk.resend(item.id, actor=CLERK, note="n")
        made = await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.ORGANISATION, holder="青山机器人",
            account="6200 0000 3333 4444", bank="山河银行",
        )  # fmt: skip
        for passed in (None, False):  # not while nobody has checked it, nor when it was found wrong
            if passed is not None:
                await works.payouts.payees.record_check(made.id, passed=passed, reference="n", by="person:o1")
            with pytest.raises(NothingToPay):
                await works.payouts.files.export(by=CLERK)
        await works.payouts.payees.record_check(made.id, passed=True, reference="证件核对 0422", by="person:o1")
        new = await works.approved(150, channel=BANK_FILE, ref="new")
        assert new.reference in (first := await works.payouts.files.export(by=CLERK)).text
        assert (first.payouts, first.net_fen) == (1, 15_000)  # without what is sent again
        await works.payouts.fail(new.id, by=CLERK, reason="账户已销户")
        file = await works.payouts.files.export(by="person:o3")
        assert [row[1:] for row in csv.reader(io.StringIO(file.text))][1:] == [
            ["青山机器人", "6200000033334444", "山河银行", "300.00", owed.reference]
        ]
        assert [one.batch for one in await desk.outgoing()] == [file.id]
        await works.payee("6200 0000 5555 6666")  # what is in a file stays as it is there
        assert await works.payouts.files.export(file.id, by=CLERK) == file
        await payout_store.put_in_file(
            works.db, owed.reference, made.id, uuid4(), CLERK
        )  # by a second file made at once
        assert [one.batch for one in await desk.outgoing()] == [file.id]
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)
        made = (await works.payouts.files.batches())[0]
        assert (made.id, made.by, made.payouts, made.net_fen, made.waiting) == (file.id, "person:o3", 1, 30_000, 1)
        await upload(10, "300.00", "", owed.reference)
        assert await fens() == (31_000, 0, 0, -1_000)
        assert await desk.outgoing() == []
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(file.id, by=CLERK)
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        await upload(11, "", "300.00", owed.reference)  # once more: the bank returns what was sent again
        (item,) = await desk.suspense()
        await desk.resend(item.id, actor=CLERK, note="再次汇出")
        (owed,) = await desk.outgoing()
        assert (await desk.origin(owed)).subject_id == done.id
        await upload(12, "", "300.00", done.reference or "")  # nothing of it is out any more
        (stray,) = await desk.suspense()
        with pytest.raises(MoreThanSent):
            await desk.resend(stray.id, actor=CLERK, note="n")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert (await works.ledger.verify()).clean

    async def test_that_no_statement_shows_to_have_left_is_not_sent_again(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        text = f"日期,借方,贷方,附言\n20260609,,299.00,{done.reference}\n20260609,,5.00,不明\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        for item in await desk.suspense():
            with pytest.raises(NotReturned):
                await desk.resend(item.id, actor=CLERK, note="n")

    async def test_leaves_out_whoever_was_erased(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        works.vault.destroy(works.person)
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)
        assert (await works.payouts.fail(done.id, by=CLERK, reason="erased")).state is PayoutState.FAILED
        works.clock.advance(seconds=timedelta(minutes=1).seconds)
        assert await works.income_micro() == 500 * MICRO


class TestNeighbour:
    async def test_asks_approves_and_is_paid_as_if_the_other_maker_were_not_there(self, works: Works) -> None:
        """Both use the same references, and leave some of it half done."""

        async def live() -> list[Any]:
            works.maker, works.person, payouts = uuid4(), uuid4(), works.payouts
            works.vault.create(works.person)
            await works.earn(200, Provenance.SUBSIDY)
            await works.ripe(2_000)
            await works.payee()

            async def asked(ref: str) -> UUID:
                made = await payouts.request(works.maker, 150 * MICRO, client_ref=ref, actor="person:maker")
                assert made.org_id == works.maker
                return made.id

            await payouts.cancel(works.maker, await asked("cancelled"), by="person:maker")
            await payouts.refuse(await asked("refused"), by="person:o1", reason="资料不全")
            await payouts.approve(await asked("first"), by="person:o1")
            sent = await works.approved(150, channel=BANK_FILE, ref="sent")
            await payouts.files.export(by=CLERK)
            kept = await works.approved(150, channel=BANK_FILE, ref="kept")
            await payouts.files.export(by=CLERK)
            await payouts.confirm((await works.approved(150, ref="paid")).id, by="sandbox")
            await payouts.fail((await works.approved(150, ref="failed")).id, by=CLERK, reason="账户已销户")
            text = f"日期,借方,贷方,附言\n20260608,150.00,,{sent.reference}"
            await works.desk().statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
            await asked("open")
            earnings = await payouts.earnings(works.maker)
            found = [(one.client_ref, one.state, one.net_fen) for one in await payouts.list(org_id=works.maker)]
            assert (kept.reference or "") > ""
            return [earnings, found, await works.income_micro()]

        alone = await live()
        before = await all_rows(works.db, "payments")
        assert await live() == alone
        assert changed(before, await all_rows(works.db, "payments")) == []
        assert (await works.ledger.verify()).clean
