"""Two doors to a database, one of which only reads, and nobody waits at either for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from shanhe.kernel import acts, db
from shanhe.kernel.db import Database, WritesInARead


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
                    await one.execute("SELECT 2")
                with pytest.raises(TimeoutError):
                    async with one.transaction():
                        pass
            assert await one.writes.fetchval("SELECT 3") == 3
        finally:
            await one.close()


WRITES = "INSERT INTO governance.seat VALUES (gen_random_uuid(), 'finance', 'cli', now()) RETURNING true"


class Sent:
    """Every message that asks the server for something, as asyncpg hands it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        for name in ("execute", "fetch", "fetchrow", "fetchval"):
            monkeypatch.setattr(asyncpg.Connection, name, self._noted(getattr(asyncpg.Connection, name)))

    def _noted(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        async def noted(connection: asyncpg.Connection[Any], query: str, *args: Any, **options: Any) -> Any:
            self.statements.append(query)
            return await ask(connection, query, *args, **options)

        return noted


class TestDoors:
    @pytest.mark.parametrize("read", ["fetch", "fetchrow", "fetchval"])
    async def test_for_reading_refuse_what_writes_and_nothing_is_written(self, database: Database, read: str) -> None:
        with pytest.raises(WritesInARead, match="writes"):
            await getattr(database, read)(WRITES)
        assert await database.fetchval("SELECT count(*) FROM governance.seat") == 0

    async def test_for_reading_refuse_what_locks(self, database: Database) -> None:
        with pytest.raises(WritesInARead):
            await database.fetchrow("SELECT true FROM governance.seat FOR UPDATE")

    async def test_for_reading_refuse_what_a_function_writes(self, database: Database) -> None:
        await database.execute("CREATE TABLE kept (n int)")
        await database.execute(
            "CREATE FUNCTION keep() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO kept VALUES (1) RETURNING n'"
        )
        with pytest.raises(WritesInARead):
            await database.fetchval("SELECT keep()")
        with pytest.raises(WritesInARead):
            async with database.snapshot() as connection:
                await connection.fetchval("SELECT keep()")
        assert await database.writes.fetchval("SELECT keep()") == 1
        await database.execute("DROP FUNCTION keep(); DROP TABLE kept")

    async def test_ask_one_message_of_whoever_reads_in_an_operators_name(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await database.fetchval("SELECT 0")
        sent = Sent(monkeypatch)
        acts.begin("person:clerk", "GET /admin", datetime(2026, 11, 27, tzinfo=UTC))
        await database.fetch("SELECT 1")
        acts.end()
        assert sent.statements == ["SELECT 1"]

    async def test_for_writing_say_who_acts_with_what_is_returned(self, database: Database) -> None:
        acts.begin("person:clerk", "POST /x", datetime(2026, 11, 27, tzinfo=UTC))
        assert await database.writes.fetchval(WRITES)
        acts.end()
        assert await database.fetchval("SELECT actor FROM kernel.act") == "person:clerk"

    async def test_show_a_reader_what_was_written_before(self, database: Database) -> None:
        for n in range(5):
            await database.writes.fetchrow(WRITES)
            assert await database.fetchval("SELECT count(*) FROM governance.seat") == n + 1

    async def test_for_a_snapshot_show_one_instant(self, database: Database) -> None:
        async with database.snapshot() as connection:
            assert await connection.fetchval("SELECT count(*) FROM governance.seat") == 0
            await database.execute(WRITES)
            assert await connection.fetchval("SELECT count(*) FROM governance.seat") == 0


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
