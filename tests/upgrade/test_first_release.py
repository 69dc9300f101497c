"""A city whose data the first release wrote is taken over by today's: nothing of it changes, and it goes on."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from tests.conftest import BINARIES, PostgresServer

from shanhe.app import Services, open_services
from shanhe.approvals.api import NewLicence, Scope
from shanhe.credits.api import tick as credits_tick
from shanhe.exchange.api import BUY, SELL, NewOrder
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.migrations import discover, migrate
from shanhe.ledger.api import Asset, Charge, Leg
from shanhe.log.api import verify
from shanhe.payments.api import tick as payments_tick
from shanhe.settings import Settings

from .books import books

FOLDER = Path(__file__).parent / "first_release"
CREDIT = 1_000_000
FIRST_MODULES = {"kernel", "ledger", "identity", "rulebook", "compute", "payments", "credits", "gateway"}


def _psql(dsn: str, file: Path) -> None:
    command = [str(BINARIES / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", str(file)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _schema(dsn: str) -> str:
    """The schema as SQL, without the token that pg_dump draws anew each time."""
    command = [str(BINARIES / "pg_dump"), "--schema-only", "--dbname", dsn]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.sub(r"(?m)^\\(un)?restrict .*$", "", text)


async def _upgrade(dsn: str) -> list[int]:
    db = await Database.open(dsn, size=1)
    try:
        return [migration.ordinal for migration in await migrate(db)]
    finally:
        await db.close()


@pytest.fixture(scope="module")
def taken_over(postgres_server: PostgresServer) -> Iterator[tuple[str, list[int]]]:
    """A database with the first release's data after every later migration, and which those were."""
    name = f"first{uuid.uuid4().hex[:12]}"
    postgres_server.admin(f"CREATE DATABASE {name}")
    dsn = postgres_server.dsn(name)
    _psql(dsn, FOLDER / "city.sql")
    yield name, postgres_server.call(_upgrade(dsn))
    postgres_server.drop(name)


@pytest.fixture
def old_dsn(postgres_server: PostgresServer, taken_over: tuple[str, list[int]]) -> Iterator[str]:
    """A copy of it that a test may change."""
    name = f"u{uuid.uuid4().hex[:16]}"
    postgres_server.admin(f"CREATE DATABASE {name} TEMPLATE {taken_over[0]} STRATEGY FILE_COPY")
    yield postgres_server.dsn(name)
    postgres_server.drop(name)


