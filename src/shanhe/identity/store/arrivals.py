"""SQL of registrations and invitations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements

Place = tuple[bool, datetime, UUID]
"""Where a page of registrations ended: whether the last one waited, since when, its id."""

# -- registrations ---------------------------------------------------------------------------------------------------


async def register(
    conn: Connection, registration_id: UUID, person_id: UUID, state: str, notice_version: str, now: datetime
) -> None:
    await conn.execute(
        """INSERT INTO identity.registration (id, person_id, state, notice_version, created_at)
           VALUES ($1, $2, $3, $4, $5)""",
        registration_id, person_id, state, notice_version, now,
    )  # fmt: skip


async def registration(conn: Connection, registration_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM identity.registration WHERE id = $1{' FOR UPDATE' if lock else ''}", registration_id
    )


async def registration_of(conn: Connection, person_id: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM identity.registration WHERE person_id = $1", person_id)


async def registrations(conn: Connection, state: str | None, after: Place | None, limit: int) -> list[Any]:
    """Those that wait before the others, then newest first; from `after` on, whatever became of the row there."""
    waits, at, known = after if after is not None else (None, None, None)
    rows: list[Any] = await conn.fetch(
        """SELECT r.* FROM identity.registration r
            WHERE ($1::text IS NULL OR r.state = $1)
              AND ($2::boolean IS NULL OR (r.state = 'waiting', r.created_at, r.id) < ($2, $3::timestamptz, $4::uuid))
            ORDER BY r.state = 'waiting' DESC, r.created_at DESC, r.id DESC LIMIT $5""",
        state, waits, at, known, limit,
    )  # fmt: skip
    return rows


async def waiting_count(conn: Connection) -> int:
    """How many wait; in a transaction, one after the other with everybody who asks."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('identity.registration.waiting', 0))")
    return int(await conn.fetchval("SELECT count(*) FROM identity.registration WHERE state = 'waiting'"))


async def settle(conn: Connection, person_id: UUID, by: str, now: datetime) -> None:
    """A waiting registration is open from now on; any other stays as it is."""
    await conn.execute(
        """UPDATE identity.registration SET state = 'open', decided_at = $3, decided_by = $2
            WHERE person_id = $1 AND state = 'waiting'""",
        person_id, by, now,
    )  # fmt: skip


async def stale(conn: Connection, before: datetime, limit: int) -> list[Any]:
    """Registrations that nobody looked at since."""
    rows: list[Any] = await conn.fetch(
        "SELECT id, person_id FROM identity.registration WHERE state = 'waiting' AND created_at < $1 LIMIT $2",
        before, limit,
    )  # fmt: skip
    return rows


# -- invitations -----------------------------------------------------------------------------------------------------


async def invite(
    conn: Connection, invitation_id: UUID, org_id: UUID, person_id: UUID, role: str, department_id: UUID | None,
    called: bytes | None, by: str, now: datetime, until: datetime,
) -> bool:  # fmt: skip
    """False when one is pending already or the id is known."""
    row = await conn.fetchval(
        """INSERT INTO identity.invitation
             (id, org_id, person_id, role, department_id, called_sealed, state, invited_by, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9) ON CONFLICT DO NOTHING RETURNING 1""",
        invitation_id, org_id, person_id, role, department_id, called, by, now, until,
    )  # fmt: skip
    return row is not None


async def invitation(conn: Connection, invitation_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM identity.invitation WHERE id = $1{' FOR UPDATE' if lock else ''}", invitation_id
    )


async def pending(
    conn: Connection, now: datetime, *, org_id: UUID | None = None, person_id: UUID | None = None, limit: int
) -> list[Any]:
    """Invitations that can be answered, of an organisation or a person; oldest first."""
    rows: list[Any] = await conn.fetch(
        """SELECT * FROM identity.invitation WHERE state = 'pending' AND expires_at > $1
              AND ($2::uuid IS NULL OR org_id = $2) AND ($3::uuid IS NULL OR person_id = $3)
            ORDER BY created_at, id LIMIT $4""",
        now, org_id, person_id, limit,
    )  # fmt: skip
    return rows


async def answer(conn: Connection, invitation_id: UUID, state: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE identity.invitation SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'pending'",
        invitation_id, state, now,
    )  # fmt: skip


async def take_back(
    conn: Connection, now: datetime, *, org_id: UUID | None = None, by: str | None = None,
    person_id: UUID | None = None, but: Sequence[UUID] = (),
) -> Sequence[Any]:  # fmt: skip
    """Nobody can accept any more what is pending of an organisation, by somebody, to somebody: of all that is given,
    but of no organisation in `but`. What it was."""
    assert (org_id, by, person_id) != (None, None, None)
    rows: Sequence[Any] = await conn.fetch(
        """UPDATE identity.invitation SET state = 'withdrawn', decided_at = $1
            WHERE id IN (SELECT id FROM identity.invitation
                          WHERE state = 'pending' AND ($2::uuid IS NULL OR org_id = $2)
                            AND ($3::text IS NULL OR invited_by = $3) AND ($4::uuid IS NULL OR person_id = $4)
                            AND org_id <> ALL($5)
                          ORDER BY id FOR UPDATE)
        RETURNING id, org_id""",
        now, org_id, by, person_id, list(but),
    )  # fmt: skip
    return rows


async def lapse(conn: Connection, now: datetime, org_id: UUID | None = None) -> Sequence[Any]:
    """What nobody answered in time, of an organisation or everybody's, and that it is over."""
    rows: Sequence[Any] = await conn.fetch(
        """UPDATE identity.invitation SET state = 'lapsed', decided_at = $1
            WHERE id IN (SELECT id FROM identity.invitation
                          WHERE state = 'pending' AND expires_at <= $1 AND ($2::uuid IS NULL OR org_id = $2)
                          ORDER BY id FOR UPDATE)
        RETURNING id, org_id""",
        now, org_id,
    )  # fmt: skip
    return rows


async def of_person(conn: Connection, person_id: UUID, limit: int) -> Sequence[Any]:
    """Every invitation that a person ever had, for the person's own copy."""
    rows: Sequence[Any] = await conn.fetch(
        "SELECT * FROM identity.invitation WHERE person_id = $1 ORDER BY created_at DESC LIMIT $2", person_id, limit
    )
    return rows
