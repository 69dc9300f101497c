"""Two doors to one database, and a listener that survives a lost server.

What is read comes through connections that the server itself keeps read-only; what is written goes through others, in
transactions that say who acts. So a statement that writes cannot be asked where nobody is written down for it, and one
that reads is one message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import asyncpg
import msgspec
import structlog
from asyncpg.connect_utils import SessionAttribute

from shanhe.kernel import acts

POOL_SIZE = 8
COMMAND_TIMEOUT_S = 30.0
ACQUIRE_TIMEOUT_S = 30.0
"""How long a connection is waited for where none is idle: whoever keeps one and asks for another waits no longer."""
RECONNECT_WAIT_S = 0.5
FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asking the database may raise, whatever the reason: it is lost, refuses, is a standby, or was asked wrongly. A
TimeoutError is an OSError."""
PRIMARY: Final = SessionAttribute.primary
"""Which of the servers that an address names is asked, `target_session_attrs`: after a failover the one that was the
primary may be back under the same name as a standby, which reads well and would refuse each call."""

READS_ONLY: Final = {"default_transaction_read_only": "on"}
FIRST_OWN_OID = 16_384
"""PostgreSQL's own types have smaller numbers, the same in every database of a server's release."""
TYPE_SETS_MAX = 256

log = structlog.get_logger(__name__)
TYPE_NAMES = ("json", "jsonb")


@cache
def _described() -> dict[tuple[int, frozenset[int]], Any]:
    """What PostgreSQL said of its own types, by its release: whoever asked in this process asked for all."""
    return {}


class Connection(asyncpg.Connection):
    """Asks what an array is once in a process: asyncpg asks on every connection, and the answer takes the server ten
    milliseconds of a core, more than most of what is then done with it."""

    async def _introspect_types(self, typeoids: Collection[int], *limit: Any) -> Any:
        key = (self.get_server_version().major, frozenset(typeoids))
        found = _described().get(key)
        if found is not None:
            return found, SimpleNamespace(name="known")  # nothing was prepared in between
        answer = await super()._introspect_types(typeoids, *limit)  # type: ignore[misc]
        if max(typeoids) < FIRST_OWN_OID and len(_described()) < TYPE_SETS_MAX:
            _described()[key] = answer[0]
        return answer


async def _prepare(connection: asyncpg.Connection[Any]) -> None:
    for name in TYPE_NAMES:
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=lambda value: msgspec.json.encode(value).decode(),
            decoder=lambda text: msgspec.json.decode(text),
        )


async def _as_it_is(connection: asyncpg.Connection[Any]) -> None:
    """Nothing to undo: no session's settings, cursors or locks outlive a transaction, and asyncpg ends an open one.
    Its own way asks the server to reset everything, a round trip after each statement."""


async def _pool(dsn: str, least: int, most: int, settings: Mapping[str, str]) -> asyncpg.Pool[Any]:
    return await asyncpg.create_pool(
        dsn,
        min_size=least,
        max_size=most,
        command_timeout=COMMAND_TIMEOUT_S,
        connection_class=Connection,
        init=_prepare,
        reset=_as_it_is,
        target_session_attrs=PRIMARY,
        server_settings={"timezone": "UTC", **settings},
    )


def _acquired(pool: asyncpg.Pool[Any]) -> Any:
    """A connection of the pool; TimeoutError. The bound costs a task, so only a wait has one."""
    return pool.acquire(timeout=None if pool.get_idle_size() else ACQUIRE_TIMEOUT_S)


class WritesInARead(RuntimeError):
    """A statement that writes was asked as one that reads. A mistake of the program, so no outage excuses it."""


class _Asking:
    """Asks single statements, each on a connection that `lend` lends for it."""

    def __init__(self, lend: Callable[[], contextlib.AbstractAsyncContextManager[Any]]) -> None:
        self._lend = lend

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        async with self._lend() as connection:
            rows: list[Any] = await connection.fetch(query, *args)
            return rows

    async def fetchrow(self, query: str, *args: Any) -> Any:
        async with self._lend() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        async with self._lend() as connection:
            return await connection.fetchval(query, *args)


class Writes(_Asking):
    """Single statements that write, with what they return."""

    async def execute(self, query: str, *args: Any) -> str:
        async with self._lend() as connection:
            return str(await connection.execute(query, *args))


class Database(_Asking):
    """One PostgreSQL database. `fetch`, `fetchrow` and `fetchval` read, and are refused (`WritesInARead`) whatever
    writes or locks; `execute`, `writes` and `transaction` write."""

    def __init__(self, dsn: str, reading: asyncpg.Pool[Any], pool: asyncpg.Pool[Any]) -> None:
        super().__init__(self._read)
        self.dsn = dsn
        self.pool = pool
        """What writes; for libraries that want a pool of their own."""
        self.writes: Final = Writes(self._write)
        self._reading = reading
        self._listeners: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, dsn: str, *, size: int = POOL_SIZE) -> Database:
        """Connect, with at most `size` connections that read and as many that write; OSError or asyncpg errors when
        the server is away. Whoever only reads has none that writes."""
        reading = await _pool(dsn, 1, size, READS_ONLY)
        return cls(dsn, reading, await _pool(dsn, 0, size, {}))

    async def close(self) -> None:
        for task in self._listeners:
            task.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        await self._reading.close()
        await self.pool.close()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        """A connection inside a transaction; never await the network inside."""
        async with _acquired(self.pool) as connection, connection.transaction():
            if (acting := acts.acting()) is not None:
                await connection.execute(acts.CARRY, acting.carried())
            yield connection

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        """A connection on which all that is read is of one instant."""
        async with self._read() as connection, connection.transaction(isolation="repeatable_read"):
            yield connection

    async def execute(self, query: str, *args: Any) -> str:
        return await self.writes.execute(query, *args)

    @contextlib.asynccontextmanager
    async def _read(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        async with _acquired(self._reading) as connection:
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError as error:
                raise WritesInARead(f"{error}. Ask it through `writes` or in a transaction.") from error

    def _write(self) -> Any:
        """A connection for one statement; in a transaction where it is somebody's act, which only that can carry."""
        return _acquired(self.pool) if acts.acting() is None else self.transaction()

    def listen(
        self, channel: str, callback: Callable[[str], None], *, on_connect: Callable[[], None] | None = None
    ) -> None:
        """Call `callback(payload)` for every NOTIFY on `channel`, until closed.

        The listener has a connection of its own, which takes its time and reconnects. Notices sent while it is not
        there are lost, so `on_connect` is called whenever it begins to hear, the first time included: what the caller
        has read before may be old.
        """
        self._listeners.append(asyncio.create_task(self._listen(channel, callback, on_connect)))

    def wake(self, channel: str, event: asyncio.Event) -> None:
        """Set `event` with every notice on `channel`, and whenever some may have been missed."""
        self.listen(channel, lambda _: event.set(), on_connect=event.set)

    async def _listen(
        self, channel: str, callback: Callable[[str], None], on_connect: Callable[[], None] | None
    ) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self.dsn, target_session_attrs=PRIMARY)
            except FAILURES:
                await asyncio.sleep(RECONNECT_WAIT_S)
                continue
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())  # noqa: B023 - bound per connection on purpose
            try:
                await connection.add_listener(channel, lambda *row: callback(str(row[3])))
                if on_connect is not None:
                    on_connect()
                await lost.wait()
                log.warning("listener lost its connection", channel=channel)
            except FAILURES:
                await asyncio.sleep(RECONNECT_WAIT_S)
            finally:
                if not connection.is_closed():
                    connection.terminate()
