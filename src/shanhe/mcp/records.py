"""The audit's pen: records of calls, written a batch at a time, so that a call needn't wait for its own line.

What a call cost is its posting, durable before the answer leaves; this is who called what and how it went. A process
that is killed loses the lines of its last moments, never a payment.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from shanhe.kernel.db import FAILURES, Database
from shanhe.mcp import store
from shanhe.mcp.model import CallRecord

WAIT_S: Final = 0.25
BATCH_ROWS: Final = 500
QUEUE_MAX: Final = 20_000
log = structlog.get_logger(__name__)


class Records:
    """Queues records and writes them soon."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._queue: list[CallRecord] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def add(self, record: CallRecord) -> None:
        """Write this down soon; beyond the bound the oldest is dropped, and said so."""
        if len(self._queue) >= QUEUE_MAX:
            del self._queue[0]
            log.warning("a record of a tool's call was dropped: the database is too slow")
        self._queue.append(record)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._quietly())

    async def _quietly(self) -> None:
        with contextlib.suppress(*FAILURES):
            await self.flush()

    async def flush(self) -> None:
        """Write what is queued; what can't be written stays queued."""
        async with self._lock:
            while batch := self._queue[:BATCH_ROWS]:
                await store.record(self._db, batch)
                written = {one.id for one in batch}
                self._queue = [one for one in self._queue if one.id not in written]

    async def stop(self) -> None:
        """Write the last ones."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._quietly()
