"""One database that is put back as it was after each test: a new copy of the template costs five times as much.

Tables that were empty are emptied, seeded ones get their rows back, sequences their places; a database whose tables,
functions or triggers are not what they were, or that was used often, is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg

USES_MAX = 60
"""Deleted rows stay in their files until somebody vacuums; nobody does."""
ALONE_LIMIT_S = 10.0
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
SHAPE = """
SELECT (SELECT (count(*), sum(oid::bigint), sum(relnatts)) FROM pg_class WHERE oid >= 16384),
       (SELECT (count(*), sum(oid::bigint)) FROM pg_proc WHERE oid >= 16384),
       (SELECT (count(*), count(*) FILTER (WHERE tgenabled = 'O')) FROM pg_trigger),
       (SELECT count(*) FROM pg_constraint)
"""
"""What PostgreSQL brings itself has smaller numbers; a table knows how many columns it has had."""
OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.oid,
       (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""
SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences ORDER BY 1"


class Recycled:
    """A database, our own connection to it, and what it looked like when it was new."""

    def __init__(self, name: str, connection: asyncpg.Connection[Any]) -> None:
        self.name = name
        self._connection = connection
        self._uses = 0

    @classmethod
    async def open(cls, name: str, dsn: str) -> Recycled:
        made = cls(name, await asyncpg.connect(dsn))
        await made._remember()
        return made

    async def close(self) -> None:
        with contextlib.suppress(*LOST):
            await self._connection.close()

    async def restore(self) -> bool:
        """Put it back as it was; False when it has to be thrown away instead."""
        self._uses += 1
        with contextlib.suppress(*LOST):  # a test that ended every connection ended ours, too
            if self._uses < USES_MAX and await self._alone() and await self._as_new():
                await self._connection.execute(self._script)
                return True
        return False

    async def _as_new(self) -> bool:
        return tuple(await self._connection.fetchrow(SHAPE)) == self._shape

    async def _alone(self) -> bool:
        """End whoever is still connected; whether nobody is any more."""
        end = asyncio.get_running_loop().time() + ALONE_LIMIT_S
        while await self._connection.fetch(OTHERS, self._connection.get_server_pid()):
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.002)
        return True

    async def _remember(self) -> None:
        connection, seeded = self._connection, []
        tables = await connection.fetch(TABLES)
        for number, table in enumerate(tables):
            if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table['name']})"):
                await connection.execute(f"CREATE TEMP TABLE seed_{number} AS TABLE {table['name']}")
                seeded.append((number, table))
        empty = [table["oid"] for table in tables if table not in [one for _, one in seeded]]
        back = [
            f"DELETE FROM {table['name']}; INSERT INTO {table['name']} ({table['columns']}) OVERRIDING SYSTEM VALUE"
            f" SELECT {table['columns']} FROM pg_temp.seed_{number};"
            for number, table in seeded
        ]
        moved = []
        for row in await connection.fetch(SEQUENCES):
            place = await connection.fetchrow(f"SELECT last_value, is_called FROM {row[0]}")
            moved.append(f"PERFORM setval('{row[0]}', {place['last_value']}, {str(place['is_called']).lower()});")
        self._shape = tuple(await connection.fetchrow(SHAPE))
        await connection.execute("SET session_replication_role = replica")  # no trigger, no foreign key has a say
        self._script = f"""
            DO $$ DECLARE used text; BEGIN
              FOR used IN SELECT oid::regclass::text FROM unnest('{{{','.join(map(str, empty))}}}'::oid[]) oid
                          WHERE pg_relation_size(oid) > 0
              LOOP EXECUTE 'DELETE FROM ' || used; END LOOP;
              {" ".join(back)}
              {" ".join(moved)}
            END $$
        """
