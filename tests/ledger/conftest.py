"""A started ledger on a fresh database, and short ways to fund and charge an account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger import leases
from shanhe.ledger.api import (
    Account,
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

TERMS = LotTerms(
    income_expiry_months={Provenance.REWARD: 24, Provenance.SUBSIDY: 12}, income_lock_months=3, income_pending_days=7
)
Fund = Callable[..., Awaitable[UUID]]


def move(debit: UUID, credit: UUID, amount: int, **more: object) -> Posting:
    return Posting(id=new_id(), kind="test", transfers=(Transfer(new_id(), debit, credit, amount),), **more)  # type: ignore[arg-type]


@dataclass
class Books:
    """A ledger with an issuance, a revenue and a cost account."""

    ledger: Ledger
    issuance: Account
    revenue: Account
    cost: Account

    async def wallet(self, amount: int = 0, **lot: Any) -> Account:
        """A fresh wallet, funded with one lot."""
        account = await self.ledger.ensure_account(new_id(), Asset.CREDIT, "wallet")
        if amount:
            await self.fund(account, amount, **lot)
        return account

    async def fund(
        self,
        account: Account,
        amount: int,
        provenance: Provenance = Provenance.PURCHASED,
        expires_at: datetime | None = None,
        **more: Any,
    ) -> UUID:
        lot = new_id()
        minted = NewLot(id=lot, account=account.id, provenance=provenance, amount=amount, expires_at=expires_at, **more)
        await self.ledger.post(
            Posting(
                id=new_id(),
                kind="grant",
                transfers=(Transfer(new_id(), self.issuance.id, account.id, amount),),
                lots=(minted,),
            )
        )
        return lot

    def charge(self, total: int, *, cost: int = 0, evidence: bytes = b"{}") -> Charge:
        legs = (Leg(self.revenue.id, total - cost), Leg(self.cost.id, cost)) if cost else (Leg(self.revenue.id, total),)
        return Charge(total, legs, evidence)

    async def call(self, payer: Account, amount: int, charged: int | None = None) -> UUID:
        """Admit and settle one call; returns its receipt id."""
        receipt = new_id()
        reservation = await self.ledger.admit(payer.id, amount, receipt_id=receipt)
        await self.ledger.settle(reservation, self.charge(amount if charged is None else charged))
        return receipt

    async def clean(self) -> bool:
        report = await self.ledger.verify()
        assert report.findings == ()
        return True


async def open_books(ledger: Ledger) -> Books:
    return Books(
        ledger,
        await ledger.system_account("issuance", Asset.CREDIT),
        await ledger.system_account("revenue", Asset.CREDIT),
        await ledger.system_account("cost", Asset.CREDIT, "upstream"),
    )


@pytest.fixture
async def ledger(database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    monkeypatch.setattr(leases, "HOUSEKEEP_S", 3_600.0)  # a test asks for it; a second may pass anywhere
    opened = Ledger(database, clock, worker="one", workers=2, terms=lambda _: TERMS)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def books(ledger: Ledger) -> Books:
    return await open_books(ledger)
