"""SQL of months' rankings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database

MONTHS_MAX = 24
RANKS_MAX = 1_000


async def fix(db: Database, month: date, places: Sequence[tuple[Any, ...]], now: datetime) -> None:
    """Write a month down; one that stands stays. Places: (kind, place, listing, owner, score, payers, own_micro)."""
    async with db.transaction() as conn:
        fixed = await conn.fetchval(
            "INSERT INTO store.rank_month (month, fixed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true",
            month, now,
        )  # fmt: skip
        if fixed:
            await conn.executemany(
                """INSERT INTO store.rank (month, kind, place, listing, owner, score, payers, own_micro)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
                [(month, *one) for one in places],
            )


async def unpaid(db: Database) -> list[date]:
    """Months whose rewards have not all been applied for."""
    rows = await db.fetch(
        "SELECT month FROM store.rank_month WHERE paid_at IS NULL ORDER BY month LIMIT $1", MONTHS_MAX
    )
    return [row["month"] for row in rows]


async def set_paid(db: Database, month: date, now: datetime) -> None:
    await db.execute("UPDATE store.rank_month SET paid_at = $2 WHERE month = $1", month, now)


async def set_application(db: Database, month: date, kind: str, place: int, application: UUID) -> None:
    await db.execute(
        "UPDATE store.rank SET application = $4 WHERE (month, kind, place) = ($1, $2, $3)",
        month, kind, place, application,
    )  # fmt: skip


async def of(db: Database, month: date) -> list[Any]:
    """A month's places, by kind."""
    return await db.fetch(
        """SELECT r.month, r.kind, l.slug, r.place, r.listing, r.owner, r.score, r.payers, r.own_micro, r.application
             FROM store.rank r JOIN store.listing l ON l.id = r.listing
            WHERE r.month = $1 ORDER BY r.kind, r.place LIMIT $2""",
        month, RANKS_MAX,
    )  # fmt: skip


async def months(db: Database) -> list[date]:
    """Months that are fixed, newest first, a bounded page."""
    rows = await db.fetch("SELECT month FROM store.rank_month ORDER BY month DESC LIMIT $1", MONTHS_MAX)
    return [row["month"] for row in rows]
