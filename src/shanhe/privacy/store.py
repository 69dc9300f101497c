"""SQL of privacy. Sees ciphertexts of what people write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database

PAGE_ROWS = 200
SWEEP_ROWS = 10_000


async def add_readings(db: Database, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows of (id, at, person, purpose, ground, by, about, names)."""
    async with db.transaction() as conn:
        await conn.executemany(
            """INSERT INTO privacy.reading (id, at, person_id, purpose, ground, by, about, names)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            rows,
        )


async def readings(db: Database, person_id: UUID, before: UUID | None, limit: int) -> list[Any]:
    return await db.fetch(
        """SELECT id, at, purpose, ground, by, about, names FROM privacy.reading
           WHERE person_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3""",
        person_id, before, min(limit, PAGE_ROWS),
    )  # fmt: skip


async def insert_request(db: Database, *values: Any) -> bool:
    """(id, person, kind, asked, asked_at, due_at); False when the id is taken."""
    row = await db.writes.fetchval(
        """INSERT INTO privacy.request (id, person_id, kind, asked, asked_at, due_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (id) DO NOTHING RETURNING 1""",
        *values,
    )
    return row is not None


async def request(conn: Any, request_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM privacy.request WHERE id = $1{' FOR UPDATE' if lock else ''}", request_id
    )


async def requests(db: Database, person_id: UUID | None, open_only: bool, limit: int) -> list[Any]:
    return await db.fetch(
        """SELECT * FROM privacy.request WHERE ($1::uuid IS NULL OR person_id = $1) AND (NOT $2 OR state = 'open')
           ORDER BY state = 'open' DESC, CASE WHEN state = 'open' THEN due_at END, id DESC LIMIT $3""",
        person_id, open_only, limit,
    )  # fmt: skip


async def decide(conn: Any, request_id: UUID, state: str, answer: bytes, by: str, now: datetime) -> Any:
    return await conn.fetchrow(
        """UPDATE privacy.request SET state = $2, answer = $3, decided_by = $4, decided_at = $5
           WHERE id = $1 AND state = 'open' RETURNING *""",
        request_id, state, answer, by, now,
    )  # fmt: skip


async def forget_requests(db: Database, person_id: UUID) -> int:
    """Drop a person's open requests; how many."""
    gone = await db.execute("DELETE FROM privacy.request WHERE person_id = $1 AND state = 'open'", person_id)
    return int(gone.rpartition(" ")[2])


async def overdue(conn: Any, now: datetime, limit: int) -> list[Any]:
    """Open requests whose day has passed and that nobody was told of; they are marked as told."""
    rows: list[Any] = await conn.fetch(
        """UPDATE privacy.request SET told_at = $1 WHERE id IN
             (SELECT id FROM privacy.request WHERE state = 'open' AND due_at < $1 AND told_at IS NULL
              ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id, kind, due_at""",
        now, limit,
    )  # fmt: skip
    return rows


async def insert_assessment(db: Database, *values: Any) -> None:
    await db.execute(
        """INSERT INTO privacy.assessment (id, purpose, grounds, necessity, impact, safeguards, conclusion, made_by,
                                           made_at, keep_until)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING""",
        *values,
    )


async def assessment(db: Database, assessment_id: UUID) -> Any:
    return await db.fetchrow("SELECT * FROM privacy.assessment WHERE id = $1", assessment_id)


async def assessments(db: Database, purpose: str | None) -> list[Any]:
    return await db.fetch(
        "SELECT * FROM privacy.assessment WHERE $1::text IS NULL OR purpose = $1 ORDER BY id DESC LIMIT $2",
        purpose, PAGE_ROWS,
    )  # fmt: skip


async def forget(db: Database, readings_before: datetime, today: date) -> int:
    """Drop what need not be kept any longer, a bounded number of rows; how many."""
    first = await db.execute(
        "DELETE FROM privacy.reading WHERE id IN (SELECT id FROM privacy.reading WHERE at < $1 LIMIT $2)",
        readings_before, SWEEP_ROWS,
    )  # fmt: skip
    second = await db.execute("DELETE FROM privacy.assessment WHERE keep_until < $1", today)
    return sum(int(done.rsplit(" ", 1)[-1]) for done in (first, second))


# -- sealing what was written before ----------------------------------------------------------------------------------


async def resealed(db: Database) -> dict[str, Any]:
    """How far each place is."""
    rows = await db.fetch("SELECT place, go_on, rows, done_at FROM privacy.resealed")
    return {row["place"]: row for row in rows}


async def note_resealed(db: Database, place: str, go_on: list[str] | None, rows: int, done_at: datetime | None) -> None:
    await db.execute(
        """INSERT INTO privacy.resealed (place, go_on, rows, done_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (place) DO UPDATE SET go_on = $2, rows = $3, done_at = $4""",
        place, go_on, rows, done_at,
    )  # fmt: skip
