"""`shanhe bench exchange`: acceptance, a large call auction and pure matching beside pgbench's TPC-B, on one server.

One run, fsync on, one process of ours. Every caller awaits its own durable acceptance (order, escrow and journal event
in one transaction). The auction's time runs from its acceptance until every trade has its posting and its log entry;
the log is sealed all the while, as in a running city.
TPC-B is measured before and after, because the machine may be busy with other things; the mean is the reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import uvloop

from shanhe.approvals.api import Approvals, NewLicence, Scope
from shanhe.exchange.api import BUY, SELL, Exchange, NewOrder, Trader
from shanhe.exchange.bench import bench_book
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.migrations import migrate
from shanhe.kernel.postgres import EmbeddedPostgres
from shanhe.kernel.process import collect_seldom
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Feed, Ledger, NewLot, Posting, Provenance, Transfer
from shanhe.ledger.bench import pgbench
from shanhe.log.api import Log
from shanhe.payments.api import Payments
from shanhe.rulebook.api import Rulebook

ORDERS: Final = 100_000
TRADERS: Final = 1_000
CALLERS: Final = 1_000
SECONDS: Final = 5.0
REFERENCE_TRANSACTIONS: Final = 40_000
MICRO: Final = 1_000_000
LOT_CREDITS: Final = 1_000_000
CASH_FEN: Final = 10**10
LOW_TICKS, HIGH_TICKS = 5_500, 6_500
FUND_AT_ONCE: Final = 200
SEED: Final = 20261126
SEAL_EVERY_S: Final = 1.0
TARGETS: Final = {"accepted_to_tpcb": 4.0, "matching_to_tpcb": 200.0, "auction_to_reference_time": 1.0}


def main(orders: int = ORDERS, seconds: float = SECONDS) -> dict[str, Any]:
    """Start a server of its own in a temporary folder, measure, remove it."""
    with tempfile.TemporaryDirectory(prefix="shanhe-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg")
        try:
            dsn = server.start()
            return uvloop.run(bench_exchange(dsn, server.bin_dir, Path(folder), orders=orders, seconds=seconds))
        finally:
            server.stop()


async def bench_exchange(dsn: str, pg_bin: Path, folder: Path, *, orders: int, seconds: float) -> dict[str, Any]:
    """Figures per second and their ratios to TPC-B. The database named by `dsn` gets pgbench's and our own rows."""
    db = await Database.open(dsn, size=6)
    try:
        await migrate(db)
        before = await asyncio.to_thread(pgbench, dsn, pg_bin, seconds)
        bench = await _Bench.open(db, orders, folder)
        collect_seldom()
        accepted = await bench.accept()
        auction = await bench.auction()
        same = (await bench.exchange.replay()).same
        report = await bench.ledger.verify()
        await bench.close()
        after = await asyncio.to_thread(pgbench, dsn, pg_bin, seconds)
    finally:
        await db.close()
    matching = bench_book(orders, TRADERS, LOW_TICKS, HIGH_TICKS, SEED)
    baseline = (before + after) / 2
    reference_s = REFERENCE_TRANSACTIONS / baseline
    ratios = {
        "accepted_to_tpcb": round(accepted["per_s"] / baseline, 2),
        "auction_to_reference_time": round(auction["total_s"] / reference_s, 2),
        "matching_to_tpcb": round(matching["auction_orders_per_s"] / baseline, 1),
    }
    return {
        "orders": orders, "tpcb_per_s": round(baseline), "tpcb_before_after": [round(before), round(after)],
        "accepted": accepted, "auction": auction, "reference_40000_tpcb_s": round(reference_s, 2),
        "matching": matching, **ratios, "replay_same": same, "verify_clean": report.clean,
        "met": ratios["accepted_to_tpcb"] >= TARGETS["accepted_to_tpcb"]
        and ratios["matching_to_tpcb"] >= TARGETS["matching_to_tpcb"]
        and ratios["auction_to_reference_time"] <= TARGETS["auction_to_reference_time"]
        and same and report.clean,
    }  # fmt: skip


