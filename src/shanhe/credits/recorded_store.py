"""SQL of what purchases and refunds recorded of a rule's decisions, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

PAGE_ROWS: Final = 500
FIRST: Final = UUID(int=0)
PLACES: Final = {
    "purchases": """SELECT id, beneficiary AS who, trace FROM credits.purchase
                    WHERE state = 'posted' AND trace ->> 'rule' = $1 AND decided_at >= $2 AND decided_at < $3
                      AND id > $4 ORDER BY id LIMIT $5""",
    "refunds": """SELECT r.id, p.beneficiary AS who, r.trace FROM credits.refund r
                  JOIN credits.purchase p ON p.id = r.purchase_id
                  WHERE r.state <> 'void' AND r.trace ->> 'rule' = $1 AND r.created_at >= $2 AND r.created_at < $3
                    AND r.id > $4 ORDER BY r.id LIMIT $5""",
}

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


async def decided(
    conn: Connection, place: str, rule_id: str, since: datetime, until: datetime, most: int
) -> AsyncIterator[Any]:
    """In order of id; past `most` it ends, and who counts has raised."""
    after, seen = FIRST, 0
    while seen <= most:
        rows = await conn.fetch(PLACES[place], rule_id, since, until, after, PAGE_ROWS)
        for row in rows:
            seen += 1
            yield row
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1]["id"]
