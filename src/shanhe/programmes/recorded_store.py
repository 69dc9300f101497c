"""SQL of recorded decisions: read a page at a time, in the order they were made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

PAGE_ROWS: Final = 500
FIRST: Final = UUID(int=0)

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


async def decided(conn: Connection, programme: str, since: datetime, until: datetime, most: int) -> AsyncIterator[Any]:
    """What a programme granted, refused and paid within the time; past `most` it ends, and who counts has raised."""
    after, seen = FIRST, 0
    while seen <= most:
        rows = await conn.fetch(
            """SELECT d.id, d.application, d.kind, d.content, d.sealed, a.subject, a.person_id
               FROM programmes.decision d JOIN programmes.application a ON a.id = d.application
               WHERE a.programme = $1 AND d.at >= $2 AND d.at < $3 AND d.id > $4
                 AND d.kind IN ('grant', 'refusal', 'tranche') ORDER BY d.id LIMIT $5""",
            programme, since, until, after, PAGE_ROWS,
        )  # fmt: skip
        for row in rows:
            seen += 1
            yield row
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1]["id"]
