"""SQL of what forms leave for the pages that follow them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements


async def make_room(conn: Connection, holder: bytes, now: datetime, most: int) -> None:
    """Of a holder's, keep what has not run out, and of that what does so last."""
    await conn.execute(
        """DELETE FROM identity.handover WHERE holder_sha256 = $1 AND (expires_at <= $2 OR token_sha256 NOT IN (
             SELECT token_sha256 FROM identity.handover WHERE holder_sha256 = $1
              ORDER BY expires_at DESC, token_sha256 LIMIT $3))""",
        holder, now, most,
    )  # fmt: skip


async def put(conn: Connection, token: bytes, holder: bytes, said: bytes, ends: datetime) -> None:
    await conn.execute("INSERT INTO identity.handover VALUES ($1, $2, $3, $4)", token, holder, said, ends)


async def get(conn: Connection, token: bytes, now: datetime) -> bytes | None:
    said: bytes | None = await conn.fetchval(
        "SELECT said FROM identity.handover WHERE token_sha256 = $1 AND expires_at > $2", token, now
    )
    return said


async def drop(conn: Connection, token: bytes) -> bool:
    """Whether it was there: of two who take it at once, one has it."""
    return bool(await conn.fetchval("DELETE FROM identity.handover WHERE token_sha256 = $1 RETURNING true", token))
