"""What one test leaves behind, the next doesn't find."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from tests import conftest

from shanhe.kernel.db import Database

SEEDED = "kernel.migration"
COUNT_ROWS = """SELECT table_schema || '.' || table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"""
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name NOT LIKE '%.%'"  # one with a dot is a library's
FILL = """
DO $$ DECLARE one record; BEGIN
  FOR one IN
    SELECT c.oid::regclass AS name, string_agg(quote_ident(a.attname), ',') AS columns, string_agg(CASE
      WHEN a.atttypid = 'boolean'::regtype THEN 'true' WHEN t.typcategory = 'A' OR t.typname = 'jsonb' THEN '''{}'''
      WHEN t.typcategory = 'N' THEN '1' WHEN t.typname = 'uuid' THEN 'gen_random_uuid()'
      WHEN t.typcategory = 'D' THEN '''2026-01-01''' ELSE '''x''' END, ',') AS made
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT attisdropped
      AND attgenerated = '' AND attidentity = '' JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relkind = 'r' AND c.oid >= 16384 AND c.relnamespace::regnamespace::text !~ '^pg_' GROUP BY c.oid
  LOOP
    BEGIN
      EXECUTE format('INSERT INTO %s (%s) VALUES (%s)', one.name, one.columns, one.made);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $$