@pytest.fixture
def seen() -> dict[str, Any]:
    """What the first release said of its own books when it ended."""
    found: dict[str, Any] = json.loads((FOLDER / "books.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
async def city(old_dsn: str, seen: dict[str, Any], tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """Today's services over the old data, one minute later."""
    clock = FixedClock(datetime.fromisoformat(seen["at"]))
    clock.advance(minutes=1)
    settings = Settings(database_url=old_dsn, data=tmp_path, with_model=False)
    async with open_services(settings, "cli", clock) as services:
        orgs = {org.name: org.id for org in await services.identity.orgs.list()}
        yield SimpleNamespace(
            services=services, clock=clock, ledger=services.ledger, payer=orgs["甲公司 Payer"], node=orgs["乙节点 Node"]
        )


def _costed(seen: dict[str, Any]) -> dict[str, Any]:
    """With what each lot cost as a whole, where the first release kept what one credit of it cost."""
    for account in seen["accounts"].values():
        for lot in account["lots"]:
            lot[-1] = None if lot[-1] is None else round(Fraction(lot[-1] * lot[3], CREDIT))
    return seen


async def _clean(services: Services) -> None:
    report = await services.ledger.verify()
    assert report.clean, report.findings


class TestUpgrade:
    def test_applies_what_came_later_in_order_and_nothing_twice(
        self, taken_over: tuple[str, list[int]], postgres_server: PostgresServer
    ) -> None:
        every = [migration.ordinal for migration in discover()]
        before = [migration.ordinal for migration in discover() if migration.ordinal < 100]
        assert {migration.module for migration in discover() if migration.ordinal < 100} == FIRST_MODULES
        assert taken_over[1] == [ordinal for ordinal in every if ordinal not in before]
        assert postgres_server.call(_upgrade(postgres_server.dsn(taken_over[0]))) == []

    def test_ends_in_the_schema_of_a_fresh_city(self, old_dsn: str, dsn: str) -> None:
        assert _schema(old_dsn) == _schema(dsn)

    async def test_keeps_every_balance_lot_hold_and_statement(
        self, old_dsn: str, seen: dict[str, Any], tmp_path: Path
    ) -> None:
        clock = FixedClock(datetime.fromisoformat(seen.pop("at")))
        async with open_services(
            Settings(database_url=old_dsn, data=tmp_path, with_model=False), "cli", clock
        ) as services:
            found = await books(services.ledger, [UUID(one) for one in seen["holds"]], clock.today())
            assert len(seen["accounts"]) > 10
            assert found == _costed(seen)
            await _clean(services)

    async def test_leaves_receipts_readable_and_provable(self, city: SimpleNamespace) -> None:
        services = city.services
        page = await services.gateway.recent(city.payer, limit=50)
        assert len(page.calls) == 24
        receipt = await services.gateway.receipt(page.calls[0].id, city.payer)
        assert receipt.amount_micro == sum(leg["amount"] for leg in receipt.transfers)
        await services.log.seal()
        proof = await services.log.prove(receipt.id)
        found = verify(str(proof).encode(), services.log.verifiers())
        assert found.private is not None
        assert found.private["id"] == str(receipt.id)


class TestLife:
    async def test_goes_on(self, city: SimpleNamespace, seen: dict[str, Any]) -> None:
        """Spend, pay, capture, state, refund, sell and expire what the first release booked; the books stay clean."""
        services, clock, ledger = city.services, city.clock, city.ledger
        await ledger.sweep()  # what its dead worker had leased comes back
        wallet = await ledger.ensure_account(city.payer, Asset.CREDIT, "wallet")
        assert (await ledger.balance(wallet.id)).leased == 0
        await _spends(city, wallet.id)
        await _pays_and_states(city)
        await _refunds(city)
        await _sells(city)
        await _expires(city, wallet.id)
        clock.advance(days=400)
        while (await ledger.sweep()).lots:
            pass
        await _clean(services)
        assert {lot.provenance for lot in await ledger.lots(wallet.id)} == {"purchased"}


async def _spends(city: SimpleNamespace, wallet: UUID) -> None:
    ledger = city.ledger
    platform = await ledger.system_account("platform", Asset.CREDIT)
    first = next(lot for lot in await ledger.lots(wallet) if lot.remaining > lot.held)
    reservation = await ledger.admit(wallet, 2 * CREDIT, receipt_id=new_id())
    settled = await ledger.settle(reservation, Charge(CREDIT, (Leg(platform.id, CREDIT),)))
    assert [delta.lot for delta in settled.burned] == [first.id]  # the earliest to expire
    (hold,) = await city.services.db.fetch("SELECT id FROM ledger.hold WHERE state = 'open' AND purpose = 'escrow'")
    await ledger.capture(hold["id"], Charge(2 * CREDIT, (Leg(platform.id, 2 * CREDIT),)))
    await _clean(city.services)


async def _pays_and_states(city: SimpleNamespace) -> None:
    """The order that was open over the upgrade is paid; the month's statement spans both releases."""
    services = city.services
    ref = await services.db.fetchval("SELECT ref FROM payments.sandbox_payment WHERE state = 'pending'")
    before = (await services.credits.wallet(city.payer)).balance_micro
    await services.sandbox.pay(ref)
    await payments_tick(services.payments, services.sandbox, services.bank, services.payouts)
    await credits_tick(services.credits)
    assert (await services.credits.wallet(city.payer)).balance_micro == before + 300 * CREDIT
    stated = await services.credits.statements.month(city.payer, city.clock.today())
    assert stated.opening_micro + sum(stated.moves.values()) == stated.closing_micro
    assert {"purchase", "call", "capture", "expiry", "reversal"} <= set(stated.moves)
    await _clean(services)


async def _refunds(city: SimpleNamespace) -> None:
    """R3 on a purchase of the first release: the rest of its purchased lot goes, and so does its subsidy."""
    services = city.services
    (bought,) = [one for one in await services.credits.purchases(city.payer) if one.client_ref == "unpaid"]
    done = await services.credits.refunds.refund(
        city.payer, bought.id, client_ref="r", reason="not needed", actor="test"
    )
    assert done.refund_fen == bought.priced.paid_fen
    await _clean(services)


async def _sells(city: SimpleNamespace) -> None:
    """Three months after it was bought, what the first release sold may be traded."""
    services, clock, exchange = city.services, city.clock, city.services.exchange
    clock.set(datetime(2026, 12, 7, 2, 0, tzinfo=UTC))
    licence = NewLicence(Scope.EXCHANGE, "市金融办", "1", date(2026, 1, 1), date(2028, 1, 1))
    await services.approvals.record(licence, by="test")
    await exchange.cash.receive(city.node, 100_000, reference="bank", actor="test")
    await exchange.place(NewOrder(new_id(), city.payer, SELL, 6_000, 40 * CREDIT), actor="test")
    await exchange.place(NewOrder(new_id(), city.node, BUY, 6_000, 40 * CREDIT), actor="test")
    ran = await exchange.run_auction(forced_by="test")
    assert ran.settled == 1
    await _clean(services)
    assert (await exchange.replay()).same


async def _expires(city: SimpleNamespace, wallet: UUID) -> None:
    ledger = city.ledger
    lots = [lot for lot in await ledger.lots(wallet) if lot.expires_at is not None]
    due = min(lot.expires_at for lot in lots)
    city.clock.set(due + timedelta(seconds=1))
    breakage = await ledger.system_account("breakage", Asset.CREDIT)
    before = (await ledger.balance(breakage.id)).balance
    free = sum(lot.remaining - lot.held for lot in lots if lot.expires_at <= city.clock.now())
    await ledger.sweep()
    assert (await ledger.balance(breakage.id)).balance >= before + free > before
    await _clean(city.services)
