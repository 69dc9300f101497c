"""SQL of simulations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

PAGE_ROWS = 100
SIMULATION = (
    "id, proposal, rule_id, content, content_sha256, first_day, last_day, salt, state, tries, seen, report,"
    " report_sha256, error_zh, error_en, asked_by, asked_at, started_at, ended_at"
)

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


async def insert(
    conn: Connection, simulation: UUID, proposal: UUID | None, rule_id: str, content: Mapping[str, Any], sha256: str,
    days: tuple[date, date], salt: str, by: str, at: datetime,
) -> bool:  # fmt: skip
    """False when the id is taken."""
    made = await conn.fetchval(
        """INSERT INTO governance.simulation
             (id, proposal, rule_id, content, content_sha256, first_day, last_day, salt, state, asked_by, asked_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', $9, $10) ON CONFLICT (id) DO NOTHING RETURNING 1""",
        simulation, proposal, rule_id, dict(content), sha256, *days, salt, by, at,
    )  # fmt: skip
    return made is not None


async def get(conn: Connection, simulation: UUID) -> Any:
    return await conn.fetchrow(f"SELECT {SIMULATION} FROM governance.simulation WHERE id = $1", simulation)


async def of(conn: Connection, proposal: UUID | None) -> list[Any]:
    """A proposal's (or the drafts), newest first."""
    rows: list[Any] = await conn.fetch(
        f"""SELECT {SIMULATION} FROM governance.simulation WHERE proposal IS NOT DISTINCT FROM $1
            ORDER BY id DESC LIMIT $2""",
        proposal, PAGE_ROWS,
    )  # fmt: skip
    return rows


async def count(conn: Connection, proposal: UUID | None, since: datetime) -> int:
    """How many were asked for since then, of a proposal or as drafts."""
    n: int = await conn.fetchval(
        "SELECT count(*) FROM governance.simulation WHERE proposal IS NOT DISTINCT FROM $1 AND asked_at >= $2",
        proposal, since,
    )  # fmt: skip
    return n


async def of_days(conn: Connection, proposal: UUID, days: tuple[date, date]) -> Any:
    """A proposal's of these days that did not fail; None where there is none."""
    return await conn.fetchrow(
        f"""SELECT {SIMULATION} FROM governance.simulation
            WHERE proposal = $1 AND first_day = $2 AND last_day = $3 AND state <> 'failed' ORDER BY id LIMIT 1""",
        proposal, *days,
    )  # fmt: skip


async def claim(conn: Connection, now: datetime, stale: datetime, tries_most: int) -> Any:
    """The next that waits, or whose worker is gone, as this process's own; None when there is none."""
    return await conn.fetchrow(
        f"""UPDATE governance.simulation SET state = 'running', started_at = $1, tries = tries + 1, seen = 0
            WHERE id = (SELECT id FROM governance.simulation
                        WHERE (state = 'waiting' OR (state = 'running' AND started_at < $2)) AND tries < $3
                        ORDER BY asked_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING {SIMULATION}""",
        now, stale, tries_most,
    )  # fmt: skip


async def given_up(conn: Connection, now: datetime, stale: datetime, tries_most: int, zh: str, en: str) -> int:
    """End those whose worker went away every time; how many."""
    rows = await conn.fetch(
        """UPDATE governance.simulation SET state = 'failed', ended_at = $1, error_zh = $4, error_en = $5
           WHERE state = 'running' AND started_at < $2 AND tries >= $3 RETURNING 1""",
        now, stale, tries_most, zh, en,
    )  # fmt: skip
    return len(rows)


async def note_seen(conn: Connection, simulation: UUID, seen: int) -> None:
    await conn.execute(
        "UPDATE governance.simulation SET seen = $2 WHERE id = $1 AND state = 'running'", simulation, seen
    )


async def end(
    conn: Connection, simulation: UUID, now: datetime, *, seen: int = 0, report: Mapping[str, Any] | None = None,
    sha256: str | None = None, zh: str = "", en: str = "",
) -> bool:  # fmt: skip
    """Done with a report, or failed with words; False when it had ended."""
    made = await conn.fetchval(
        """UPDATE governance.simulation SET state = $2, ended_at = $3, seen = greatest(seen, $4), report = $5,
             report_sha256 = $6, error_zh = $7, error_en = $8
           WHERE id = $1 AND state IN ('waiting', 'running') RETURNING 1""",
        simulation, "failed" if report is None else "done", now, seen, dict(report) if report is not None else None,
        sha256, zh, en,
    )  # fmt: skip
    return made is not None
