"""SQL of guarantees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def guaranteed(conn: Connection, names: Sequence[str], org_id: UUID | None, limit: int) -> list[UUID]:
    """Awards of guarantee programmes whose borrower or bank an organisation is, newest first."""
    rows = await conn.fetch(
        """SELECT DISTINCT a.id FROM programmes.application a JOIN programmes.payment p ON p.application = a.id
           WHERE a.programme = ANY($1) AND ($2::uuid IS NULL OR a.org_id = $2 OR p.to_org = $2)
           ORDER BY a.id DESC LIMIT $3""",
        list(names), org_id, limit,
    )  # fmt: skip
    return [row["id"] for row in rows]
