"""A maker with income, a treasury and its bank, for tests of what leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import (
    Asset,
    Charge,
    Ledger,
    Leg,
    LotTerms,
    NewLot,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments.api import (
    BankDesk,
    PayeeKind,
    Payments,
    Payout,
    Payouts,
    PayoutState,
    SandboxPayouts,
)
from shanhe.rulebook.api import Rulebook
from shanhe.wiring.payments import payees_of

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
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
