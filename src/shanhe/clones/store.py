"""SQL of mandates and feedback. Sees ciphertexts of what people write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database

Connection = Any
PAGE_ROWS: Final = 200
LESSONS_MAX: Final = 20_000


async def ask(
    conn: Connection | Database, mandate_id: UUID, name: str, org_id: UUID, code: bytes, asked: Sequence[str],
    until: date, now: datetime, by: str,
) -> bool:  # fmt: skip
    """False when the id is taken; UniqueViolation when another is open for the name."""
    row = await conn.fetchval(
        """INSERT INTO clones.mandate (id, name, org_id, code_sha256, asked, asked_until, asked_at, asked_by, state)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'asked') ON CONFLICT (id) DO NOTHING RETURNING 1""",
        mandate_id, name, org_id, code, list(asked), until, now, by,
    )  # fmt: skip
    return row is not None


async def mandate(conn: Connection | Database, mandate_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM clones.mandate WHERE id = $1{' FOR UPDATE' if lock else ''}", mandate_id
    )  # fmt: skip


async def by_code(db: Database, code: bytes) -> Any:
    return await db.fetchrow("SELECT * FROM clones.mandate WHERE code_sha256 = $1", code)


async def standing(conn: Connection | Database, name: str) -> Any:
    return await conn.fetchrow("SELECT * FROM clones.mandate WHERE name = $1 AND state = 'granted'", name)


async def mandates(
    db: Database, org_id: UUID | None, person_id: UUID | None, limit: int, before: UUID | None = None
) -> list[Any]:
    """Of a maker or of a person, newest first, a bounded page."""
    return await db.fetch(
        """SELECT * FROM clones.mandate WHERE ($1::uuid IS NULL OR org_id = $1) AND ($2::uuid IS NULL OR person_id = $2)
              AND ($4::uuid IS NULL OR id < $4) ORDER BY id DESC LIMIT $3""",
        org_id, person_id, limit, before,
    )  # fmt: skip


async def grant(
    conn: Connection, mandate_id: UUID, person_id: UUID, consent_id: UUID, called: bytes, purposes: Sequence[str],
    until: date, now: datetime,
) -> None:  # fmt: skip
    await conn.execute(
        """UPDATE clones.mandate SET state = 'granted', person_id = $2, consent_id = $3, called = $4, purposes = $5,
                  until = $6, decided_at = $7 WHERE id = $1""",
        mandate_id, person_id, consent_id, called, list(purposes), until, now,
    )  # fmt: skip


async def end(conn: Connection | Database, mandate_id: UUID, state: str, now: datetime, person_id: UUID | None) -> None:
    await conn.execute(
        """UPDATE clones.mandate SET state = $2, ended_at = $3, person_id = coalesce(person_id, $4)
            WHERE id = $1 AND ended_at IS NULL AND ($2 <> 'declined' OR state = 'asked')""",
        mandate_id, state, now, person_id,
    )  # fmt: skip


async def cleared(db: Database, mandate_id: UUID, what: Mapping[str, Any], now: datetime) -> None:
    """Everything is gone; how the person was called goes with it."""
    await db.execute(
        "UPDATE clones.mandate SET cleared_at = $2, cleared = $3, called = NULL WHERE id = $1",
        mandate_id, now, dict(what),
    )  # fmt: skip


async def working(db: Database, after: UUID | None = None) -> list[Any]:
    """Granted ones, and ended ones that were not cleared yet; a page."""
    return await db.fetch(
        """SELECT * FROM clones.mandate WHERE cleared_at IS NULL AND state NOT IN ('asked', 'declined')
              AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2""",
        after, PAGE_ROWS,
    )  # fmt: skip


# -- feedback ---------------------------------------------------------------------------------------------------------


async def give(
    db: Database, feedback_id: UUID, name: str, mandate_id: UUID, run_id: UUID, person_id: UUID, org_id: UUID,
    good: bool, texts: Sequence[bytes], now: datetime,
) -> bool:  # fmt: skip
    """False when this person has said something of this answer, or the id is taken."""
    row = await db.writes.fetchval(
        """INSERT INTO clones.feedback (id, name, mandate, run_id, person_id, org_id, good, question, answer,
                                        correction, state, given_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'new', $11) ON CONFLICT DO NOTHING RETURNING 1""",
        feedback_id, name, mandate_id, run_id, person_id, org_id, good, *texts, now,
    )  # fmt: skip
    return row is not None


async def feedback(conn: Connection | Database, feedback_id: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM clones.feedback WHERE id = $1", feedback_id)


async def feedbacks(db: Database, name: str, state: str | None) -> list[Any]:
    """What was said of a clone's answers, newest first, a bounded page; what is deleted is left out."""
    return await db.fetch(
        """SELECT * FROM clones.feedback WHERE name = $1 AND state <> 'deleted' AND ($2::text IS NULL OR state = $2)
            ORDER BY id DESC LIMIT $3""",
        name, state, PAGE_ROWS,
    )  # fmt: skip


async def given(db: Database, person_id: UUID, limit: int) -> list[Any]:
    return await db.fetch(
        "SELECT * FROM clones.feedback WHERE person_id = $1 ORDER BY id DESC LIMIT $2", person_id, limit
    )


async def decide(db: Database, feedback_id: UUID, state: str, by: str, now: datetime) -> bool:
    row = await db.writes.fetchval(
        """UPDATE clones.feedback SET state = $2, decided_by = $3, decided_at = $4
            WHERE id = $1 AND state IN ('new', 'accepted', 'rejected') RETURNING 1""",
        feedback_id, state, by, now,
    )  # fmt: skip
    return row is not None


async def lessons(db: Database, name: str) -> list[Any]:
    """What may teach: accepted now or taken before, oldest first."""
    return await db.fetch(
        """SELECT * FROM clones.feedback WHERE name = $1 AND state IN ('accepted', 'taken') ORDER BY id LIMIT $2""",
        name, LESSONS_MAX,
    )  # fmt: skip


async def take(db: Database, held: Mapping[UUID, bool], version_id: UUID) -> None:
    """Lessons are in a version; whether each is held out is decided once."""
    await db.execute(
        """UPDATE clones.feedback f SET state = 'taken', version_id = $3, held = coalesce(f.held, g.held)
             FROM unnest($1::uuid[], $2::boolean[]) AS g (id, held)
            WHERE f.id = g.id AND f.state IN ('accepted', 'taken')""",
        list(held), list(held.values()), version_id,
    )  # fmt: skip


async def delete_feedback(db: Database, *, mandate_id: UUID | None = None, person_id: UUID | None = None) -> int:
    """Delete what was said, of one clone or by one person; how many."""
    rows = await db.writes.fetch(
        """UPDATE clones.feedback SET state = 'deleted', question = NULL, answer = NULL, correction = NULL
            WHERE state <> 'deleted' AND (mandate = $1 OR person_id = $2) RETURNING id""",
        mandate_id, person_id,
    )  # fmt: skip
    return len(rows)
