"""SQL of runs and differences."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.reconcile.model import Check, Difference, Finding, Outcome, Run, State

COLUMNS = (
    'id, day, "check", subject, kind, unit, left_name, "left", right_name, "right", owner, cash, money_fen, state,'
    " outcome, note, decided_by, posted_at, settled_at, first_seen_at, last_seen_at, decided_at,"
    " assigned_by"
)


def _difference(row: Any) -> Difference:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    return Difference(**{**dict(row), "check": Check(row["check"]), "state": State(row["state"]), "outcome": outcome})


async def insert_run(conn: Any, run: Run) -> None:
    await conn.execute(
        "INSERT INTO reconcile.run (id, day, by, started_at, ended_at, checks) VALUES ($1, $2, $3, $4, $5, $6)",
        run.id,
        run.day,
        run.by,
        run.started_at,
        run.ended_at,
        run.checks,
    )


async def runs(db: Database, limit: int) -> list[Run]:
    rows = await db.fetch(
        "SELECT id, day, by, started_at, ended_at, checks FROM reconcile.run ORDER BY id DESC LIMIT $1", limit
    )
    return [Run(**dict(row)) for row in rows]


async def compared(db: Database, since: date, through: date) -> set[date]:
    rows = await db.fetch("SELECT DISTINCT day FROM reconcile.run WHERE day BETWEEN $1 AND $2", since, through)
    return {row["day"] for row in rows}


async def see(conn: Any, difference_id: UUID, day: date, found: Finding, now: datetime) -> bool:
    """Write a finding, or note that it is still there; True for a new one.

    Figures of one that is not over money follow what is seen; of money, what was posted first stays.
    """
    row = await conn.fetchrow(
        """INSERT INTO reconcile.difference AS d
             (id, day, "check", subject, kind, unit, left_name, "left", right_name, "right", owner, cash, money_fen,
              state, first_seen_at, last_seen_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'open', $14, $14)
           ON CONFLICT ("check", day, subject, kind) DO UPDATE SET last_seen_at = $14,
             "left" = CASE WHEN d.money_fen = 0 THEN EXCLUDED."left" ELSE d."left" END,
             "right" = CASE WHEN d.money_fen = 0 THEN EXCLUDED."right" ELSE d."right" END
           RETURNING id""",
        difference_id,
        day,
        found.check,
        found.subject,
        found.kind,
        found.unit,
        found.left_name,
        found.left,
        found.right_name,
        found.right,
        found.owner,
        found.cash,
        found.money_fen,
        now,
    )
    return bool(row["id"] == difference_id)


async def difference(conn: Any, difference_id: UUID, *, lock: bool = False) -> Difference | None:
    row = await conn.fetchrow(
        f"SELECT {COLUMNS} FROM reconcile.difference WHERE id = $1{' FOR UPDATE' if lock else ''}", difference_id
    )
    return None if row is None else _difference(row)


async def differences(db: Database, day: date | None, *, everything: bool, limit: int) -> list[Difference]:
    """Newest first; those that wait: oldest first."""
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM reconcile.difference
            WHERE ($1::date IS NULL OR day = $1) AND ($2 OR state <> 'resolved')
            ORDER BY CASE WHEN NOT $2 THEN id END, id DESC LIMIT $3""",
        day,
        everything,
        limit,
    )
    return [_difference(row) for row in rows]


async def assign(conn: Any, difference_id: UUID, owner: str, by: str) -> None:
    await conn.execute(
        "UPDATE reconcile.difference SET owner = $2, state = 'assigned', assigned_by = $3 WHERE id = $1",
        difference_id, owner, by,
    )  # fmt: skip


async def resolve(conn: Any, difference_id: UUID, outcome: Outcome, note: str, by: str, now: datetime) -> None:
    await conn.execute(
        """UPDATE reconcile.difference
           SET state = 'resolved', outcome = $2, note = $3, decided_by = $4, decided_at = $5 WHERE id = $1""",
        difference_id,
        outcome,
        note,
        by,
        now,
    )


async def unbooked(db: Database, limit: int) -> list[Difference]:
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM reconcile.difference
            WHERE money_fen <> 0 AND (posted_at IS NULL OR (state = 'resolved' AND settled_at IS NULL))
            ORDER BY id LIMIT $1""",
        limit,
    )
    return [_difference(row) for row in rows]


async def mark(db: Database, difference_id: UUID, column: str, now: datetime) -> None:
    assert column in ("posted_at", "settled_at")
    await db.execute(f"UPDATE reconcile.difference SET {column} = $2 WHERE id = $1", difference_id, now)
