"""SQL of the value index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

COLUMNS = "quarter_end, org_id, usage, innovation, jobs, data, index_bps, version, counts, trace"

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def open_round(conn: Connection, quarter_end: date, companies: int, at: datetime) -> bool:
    """False when this quarter was counted before."""
    row = await conn.fetchrow(
        "INSERT INTO programmes.index_round VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING quarter_end",
        quarter_end, companies, at,
    )  # fmt: skip
    return row is not None


async def counted(conn: Connection, quarter_end: date) -> bool:
    found = await conn.fetchval("SELECT 1 FROM programmes.index_round WHERE quarter_end = $1", quarter_end)
    return found is not None


async def insert(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    await conn.executemany(
        f"INSERT INTO programmes.value_index ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", rows
    )


async def of(conn: Connection, org_id: UUID, limit: int) -> Sequence[Any]:
    """An organisation's index, newest quarter first."""
    found: Sequence[Any] = await conn.fetch(
        f"""SELECT {COLUMNS} FROM programmes.value_index WHERE org_id = $1 ORDER BY quarter_end DESC LIMIT $2""",
        org_id, limit,
    )  # fmt: skip
    return found


async def members_before(conn: Connection, quarter_end: date) -> list[UUID]:
    """Who had an index in the last round before a quarter, however long ago that was."""
    rows = await conn.fetch(
        """SELECT org_id FROM programmes.value_index
           WHERE quarter_end = (SELECT max(quarter_end) FROM programmes.index_round WHERE quarter_end < $1)""",
        quarter_end,
    )
    return [row["org_id"] for row in rows]
