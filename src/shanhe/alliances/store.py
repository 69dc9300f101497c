"""SQL of alliances. Callers hold the transaction; an alliance is locked before its members change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.alliances.model import Alliance, Member, MemberState, Shared

ROWS_MAX = 200
Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def insert(conn: Connection, one: Alliance) -> bool:
    """False when the id is taken."""
    row = await conn.fetchrow(
        """INSERT INTO alliances.alliance (id, name, purpose, founder, created_by, created_at)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id""",
        one.id, one.name, one.purpose, one.founder, one.created_by, one.created_at,
    )  # fmt: skip
    return row is not None


async def alliance(conn: Connection, identifier: UUID, *, lock: bool = False) -> Alliance | None:
    row = await conn.fetchrow(
        f"SELECT * FROM alliances.alliance WHERE id = $1{' FOR UPDATE' if lock else ''}", identifier
    )
    return None if row is None else Alliance(**dict(row))


async def of(conn: Connection, org_id: UUID) -> list[UUID]:
    """Alliances that an organisation is in or is invited to, newest first."""
    rows = await conn.fetch(
        """SELECT alliance FROM alliances.member WHERE org_id = $1 AND state IN ('invited', 'member')
           ORDER BY invited_at DESC LIMIT $2""",
        org_id, ROWS_MAX,
    )  # fmt: skip
    return [row["alliance"] for row in rows]


async def current(conn: Connection, org_id: UUID) -> UUID | None:
    """The alliance that an organisation is a member of."""
    found: UUID | None = await conn.fetchval(
        "SELECT alliance FROM alliances.member WHERE org_id = $1 AND state = 'member'", org_id
    )
    return found


async def members(conn: Connection, identifier: UUID) -> list[Member]:
    rows = await conn.fetch(
        """SELECT org_id, state, invited_by, invited_at, decided_by, decided_at FROM alliances.member
           WHERE alliance = $1 ORDER BY invited_at, org_id LIMIT $2""",
        identifier, ROWS_MAX,
    )  # fmt: skip
    return [Member(**dict(row) | {"state": MemberState(row["state"])}) for row in rows]


async def put(
    conn: Connection, identifier: UUID, org_id: UUID, state: MemberState, *, invited_by: UUID, at: datetime, actor: str
) -> None:
    """An invitation, or a decision about one."""
    decided = state is not MemberState.INVITED
    await conn.execute(
        """INSERT INTO alliances.member (alliance, org_id, state, invited_by, invited_at, decided_by, decided_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (alliance, org_id) DO UPDATE SET state = $3, decided_by = $6, decided_at = $7,
             invited_by = CASE WHEN $3 = 'invited' THEN $4 ELSE alliances.member.invited_by END,
             invited_at = CASE WHEN $3 = 'invited' THEN $5 ELSE alliances.member.invited_at END""",
        identifier, org_id, state, invited_by, at, actor if decided else "", at if decided else None,
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO alliances.history (alliance, org_id, event, actor, at) VALUES ($1, $2, $3, $4, $5)",
        identifier, org_id, state, actor, at,
    )  # fmt: skip


async def share(conn: Connection, identifier: UUID, one: Shared, actor: str) -> None:
    await conn.execute(
        """INSERT INTO alliances.shared (alliance, kind, ref, title, org_id, shared_by, shared_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING""",
        identifier, one.kind, one.ref, one.title, one.org_id, actor, one.shared_at,
    )  # fmt: skip


async def unshare(conn: Connection, identifier: UUID, org_id: UUID, kind: str | None, ref: str | None) -> None:
    """One thing, or everything of an organisation."""
    await conn.execute(
        """DELETE FROM alliances.shared WHERE alliance = $1 AND org_id = $2
             AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR ref = $4)""",
        identifier, org_id, kind, ref,
    )  # fmt: skip


async def shared(conn: Connection, identifier: UUID) -> list[Shared]:
    rows = await conn.fetch(
        """SELECT kind, ref, title, org_id, shared_at FROM alliances.shared WHERE alliance = $1
           ORDER BY shared_at, kind, ref LIMIT $2""",
        identifier, ROWS_MAX,
    )  # fmt: skip
    return [Shared(**dict(row)) for row in rows]


async def shared_with(conn: Connection, org_id: UUID, kind: str) -> Sequence[str]:
    """References that other members of an organisation's alliance share."""
    rows = await conn.fetch(
        """SELECT s.ref FROM alliances.member m JOIN alliances.shared s ON s.alliance = m.alliance
           WHERE m.org_id = $1 AND m.state = 'member' AND s.kind = $2 AND s.org_id <> $1 LIMIT $3""",
        org_id, kind, ROWS_MAX,
    )  # fmt: skip
    return [row["ref"] for row in rows]
