"""SQL of samples."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def insert(
    conn: Connection, proposal: UUID, outcome: str, first: date, last: date, seed: str, sizes: tuple[int, int],
    at: datetime, rows: Sequence[tuple[UUID, bool, int, int]],
) -> bool:  # fmt: skip
    """False when the sample was drawn before."""
    made = await conn.fetchrow(
        """INSERT INTO governance.sample VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT DO NOTHING RETURNING proposal""",
        proposal, outcome, first, last, seed, *sizes, at,
    )  # fmt: skip
    if made is not None:
        await conn.executemany(
            "INSERT INTO governance.sampled VALUES ($1, $2, $3, $4, $5)", [(proposal, *row) for row in rows]
        )
    return made is not None


async def get(conn: Connection, proposal: UUID) -> tuple[Any, Sequence[Any]] | None:
    row = await conn.fetchrow("SELECT * FROM governance.sample WHERE proposal = $1", proposal)
    if row is None:
        return None
    cases = await conn.fetch(
        """SELECT org_id, treated, before, during FROM governance.sampled WHERE proposal = $1
           ORDER BY treated DESC, org_id""",
        proposal,
    )  # fmt: skip
    return row, cases
