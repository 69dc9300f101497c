"""Migrations apply once, in order, and refuse to be rewritten."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from shanhe.kernel import migrations
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Unavailable
from shanhe.kernel.migrations import LARGE, Migration, current, discover, migrate

RUNNING_SINCE = 475
"""Cities with data have run up to here; whatever comes later has to come to them while they are called."""
LANDED = frozenset({552, 570, 621, 740, 801, 850, 870, 874, 876, 877})
"""Written before their tables were known as large: `docs/production.md` says what an upgrade over them takes."""
TABLE = r"(?:ONLY\s+)?([\w.]+)"


def blocking(migration: Migration) -> Iterator[str]:
    """What of a migration keeps writers of a large table that was there before waiting for as long as it is large."""
    if migration.built is not None:
        return
    sql = re.sub(r"--.*", "", migration.sql)
    own = {name.lower() for name in re.findall(rf"CREATE TABLE (?:IF NOT EXISTS )?{TABLE}", sql, re.I)}
    for table in re.findall(rf"CREATE (?:UNIQUE )?INDEX (?:\w+ )?ON {TABLE}", sql, re.I):
        if table.lower() in LARGE - own:
            yield f"an index on {table} in a transaction"
    for table, what in re.findall(rf"ALTER TABLE (?:IF EXISTS )?{TABLE}([^;]*)", sql, re.I):
        if table.lower() not in LARGE - own:
            continue
        checked = re.search(r"\bADD (CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN)\b", what, re.I)
        if checked and "NOT VALID" not in what.upper():
            yield f"a constraint on {table} without NOT VALID"
        if re.search(r"\bSET NOT NULL\b|\bTYPE\b", what, re.I):
            yield f"a column of {table} that is read or written again"


class TestMigration:
    async def test_runs_once(self, empty_dsn: str) -> None:
        db = await Database.open(empty_dsn)
        try:
            assert [m.ordinal for m in await migrate(db)] == [m.ordinal for m in discover()]
            assert await migrate(db) == []
        finally:
            await db.close()

    async def test_refuses_a_file_that_changed_after_it_was_applied(self, database: Database) -> None:
        await database.execute("UPDATE kernel.migration SET sha256 = 'other'")
        with pytest.raises(Conflict, match="edited after it was applied"):
            await migrate(database)

    async def test_refuses_a_database_that_a_newer_program_has_used(self, database: Database) -> None:
        await database.execute("INSERT INTO kernel.migration VALUES (9999, 'kernel', 'later', 'x', now())")
        with pytest.raises(Conflict, match="newer version") as refused:
            await migrate(database)
        assert refused.value.code == "database_newer"
        assert "9999" in refused.value.message_zh

    async def test_that_the_role_may_not_do_is_told_in_the_servers_words(
        self, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As where an extension is not installed on the server; it was a traceback."""
        lacking = Migration(1, "retrieval", "vectors", "CREATE EXTENSION no_such_extension")
        monkeypatch.setattr(migrations, "discover", lambda: [lacking])
        db = await Database.open(empty_dsn)
        try:
            with pytest.raises(Unavailable, match="no_such_extension") as refused:
                await migrate(db)
        finally:
            await db.close()
        assert refused.value.code == "migration_refused"
        assert "CREATE EXTENSION" in refused.value.hint

    async def test_that_a_database_lacks_is_told_to_whoever_only_wants_to_work_on_it(self, database: Database) -> None:
        """A command of a newer version beside a running city of an older one."""
        await current(database)
        last = discover()[-1]
        await database.execute("DELETE FROM kernel.migration WHERE ordinal = $1", last.ordinal)
        with pytest.raises(Conflict, match="lacks 1 migrations") as refused:
            await current(database)
        assert refused.value.code == "database_older"
        assert await database.fetchval("SELECT count(*) FROM kernel.migration") == len(discover()) - 1

    async def test_is_asked_for_where_there_is_none(self, empty_dsn: str) -> None:
        db = await Database.open(empty_dsn, size=1)
        try:
            with pytest.raises(Conflict) as refused:
                await current(db)
            assert refused.value.code == "database_older"
        finally:
            await db.close()

    async def test_says_how_far_it_is_and_goes_on_after_a_kill(self, empty_dsn: str) -> None:
        """Each is a transaction of its own: whoever starts next applies the rest."""
        seen: list[tuple[int, int]] = []

        def killed(done: int, total: int) -> None:
            seen.append((done, total))
            if done == 3:
                raise KeyboardInterrupt

        db = await Database.open(empty_dsn, size=1)
        try:
            with pytest.raises(KeyboardInterrupt):
                await migrate(db, progress=killed)
            known = [m.ordinal for m in discover()]
            assert seen == [(number, len(known)) for number in range(4)]
            assert await db.fetchval("SELECT count(*) FROM kernel.migration") == 3
            rest: list[tuple[int, int]] = []
            await migrate(db, progress=lambda done, total: rest.append((done, total)))
            assert rest[-1] == (len(known) - 4, len(known) - 3)
        finally:
            await db.close()

    async def test_builds_an_index_beside_writes_and_again_after_a_kill(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sql = "-- Why.\nCREATE INDEX CONCURRENTLY event_kind ON kernel.event (topic);\n"
        later = Migration(9999, "kernel", "event_kind", sql)
        monkeypatch.setattr(migrations, "discover", lambda: [*discover(), later])
        index = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('kernel.event_kind')"
        async with database.pool.acquire() as writer, writer.transaction():  # started before, and not done
            await writer.execute("LOCK TABLE kernel.event IN ROW EXCLUSIVE MODE")
            async with asyncio.timeout(10):
                coming = asyncio.create_task(migrate(database))
                while await database.fetchval(index) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                waiting = asyncio.create_task(migrate(database))  # another process meanwhile does not hold it up
        assert [m.ordinal for m in (await coming)] == [9999]
        assert await waiting == []
        await database.execute("DELETE FROM kernel.migration WHERE ordinal = 9999")
        half = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'kernel.event_kind'::regclass"
        await database.execute(half)
        assert [m.ordinal for m in await migrate(database)] == [9999]
        assert await database.fetchval(index) is True
        await database.execute("DROP INDEX kernel.event_kind")

    def test_keeps_nobody_waiting_for_a_large_table(self) -> None:
        later = [m for m in discover() if m.ordinal > RUNNING_SINCE and m.ordinal not in LANDED]
        found = {m.ordinal: list(blocking(m)) for m in later}
        assert {ordinal: what for ordinal, what in found.items() if what} == {}, "CONTRIBUTING.md says how to"

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE INDEX x ON ledger.posting (born, id);",
            "CREATE UNIQUE INDEX ON ledger.transfer (id);",
            "ALTER TABLE facts.fact DROP CONSTRAINT a, ADD CONSTRAINT a CHECK (true);",
            "ALTER TABLE ledger.lot ALTER COLUMN amount TYPE numeric;",
            "CREATE INDEX CONCURRENTLY x ON ledger.posting (born); SELECT 1;",
        ],
    )
    def test_that_would_keep_them_waiting_is_seen(self, sql: str) -> None:
        later = Migration(9999, "ledger", "later", sql)
        assert list(blocking(later)) or ("CONCURRENTLY" in sql and later.built is None)

    async def test_has_large_tables_that_are_there(self, database: Database) -> None:
        assert [name for name in LARGE if await database.fetchval("SELECT to_regclass($1)", name) is None] == []

    def test_has_an_ordinal_that_no_other_has(self) -> None:
        ordinals = [migration.ordinal for migration in discover()]
        assert ordinals == sorted(set(ordinals))
