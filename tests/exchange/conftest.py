"""An exchange on a real ledger, under a recorded approval unless a test wants none; traders with credits and cash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.approvals.api import Approvals, NewLicence, Scope
from shanhe.exchange.api import BUY, SELL, Exchange, Market, NewOrder, OrderView, Trader, Validity
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Ledger, NewLot, Posting, Provenance, Transfer
from shanhe.payments.api import Payments, Sandbox
from shanhe.rulebook.api import Rulebook

NOON = datetime(2026, 11, 24, 4, 10, tzinfo=UTC)  # 12:10 in the city
CREDIT = 1_000_000
LICENCE = NewLicence(Scope.EXCHANGE, "市金融办", "金办〔2026〕1 号", date(2026, 1, 1), date(2027, 12, 31))


class World:
    """Everything an exchange stands on; `restart` makes it anew over the same database."""

    def __init__(self, db: Database, ledger: Ledger, clock: FixedClock) -> None:
        self.db = db
        self.ledger = ledger
        self.clock = clock
        self.approvals = Approvals(db, clock)
        self.rulebook = Rulebook.load()
        self.traders: dict[UUID, Trader] = {}
        self.discounts: dict[UUID, int] = {}
        self.recorded: list[Any] = []
        self.restart()

    def restart(self, rulebook: Rulebook | None = None) -> Exchange:
        self.rulebook = rulebook or self.rulebook
        self.sandbox = Sandbox(self.db, self.clock, b"a secret of the tests")
        self.payments = Payments(self.db, self.clock, {"sandbox": self.sandbox})
        self.exchange = Exchange(
            self.db, self.clock, ledger=self.ledger, rulebook=self.rulebook, approvals=self.approvals,
            payments=self.payments, secret=b"of the auctions",
            trader=self._trader, fee_discount=self._discount, record=self._record,
        )  # fmt: skip
        return self.exchange

    async def _trader(self, org_id: UUID) -> Trader:
        return self.traders.get(org_id) or Trader(org_id, org_id)

    async def _discount(self, org_id: UUID, on: date) -> int:
        return self.discounts.get(org_id, 0)

    async def _record(self, conn: Any, kind: str, public: Any) -> None:
        self.recorded.append((kind, public))

    async def seller(self, credits: int = 1_000, **lot: Any) -> UUID:
        org = uuid4()
        await self.lot(org, credits * CREDIT, **lot)
        return org

    async def buyer(self, yuan: int = 1_000) -> UUID:
        org = uuid4()
        await self.exchange.cash.receive(org, yuan * 100, reference="opening", actor="test")
        return org

    async def lot(self, org: UUID, micro: int, provenance: Provenance = Provenance.PURCHASED, **more: Any) -> UUID:
        wallet = await self.ledger.ensure_account(org, Asset.CREDIT, "wallet")
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        lot = NewLot(id=new_id(), account=wallet.id, provenance=provenance, amount=micro, **more)
        transfer = Transfer(new_id(), issuance.id, wallet.id, micro)
        await self.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=(lot,)))
        assert lot.id is not None
        return lot.id

    async def buy(self, org: UUID, credits: float, ticks: int, **more: Any) -> OrderView:
        return await self.place(org, BUY, credits, ticks, **more)

    async def sell(self, org: UUID, credits: float, ticks: int, **more: Any) -> OrderView:
        return await self.place(org, SELL, credits, ticks, **more)

    async def place(
        self, org: UUID, side: int, credits: float, ticks: int, *, order_id: UUID | None = None,
        validity: Validity = Validity.GTC,
    ) -> OrderView:  # fmt: skip
        new = NewOrder(order_id or new_id(), org, side, ticks, int(credits * CREDIT), validity)
        return await self.exchange.place(new, actor="test")

    async def auction(self) -> Any:
        return await self.exchange.run_auction(forced_by="test")

    async def credits(self, org: UUID, kind: str = "wallet") -> int:
        account = await self.ledger.ensure_account(org, Asset.CREDIT, kind)
        return (await self.ledger.balance(account.id)).balance

    async def cash(self, org: UUID, market: Market = Market.REAL) -> tuple[int, int]:
        """(balance, available) in fen."""
        purse = await self.exchange.cash.purse(org, market)
        return purse.cash_fen, purse.cash_available_fen

    async def fund(self) -> int:
        account = await self.ledger.account(await self.exchange.fund.account(Market.REAL))
        return (await self.ledger.balance(account.id)).balance

    async def verify(self) -> None:
        report = await self.ledger.verify()
        assert report.clean, report.findings
        for market in Market:
            assert (await self.exchange.replay(market)).same


@pytest.fixture
async def bare(database: Database) -> AsyncIterator[World]:
    """Without any approval."""
    clock = FixedClock(NOON)
    ledger = Ledger(database, clock, worker="test", workers=1)
    await ledger.start()
    world = World(database, ledger, clock)
    yield world
    await world.exchange.stop()
    await ledger.stop()


@pytest.fixture
async def world(bare: World) -> World:
    await bare.approvals.record(LICENCE, by="test")
    return bare


def later(clock: FixedClock, **parts: float) -> datetime:
    return clock.now() + timedelta(**parts)
