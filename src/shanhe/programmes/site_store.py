"""SQL of bases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def awarded(conn: Connection, budgets: Sequence[str], first: date, last: date) -> tuple[int, int]:
    """How many awards these budgets paid that were applied for between two days, and to how many organisations."""
    row = await conn.fetchrow(
        """SELECT count(DISTINCT a.id) AS awards, count(DISTINCT a.org_id) AS companies FROM programmes.application a
           JOIN programmes.payment p ON p.application = a.id
           WHERE p.budget = ANY($1) AND p.released > 0 AND a.applied_on BETWEEN $2 AND $3""",
        list(budgets), first, last,
    )  # fmt: skip
    return row["awards"], row["companies"]
