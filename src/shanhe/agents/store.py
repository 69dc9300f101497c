"""SQL of runs and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.agents.model import Cost, Run, RunState, Step
from shanhe.kernel.db import Database

PAGE_ROWS = 100
PURGE_ROWS = 10_000
RECEIPTS_MAX = 1_000
_RUN = (
    "id, agent, version, org_id, key_id, face, state, budget_micro, paid_micro, started_at, ended_at, error, parent, "
    "shareable"
)
_STEP = "n, kind, name, state, paid_micro, receipt_id, tokens, sent_bytes, got_bytes, took_ms, error"


def _run(row: Any) -> Run:
    return Run(**dict(row) | {"state": RunState(row["state"])})


async def begin(db: Database, run: Run) -> None:
    await db.execute(
        """INSERT INTO agents.run (id, agent, version, org_id, key_id, face, state, budget_micro, started_at, parent,
                                  shareable)
           VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, $8, $9, $10)""",
        run.id, run.agent, run.version, run.org_id, run.key_id, run.face, run.budget_micro, run.started_at, run.parent,
        run.shareable,
    )  # fmt: skip


async def add_step(db: Database, run_id: UUID, step: Step) -> None:
    """Write a step and add what it cost to its run, in one statement."""
    await db.execute(
        """WITH step AS (
             INSERT INTO agents.step (run, n, kind, name, state, paid_micro, receipt_id, tokens, sent_bytes, got_bytes,
                                      took_ms, error)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING run, paid_micro)
           UPDATE agents.run r SET paid_micro = r.paid_micro + step.paid_micro FROM step WHERE r.id = step.run""",
        run_id, step.n, step.kind, step.name, step.state, step.paid_micro, step.receipt_id, step.tokens,
        step.sent_bytes, step.got_bytes, step.took_ms, step.error,
    )  # fmt: skip


async def end(db: Database, run_id: UUID, state: RunState, error: str, now: datetime) -> None:
    await db.execute(
        "UPDATE agents.run SET state = $2, error = $3, ended_at = $4 WHERE id = $1 AND state = 'running'",
        run_id, state, error, now,
    )  # fmt: skip


async def end_stale(db: Database, before: datetime, now: datetime) -> int:
    """Runs whose process died; a bounded number."""
    rows = await db.writes.fetch(
        """UPDATE agents.run SET state = 'failed', error = 'process_ended', ended_at = $2
            WHERE id IN (SELECT id FROM agents.run WHERE state = 'running' AND started_at < $1 LIMIT $3)
           RETURNING id""",
        before, now, PAGE_ROWS,
    )  # fmt: skip
    return len(rows)


async def purge(db: Database, before: datetime) -> int:
    """Forget old runs and their steps, a bounded number; how many."""
    async with db.transaction() as conn:
        rows = await conn.fetch(
            "SELECT id FROM agents.run WHERE started_at < $1 AND state <> 'running' LIMIT $2", before, PURGE_ROWS
        )
        ids = [row["id"] for row in rows]
        await conn.execute("DELETE FROM agents.thumb WHERE run = ANY($1)", ids)
        await conn.execute("DELETE FROM agents.step WHERE run = ANY($1)", ids)
        await conn.execute("DELETE FROM agents.run WHERE id = ANY($1)", ids)
    return len(ids)


async def run(db: Database, run_id: UUID) -> Run | None:
    row = await db.fetchrow(f"SELECT {_RUN} FROM agents.run WHERE id = $1", run_id)
    return None if row is None else _run(row)


async def runs(db: Database, org_id: UUID, before: UUID | None) -> list[Run]:
    """Newest first, a page; `before` continues."""
    rows = await db.fetch(
        f"""SELECT {_RUN} FROM agents.run WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) AND parent IS NULL
             ORDER BY id DESC LIMIT $3""",
        org_id, before, PAGE_ROWS,
    )  # fmt: skip
    return [_run(row) for row in rows]


async def costs(db: Database, org_id: UUID, begin: datetime, end: datetime, most: int) -> list[Cost]:
    """What an organisation's runs cost by day, agent and key, newest first; parts of other runs count there."""
    rows = await db.fetch(
        """SELECT (started_at AT TIME ZONE 'Asia/Shanghai')::date AS day, agent AS name, key_id, count(*) AS runs,
                  sum(paid_micro)::bigint AS paid_micro
             FROM agents.run WHERE org_id = $1 AND started_at >= $2 AND started_at < $3 AND parent IS NULL
            GROUP BY 1, 2, 3 ORDER BY 1 DESC, 5 DESC, 2, 3 LIMIT $4""",
        org_id, begin, end, most,
    )  # fmt: skip
    return [Cost(**dict(row)) for row in rows]


