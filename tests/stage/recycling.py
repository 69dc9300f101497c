"""One database that is put back as it was after each test: a new copy of the template costs many times as much.

The server counts the rows written to each table: only what a test wrote to is emptied or gets its rows back, and
sequences their places. A database whose tables, functions or triggers are not what they were is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

USES_MAX = 1_000
SWEEP_EVERY_USES = 25
"""Deleted rows stay in their files until somebody vacuums; nobody else does."""
ALONE_LIMIT_S = 10.0
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
SHAPE = """
SELECT (SELECT (count(*), sum(oid::bigint), sum(relnatts), count(*) FILTER (WHERE relrowsecurity)) FROM pg_class
        WHERE oid >= 16384),
       (SELECT (count(*), sum(hashtext(a::text)::bigint)) FROM pg_attribute a WHERE attrelid >= 16384),
       (SELECT (count(*), sum(hashtext(d::text)::bigint)) FROM pg_attrdef d),
       (SELECT (count(*), sum(hashtext(p::text)::bigint)) FROM pg_proc p WHERE oid >= 16384),
       (SELECT (count(*), sum(hashtext(t::text)::bigint)) FROM pg_trigger t),
       (SELECT (count(*), sum(hashtext(c::text)::bigint)) FROM pg_constraint c),
       (SELECT (count(*), sum(hashtext(i::text)::bigint)) FROM pg_index i),
       (SELECT (count(*), sum(hashtext(s::text)::bigint)) FROM pg_db_role_setting s),
       (SELECT count(*) FROM pg_statistic), (SELECT count(*) FROM pg_largeobject_metadata)
