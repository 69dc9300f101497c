"""SQL of the bulletin."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from shanhe.bulletin.model import Issue, Item, Words

ROWS_MAX = 60


async def add(conn: Any, issue: Issue) -> bool:
    """False where that day has an issue."""
    row = await conn.fetchrow(
        """INSERT INTO bulletin.issue (day, since, items, talk, cut, made_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING RETURNING day""",
        issue.day, issue.since, msgspec.to_builtins(issue.items), msgspec.to_builtins(issue.talk), issue.cut,
        issue.made_at,
    )  # fmt: skip
    return row is not None


async def issue(conn: Any, day: date | None) -> Issue | None:
    """Of a day, or the latest."""
    row = await conn.fetchrow(
        "SELECT * FROM bulletin.issue WHERE day = coalesce($1, day) ORDER BY day DESC LIMIT 1", day
    )
    return None if row is None else _issue(row)


async def issues(conn: Any, before: date | None, limit: int) -> list[Issue]:
    """Newest first, a bounded page."""
    rows = await conn.fetch(
        "SELECT * FROM bulletin.issue WHERE day < coalesce($1, 'infinity'::date) ORDER BY day DESC LIMIT $2",
        before, min(limit, ROWS_MAX),
    )  # fmt: skip
    return [_issue(row) for row in rows]


def _issue(row: Any) -> Issue:
    return Issue(
        day=row["day"], since=row["since"], items=msgspec.convert(row["items"], tuple[Item, ...]),
        talk=msgspec.convert(row["talk"], tuple[Words, ...]), cut=row["cut"], made_at=row["made_at"],
    )  # fmt: skip
