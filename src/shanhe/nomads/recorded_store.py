"""SQL of recorded verdicts, a page at a time, in the order they were made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

PAGE_ROWS: Final = 500
FIRST: Final = UUID(int=0)

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


async def decided(conn: Connection, since: datetime, until: datetime, most: int) -> AsyncIterator[Any]:
    """Past `most` it ends, and who counts has raised."""
    after, seen = FIRST, 0
    while seen <= most:
        rows = await conn.fetch(
            "SELECT * FROM nomads.decision WHERE at >= $1 AND at < $2 AND id > $3 ORDER BY id LIMIT $4",
            since, until, after, PAGE_ROWS,
        )  # fmt: skip
        for row in rows:
            seen += 1
            yield row
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1]["id"]