async def receipts(db: Database, run_id: UUID) -> list[UUID]:
    """The receipts of a run and of those that are part of it, newest first."""
    rows = await db.fetch(
        """SELECT s.receipt_id FROM agents.step s JOIN agents.run r ON r.id = s.run
            WHERE (r.id = $1 OR r.parent = $1) AND s.receipt_id IS NOT NULL AND s.kind <> 'clone'
            GROUP BY s.receipt_id ORDER BY s.receipt_id DESC LIMIT $2""",
        run_id, RECEIPTS_MAX,
    )  # fmt: skip
    return [row["receipt_id"] for row in rows]


async def steps(db: Database, run_id: UUID) -> list[Step]:
    rows = await db.fetch(f"SELECT {_STEP} FROM agents.step WHERE run = $1 ORDER BY n", run_id)
    return [Step(**dict(row)) for row in rows]


# -- thumbs -----------------------------------------------------------------------------------------------------------

_THUMB = "run, agent, version, org_id, person, up, shared, word, question, answer, day"


async def put_thumb(db: Database, row: Mapping[str, Any]) -> bool:
    """Write it in the place of one's own earlier one, or of a key's; False where another person gave one."""
    done = await db.writes.fetchrow(
        f"""INSERT INTO agents.thumb AS t ({_THUMB}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            ON CONFLICT (run) DO UPDATE SET person = excluded.person, up = excluded.up, shared = excluded.shared,
              word = excluded.word, question = excluded.question, answer = excluded.answer, day = excluded.day
             WHERE t.person IS NULL OR t.person = excluded.person
            RETURNING run""",
        *(row[name] for name in _THUMB.split(", ")),
    )
    return done is not None


async def drop_thumb(db: Database, run_id: UUID, person: UUID | None) -> bool:
    """Delete one's own, or a key's; whether there was one."""
    done = await db.writes.fetchrow(
        "DELETE FROM agents.thumb WHERE run = $1 AND (person IS NULL OR person = $2) RETURNING run", run_id, person
    )
    return done is not None


async def thumb(db: Database, run_id: UUID) -> Any:
    return await db.fetchrow(f"SELECT {_THUMB} FROM agents.thumb WHERE run = $1", run_id)


async def thumb_days(db: Database, agent: str, most: int) -> list[Any]:
    """Counts by day and version, newest first."""
    return list(
        await db.fetch(
            """SELECT day, version, count(*) FILTER (WHERE up) AS up, count(*) FILTER (WHERE NOT up) AS down
                 FROM agents.thumb WHERE agent = $1 GROUP BY day, version ORDER BY day DESC, version DESC LIMIT $2""",
            agent, most,
        )
    )  # fmt: skip


async def thumbs_said(db: Database, agent: str, most: int) -> list[Any]:
    """Those with a text, newest first."""
    return list(
        await db.fetch(
            f"""SELECT {_THUMB} FROM agents.thumb WHERE agent = $1 AND (word <> '' OR shared)
                 ORDER BY day DESC, run DESC LIMIT $2""",
            agent, most,
        )
    )  # fmt: skip


async def thumbs_given(db: Database, person: UUID | None, orgs: Sequence[UUID], most: int) -> list[Any]:
    return list(
        await db.fetch(
            f"""SELECT {_THUMB} FROM agents.thumb WHERE person = $1 OR org_id = ANY($2::uuid[])
                 ORDER BY run DESC LIMIT $3""",
            person, list(orgs), most,
        )
    )  # fmt: skip


async def forget_thumbs(db: Database, person: UUID | None, org_id: UUID | None) -> int:
    rows = await db.writes.fetch(
        "DELETE FROM agents.thumb WHERE person = $1 OR org_id = $2 RETURNING run", person, org_id
    )
    return len(rows)
