"""SQL of evaluation sets and their reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.trials.model import Report

PAGE_ROWS: Final = 50
Connection = Any


async def set_cases(db: Database, org_id: UUID, agent: str, cases: Any, by: str, now: datetime) -> None:
    await db.execute(
        """INSERT INTO trials.cases (org_id, agent, cases, set_by, set_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (org_id, agent) DO UPDATE SET cases = $3, set_by = $4, set_at = $5""",
        org_id, agent, cases, by, now,
    )  # fmt: skip


async def cases(db: Database, org_id: UUID, agent: str) -> Any:
    return await db.fetchval("SELECT cases FROM trials.cases WHERE org_id = $1 AND agent = $2", org_id, agent)


async def agents(db: Database, org_id: UUID, most: int) -> list[str]:
    """Of which agents an organisation has a set."""
    rows = await db.fetch("SELECT agent FROM trials.cases WHERE org_id = $1 ORDER BY agent LIMIT $2", org_id, most)
    return [row["agent"] for row in rows]


async def add(db: Database, one: Report) -> None:
    await db.execute(
        """INSERT INTO trials.report (id, org_id, agent, key, asked, draft_right, base_right, base_version, paid_micro,
                                      answers, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (org_id, agent, key) DO NOTHING""",
        one.id, one.org_id, one.agent, one.key, one.asked, one.draft_right, one.base_right, one.base_version,
        one.paid_micro, one.answers, one.made_at,
    )  # fmt: skip


async def begin(
    db: Database, org_id: UUID, agent: str, key: bytes, run_id: UUID, now: datetime, until: datetime
) -> bool:
    """False while another run measures the same; one whose time is over is taken over."""
    done = await db.writes.fetchval(
        """INSERT INTO trials.run AS r (org_id, agent, key, id, until) VALUES ($1, $2, $3, $4, $6)
           ON CONFLICT (org_id, agent, key) DO UPDATE SET id = $4, until = $6 WHERE r.until <= $5 RETURNING true""",
        org_id, agent, key, run_id, now, until,
    )  # fmt: skip
    return bool(done)


async def over(db: Database, run_id: UUID) -> None:
    await db.execute("DELETE FROM trials.run WHERE id = $1", run_id)


async def report(db: Connection | Database, org_id: UUID, agent: str, key: bytes) -> Report | None:
    row = await db.fetchrow(
        "SELECT * FROM trials.report WHERE org_id = $1 AND agent = $2 AND key = $3", org_id, agent, key
    )
    return None if row is None else _report(row)


async def reports(db: Database, org_id: UUID, agent: str, most: int) -> list[Report]:
    rows = await db.fetch(
        "SELECT * FROM trials.report WHERE org_id = $1 AND agent = $2 ORDER BY id DESC LIMIT $3",
        org_id, agent, most,
    )  # fmt: skip
    return [_report(row) for row in rows]


async def excuse(conn: Connection, report_id: UUID, reason: str, by: str, now: datetime) -> bool:
    """Let a worse draft go on for a reason; False when that was done before."""
    done = await conn.fetchval(
        """UPDATE trials.report SET reason = $2, excused_by = $3, excused_at = $4
            WHERE id = $1 AND excused_at IS NULL RETURNING true""",
        report_id, reason, by, now,
    )  # fmt: skip
    return bool(done)


def _report(row: Any) -> Report:
    return Report(**{name: row[name] for name in Report.__struct_fields__})
