"""Usage sums kept in memory between flushes, so that counting a call costs no I/O.

A crash loses at most FLUSH_S of sums, never money: the ledger's postings are the truth, and every finished day is
recomputed from them once by `rebuild`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
import structlog

from shanhe.gateway.model import Evidence
from shanhe.gateway.store import UsageKey, UsageRow, UsageStore

if TYPE_CHECKING:
    from uuid import UUID

    from shanhe.gateway.pipeline import Call
    from shanhe.gateway.settlement import Outcome
    from shanhe.gateway.terms import Today
    from shanhe.identity.api import Caller

FLUSH_S: Final = 1.0
log = structlog.get_logger(__name__)
_evidence = msgspec.json.Decoder(Evidence)


class UsageBook:
    """Counts settled calls and writes the sums every second."""

    def __init__(self, store: UsageStore, today: Today) -> None:
        self._store = store
        self._today = today
        self._sums: dict[UsageKey, list[int]] = {}
        self._last: tuple[Caller, str, date, list[int]] | None = None  # the group counted last, one of the sums
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def count(self, call: Call, outcome: Outcome, total_micro: int) -> None:
        """Add one settled call."""
        caller, model, on = call.caller, call.parsed.model, self._today()
        last = self._last
        if last is None or last[0] is not caller or last[1] != model or last[2] != on:
            key = UsageKey(on, caller.org_id, caller.key_id, model)
            last = self._last = caller, model, on, self._sums.setdefault(key, [0] * 7)
        _sum(last[3], outcome.metered.buckets.as_tuple(), total_micro)

    async def flush(self) -> None:
        """Write the sums; what can't be written now is kept for the next time."""
        if not self._sums:
            return
        sums, self._sums, self._last = self._sums, {}, None
        try:
            await self._store.add(sums)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            log.warning("usage sums not written", error=str(error)[:200], groups=len(sums))
            for key, values in sums.items():
                known = self._sums.setdefault(key, [0] * 7)
                for at, value in enumerate(values):
                    known[at] += value

    async def read(
        self,
        org_id: UUID | None,
        first: date,
        last: date,
        group: tuple[str, ...],
        key_id: UUID | None = None,
        model: str | None = None,
    ) -> list[UsageRow]:
        """Sums between two dates, both included; see `UsageStore.read`."""
        await self.flush()
        return await self._store.read(org_id, first, last, group, key_id, model)

    async def rebuild(self, day: date, evidence: AsyncIterator[bytes]) -> int:
        """Recompute a finished day from the evidence of its call postings; returns how many calls it had."""
        sums: dict[UsageKey, list[int]] = {}
        calls = 0
        async for raw in evidence:
            seen = _evidence.decode(raw)
            key = UsageKey(day, seen.org_id, seen.key_id, seen.model)
            _sum(sums.setdefault(key, [0] * 7), seen.buckets.as_tuple(), seen.total_micro)
            calls += 1
        await self._store.replace_day(day, sums)
        return calls

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()


def _sum(known: list[int], buckets: tuple[int, int, int, int, int], total_micro: int) -> None:
    """Add one call to the sums of its group."""
    known[0] += 1
    known[1] += buckets[0]
    known[2] += buckets[1]
    known[3] += buckets[2]
    known[4] += buckets[3]
    known[5] += buckets[4]
    known[6] += total_micro
