from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from shanhe.credits.api import Affected, Credits, Payer, Purchase, tick
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import Asset, Charge, Ledger, Leg, Posting, Transfer
from shanhe.payments.api import Faults, Payments, Sandbox
from shanhe.rulebook.api import Rulebook

SECRET = b"a secret of the tests"
NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
CAP_FEN = 100_000_000


class City:
    """Credits on a real ledger with a sandbox provider; facts about organisations are set by the test."""

    def __init__(self, db: Database, ledger: Ledger, clock: FixedClock) -> None:
        self.db = db
        self.ledger = ledger
        self.clock = clock
        self.org = uuid4()
        self.payers: dict[UUID, Payer] = {}
        self.spent: dict[tuple[UUID, UUID | None], int] = {}
        self.affected: list[Affected] = []
        self.notifier = Notifier(db, clock)
        self.rulebook = Rulebook.load()
        self.behave()

    def behave(self, faults: Faults | None = None) -> None:
        """Build the modules anew, as after a restart."""
        self.sandbox = Sandbox(self.db, self.clock, SECRET, faults=faults)
        self.payments = Payments(self.db, self.clock, {"sandbox": self.sandbox})
        self.credits = Credits(
            self.db,
            self.clock,
            ledger=self.ledger,
            rulebook=self.rulebook,
            payments=self.payments,
            notifier=self.notifier,
            payer=self._payer,
            spent=self._spent,
            affected=self._affected,
        )

    async def _payer(self, org_id: UUID) -> Payer:
        return self.payers.get(org_id) or self.local(org_id)

    async def _spent(self, org_id: UUID, key_id: UUID | None, start: datetime, end: datetime) -> int:
        return self.spent.get((org_id, key_id), 0)

    async def _affected(self, model: str) -> list[Affected]:
        return self.affected

    @staticmethod
    def local(org_id: UUID, beneficiary: UUID | None = None) -> Payer:
        return Payer(org_id, beneficiary or org_id, ("local_company",))

    @staticmethod
    def stranger(org_id: UUID) -> Payer:
        return Payer(org_id, org_id)

    async def deliver(self) -> int:
        async def receive(headers: Mapping[str, str], body: bytes) -> object:
            return await self.payments.notify("sandbox", headers, body)

        return await self.sandbox.deliver_due(receive)

    async def order(self, value_fen: int = 100_000, ref: str = "p1", org: UUID | None = None) -> Purchase:
        return await self.credits.purchase(org or self.org, client_ref=ref, value_fen=value_fen, actor="person:t")

    async def pay(self, purchase: Purchase) -> Purchase:
        assert purchase.redirect_url is not None
        await self.sandbox.pay(purchase.redirect_url.rsplit("/", 1)[-1])
        await self.deliver()
        return await self.credits.get(purchase.org_id, purchase.id)

    async def buy(self, value_fen: int = 100_000, ref: str = "p1", org: UUID | None = None) -> Purchase:
        return await self.pay(await self.order(value_fen, ref, org))

    async def tick(self) -> dict[str, int]:
        """What the jobs worker does, one second later."""
        self.clock.advance(seconds=61)
        await self.payments.sweep()
        await self.deliver()
        return await tick(self.credits)

    async def call(self, micro: int = 5 * MICRO) -> UUID:
        """The receipt of a call of the organisation's."""
        wallet = await self.ledger.ensure_account(self.org, Asset.CREDIT, "wallet")
        platform = await self.ledger.system_account("platform", Asset.CREDIT)
        receipt = new_id()
        admitted = await self.ledger.admit(wallet.id, micro, receipt_id=receipt)
        await self.ledger.settle(admitted, Charge(micro, (Leg(platform.id, micro),)))
        return receipt

    async def balance(self, org: UUID | None = None) -> int:
        return (await self.credits.wallet(org or self.org)).balance_micro

    async def spend(self, amount_micro: int) -> None:
        """Burn credits, as calls do."""
        wallet = await self.ledger.ensure_account(self.org, Asset.CREDIT, "wallet")
        platform = await self.ledger.system_account("platform", Asset.CREDIT)
        transfer = Transfer(id=new_id(), debit=wallet.id, credit=platform.id, amount=amount_micro)
        await self.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), actor="test", memo="spend"))

    async def benefit(self, beneficiary: UUID | None = None, year: int = 2026) -> tuple[int, int]:
        """(reserved, given) in fen."""
        row = await self.db.fetchrow(
            "SELECT reserved_fen, given_fen FROM credits.benefit WHERE beneficiary = $1 AND year = $2",
            beneficiary or self.org,
            year,
        )
        return (row["reserved_fen"], row["given_fen"]) if row else (0, 0)

    async def notices(self, kind: str) -> int:
        count: int = await self.db.fetchval("SELECT count(*) FROM kernel.notice WHERE kind = $1", kind)
        return count

    async def postings(self) -> int:
        count: int = await self.db.fetchval("SELECT count(*) FROM ledger.posting")
        return count


@pytest.fixture
async def city(database: Database) -> AsyncIterator[City]:
    clock = FixedClock(NOON)
    ledger = Ledger(database, clock, worker="test", workers=1)
    await ledger.start()
    yield City(database, ledger, clock)
    await ledger.stop()
