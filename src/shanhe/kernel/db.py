"""One asyncpg pool per process, JSON decoded, and a listener that survives a lost server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from shanhe.kernel import acts

POOL_SIZE = 8
COMMAND_TIMEOUT_S = 30.0
ACQUIRE_TIMEOUT_S = 30.0
"""How long a connection is waited for where none is idle: whoever keeps one and asks for another waits no longer."""
RECONNECT_WAIT_S = 0.5
FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What asking the database may raise, whatever the reason: it is lost, refuses, or was asked wrongly. A TimeoutError is
an OSError."""

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


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, dsn: str, pool: asyncpg.Pool[Any]) -> None:
        self.dsn = dsn
        self.pool = pool
        self._listeners: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, dsn: str, *, size: int = POOL_SIZE) -> Database:
        """Connect a pool of at most `size`; OSError or asyncpg errors when the server is away."""
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            command_timeout=COMMAND_TIMEOUT_S,
            connection_class=Connection,
            init=_prepare,
            reset=_as_it_is,
            server_settings={"timezone": "UTC"},
        )
        return cls(dsn, pool)

    async def close(self) -> None:
        for task in self._listeners:
            task.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)
        await self.pool.close()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        """A connection inside a transaction; never await the network inside."""
        async with self._acquire() as connection, connection.transaction():
            if (acting := acts.acting()) is not None:
                await connection.execute(acts.CARRY, acting.carried())
            yield connection

    def _asked(self) -> Any:
        """A connection for one statement; in a transaction where it is somebody's act, which only that can carry."""
        return self._acquire() if acts.acting() is None else self.transaction()

    def _acquire(self) -> Any:
        """A connection of the pool; TimeoutError. The bound costs a task, so only a wait has one."""
        return self.pool.acquire(timeout=None if self.pool.get_idle_size() else ACQUIRE_TIMEOUT_S)

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        async with self._asked() as connection:
            rows: list[Any] = await connection.fetch(query, *args)
            return rows

    async def fetchrow(self, query: str, *args: Any) -> Any:
        async with self._asked() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        async with self._asked() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        async with self._asked() as connection:
            return str(await connection.execute(query, *args))

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
                connection = await asyncpg.connect(self.dsn)
            except (OSError, asyncpg.PostgresError):
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
