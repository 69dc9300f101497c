"""SQL of approvals and requests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.approvals.model import Licence, NewLicence, Request, RequestState, Scope
from shanhe.kernel.db import Database

PAGE_ROWS = 200
Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


def _licence(row: Any) -> Licence:
    return Licence(**{**dict(row), "scope": Scope(row["scope"])})


def _request(row: Any) -> Request:
    return Request(**{**dict(row), "state": RequestState(row["state"])})


async def alone(conn: Connection, person: str, subject: str, day: date, amount_fen: int, below_fen: int) -> bool:
    """Count what somebody does alone, if their day stays below a sum; true of what was counted before."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('approvals.alone ' || $1, 0))", person)
    if await conn.fetchval("SELECT true FROM approvals.alone WHERE person = $1 AND subject = $2", person, subject):
        return True
    done: int = await conn.fetchval(
        "SELECT coalesce(sum(amount_fen), 0)::bigint FROM approvals.alone WHERE person = $1 AND day = $2", person, day
    )
    if done + amount_fen >= below_fen:
        return False
    await conn.execute("INSERT INTO approvals.alone VALUES ($1, $2, $3, $4)", person, subject, day, amount_fen)
    return True


async def insert_licence(db: Any, licence_id: UUID, new: NewLicence, by: str, now: datetime) -> Licence:
    """The licence with this scope, authority and number, recorded now or before."""
    await db.execute(
        """INSERT INTO approvals.licence (id, scope, authority, number, valid_from, valid_to, sample, recorded_by,
                                          recorded_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, authority, number) DO NOTHING""",
        licence_id, new.scope, new.authority, new.number, new.valid_from, new.valid_to, new.sample, by, now,
    )  # fmt: skip
    row = await db.fetchrow(
        "SELECT * FROM approvals.licence WHERE (scope, authority, number) = ($1, $2, $3)",
        new.scope, new.authority, new.number,
    )  # fmt: skip
    return _licence(row)


async def revoke_licence(db: Any, licence_id: UUID, by: str, reason: str, now: datetime) -> Licence | None:
    """The licence, revoked now or before; None when there is none."""
    await db.execute(
        """UPDATE approvals.licence SET revoked_by = $2, revoked_at = $3, reason = $4
           WHERE id = $1 AND revoked_at IS NULL""",
        licence_id, by, now, reason,
    )  # fmt: skip
    row = await db.fetchrow("SELECT * FROM approvals.licence WHERE id = $1", licence_id)
    return None if row is None else _licence(row)


async def licences(db: Database, scope: Scope | None) -> list[Licence]:
    rows = await db.fetch(
        "SELECT * FROM approvals.licence WHERE $1::text IS NULL OR scope = $1 ORDER BY recorded_at DESC, id LIMIT $2",
        scope, PAGE_ROWS,
    )  # fmt: skip
    return [_licence(row) for row in rows]


async def in_force(conn: Connection | Database, scope: Scope, on: date, *, samples: bool) -> Licence | None:
    """The approval that counts on a day: a real one before a sample, then the one that lasts longest."""
    row = await conn.fetchrow(
        """SELECT * FROM approvals.licence
           WHERE scope = $1 AND $2 BETWEEN valid_from AND valid_to AND revoked_at IS NULL AND (NOT sample OR $3)
           ORDER BY sample, valid_to DESC, id LIMIT 1""",
        scope, on, samples,
    )  # fmt: skip
    return None if row is None else _licence(row)


async def insert_request(conn: Connection | Database, request: Request) -> Request:
    """The request with this id, made now or before."""
    await conn.execute(
        """INSERT INTO approvals.request (id, kind, subject, payload, state, requested_by, requested_at, expires_at,
                                          about)
           VALUES ($1, $2, $3, $4, 'open', $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING""",
        request.id, request.kind, request.subject, dict(request.payload), request.requested_by,
        request.requested_at, request.expires_at, request.about,
    )  # fmt: skip
    return _request(await conn.fetchrow("SELECT * FROM approvals.request WHERE id = $1", request.id))


async def request(conn: Connection | Database, request_id: UUID, *, lock: bool = False) -> Request | None:
    row = await conn.fetchrow(
        f"SELECT * FROM approvals.request WHERE id = $1{' FOR UPDATE' if lock else ''}", request_id
    )
    return None if row is None else _request(row)


