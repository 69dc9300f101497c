"""How many rows a database looks at for an answer: in a city of many years as few as on its first day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast

import msgspec
import pytest

from shanhe.kernel.db import Connection, Database

ASKED: Final[ContextVar[list[str] | None]] = ContextVar("asked", default=None)


class Reading:
    """Stands in for a `Database`, and counts: the rows that each statement's scans came by, used or not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows = 0
        self.writes = self

    async def _count(self, sql: str, *values: Any) -> None:
        async with self._database.pool.acquire() as conn:
            told = conn.transaction()
            await told.start()
            try:
                plan = await conn.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", *values)
            finally:
                await told.rollback()
        (found,) = msgspec.json.decode(plan) if isinstance(plan, str) else plan
        self.rows += _scanned(found["Plan"])

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        await self._count(sql, *values)
        async with self._database.transaction() as conn:
            return list(await conn.fetch(sql, *values))

    async def fetchrow(self, sql: str, *values: Any) -> Any:
        await self._count(sql, *values)
        async with self._database.transaction() as conn:
            return await conn.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        await self._count(sql, *values)
        async with self._database.transaction() as conn:
            return await conn.fetchval(sql, *values)

    async def execute(self, sql: str, *values: Any) -> Any:
        await self._count(sql, *values)
        async with self._database.transaction() as conn:
            return await conn.execute(sql, *values)


def reading(database: Database) -> Any:
    """In place of the database; `rows` says what was read."""
    return cast("Any", Reading(database))


@contextmanager
def asked() -> Iterator[list[str]]:
    """The statements that are asked from here on, and by what is called from here, whichever connection has them."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            patch.setattr(Connection, name, _noted(getattr(Connection, name)))
        token = ASKED.set(said)
        try:
            yield said
        finally:
            ASKED.reset(token)


def _noted(ask: Any) -> Any:
    async def noted(self: Any, query: str, *args: Any, **options: Any) -> Any:
        if (said := ASKED.get()) is not None:
            said.append(query)
        return await ask(self, query, *args, **options)

    return noted


async def fill(database: Database, *statements: str) -> None:
    """Make rows without their neighbours: no foreign keys and triggers, but all that a table asks of a row."""
    async with database.pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await conn.execute(statement)
    await database.execute("ANALYZE")


def _scanned(plan: dict[str, Any]) -> int:
    below = sum(_scanned(part) for part in plan.get("Plans", ()))
    if "Scan" not in plan["Node Type"] or plan["Node Type"] in ("CTE Scan", "Function Scan", "Bitmap Index Scan"):
        return below
    here = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return below + round(here * plan["Actual Loops"])