"""
"""A row for each table that takes any."""
FILLED_MIN = 40


async def content(connection: Any) -> dict[str, Any]:
    """Everything a test could find: each table's rows, each sequence's place, functions, settings, sessions."""
    found: dict[str, Any] = {}
    for (table,) in await connection.fetch(COUNT_ROWS):
        found[table] = await connection.fetchval(f"SELECT count(*)::text || sum(hashtext(t::text)) FROM {table} t")
    for schema, name, place in await connection.fetch("SELECT schemaname, sequencename, last_value FROM pg_sequences"):
        found[f"{schema}.{name}"] = place
    found["functions"] = await connection.fetchval(
        "SELECT sum(hashtext(p::text)::bigint) FROM pg_proc p WHERE oid >= 16384"
    )
    found["triggers"] = await connection.fetchval(
        "SELECT sum(hashtext(tgname::text || tgenabled::text)::bigint) FROM pg_trigger"
    )
    return found


async def session(connection: Any) -> dict[str, Any]:
    """What a connection finds of itself."""
    return {
        "settings": dict(await connection.fetch(SETTINGS)),
        "prepared": await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_behind'"),
        "cursors": await connection.fetchval("SELECT count(*) FROM pg_cursors WHERE name = 'open'"),
        "listens": await connection.fetch("SELECT pg_listening_channels()"),
        "locks": await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
        "temporary": await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'scratch'"),
        "role": await connection.fetchval("SELECT current_user || session_user"),
    }


FOUND: list[tuple[dict[str, Any], dict[str, Any]]] = []
PROCESSES: list[int] = []
WAYS = ("nothing", "rows", "session", "reading", "function", "trigger", "empty", "setting", "ended", "leaked", "abort")


class Mess:
    """One way of leaving things behind for each name in `WAYS`."""

    def __init__(self, dsn: str, database: Database) -> None:
        self.dsn, self.database = dsn, database

    async def nothing(self) -> None:
        pass

    async def reading(self) -> None:
        await self.database.fetch(f"SELECT * FROM {SEEDED}")

    async def rows(self) -> None:
        """In every table, whatever its constraints say, and every sequence moves."""
        async with self.database.transaction() as connection:
            await connection.execute("SET LOCAL session_replication_role = replica")
            tables = [row[0] for row in await connection.fetch(COUNT_ROWS)]
            for table in tables:
                await connection.execute(f"DELETE FROM {table}")
            await connection.execute(FILL)
            filled = [table for table in tables if await connection.fetchval(f"SELECT count(*) FROM {table}")]
            assert len(filled) > FILLED_MIN
            await connection.fetch("SELECT nextval(format('%I.%I', schemaname, sequencename)) FROM pg_sequences")

    async def empty(self) -> None:
        await self.database.execute(f"TRUNCATE {SEEDED}")

    async def session(self) -> None:
        async with self.database.pool.acquire() as connection:
            await connection.execute("LISTEN hear")
            await connection.execute("PREPARE left_behind AS SELECT 1; SELECT pg_advisory_lock(7); LISTEN hear")
            await connection.execute("CREATE TEMP TABLE scratch (n int); SET ROLE pg_read_all_data")
            await connection.execute("BEGIN; DECLARE open CURSOR WITH HOLD FOR SELECT 1; COMMIT")

    async def function(self) -> None:
        (name,) = await self.database.fetchrow("SELECT oid::regprocedure FROM pg_proc WHERE oid >= 16384 ORDER BY 1")
        await self.database.execute(f"ALTER FUNCTION {name} SET work_mem = '2MB'")

    async def trigger(self) -> None:
        await self.database.execute("ALTER TABLE ledger.posting DISABLE TRIGGER ALL")

    async def setting(self) -> None:
        await self.database.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''3MB''',"
                                    " current_database()); END $$")  # fmt: skip

    async def ended(self) -> None:
        await self.database.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                                  " AND datname = current_database()")  # fmt: skip

    async def leaked(self) -> None:
        connection = await asyncpg.connect(self.dsn)
        await connection.execute(f"BEGIN; DELETE FROM {SEEDED}; SELECT pg_advisory_lock(8)")

    async def abort(self) -> None:
        connection = await asyncpg.connect(self.dsn)
        task = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
        await asyncio.sleep(0.02)
        connection.terminate()
        await asyncio.gather(task, return_exceptions=True)


class TestDatabase:
    @pytest.mark.parametrize("way", WAYS)
    async def test_is_as_new_whatever_the_one_before_did(self, dsn: str, database: Database, way: str) -> None:
        async with database.pool.acquire() as connection:
            found = await content(connection), await session(connection)
        FOUND.append(found)
        assert found == FOUND[0]
        assert found[0][SEEDED].startswith(tuple("123456789"))
        await getattr(Mess(dsn, database), way)()

    async def test_is_as_new_in_the_end(self, database: Database) -> None:
        async with database.pool.acquire() as connection:
            assert (await content(connection), await session(connection)) == FOUND[0]


class TestBackend:
    @pytest.mark.parametrize("time", [1, 2, 3])
    async def test_is_the_same_the_second_time(self, dsn: str, time: int) -> None:
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "same"})
        PROCESSES.append(await connection.fetchval("SELECT pg_backend_pid()"))
        assert connection.get_server_pid() == PROCESSES[-1]
        await connection.close()
        assert time < 3 or len(set(PROCESSES)) < time, "a database that was used up is followed by another one, once"

    async def test_is_another_where_other_settings_are_asked_for(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "other"})
        assert await connection.fetchval("SHOW application_name") == "other"
        assert connection.get_server_pid() not in PROCESSES
        await connection.close()

    async def test_lets_go_of_what_it_holds_when_its_connection_ends(self, dsn: str) -> None:
        first, second = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        await first.execute("SELECT pg_advisory_lock(9)")
        assert not await second.fetchval("SELECT pg_try_advisory_lock(9)")
        await first.close()
        await second.fetchval("SELECT pg_advisory_lock(9)", timeout=10)
        await second.close()

    async def test_is_used_again_within_a_test(self, dsn: str) -> None:
        seen = set()
        for _ in range(40):
            connection = await asyncpg.connect(dsn)
            seen.add(connection.get_server_pid())
            await connection.execute("LISTEN hear")
            await connection.close()
        assert len(seen) < 10  # those that are ready, and no new ones

    async def test_stops_what_it_does_when_told_to(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(30)", timeout=0.05)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()

    async def test_takes_and_gives_much(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        much = "山" * 1_000_000
        assert await connection.fetchval("SELECT $1::text", much) == much
        await connection.close()

    async def test_says_why_it_cannot(self, dsn: str) -> None:
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await asyncpg.connect(dsn.replace("@/t", "@/no_such_"))


class TestFolder:
    @pytest.mark.parametrize("fits", [True, False])
    def test_of_a_server_is_in_memory_where_there_is_enough_of_it(
        self, monkeypatch: pytest.MonkeyPatch, fits: bool
    ) -> None:
        free = conftest.MEMORY_MIN_BYTES - (0 if fits else 1)
        monkeypatch.setattr(conftest.os, "access", lambda *_: True)
        monkeypatch.setattr(conftest.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        assert (conftest.quick_folder() == conftest.MEMORY_FOLDER) is fits