async def requests(
    db: Database, kind: str | None, state: RequestState | None, before: UUID | None, limit: int
) -> list[Request]:
    """Newest first, by when it was asked: not every id begins with the time."""
    rows = await db.fetch(
        """SELECT * FROM approvals.request
           WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR state = $2)
             AND ($3::uuid IS NULL
                  OR (requested_at, id) < (SELECT b.requested_at, b.id FROM approvals.request b WHERE b.id = $3))
           ORDER BY requested_at DESC, id DESC LIMIT $4""",
        kind, state, before, min(limit, PAGE_ROWS),
    )  # fmt: skip
    return [_request(row) for row in rows]


async def decide(
    conn: Connection | Database, request_id: UUID, to: RequestState, by: str | None, reason: str, now: datetime,
    glass: UUID | None = None, next_at: datetime | None = None,
) -> None:  # fmt: skip
    await conn.execute(
        """UPDATE approvals.request SET state = $2, decided_by = $3, reason = $4, decided_at = $5, glass = $6,
                  next_at = $7, ended_at = CASE WHEN $2::text = 'done' THEN $5::timestamptz END
           WHERE id = $1 AND state = 'open'""",
        request_id, to, by, reason, now, glass, next_at,
    )  # fmt: skip


async def expire(conn: Connection, now: datetime, limit: int) -> list[Request]:
    """Those that nobody decided in time, ended."""
    rows = await conn.fetch(
        """UPDATE approvals.request SET state = 'expired', decided_at = $1 WHERE id IN
           (SELECT id FROM approvals.request WHERE state = 'open' AND expires_at <= $1 ORDER BY expires_at LIMIT $2
            FOR UPDATE SKIP LOCKED) RETURNING *""",
        now, limit,
    )  # fmt: skip
    return [_request(row) for row in rows]


# -- doing what was agreed to -----------------------------------------------------------------------------------------


async def due(db: Database, now: datetime, limit: int) -> list[Request]:
    """Agreed to, not done, and to be tried now; longest waiting first."""
    rows = await db.fetch(
        """SELECT * FROM approvals.request WHERE state = 'approved' AND next_at <= $1
             AND (held_until IS NULL OR held_until <= $1) ORDER BY next_at, id LIMIT $2""",
        now, limit,
    )  # fmt: skip
    return [_request(row) for row in rows]


async def hold(
    db: Database, request: Request, now: datetime, until: datetime, next_at: datetime | None, fault: str
) -> Request | None:
    """The request, for whoever is at it now; None when somebody else is or it has ended. A crash leaves it written
    that it was interrupted, and when it is tried again."""
    row = await db.writes.fetchrow(
        """UPDATE approvals.request SET tries = tries + 1, held_until = $4, next_at = $5, fault = $6, fault_zh = '',
                  fault_en = ''
           WHERE id = $1 AND state = 'approved' AND tries = $2 AND (held_until IS NULL OR held_until <= $3)
           RETURNING *""",
        request.id, request.tries, now, until, next_at, fault,
    )  # fmt: skip
    return None if row is None else _request(row)


async def release(db: Database, request: Request) -> None:
    """Nobody is at it any more; what else is written of it stays."""
    await db.execute(
        "UPDATE approvals.request SET held_until = NULL WHERE id = $1 AND state = 'approved' AND tries = $2",
        request.id, request.tries,
    )  # fmt: skip


async def fail(db: Database, request: Request, fault: str, zh: str, en: str) -> None:
    """Something stood in its way, and it waits."""
    await db.execute(
        """UPDATE approvals.request SET held_until = NULL, fault = $3, fault_zh = $4, fault_en = $5
           WHERE id = $1 AND state = 'approved' AND tries = $2""",
        request.id, request.tries, fault, zh, en,
    )  # fmt: skip


async def end(
    conn: Connection, request_id: UUID, to: RequestState, now: datetime, fault: str, zh: str, en: str
) -> Request | None:
    """It is done or refused, from now on; None when it was so before."""
    row = await conn.fetchrow(
        """UPDATE approvals.request SET state = $2, ended_at = $3, next_at = NULL, held_until = NULL, fault = $4,
                  fault_zh = $5, fault_en = $6
           WHERE id = $1 AND state = 'approved' RETURNING *""",
        request_id, to, now, fault, zh, en,
    )  # fmt: skip
    return None if row is None else _request(row)
