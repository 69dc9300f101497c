"""SQL of break-glass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database

Connection = Any
PAGE_ROWS: Final = 200


async def insert(conn: Connection, values: Mapping[str, Any]) -> None:
    """A unique violation of `glass_unreviewed` says that the person has one already."""
    await conn.execute(
        """INSERT INTO approvals.glass (id, person_id, class, object, reason, factor, opened_at, expires_at, cap_fen,
                                        review_due, rule_version)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        *values.values(),
    )


async def get(conn: Connection | Database, glass_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(f"SELECT * FROM approvals.glass WHERE id = $1{' FOR UPDATE' if lock else ''}", glass_id)


async def unreviewed_of(conn: Connection | Database, person_id: UUID, *, lock: bool = False) -> Any:
    """The one opening of a person that nobody reviewed yet; there is never a second."""
    return await conn.fetchrow(
        f"""SELECT * FROM approvals.glass WHERE person_id = $1 AND reviewed_at IS NULL
            {"FOR UPDATE" if lock else ""}""",
        person_id,
    )


async def openings(conn: Connection | Database, person_id: UUID, since: datetime) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM approvals.glass WHERE person_id = $1 AND opened_at >= $2", person_id, since
    )
    return found


async def page(db: Database, *, person_id: UUID | None, waiting: bool, limit: int) -> list[Any]:
    """Newest first; `waiting`: those that nobody reviewed yet."""
    rows: list[Any] = await db.fetch(
        """SELECT * FROM approvals.glass WHERE ($1::uuid IS NULL OR person_id = $1)
             AND (NOT $2 OR reviewed_at IS NULL) ORDER BY opened_at DESC, id DESC LIMIT $3""",
        person_id, waiting, limit,
    )  # fmt: skip
    return rows


async def in_force(db: Database, now: datetime, limit: int) -> list[Any]:
    rows: list[Any] = await db.fetch(
        """SELECT * FROM approvals.glass WHERE ended_at IS NULL AND expires_at > $1 ORDER BY expires_at LIMIT $2""",
        now, limit,
    )  # fmt: skip
    return rows


async def acts(conn: Connection | Database, glass_ids: Sequence[UUID]) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        """SELECT a.*, r.request_id AS reversal, r.state AS reversal_state FROM approvals.glass_act a
           LEFT JOIN approvals.glass_reversal r ON r.act_id = a.id
           WHERE a.glass_id = ANY($1) ORDER BY a.glass_id, a.n""",
        list(glass_ids),
    )
    return rows


async def spend(conn: Connection, glass_id: UUID, value_fen: int) -> None:
    """The row is locked; its constraint holds the cap once more."""
    await conn.execute("UPDATE approvals.glass SET spent_fen = spent_fen + $2 WHERE id = $1", glass_id, value_fen)


async def add_act(
    conn: Connection, act_id: UUID, glass_id: UUID, kind: str, object_: str, value_fen: int, posting: UUID | None,
    trace: Any, now: datetime,
) -> None:  # fmt: skip
    """The opening's row is locked, so numbers follow each other."""
    await conn.execute(
        """INSERT INTO approvals.glass_act (id, glass_id, n, class, object, value_fen, posting, trace, at)
           SELECT $1, $2, 1 + count(*), $3, $4, $5, $6, $7, $8 FROM approvals.glass_act WHERE glass_id = $2""",
        act_id, glass_id, kind, object_, value_fen, posting, trace, now,
    )  # fmt: skip


async def end(conn: Connection, glass_id: UUID, at: datetime) -> bool:
    done = await conn.execute(
        "UPDATE approvals.glass SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", glass_id, at
    )
    return bool(done.endswith(" 1"))


async def expired(conn: Connection, now: datetime, limit: int) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        """SELECT * FROM approvals.glass WHERE ended_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2
           FOR UPDATE SKIP LOCKED""",
        now, limit,
    )  # fmt: skip
    return rows


async def late(conn: Connection, now: datetime, limit: int) -> list[Any]:
    """Reviews that are overdue and of which nobody was told yet, marked as told."""
    rows: list[Any] = await conn.fetch(
        """UPDATE approvals.glass SET overdue_told_at = $1 WHERE id IN
             (SELECT id FROM approvals.glass WHERE reviewed_at IS NULL AND review_due < $1 AND overdue_told_at IS NULL
               ORDER BY review_due LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING *""",
        now, limit,
    )  # fmt: skip
    return rows


async def review(
    conn: Connection, glass_id: UUID, by: UUID, at: datetime, justified: bool, follow_up: str, findings: str
) -> None:
    await conn.execute(
        """UPDATE approvals.glass SET reviewed_by = $2, reviewed_at = $3, justified = $4, follow_up = $5, findings = $6
           WHERE id = $1""",
        glass_id, by, at, justified, follow_up, findings,
    )  # fmt: skip


async def counts(conn: Connection | Database, now: datetime) -> Any:
    return await conn.fetchrow(
        """SELECT count(*) FILTER (WHERE ended_at IS NULL AND expires_at > $1) AS open, count(*) AS unreviewed,
                  count(*) FILTER (WHERE review_due < $1) AS overdue
           FROM approvals.glass WHERE reviewed_at IS NULL""",
        now,
    )


# -- what a review wants undone ---------------------------------------------------------------------------------------


async def add_reversal(conn: Connection, act_id: UUID, request_id: UUID) -> None:
    await conn.execute("INSERT INTO approvals.glass_reversal (act_id, request_id) VALUES ($1, $2)", act_id, request_id)


async def unasked(db: Database, classes: Sequence[str], limit: int) -> list[Any]:
    """Reviews that want a reversal of which nothing was asked yet."""
    rows: list[Any] = await db.fetch(
        """SELECT g.id, g.reviewed_by FROM approvals.glass g WHERE g.follow_up = 'reversal' AND EXISTS
             (SELECT 1 FROM approvals.glass_act a LEFT JOIN approvals.glass_reversal r ON r.act_id = a.id
               WHERE a.glass_id = g.id AND a.class = ANY($1) AND a.posting IS NOT NULL AND r.act_id IS NULL)
           ORDER BY g.id LIMIT $2""",
        list(classes), limit,
    )  # fmt: skip
    return rows


async def open_reversals(db: Database, limit: int) -> list[Any]:
    rows: list[Any] = await db.fetch(
        """SELECT r.act_id, r.request_id, a.posting FROM approvals.glass_reversal r
           JOIN approvals.glass_act a ON a.id = r.act_id WHERE r.state = 'open' ORDER BY r.request_id LIMIT $1""",
        limit,
    )
    return rows


async def end_reversal(db: Database, act_id: UUID, state: str, now: datetime) -> None:
    await db.execute(
        "UPDATE approvals.glass_reversal SET state = $2, ended_at = $3 WHERE act_id = $1 AND state = 'open'",
        act_id, state, now,
    )  # fmt: skip