class _Bench:
    """An exchange with funded traders and the orders they will place."""

    def __init__(self, log: Log, ledger: Ledger, exchange: Exchange, orders: list[NewOrder]) -> None:
        self._log = log
        self.ledger = ledger
        self.exchange = exchange
        self._orders = orders

    @classmethod
    async def open(cls, db: Database, orders: int, folder: Path) -> _Bench:
        clock = SystemClock()
        ledger = Ledger(db, clock, worker="bench", workers=1)
        await ledger.start()
        log = Log(db, clock, Vault(folder / "keys"), data=folder, origin=lambda: "bench.example/log", feed=Feed(db))
        approvals = Approvals(db, clock)
        today = clock.today()
        licence = NewLicence(Scope.EXCHANGE, "bench", "1", today, today + timedelta(days=1))
        await approvals.record(licence, by="bench")
        exchange = Exchange(
            db, clock, ledger=ledger, rulebook=Rulebook.load(), approvals=approvals, payments=Payments(db, clock, {}),
            secret=b"bench", trader=_trader, fee_discount=_no_discount, record=log.record,
        )  # fmt: skip
        traders = [new_id() for _ in range(TRADERS)]
        issuance = await ledger.system_account("issuance", Asset.CREDIT)
        for start in range(0, TRADERS, FUND_AT_ONCE):
            part = traders[start : start + FUND_AT_ONCE]
            await asyncio.gather(*(_fund(ledger, exchange, issuance.id, org) for org in part))
        chance = random.Random(SEED)
        sides = (BUY, SELL)
        wanted = [
            NewOrder(
                new_id(), traders[number % TRADERS], sides[number % 2], chance.randrange(LOW_TICKS, HIGH_TICKS),
                chance.randrange(20, 200) * MICRO,
            )
            for number in range(orders)
        ]  # fmt: skip
        return cls(log, ledger, exchange, wanted)

    async def accept(self) -> dict[str, float]:
        """Every caller places one order after the other and awaits each."""
        orders = iter(self._orders)
        waits: list[float] = []

        async def caller() -> None:
            for order in orders:
                begin = time.perf_counter()
                await self.exchange.place(order, actor="bench")
                waits.append(time.perf_counter() - begin)

        begin = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        took = time.perf_counter() - begin
        waits.sort()
        return {
            "per_s": round(len(waits) / took), "seconds": round(took, 2),
            "p50_ms": round(waits[len(waits) // 2] * 1000, 1), "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 1),
        }  # fmt: skip

    async def auction(self) -> dict[str, float]:
        """Fold the orders in beforehand, as the jobs process does every few seconds; then one auction."""
        await self.exchange.sweep()
        await self._seal()
        begin = time.perf_counter()
        done = asyncio.Event()
        sealing = asyncio.create_task(self._keep_sealing(done))
        ran = await self.exchange.run_auction(forced_by="bench")
        settled = time.perf_counter() - begin
        done.set()
        sealed = await sealing
        took = time.perf_counter() - begin
        assert ran.auction is not None
        assert ran.settled == ran.trades > 0
        return {
            "total_s": round(took, 2), "settled_s": round(settled, 2), "sealed_entries": sealed,
            "trades": ran.trades, "orders_ended": ran.ended,
            "price_ticks": ran.auction.ticks or 0,
        }  # fmt: skip

    async def _seal(self) -> int:
        """Seal what is booked, whole; how many entries."""
        total = 0
        while added := await self._log.seal():
            total += added
        return total

    async def _keep_sealing(self, done: asyncio.Event) -> int:
        """Seal every second until `done`, and then what is left."""
        total = 0
        while not done.is_set():
            total += await self._log.seal()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), SEAL_EVERY_S)
        return total + await self._seal()

    async def close(self) -> None:
        await self._log.close()
        await self.exchange.stop()
        await self.ledger.stop()


async def _trader(org_id: UUID) -> Trader:
    return Trader(org_id, org_id)


async def _no_discount(org_id: UUID, on: date) -> int:
    return 0


async def _fund(ledger: Ledger, exchange: Exchange, issuance: UUID, org: UUID) -> None:
    wallet = await ledger.ensure_account(org, Asset.CREDIT, "wallet")
    amount = LOT_CREDITS * MICRO
    lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=amount)
    await ledger.post(
        Posting(id=new_id(), kind="bench", transfers=(Transfer(new_id(), issuance, wallet.id, amount),), lots=(lot,))
    )
    await exchange.cash.receive(org, CASH_FEN, reference="bench", actor="bench")
