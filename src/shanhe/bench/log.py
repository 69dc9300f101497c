"""`shanhe bench log`: sealing beside pgbench's TPC-B on the same server, in the same run, with fsync on.

What is sealed are real postings with a receipt's worth of evidence. A sealed entry has its index and salt in the
database, its hash and bytes in durable tiles, and stands under a signed checkpoint. Verification uses one thread.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from shanhe.kernel.clock import SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.migrations import migrate
from shanhe.kernel.postgres import EmbeddedPostgres
from shanhe.kernel.process import collect_seldom
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Feed, Ledger, Posting, Transfer
from shanhe.ledger.bench import pgbench
from shanhe.log.api import Log, verify

ENTRIES: Final = 20_000
POSTED_AT_ONCE: Final = 2_000
SECONDS: Final = 5.0
VERIFICATIONS: Final = 200
RATIO_TARGET: Final = 5.0
VERIFY_LIMIT_MS: Final = 50.0
EVIDENCE: Final = msgspec.json.encode({
    "v": 1, "face": "chat", "model": "qwen2.5-coder-0.5b-instruct", "engine": "local", "stream": True,
    "status": "completed", "finish_reason": "stop", "usage_source": "engine", "total_micro": 1,
    "buckets": {"input": 312, "cached_input": 96, "output": 268, "reasoning": 0, "tool": 0},
    "prices": {"input": 28_000_000, "cached_input": 14_000_000, "output": 56_000_000, "reasoning": 0, "tool": 0},
    "rules": {"P10": "sha256:" + "1" * 64, "P11": "sha256:" + "2" * 64, "C12": "sha256:" + "3" * 64},
    "timings": {"admitted_ms": 0.4, "first_token_ms": 61.5, "engine_done_ms": 840.2},
})  # fmt: skip


def main(entries: int = ENTRIES, seconds: float = SECONDS) -> dict[str, Any]:
    """Start a server of its own in a temporary folder, measure, remove it."""
    with tempfile.TemporaryDirectory(prefix="shanhe-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "pg")
        try:
            return uvloop.run(bench_log(server.start(), server.bin_dir, Path(folder), entries, seconds))
        finally:
            server.stop()


async def bench_log(dsn: str, pg_bin: Path, folder: Path, entries: int, seconds: float) -> dict[str, Any]:
    """Figures and whether they meet their targets. The database named by `dsn` gets pgbench's and our own rows."""
    db = await Database.open(dsn, size=4)
    try:
        await migrate(db)
        await _post(db, entries)
        baseline = await asyncio.to_thread(pgbench, dsn, pg_bin, seconds)
        clock = SystemClock()
        log = Log(db, clock, Vault(folder / "keys"), data=folder, origin=lambda: "bench/log", feed=Feed(db))
        collect_seldom()
        begin = time.perf_counter()
        while await log.seal():
            pass
        per_s = entries / (time.perf_counter() - begin)
        status = await log.status()
        spans = await _verified(log, await db.fetchval("SELECT id FROM ledger.posting ORDER BY id DESC LIMIT 1"))
    finally:
        await db.close()
    ratio, slowest_ms = per_s / baseline, max(spans)
    return {
        "entries": entries, "tpcb_per_s": round(baseline), "sealed_per_s": round(per_s),
        "sealed_to_tpcb": round(ratio, 2), "verify_p50_ms": round(statistics.median(spans), 3),
        "verify_max_ms": round(slowest_ms, 3), "signed": status.signed, "waiting": status.waiting,
        "met": ratio >= RATIO_TARGET and slowest_ms <= VERIFY_LIMIT_MS and status.waiting == 0
        and status.signed >= entries,
    }  # fmt: skip


async def _post(db: Database, count: int) -> None:
    """Book `count` postings."""
    ledger = Ledger(db, SystemClock(), worker="bench", workers=1)
    await ledger.start()
    try:
        source = await ledger.system_account("issuance", Asset.CREDIT)
        target = await ledger.system_account("revenue", Asset.CREDIT)
        for start in range(0, count, POSTED_AT_ONCE):
            await asyncio.gather(*(
                ledger.post(Posting(
                    id=(one := new_id()), kind="call", transfers=(Transfer(one, source.id, target.id, 1),),
                    evidence=EVIDENCE,
                ))
                for _ in range(min(POSTED_AT_ONCE, count - start))
            ))  # fmt: skip
    finally:
        await ledger.stop()


async def _verified(log: Log, posting: Any) -> list[float]:
    """Milliseconds of each verification of one proof file."""
    raw, keys = str(await log.prove(posting)).encode(), log.verifiers()
    spans = []
    for _ in range(VERIFICATIONS):
        begin = time.perf_counter()
        verify(raw, keys)
        spans.append((time.perf_counter() - begin) * 1000)
    return spans
