"""SQL of facts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

COLUMNS = "id, subject, name, key, value, sealed, valid_from, valid_to, known_at, standing, source, evidence"
ROWS_MAX = 2_000

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


async def insert(conn: Connection, *values: Any) -> bool:
    """False when the id is taken."""
    row = await conn.fetchrow(
        f"""INSERT INTO facts.fact ({COLUMNS}, actor)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING RETURNING id""",
        *values,
    )
    return row is not None


async def by_id(conn: Connection, identifier: UUID) -> Any:
    return await conn.fetchrow(f"SELECT {COLUMNS} FROM facts.fact WHERE id = $1", identifier)


async def standing_on(
    conn: Connection, subjects: Sequence[UUID], names: Sequence[str] | None, on: date, known: datetime, sound: bool
) -> Sequence[Any]:
    """What holds on a day as known by an instant: one row a series."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT DISTINCT ON (subject, name, key) {COLUMNS} FROM (
              SELECT DISTINCT ON (subject, name, key, valid_from) {COLUMNS} FROM facts.fact
              WHERE subject = ANY($1) AND ($2::text[] IS NULL OR name = ANY($2)) AND known_at <= $4 AND valid_from <= $3
                AND (NOT $5 OR standing <> 'declared')
              ORDER BY subject, name, key, valid_from, known_at DESC, id DESC) latest
            WHERE valid_to IS NULL OR valid_to >= $3
            ORDER BY subject, name, key, valid_from DESC LIMIT {ROWS_MAX}""",
        list(subjects), list(names) if names is not None else None, on, known, sound,
    )  # fmt: skip
    return found


async def keyed(conn: Connection, name: str, keys: Sequence[str], on: date, known: datetime) -> Sequence[Any]:
    """Facts of anybody whose key is one of these: who has this owner, this employer."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT DISTINCT ON (subject, key) {COLUMNS} FROM (
              SELECT DISTINCT ON (subject, key, valid_from) {COLUMNS} FROM facts.fact
              WHERE name = $1 AND key = ANY($2) AND key <> '' AND known_at <= $4 AND valid_from <= $3
              ORDER BY subject, key, valid_from, known_at DESC, id DESC) latest
            WHERE valid_to IS NULL OR valid_to >= $3
            ORDER BY subject, key, valid_from DESC LIMIT {ROWS_MAX}""",
        name, list(keys), on, known,
    )  # fmt: skip
    return found


async def history(conn: Connection, subject: UUID, name: str | None, most: int = ROWS_MAX) -> Sequence[Any]:
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT {COLUMNS} FROM facts.fact WHERE subject = $1 AND ($2::text IS NULL OR name = $2)
            ORDER BY name, key, valid_from, known_at, id LIMIT $3""",
        subject, name, most,
    )  # fmt: skip
    return found


async def tally(conn: Connection, name: str, on: date, known: datetime) -> tuple[int, int]:
    """How many subjects have this unsealed fact on a day, and the sum where it is a number."""
    row = await conn.fetchrow(
        """SELECT count(*) AS n, coalesce(sum(CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric END), 0) AS s
           FROM (SELECT DISTINCT ON (subject, key) value FROM (
                   SELECT DISTINCT ON (subject, key, valid_from) * FROM facts.fact
                   WHERE name = $1 AND known_at <= $3 AND valid_from <= $2
                   ORDER BY subject, key, valid_from, known_at DESC, id DESC) latest
                 WHERE valid_to IS NULL OR valid_to >= $2 ORDER BY subject, key, valid_from DESC) held
           WHERE value IS NOT NULL AND value <> 'false'::jsonb""",
        name, on, known,
    )  # fmt: skip
    return int(row["n"]), int(row["s"])


async def plain_numbers(conn: Connection, names: Sequence[str], after: UUID | None, limit: int) -> Sequence[Any]:
    """Facts with the number of a document in the clear, a page in the order of their ids."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT {COLUMNS} FROM facts.fact
            WHERE name = ANY($1) AND key <> '' AND left(key, 1) <> '#' AND ($2::uuid IS NULL OR id > $2)
            ORDER BY id LIMIT $3""",
        list(names), after, limit,
    )  # fmt: skip
    return found


async def seal_number(conn: Connection, identifier: UUID, key: str, sealed: bytes | None) -> None:
    """The one change that is let through: it says nothing new, and says so in its transaction."""
    await conn.execute("SELECT set_config('shanhe.resealing', 'on', true)")
    await conn.execute(
        "UPDATE facts.fact SET key = $2, value = NULL, sealed = $3 WHERE id = $1", identifier, key, sealed
    )
