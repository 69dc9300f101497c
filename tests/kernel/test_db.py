"""A pool of connections: nobody waits for one for ever."""

from __future__ import annotations

import asyncpg
import pytest

from shanhe.kernel import db
from shanhe.kernel.db import Database


class TestPool:
    async def test_whoever_keeps_the_last_connection_and_asks_for_another_is_told(
        self, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "ACQUIRE_TIMEOUT_S", 0.05)
        one = await Database.open(dsn, size=1)
        try:
            async with one.transaction() as conn:
                assert await conn.fetchval("SELECT 1") == 1
                with pytest.raises(TimeoutError):
                    await one.fetchval("SELECT 2")
                with pytest.raises(TimeoutError):
                    async with one.transaction():
                        pass
            assert await one.fetchval("SELECT 3") == 3
        finally:
            await one.close()


class TestTypes:
    async def test_of_the_server_itself_are_asked_for_once_in_a_process(
        self, dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[set[int]] = []
        ask = asyncpg.Connection._introspect_types

        async def counted(connection: asyncpg.Connection, oids: set[int], *limit: object) -> object:
            asked.append(set(oids))
            return await ask(connection, oids, *limit)

        monkeypatch.setattr(asyncpg.Connection, "_introspect_types", counted)
        for _ in range(2):
            one = await Database.open(dsn, size=1)
            try:
                assert await one.fetchval("SELECT $1::int8[] || 3::int8", [1, 2]) == [1, 2, 3]
                assert await one.fetchval("SELECT int4range(1, 4)") == asyncpg.Range(1, 4)
                assert await one.fetchval("SELECT ARRAY['{\"a\": 1}'::jsonb]") == [{"a": 1}]
            finally:
                await one.close()
        assert len(asked) == len({frozenset(oids) for oids in asked})

    async def test_of_ones_own_are_asked_for_each_time(self, database: Database, dsn: str) -> None:
        for kind, value in (("text", "a"), ("int", 1)):
            await database.execute(f"CREATE TYPE thing AS (value {kind})")
            other = await Database.open(dsn, size=1)
            try:
                assert tuple(await other.fetchval("SELECT ROW($1)::thing", value)) == (value,)
            finally:
                await other.close()
            await database.execute("DROP TYPE thing")
