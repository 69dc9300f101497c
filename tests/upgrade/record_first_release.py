"""Lives some weeks in a city of the first release and keeps what it left behind. Runs on that release's code.

`first_release/README.md` says how. Everything is written through that release's services, on a clock set by hand.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import msgspec

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from books import books  # noqa: E402

from conftest import BINARIES, PostgresServer  # noqa: E402
from shanhe.app import open_services  # noqa: E402
from shanhe.credits.api import tick  # noqa: E402
from shanhe.demo import seed  # noqa: E402
from shanhe.gateway.meter import Buckets  # noqa: E402
from shanhe.gateway.model import Evidence, Timings  # noqa: E402
from shanhe.gateway.tariff import Party, Prices, charge  # noqa: E402
from shanhe.identity.api import NewKey, NewOrganisation, OrgKind  # noqa: E402
from shanhe.kernel.clock import FixedClock  # noqa: E402
from shanhe.kernel.db import Database  # noqa: E402
from shanhe.kernel.migrations import migrate  # noqa: E402
from shanhe.ledger.api import (  # noqa: E402
    Asset,
    Charge,
    Leg,
    NewLot,
    OpeningBalance,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments.jobs import deliver  # noqa: E402
from shanhe.settings import Settings  # noqa: E402

START = datetime(2026, 9, 1, 2, 0, tzinfo=UTC)
SPACE = UUID("f1257e1e-0000-5000-8000-000000000001")
CREDIT = 1_000_000
PRICES = Prices(2_000_000, 500_000, 8_000_000, 8_000_000, 2_000_000, "price 1")


def ident(name: str) -> UUID:
    return uuid5(SPACE, name)


class City:
    def __init__(self, services: Any, clock: FixedClock) -> None:
        self.services, self.clock, self.ledger = services, clock, services.ledger

    async def company(self, name: str, *, local: bool) -> SimpleNamespace:
        orgs = self.services.identity.orgs
        made = await orgs.create(NewOrganisation(OrgKind.COMPANY, name, locally_registered=local), by="recorder")
        if local:
            await orgs.edit(made.id, {"local_verified": True}, by="recorder")
        key, _ = await self.services.identity.keys.create(made.id, NewKey("first"), by="recorder")
        wallet = await self.ledger.ensure_account(made.id, Asset.CREDIT, "wallet")
        return SimpleNamespace(id=made.id, key=key, wallet=wallet.id)

    async def buy(self, org: UUID, ref: str, value_fen: int, *, pay: bool = True) -> Any:
        credits = self.services.credits
        made = await credits.purchase(org, client_ref=ref, value_fen=value_fen, actor="recorder")
        if pay:
            await self.services.sandbox.pay(made.redirect_url.rsplit("/", 1)[-1])
            await deliver(self.services.payments, self.services.sandbox)
            await tick(credits)
        return await credits.get(org, made.id)

    async def call(self, who: SimpleNamespace, number: int, maker: UUID) -> UUID:
        """A call as the gateway books it, with its evidence."""
        receipt = ident(f"call {number}")
        platform = await self.ledger.system_account("platform", Asset.CREDIT)
        buckets = Buckets(input=40_000 + 977 * number, output=9_000 + 101 * number)
        charged = charge(PRICES, buckets, [Party("node", maker, 7_000)], platform.id, receipt)
        seen = Evidence(
            v=1, face="chat", model="good", org_id=who.id, key_id=who.key.id, key_name="first", engine="engine 1",
            engine_kind="openai", upstream_model="good", stream=number % 2 == 0, status="completed",
            finish_reason="stop", buckets=buckets, usage_source="engine", usage_clamped=False, prices=PRICES,
            held_micro=2 * CREDIT,
            total_micro=charged.total_micro, uncovered_micro=0, shares=charged.shares, rules={"P11": "1"},
            timings=Timings(1.0, 2.0, 3.0), attempts=1,
        )  # fmt: skip
        legs = tuple(Leg(share.account, share.amount_micro) for share in charged.shares)
        reservation = await self.ledger.admit(who.wallet, 2 * CREDIT, receipt_id=receipt)
        await self.ledger.settle(reservation, Charge(charged.total_micro, legs, msgspec.json.encode(seen)))
        return receipt

    async def grant(self, name: str, wallet: UUID, amount: int, **lot: Any) -> None:
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        transfer = Transfer(ident(f"{name} transfer"), issuance.id, wallet, amount)
        new = NewLot(account=wallet, amount=amount, **lot)
        await self.ledger.post(
            Posting(id=ident(name), kind="grant", transfers=(transfer,), lots=(new,), actor="recorder", memo=name)
        )


async def live(city: City) -> list[UUID]:
    """Some weeks of everything that release could do; the ids of its holds."""
    services, clock, ledger = city.services, city.clock, city.ledger
    await seed(services, {})
    payer, node = await city.company("甲公司 Payer", local=True), await city.company("乙节点 Node", local=False)
    income = await ledger.ensure_account(node.id, Asset.CREDIT, "income")
    await city.buy(payer.id, "first", 200_000)
    await services.credits.top_up(node.id, 50 * CREDIT, "cash desk", "recorder", client_ref="desk 1")
    now = clock.now()
    await city.grant("subsidy 试点", payer.wallet, 30 * CREDIT, provenance=Provenance.SUBSIDY,
                     expires_at=now + timedelta(days=120))  # fmt: skip
    await city.grant("reward 奖励", payer.wallet, 25 * CREDIT, provenance=Provenance.REWARD,
                     expires_at=now + timedelta(days=700), unlock_at=now + timedelta(days=91))  # fmt: skip
    await city.grant("short 短期", payer.wallet, 5 * CREDIT, provenance=Provenance.SUBSIDY,
                     expires_at=now + timedelta(days=2))  # fmt: skip
    await city.grant("marked 专项", node.wallet, 7 * CREDIT, provenance=Provenance.SUBSIDY,
                     expires_at=now + timedelta(days=365), earmark={"department": "data"})  # fmt: skip
    later = await ledger.ensure_account(payer.id, Asset.CREDIT, "wallet", name="branch")
    taken = NewLot(account=later.id, provenance=Provenance.PURCHASED, amount=11 * CREDIT, unit_cost_fen=90)
    await ledger.open_books(
        [OpeningBalance(later.id, 11 * CREDIT, (taken,))], posting_id=ident("books"), actor="recorder"
    )
    await city.grant("forgotten 未用", later.id, 3 * CREDIT, provenance=Provenance.SUBSIDY,
                     expires_at=now + timedelta(days=2))  # fmt: skip
    first = [await city.call(payer, number, income.id) for number in range(12)]
    clock.advance(days=1)
    await ledger.reverse(first[3], actor="recorder", reason="wrong 计费有误")
    holds = {name: ident(f"hold {name}") for name in ("open", "captured", "voided", "expired")}
    until = {"expired": clock.now() + timedelta(days=1)}
    for name, hold_id in holds.items():
        await ledger.hold(
            payer.wallet, 9 * CREDIT, hold_id=hold_id, purpose="escrow",
            expires_at=until.get(name, clock.now() + timedelta(days=200)),
        )  # fmt: skip
    platform = await ledger.system_account("platform", Asset.CREDIT)
    await ledger.capture(holds["captured"], Charge(4 * CREDIT, (Leg(platform.id, 4 * CREDIT),)), actor="recorder")
    await ledger.void(holds["voided"])
    clock.advance(days=2)
    await ledger.sweep()  # the short lot and one hold end
    await services.gateway.rebuild_usage(START.date())
    await ledger.close_period(START.date(), actor="recorder")
    for number in range(12, 24):
        await city.call(payer, number, income.id)
    await ledger.set_floor(node.wallet, 3 * CREDIT)
    await services.credits.auto.save(
        payer.id, threshold_micro=100 * CREDIT, value_fen=20_000, monthly_cap_fen=100_000, actor="recorder"
    )
    await services.credits.alerts.create(
        payer.id, name="month", window="month", amount_micro=50 * CREDIT, actor="recorder"
    )
    await city.buy(payer.id, "unpaid", 30_000, pay=False)
    return list(holds.values())


def dump(dsn: str) -> str:
    command = [str(BINARIES / "pg_dump"), "--no-owner", "--dbname", dsn]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def record(folder: Path) -> None:
    server = PostgresServer(fsync=False)
    server.start()
    try:
        server.admin("CREATE DATABASE first_release")
        dsn, clock = server.dsn("first_release"), FixedClock(START)
        db = await Database.open(dsn, size=2)
        await migrate(db, clock)
        await db.close()
        with tempfile.TemporaryDirectory() as data:
            settings = Settings(database_url=dsn, data=Path(data), with_model=False)
            async with open_services(settings, "cli", clock) as services:
                city = City(services, clock)
                holds = await live(city)
                report = await services.ledger.verify()
                assert report.clean, report.findings
                seen = await books(services.ledger, holds, clock.today())
                seen["at"] = clock.now().isoformat()
                # As a process that died leaves it: what it had leased is still lent.
                text = await asyncio.to_thread(dump, dsn)
        (folder / "city.sql").write_text(text, encoding="utf-8")
        (folder / "books.json").write_text(json.dumps(seen, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(report, len(text))
    finally:
        server.stop()


if __name__ == "__main__":
    asyncio.run(record(HERE / "first_release"))
