"""SQL of credentials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

CREDENTIAL = "id, person_id, vct, kid, list_no, list_index, issued_at, expires_on, revoked_at, reason"
KEYS_MAX = 100

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


async def keys(conn: Connection) -> Sequence[Any]:
    """Every issuer key, the one that signs now first."""
    found: Sequence[Any] = await conn.fetch(
        f"SELECT kid, public, since, until FROM credentials.issuer_key ORDER BY until DESC NULLS FIRST LIMIT {KEYS_MAX}"
    )
    return found


async def current_key(conn: Connection) -> Any:
    return await conn.fetchrow("SELECT kid, public FROM credentials.issuer_key WHERE until IS NULL")


async def add_key(conn: Connection, kid: str, public: bytes, since: datetime) -> None:
    await conn.execute(
        "INSERT INTO credentials.issuer_key (kid, public, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        kid, public, since,
    )  # fmt: skip


async def end_key(conn: Connection, at: datetime) -> None:
    await conn.execute("UPDATE credentials.issuer_key SET until = $1 WHERE until IS NULL", at)


async def fullest(conn: Connection) -> tuple[int, int]:
    """The newest list and how many places of it are taken."""
    row = await conn.fetchrow(
        """SELECT list_no, count(*) AS taken FROM credentials.credential
           GROUP BY list_no ORDER BY list_no DESC LIMIT 1"""
    )
    return (row["list_no"], row["taken"]) if row is not None else (1, 0)


async def insert(conn: Connection, *values: Any) -> bool:
    """False when the place in the list is taken."""
    row = await conn.fetchrow(
        """INSERT INTO credentials.credential
             (id, person_id, vct, kid, list_no, list_index, issued_at, expires_on, sealed)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (list_no, list_index) DO NOTHING RETURNING id""",
        *values,
    )  # fmt: skip
    return row is not None


async def taken(conn: Connection, list_no: int, index: int) -> bool:
    found = await conn.fetchval(
        "SELECT 1 FROM credentials.credential WHERE list_no = $1 AND list_index = $2", list_no, index
    )
    return found is not None


async def one(conn: Connection, identifier: UUID) -> Any:
    return await conn.fetchrow(f"SELECT {CREDENTIAL}, sealed FROM credentials.credential WHERE id = $1", identifier)


async def revoke(conn: Connection, identifier: UUID, at: datetime, reason: str) -> bool:
    row = await conn.fetchrow(
        """UPDATE credentials.credential SET revoked_at = $2, reason = $3 WHERE id = $1 AND revoked_at IS NULL
           RETURNING id""",
        identifier, at, reason,
    )  # fmt: skip
    return row is not None


async def revoked_in(conn: Connection, list_no: int) -> list[int]:
    rows = await conn.fetch(
        "SELECT list_index FROM credentials.credential WHERE list_no = $1 AND revoked_at IS NOT NULL", list_no
    )
    return [row["list_index"] for row in rows]
