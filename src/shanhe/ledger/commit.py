"""Group commit: callers queue, a batch is in flight, whatever arrived meanwhile is the next batch.

Nothing waits for a batch to fill: with one caller a batch is one row, with a thousand it is hundreds, and the disk is
asked once for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

import asyncpg
import structlog

from shanhe.kernel.db import PRIMARY, Connection
from shanhe.ledger.errors import LedgerBusy, LedgerFull, LedgerUnavailable

BATCH_MAX: Final = 500
CROWD: Final = 128
WAITING_MAX: Final = 20_000
CONNECT_LIMIT_S: Final = 3.0
CALL_LIMIT_S: Final = 20.0
LOST_LIMIT_S: Final = 10.0
SESSION: Final = {
    "timezone": "UTC",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}
RETRY_WAIT_S: Final = 0.1

GONE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement met a connection that was just breaking
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What a lost or refusing server raises."""
UNDONE: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Somebody else was in the way, and nothing was done."""
TRIES_MAX: Final = 5
log = structlog.get_logger(__name__)


class ConnectionLost(Exception):
    """The server went away. `sent`: whether the statement was committed is unknown; else the server never had it."""

    def __init__(self, why: str, *, sent: bool = True) -> None:
        super().__init__(why)
        self.sent = sent


class Line:
    """A connection of one's own with prepared statements.

    Not from the pool: a pool resets a connection at every release, which is one more round trip per batch.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._statements: dict[str, Any] = {}
        self._turn = asyncio.Lock()
        self.full_at_s: float | None = None
        """When the database last said that its disk is full; None once it took something again."""

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """Rows of a prepared query; `ConnectionLost` when the server is away or silent, `LedgerFull` when its disk is
        full, asyncpg's errors otherwise. What was undone for somebody else's sake is asked for again."""
        async with self._turn:  # two tenants may ask for a lease at once; a connection does one thing at a time
            for _ in range(TRIES_MAX - 1):
                with contextlib.suppress(*UNDONE):
                    return await self._ask(query, args)
                await asyncio.sleep(RETRY_WAIT_S)  # for them to go on
            return await self._ask(query, args)

    async def _ask(self, query: str, args: tuple[Any, ...]) -> list[Any]:
        sent = False
        try:
            statement = self._statements.get(query) or await self._prepare(query)
            sent = True
            rows: list[Any] = await statement.fetch(*args, timeout=CALL_LIMIT_S)
            self.full_at_s = None
            return rows
        except asyncpg.DiskFullError as error:  # an answer, not a silence: what was asked for is undone
            self.full_at_s = time.monotonic()
            raise LedgerFull from error
        except GONE as error:
            self._drop()
            raise ConnectionLost(str(error), sent=sent) from error

    async def _prepare(self, query: str) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._statements.clear()
            # Generic plans: the batch functions are planned once, not again for every batch size. Without sequential
            # scans: a plan made while a table was empty must not read all of it once it has grown.
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_LIMIT_S,
                connection_class=Connection,
                target_session_attrs=PRIMARY,
                server_settings=SESSION,
            )
        statement = self._statements[query] = await self._connection.prepare(query)
        return statement

    def _drop(self) -> None:
        self._statements.clear()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=CONNECT_LIMIT_S)
        self._connection = None
        self._statements.clear()


class Verdict(Protocol):
    """Who is told how it went: an `asyncio.Future`, or what takes its place."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...


class Waiting(Protocol):
    """What can be queued: who pays (for fairness), whom to tell, and when to give up on a lost server."""

    payer: UUID
    deadline: float

    @property
    def future(self) -> Verdict: ...


Row = TypeVar("Row", bound=Waiting)


class GroupCommit(Generic[Row]):
    """One queue; each `flush` has one batch in flight and resolves the futures of its rows.

    A second flush only joins when `CROWD` rows wait: then the server works on one batch while this process builds the
    other. With few callers it would only halve the batches.
    """

    def __init__(
        self,
        *flushes: Callable[[list[Row]], Awaitable[None]],
        batch_max: int = BATCH_MAX,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._flushes = flushes
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._queue: list[Row] = []
        self._wakes: list[asyncio.Future[None] | None] = [None for _ in flushes]  # of those that wait for rows
        self._tasks: list[asyncio.Task[None] | None] = [None for _ in flushes]
        self._ending = False

    def submit(self, row: Row) -> None:
        """Queue a row; `LedgerBusy` when too many wait."""
        waiting = len(self._queue)
        if waiting >= self._waiting_max:
            raise LedgerBusy(waiting)
        self._queue.append(row)
        self._wake(0)
        if waiting >= CROWD and len(self._flushes) > 1:
            self._wake(1)

    def _wake(self, index: int) -> None:
        task = self._tasks[index]
        if task is None or task.done():
            self._tasks[index] = asyncio.create_task(self._run(index))
        wake = self._wakes[index]
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def stop(self) -> None:
        """Flush what waits, then end."""
        self._ending = True
        for wake in self._wakes:
            if wake is not None and not wake.done():
                wake.set_result(None)
        await asyncio.gather(*(task for task in self._tasks if task is not None), return_exceptions=True)
        self._ending = False

    async def _run(self, index: int) -> None:
        flush, enough, loop = self._flushes[index], CROWD if index else 1, asyncio.get_running_loop()
        while True:
            while len(self._queue) < enough:
                if self._ending:
                    return
                wake = self._wakes[index] = loop.create_future()
                await wake
                self._wakes[index] = None
            batch = self._take()
            try:
                await flush(batch)
            except Exception:  # one batch that can't be flushed must not hold up those that wait behind it
                log.exception("a batch was not flushed", rows=len(batch))
            finally:  # a caller is never left waiting, whatever went wrong
                refuse(batch, LedgerUnavailable())

    def _take(self) -> list[Row]:
        """The next batch: all that waits or, when that is too much, round robin over payers."""
        queue = self._queue
        if len(queue) <= self._batch_max:
            self._queue = []
            return queue
        lines: OrderedDict[UUID, deque[Row]] = OrderedDict()
        for row in queue:
            lines.setdefault(row.payer, deque()).append(row)
        batch: list[Row] = []
        while len(batch) < self._batch_max:
            payer, line = lines.popitem(last=False)
            batch.append(line.popleft())
            if line:
                lines[payer] = line
        self._queue = [row for line in lines.values() for row in line]
        return batch


def unknown() -> LedgerUnavailable:
    """An answer was lost: the posting may be booked or not."""
    return LedgerUnavailable("The outcome of this posting is unknown.")


def refuse(rows: list[Row], error: Exception) -> None:
    """Tell everybody who still waits."""
    for row in rows:
        if not row.future.done():
            row.future.set_exception(error)


def drop_late(rows: list[Row], now_s: float) -> list[Row]:
    """Rows that may still wait for a lost server; the others are told `LedgerUnavailable`."""
    late = [row for row in rows if row.deadline <= now_s]
    if not late:
        return rows
    refuse(late, unknown())
    return [row for row in rows if row.deadline > now_s]