"""
"""What PostgreSQL brings itself has smaller numbers."""
OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL ($1::int[])"""
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.oid,
       (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""
SEEDED = """
DO $$ DECLARE one record; any_row boolean; seeded oid[] := '{}'; BEGIN
  FOR one IN SELECT oid, oid::regclass::text AS name FROM unnest('%s'::oid[]) oid WHERE pg_relation_size(oid) > 0 LOOP
    EXECUTE 'SELECT EXISTS (SELECT FROM ' || one.name || ')' INTO any_row;
    IF any_row THEN seeded := seeded || one.oid; END IF;
  END LOOP;
  CREATE TEMP TABLE seeded AS SELECT unnest(seeded) AS oid;
END $$
"""
SEQUENCES = """
SELECT c.oid, format('%I.%I', s.schemaname, s.sequencename) AS name, s.start_value
FROM pg_sequences s JOIN pg_class c ON c.oid = format('%I.%I', s.schemaname, s.sequencename)::regclass ORDER BY 2
"""
WRITTEN = "pg_stat_get_tuples_inserted(oid) + pg_stat_get_tuples_updated(oid) + pg_stat_get_tuples_deleted(oid)"
COUNTS = f"""
SELECT (SELECT array_agg({WRITTEN} ORDER BY at) FROM unnest($1::oid[]) WITH ORDINALITY u (oid, at)),
       (SELECT array_agg(pg_relation_filenode(oid) ORDER BY at) FROM unnest($1::oid[]) WITH ORDINALITY u (oid, at)),
       (SELECT array_agg(pg_sequence_last_value(oid) ORDER BY at) FROM unnest($2::oid[]) WITH ORDINALITY u (oid, at)),
       (SELECT sum({WRITTEN}) FROM pg_class WHERE relkind = 'r' AND oid < 16384)
"""
"""Rows ever written to each table (rolled back ones, too), which files it is in, each sequence's place, and rows
written to the catalogue."""


@dataclass
class Counts:
    """What tells whether anything was written."""

    rows: Sequence[int] = ()
    files: Sequence[int] = ()
    places: Sequence[int | None] = ()
    catalogue: int = 0
    log: str = ""


@dataclass
class Inventory:
    """What is in every new copy of the template: its tables, which of them have rows, and its sequences."""

    names: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    oids: list[int] = field(default_factory=list)
    seeded: set[int] = field(default_factory=set)
    sequences: list[str] = field(default_factory=list)
    sequence_oids: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    @classmethod
    async def of(cls, connection: asyncpg.Connection[Any]) -> Inventory:
        made = cls()
        for table in await connection.fetch(TABLES):
            made.names.append(table["name"])
            made.columns.append(table["columns"])
            made.oids.append(table["oid"])
        await connection.execute(SEEDED % ("{" + ",".join(map(str, made.oids)) + "}"))
        made.seeded = {made.oids.index(row[0]) for row in await connection.fetch("SELECT oid FROM seeded")}
        await connection.execute("DROP TABLE seeded")
        for sequence in await connection.fetch(SEQUENCES):
            made.sequences.append(sequence["name"])
            made.sequence_oids.append(sequence["oid"])
            made.starts.append(sequence["start_value"])
        return made


class Recycled:
    """A database, our own connection to it, and what it looked like when it was new."""

    def __init__(self, name: str, connection: asyncpg.Connection[Any], inventory: Inventory) -> None:
        self.name = name
        self._connection = connection
        self._inventory = inventory
        self._uses = 0
        self._written: set[int] = set()
        self._shape: tuple[Any, ...] = ()
        self._new = self._last = Counts()

    @classmethod
    async def open(cls, name: str, dsn: str, inventory: Inventory | None = None) -> Recycled:
        connection = await asyncpg.connect(dsn)
        made = cls(name, connection, inventory or await Inventory.of(connection))
        await made._remember()
        return made

    @property
    def inventory(self) -> Inventory:
        return self._inventory

    async def close(self) -> None:
        with contextlib.suppress(*LOST):
            await self._connection.close()

    async def restore(self, spared: Sequence[int] = ()) -> bool:
        """Put it back as it was; False when it has to be thrown away instead. `spared` are idle and stay."""
        self._uses += 1
        with contextlib.suppress(*LOST):  # a test that ended every connection ended ours, too
            if self._uses < USES_MAX and await self._alone(spared):
                if await self._log() == self._last.log:
                    return True  # nothing was written anywhere
                return await self._put_back()
        return False

    async def _log(self) -> str:
        return str(await self._connection.fetchval("SELECT pg_current_wal_insert_lsn()::text"))

    async def _alone(self, spared: Sequence[int]) -> bool:
        """End whoever is still connected; whether nobody is any more."""
        end = asyncio.get_running_loop().time() + ALONE_LIMIT_S
        while await self._connection.fetch(OTHERS, spared):
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.002)
        return True

    async def _count(self) -> Counts:
        """Our own writing counts, too, once it is told to."""
        await self._connection.fetchval("SELECT pg_stat_force_next_flush()")
        row = await self._connection.fetchrow(COUNTS, self._inventory.oids, self._inventory.sequence_oids)
        return Counts(*row)

    async def _put_back(self) -> bool:
        now, known = await self._count(), self._inventory
        if now.catalogue != self._last.catalogue and tuple(await self._connection.fetchrow(SHAPE)) != self._shape:
            return False
        written = [at for at in range(len(known.oids))
                   if (now.rows[at], now.files[at]) != (self._last.rows[at], self._last.files[at])]  # fmt: skip
        script = [f"DELETE FROM {known.names[at]};" for at in written]
        script += [
            f"INSERT INTO {known.names[at]} ({known.columns[at]}) OVERRIDING SYSTEM VALUE"
            f" SELECT {known.columns[at]} FROM pg_temp.seed_{at};"
            for at in written if at in known.seeded
        ]  # fmt: skip
        for at, place in enumerate(self._new.places):
            if now.places[at] != place:
                value, called = (known.starts[at], "false") if place is None else (place, "true")
                script.append(f"SELECT setval('{known.sequences[at]}', {value}, {called});")
        if script:
            await self._connection.execute("".join(script))
        self._written.update(written)
        if self._uses % SWEEP_EVERY_USES == 0 and self._written:
            await self._connection.execute(f"VACUUM {', '.join(known.names[at] for at in self._written)}")
            self._written.clear()
        self._last = await self._count() if script else now
        self._last.log = await self._log()
        return True

    async def _remember(self) -> None:
        connection, known = self._connection, self._inventory
        for at in known.seeded:
            await connection.execute(f"CREATE TEMP TABLE seed_{at} AS TABLE {known.names[at]}")
        self._shape = tuple(await connection.fetchrow(SHAPE))  # our temporary tables are in it, too
        await connection.execute("SET session_replication_role = replica")  # no trigger, no foreign key has a say
        self._new = self._last = await self._count()
        self._last.log = await self._log()
