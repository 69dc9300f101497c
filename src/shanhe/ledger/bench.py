"""`shanhe bench ledger`: group commit beside pgbench's TPC-B on the same server, in the same run, with fsync on.

Ratios count, absolute figures depend on the machine. TPC-B: 5 statements a transaction, 8 clients. Ours: every caller
awaits its own durable verdict; one process, one connection per kind of batch.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import uvloop

from shanhe.kernel.address import without_secrets
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.migrations import migrate
from shanhe.kernel.postgres import EmbeddedPostgres
from shanhe.ledger.model import Account, Asset, Charge, Leg, NewLot, Posting, Provenance, Transfer
from shanhe.ledger.service import Ledger

CALLERS: Final = 1000
SECONDS: Final = 5.0
WARM_UP_S: Final = 1.0
LOTS: Final = 5
HOLD_AMOUNT: Final = 1000
FUNDS: Final = 10**15
PGBENCH_SCALE: Final = 10
PGBENCH_LIMIT_S: Final = 120
SAMPLES_MAX: Final = 500_000

Work = Callable[[int], Awaitable[object]]


def main(seconds: float = SECONDS) -> dict[str, Any]:
    """Start a server of its own in a temporary folder, measure, remove it."""
    with tempfile.TemporaryDirectory(prefix="shanhe-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg")
        try:
            return uvloop.run(bench_ledger(server.start(), server.bin_dir, seconds=seconds))
        finally:
            server.stop()


async def bench_ledger(dsn: str, pg_bin: Path, *, seconds: float = SECONDS) -> dict[str, Any]:
    """Figures per second, and their ratios to TPC-B. The database named by `dsn` gets pgbench's and our own rows."""
    db = await Database.open(dsn, size=4)
    try:
        await migrate(db)
        baseline = await asyncio.to_thread(pgbench, dsn, pg_bin, seconds)
        ledger = Ledger(db, SystemClock(), worker="bench", workers=1)
        await ledger.start()
        figures = await _Bench(ledger, seconds).run()
        total = await db.fetchval(
            "SELECT sum(balance) FROM "
            "(SELECT balance FROM ledger.account UNION ALL SELECT balance FROM ledger.stripe) b"
        )
        report = await ledger.verify()
        await ledger.stop()
    finally:
        await db.close()
    ratios = {
        "hot_to_tpcb": round(figures["hot"]["per_s"] / baseline, 2),
        "hold_capture_to_tpcb": round(figures["hold_capture"]["per_s"] / baseline, 2),
        "calls_to_tpcb": round(figures["calls"]["per_s"] / baseline, 2),
        "hot_to_distinct": round(figures["hot"]["per_s"] / figures["distinct"]["per_s"], 2),
    }
    return {
        "callers": CALLERS, "seconds": seconds, "tpcb_per_s": round(baseline), **figures, **ratios,
        "sum": int(total or 0), "verify_clean": report.clean,
        "met": ratios["hot_to_tpcb"] >= 10 and ratios["hold_capture_to_tpcb"] >= 4
        and ratios["hot_to_distinct"] >= 0.8 and not total and report.clean,
    }  # fmt: skip


def pgbench(dsn: str, pg_bin: Path, seconds: float) -> float:
    """TPC-B transactions per second: scale 10, 8 clients, 2 threads."""
    target, environment = without_secrets(dsn)
    command = str(pg_bin / "pgbench")
    for arguments in (
        ["-q", "-i", "-s", str(PGBENCH_SCALE), target],
        ["-c", "8", "-j", "2", "-T", str(max(1, round(seconds))), target],
    ):
        done = subprocess.run(
            [command, *arguments], capture_output=True, text=True, timeout=PGBENCH_LIMIT_S, env=environment, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"pgbench failed: {done.stderr.strip()}")
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if found is None:
        raise RuntimeError(f"pgbench printed no figure: {done.stdout}")
    return float(found.group(1))


class _Bench:
    """The four loads."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger = ledger
        self._seconds = seconds

    async def run(self) -> dict[str, dict[str, float]]:
        ledger = self._ledger
        self._issuance = await ledger.system_account("issuance", Asset.CREDIT)
        self._revenue = await ledger.system_account("revenue", Asset.CREDIT)
        hot = await self._plain("hot")
        distinct = await asyncio.gather(*(self._plain(f"distinct {n}") for n in range(CALLERS)))
        wallet = await self._wallet(1)
        several = await self._wallet(LOTS)
        return {
            "hot": await self._measure(lambda _: self._transfer(hot)),
            "distinct": await self._measure(lambda number: self._transfer(distinct[number])),
            "hold_capture": await self._measure(lambda _: self._hold_capture(several)),
            "calls": await self._measure(lambda _: self._call(wallet)),
        }

    async def _plain(self, name: str) -> Account:
        """A bounded account without lots, funded."""
        account = await self._ledger.ensure_account(new_id(), Asset.CREDIT, "bench", name=name)
        await self._fund(account, ())
        return account

    async def _wallet(self, lots: int) -> Account:
        """Lots of the size of a few dozen holds and a big one last, so that holds keep straddling lots."""
        account = await self._ledger.ensure_account(new_id(), Asset.CREDIT, "wallet")
        sizes = [HOLD_AMOUNT * 25 + 1] * (lots - 1)
        minted = [*sizes, FUNDS - sum(sizes)]
        await self._fund(
            account, tuple(NewLot(account=account.id, provenance=Provenance.PURCHASED, amount=size) for size in minted)
        )
        return account

    async def _fund(self, account: Account, lots: tuple[NewLot, ...]) -> None:
        transfer = Transfer(new_id(), self._issuance.id, account.id, FUNDS)
        await self._ledger.post(Posting(id=new_id(), kind="grant", transfers=(transfer,), lots=lots))

    async def _transfer(self, account: Account) -> None:
        identifier = new_id()
        transfer = Transfer(identifier, account.id, self._revenue.id, 1)
        await self._ledger.post(Posting(id=identifier, kind="bench", transfers=(transfer,)))

    async def _hold_capture(self, account: Account) -> None:
        ledger = self._ledger
        expires_at = SystemClock().now().replace(year=9000)
        held = await ledger.hold(account.id, HOLD_AMOUNT, hold_id=new_id(), purpose="bench", expires_at=expires_at)
        await ledger.capture(held, Charge(HOLD_AMOUNT - 1, (Leg(self._revenue.id, HOLD_AMOUNT - 1),)))

    async def _call(self, account: Account) -> None:
        ledger, receipt = self._ledger, new_id()
        reservation = ledger.try_admit(account.id, HOLD_AMOUNT, receipt_id=receipt)
        if reservation is None:
            reservation = await ledger.admit(account.id, HOLD_AMOUNT, receipt_id=receipt)
        await ledger.settle(reservation, Charge(HOLD_AMOUNT, (Leg(self._revenue.id, HOLD_AMOUNT),), b"{}"))

    async def _measure(self, work: Work) -> dict[str, float]:
        """Every caller works in a loop; counted after the warm-up."""
        begin = time.perf_counter() + WARM_UP_S
        end = begin + self._seconds
        waits: list[float] = []
        done = 0

        async def caller(number: int) -> None:
            nonlocal done
            while (now := time.perf_counter()) < end:
                await work(number)
                after = time.perf_counter()
                if begin <= after <= end:
                    done += 1
                    if len(waits) < SAMPLES_MAX:
                        waits.append(after - now)

        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
        waits.sort()
        return {
            "per_s": round(done / self._seconds),
            "p50_ms": round(waits[len(waits) // 2] * 1000, 2),
            "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 2),
        }
