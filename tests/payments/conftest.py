from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.payments.api import Faults, Order, OrderRequest, Payments, Sandbox

from .treasury import NOON, Works

SECRET = b"a secret of the tests"


class Counter:
    """A payments module with a sandbox, and a customer who remembers what it was told."""

    def __init__(self, db: Database, faults: Faults | None = None) -> None:
        self.db = db
        self.clock = FixedClock(NOON)
        self.sandbox = Sandbox(db, self.clock, SECRET, faults=faults)
        self.payments = Payments(db, self.clock, {"sandbox": self.sandbox})
        self.told: list[Order] = []
        self.payments.subscribe("test", self.hear)
        self.org = uuid4()
        self.sent: list[tuple[dict[str, str], bytes]] = []

    async def hear(self, order: Order) -> None:
        self.told.append(order)
        await self.payments.acknowledge(order)

    def request(self, amount_fen: int = 7_000, ref: str = "r1", org: UUID | None = None) -> OrderRequest:
        return OrderRequest(org or self.org, ref, "test", "sandbox", amount_fen, "测试")

    async def ordered(self, amount_fen: int = 7_000, ref: str = "r1") -> Order:
        return await self.payments.create(self.request(amount_fen, ref))

    async def deliver(self) -> int:
        async def receive(headers: dict[str, str], body: bytes) -> object:
            self.sent.append((dict(headers), body))
            return await self.payments.notify("sandbox", headers, body)

        return await self.sandbox.deliver_due(receive)

    async def paid(self, amount_fen: int = 7_000, ref: str = "r1") -> Order:
        order = await self.ordered(amount_fen, ref)
        await self.sandbox.pay(order.provider_ref or "")
        await self.deliver()
        return await self.payments.order(order.id)

    async def snapshot(self) -> list[tuple[object, ...]]:
        """Everything a refused notification must leave alone."""
        rows = []
        for table in ("pay_order", "order_event", "refund", "mandate", "notification"):
            rows += [
                tuple(row.values()) for row in await self.db.fetch(f"SELECT * FROM payments.{table} ORDER BY 1, 2")
            ]
        return rows


@pytest.fixture
async def counter(database: Database) -> Counter:
    return Counter(database)


@pytest.fixture
async def works(database: Database, tmp_path: Path) -> AsyncIterator[Works]:
    made = Works(database, tmp_path / "keys")
    yield made
    await made.ledger.stop()
