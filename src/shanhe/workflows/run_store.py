"""SQL of what runs: runs with their steps, and the words that people are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.workflows.model import STEPS_MAX, Cost, Run, Step, Waiting
from shanhe.workflows.store import PAGE_ROWS, SWEEP_ROWS, Connection, of_row, stands

CHANNEL: Final = "workflows_changed"
PURGE_ROWS: Final = 2_000
Ending = tuple[Any, str, Any, datetime]
"""(result, error, why, when)."""
_RUN: Final = """r.id, r.workflow, r.version, r.org_id, r.key_id, r.source, r.state, r.course, r.result, r.why, r.error,
  r.steps, r.budget_micro, r.paid_micro, r.made_at, r.due_at, r.expires_at, r.ended_at, r.node, r.parent, r.parent_n,
  r.depth, w.slug"""
_RUNS: Final = f"SELECT {_RUN} FROM workflows.run r JOIN workflows.workflow w ON w.id = r.workflow"
_WAITING: Final = """SELECT a.*, w.slug FROM workflows.approval a JOIN workflows.run r ON r.id = a.run
  JOIN workflows.workflow w ON w.id = r.workflow"""
_STEP: Final = ", ".join(Step.__struct_fields__)


# -- runs -------------------------------------------------------------------------------------------------------------


async def begin(conn: Connection, one: Run, ref: str) -> Run | None:
    """A new run, or the one that the same start has already made; None where its workflow was taken away meanwhile."""
    if not await stands(conn, one.workflow):
        return None
    await conn.execute(
        """INSERT INTO workflows.run (id, workflow, version, org_id, key_id, source, ref, state, course, budget_micro,
                                      made_at, due_at, expires_at, node, parent, parent_n, depth)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $10, $10, $11, $12, $13, $14, $15)
           ON CONFLICT (workflow, ref) DO NOTHING""",
        one.id, one.workflow, one.version, one.org_id, one.key_id, one.source, ref, one.course, one.budget_micro,
        one.made_at, one.expires_at, one.node, one.parent, one.parent_n, one.depth,
    )  # fmt: skip
    row = await conn.fetchrow(f"{_RUNS} WHERE r.workflow = $1 AND r.ref = $2", one.workflow, ref)
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)
    return of_row(Run, row)


async def run(db: Connection | Database, run_id: UUID) -> Run | None:
    row = await db.fetchrow(f"{_RUNS} WHERE r.id = $1", run_id)
    return None if row is None else of_row(Run, row)


async def by_ref(db: Database, workflow: UUID, ref: str) -> Run | None:
    row = await db.fetchrow(f"{_RUNS} WHERE r.workflow = $1 AND r.ref = $2", workflow, ref)
    return None if row is None else of_row(Run, row)


async def runs(db: Database, org_id: UUID, workflow: UUID | None, before: UUID | None) -> list[Run]:
    rows = await db.fetch(
        f"""{_RUNS} WHERE r.org_id = $1 AND ($2::uuid IS NULL OR r.workflow = $2) AND ($3::uuid IS NULL OR r.id < $3)
             ORDER BY r.id DESC LIMIT $4""",
        org_id, workflow, before, PAGE_ROWS,
    )  # fmt: skip
    return [of_row(Run, row) for row in rows]


async def costs(db: Database, org_id: UUID, begin: datetime, end: datetime, most: int) -> list[Cost]:
    """What an organisation's runs cost by day, workflow and key, newest first; parts of other runs count there."""
    rows = await db.fetch(
        """SELECT (r.made_at AT TIME ZONE 'Asia/Shanghai')::date AS day, w.slug AS name, r.key_id, count(*) AS runs,
                  sum(r.paid_micro)::bigint AS paid_micro
             FROM workflows.run r JOIN workflows.workflow w ON w.id = r.workflow
            WHERE r.org_id = $1 AND r.made_at >= $2 AND r.made_at < $3 AND r.parent IS NULL
            GROUP BY 1, 2, 3 ORDER BY 1 DESC, 5 DESC, 2, 3 LIMIT $4""",
        org_id, begin, end, most,
    )  # fmt: skip
    return [of_row(Cost, row) for row in rows]


async def open_count(db: Connection | Database, org_id: UUID) -> int:
    found: int = await db.fetchval("SELECT count(*) FROM workflows.run WHERE org_id = $1 AND ended_at IS NULL", org_id)
    return found


async def started_since(db: Database, workflow: UUID, source: str, since: datetime) -> int:
    found: int = await db.fetchval(
        "SELECT count(*) FROM workflows.run WHERE workflow = $1 AND source = $2 AND made_at > $3",
        workflow, source, since,
    )  # fmt: skip
    return found


async def take(db: Database, worker: str, most: int, now: datetime, *, of_one: int) -> list[Run]:
    """Take up to `most` runs that are due, organisations in turn; of one of them a worker has at most `of_one`."""
    rows = await db.writes.fetch(
        f"""WITH busy AS (SELECT org_id, count(*) AS n FROM workflows.run WHERE state = 'running' AND worker = $1
                           GROUP BY org_id),
                 turns AS (SELECT r.id, row_number() OVER (PARTITION BY org_id ORDER BY due_at, r.id) + coalesce(n, 0)
                                  AS turn
                             FROM workflows.run r LEFT JOIN busy USING (org_id)
                            WHERE state = 'waiting' AND due_at <= $2),
                 due AS (SELECT r.id FROM workflows.run r JOIN turns USING (id) WHERE state = 'waiting' AND turn <= $4
                          ORDER BY turn, due_at LIMIT $3 FOR UPDATE OF r SKIP LOCKED),
                 r AS (UPDATE workflows.run r SET state = 'running', worker = $1, taken_at = $2 FROM due
                        WHERE r.id = due.id RETURNING r.*)
            SELECT {_RUN} FROM r JOIN workflows.workflow w ON w.id = r.workflow""",
        worker, now, most, of_one,
    )  # fmt: skip
    return [of_row(Run, row) for row in rows]


async def put_back(db: Database, worker: str | None, before: datetime, now: datetime) -> int:
    """Runs that an ended process of this name had, or (None) that were not touched since: take them up again."""
    rows = await db.writes.fetch(
        """UPDATE workflows.run SET state = 'waiting', worker = NULL, taken_at = NULL, due_at = $3
            WHERE id IN (SELECT id FROM workflows.run WHERE state = 'running' AND ($1::text IS NULL OR worker = $1)
                          AND taken_at <= $2 LIMIT $4) RETURNING id""",
        worker, before, now, SWEEP_ROWS,
    )  # fmt: skip
    return len(rows)


async def touch(db: Database, run_id: UUID, worker: str, now: datetime) -> datetime | bool | None:
    """Say that the run is still worked on; when its end was asked for (None: not), False when it is no longer ours."""
    row = await db.writes.fetchrow(
        """UPDATE workflows.run SET taken_at = $3 WHERE id = $1 AND worker = $2 AND state = 'running'
           RETURNING cancel_at""",
        run_id, worker, now,
    )  # fmt: skip
    return False if row is None else row["cancel_at"]


async def open_steps(db: Database, run_id: UUID) -> list[Step]:
    """Steps that were begun and are not booked."""
    rows = await db.fetch(
        f"SELECT {_STEP} FROM workflows.step WHERE run = $1 AND state IN ('begun', 'answered') ORDER BY n", run_id
    )
    return [of_row(Step, row) for row in rows]


async def steps(db: Database, run_id: UUID) -> list[Step]:
    rows = await db.fetch(f"SELECT {_STEP} FROM workflows.step WHERE run = $1 ORDER BY n", run_id)
    return [of_row(Step, row) for row in rows]


async def begin_step(db: Database, one: Step) -> None:
    """Begin it, or begin it again under another receipt."""
    await db.execute(
        """INSERT INTO workflows.step (run, n, node, kind, state, receipt_id, begun_at, branch, agent_run)
           VALUES ($1, $2, $3, $4, 'begun', $5, $6, $7, $8)
           ON CONFLICT (run, n) DO UPDATE SET state = 'begun', receipt_id = excluded.receipt_id, answer = NULL""",
        one.run, one.n, one.node, one.kind, one.receipt_id, one.begun_at, one.branch, one.agent_run,
    )  # fmt: skip


async def hold_budget(db: Database, run_id: UUID, n: int, micro: int) -> tuple[bool, int, int]:
    """Set so much of its budgets aside for a step: whether it was there, what is free, and what may become so."""
    row = await db.writes.fetchrow("SELECT * FROM workflows.hold($1, $2, $3)", run_id, n, micro)
    return row["done"], row["free"], row["hope"]


async def settle_budget(
    db: Connection | Database, run_id: UUID, n: int, held: int | None = None, paid: int | None = None
) -> None:
    """Of what a step set aside (None: all that still is) so much was paid (None: all)."""
    await db.execute("SELECT workflows.settle($1, $2, $3, $4)", run_id, n, held, paid)


async def answered(db: Database, run_id: UUID, n: int, receipt_id: UUID, answer: Any) -> bool:
    """Keep an answer before it is charged; False when the step is another try's by now."""
    done = await db.writes.fetchval(
        """UPDATE workflows.step SET state = 'answered', answer = $4
            WHERE run = $1 AND n = $2 AND receipt_id = $3 AND state = 'begun' RETURNING true""",
        run_id, n, receipt_id, answer,
    )  # fmt: skip
    return bool(done)


async def book(conn: Connection, one: Step, worker: str, state: str, course: Any, ended: Ending | None = None) -> bool:
    """Write a step and where its run stands by it, together; False when the run is no longer this worker's."""
    kept = await conn.fetchval(
        "SELECT true FROM workflows.run WHERE id = $1 AND worker = $2 AND state = 'running' FOR UPDATE", one.run, worker
    )
    if not kept:
        return False
    await settle_budget(conn, one.run, one.n)
    await conn.execute(
        """INSERT INTO workflows.step (run, n, node, kind, state, receipt_id, paid_micro, tokens, took_ms, error,
                                       begun_at, branch)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
           ON CONFLICT (run, n) DO UPDATE SET state = excluded.state, paid_micro = excluded.paid_micro,
             tokens = excluded.tokens, took_ms = excluded.took_ms, error = excluded.error, answer = NULL,
             receipt_id = coalesce(excluded.receipt_id, step.receipt_id)""",
        one.run, one.n, one.node, one.kind, one.state, one.receipt_id, one.paid_micro, one.tokens, one.took_ms,
        one.error, one.begun_at, one.branch,
    )  # fmt: skip
    await conn.execute(
        """UPDATE workflows.run SET steps = steps + 1, paid_micro = paid_micro + $2, course = $3, state = $4
            WHERE id = $1 AND ended_at IS NULL"""
        if ended is None
        else """UPDATE workflows.run SET steps = steps + 1, paid_micro = paid_micro + $2, course = $3, state = $4,
                  worker = NULL, taken_at = NULL, result = $5, error = $6, why = $7, ended_at = $8 WHERE id = $1""",
        one.run, one.paid_micro, course, state, *(() if ended is None else ended),
    )  # fmt: skip
    if ended is not None:
        await _left_behind(conn, one.run, ended[3])
    return True


async def end(conn: Connection, run_id: UUID, state: str, ended: Ending, *, at_rest: bool = False) -> bool:
    """End a run that has not ended; `at_rest`: only one that nobody works on. What its parts paid that have ended and
    were not booked yet is its own; of the others they add it when they end."""
    await conn.execute("SELECT FROM workflows.run WHERE id = $1 FOR UPDATE", run_id)  # then no part of it ends
    done = await conn.fetchval(
        """UPDATE workflows.run r SET state = $2, result = $3, error = $4, why = $5, ended_at = $6, worker = NULL,
                  taken_at = NULL, paid_micro = paid_micro + coalesce((
                    SELECT sum(p.paid_micro) FROM workflows.run p WHERE p.parent = r.id AND p.ended_at IS NOT NULL
                       AND NOT EXISTS (SELECT FROM workflows.step s WHERE s.run = r.id AND s.n = p.parent_n)), 0)
            WHERE id = $1 AND ended_at IS NULL AND NOT ($7 AND state = 'running') RETURNING true""",
        run_id, state, *ended, at_rest,
    )  # fmt: skip
    if done:
        await _left_behind(conn, run_id, ended[3])
    return bool(done)


async def _left_behind(conn: Connection | Database, run_id: UUID, now: datetime) -> None:
    """Of a run that has ended: nobody is asked any more, and the run goes on that waits for it, or, where that has
    ended, has what this one paid added. That one is locked whatever it does, as it may be about to rest."""
    await conn.execute(
        "UPDATE workflows.approval SET verdict = 'dropped', decided_at = $2 WHERE run = $1 AND verdict = ''",
        run_id, now,
    )  # fmt: skip
    above = await _above(conn, run_id)
    if above is None:
        return
    if above["ended_at"] is not None:
        await _paid_late(conn, run_id)
    elif above["state"] == "paused":
        await conn.execute("UPDATE workflows.run SET state = 'waiting', due_at = $2 WHERE id = $1", above["id"], now)
        await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def _above(conn: Connection | Database, run_id: UUID) -> Any:
    """The run that this is a step of, locked; None where it is nobody's."""
    return await conn.fetchrow(
        """SELECT id, state, ended_at FROM workflows.run
            WHERE id = (SELECT parent FROM workflows.run WHERE id = $1) FOR UPDATE""",
        run_id,
    )


async def _paid_late(conn: Connection | Database, run_id: UUID) -> None:
    """Add what a run paid to those above it which have counted theirs: they have ended, or booked the one below."""
    paid = await conn.fetchval("SELECT paid_micro FROM workflows.run WHERE id = $1", run_id)
    while paid and (above := await _above(conn, run_id)) is not None:
        booked = await conn.fetchval(
            """UPDATE workflows.step s SET paid_micro = s.paid_micro + $2 FROM workflows.run r
                WHERE r.id = $1 AND (s.run, s.n) = (r.parent, r.parent_n) RETURNING true""",
            run_id, paid,
        )  # fmt: skip
        if not booked and above["ended_at"] is None:
            return
        await conn.execute("UPDATE workflows.run SET paid_micro = paid_micro + $2 WHERE id = $1", above["id"], paid)
        run_id = above["id"]


async def parts(db: Database, run_id: UUID) -> list[Run]:
    """The runs that are steps of one."""
    rows = await db.fetch(f"{_RUNS} WHERE r.parent = $1 ORDER BY r.parent_n LIMIT $2", run_id, STEPS_MAX)
    return [of_row(Run, row) for row in rows]


async def part(db: Database, run_id: UUID, n: int) -> Run | None:
    row = await db.fetchrow(f"{_RUNS} WHERE r.parent = $1 AND r.parent_n = $2", run_id, n)
    return None if row is None else of_row(Run, row)


async def cancel(conn: Connection, run_id: UUID, now: datetime) -> list[UUID]:
    """Ask for the end of a run and of all that are steps of it; those, the deepest first, as whoever books a step locks
    its run and then the one above."""
    rows = await conn.fetch(
        """WITH RECURSIVE down AS (SELECT id FROM workflows.run WHERE id = $1
             UNION ALL SELECT r.id FROM workflows.run r JOIN down ON r.parent = down.id)
           SELECT id FROM workflows.run WHERE id IN (SELECT id FROM down) AND ended_at IS NULL
            ORDER BY depth DESC, id FOR UPDATE""",
        run_id,
    )
    ids = [row["id"] for row in rows]
    await conn.execute("UPDATE workflows.run SET cancel_at = coalesce(cancel_at, $2) WHERE id = ANY($1)", ids, now)
    return ids


async def overdue(db: Database, now: datetime) -> list[Run]:
    """Runs whose time is over and that nobody works on."""
    rows = await db.fetch(
        f"""{_RUNS} WHERE r.ended_at IS NULL AND r.state IN ('waiting', 'paused') AND r.expires_at <= $1 LIMIT $2""",
        now,
        SWEEP_ROWS,
    )
    return [of_row(Run, row) for row in rows]


async def purge(db: Database, before: datetime) -> int:
    """Forget old runs with their steps, a bounded number; receipts stay on the ledger."""
    async with db.transaction() as conn:
        rows = await conn.fetch("SELECT id FROM workflows.run WHERE ended_at < $1 LIMIT $2", before, PURGE_ROWS)
        ids = [row["id"] for row in rows]
        for table in ("step", "approval"):
            await conn.execute(f"DELETE FROM workflows.{table} WHERE run = ANY($1)", ids)
        await conn.execute("DELETE FROM workflows.run WHERE id = ANY($1)", ids)
        gone = await conn.fetch(
            """SELECT id FROM workflows.workflow w WHERE deleted_at < $1
                  AND NOT EXISTS (SELECT FROM workflows.run r WHERE r.workflow = w.id) LIMIT $2""",
            before, SWEEP_ROWS,
        )  # fmt: skip
        for table, column in (("hook", "workflow"), ("version", "workflow"), ("workflow", "id")):
            await conn.execute(f"DELETE FROM workflows.{table} WHERE {column} = ANY($1)", [row["id"] for row in gone])
    return len(ids)


async def open_of(db: Database, workflow: UUID) -> int:
    found: int = await db.fetchval(
        "SELECT count(*) FROM workflows.run WHERE workflow = $1 AND ended_at IS NULL", workflow
    )
    return found


async def open_runs(db: Connection, workflow: UUID) -> list[UUID]:
    rows = await db.fetch("SELECT id FROM workflows.run WHERE workflow = $1 AND ended_at IS NULL", workflow)
    return [row["id"] for row in rows]


async def steps_in_all(db: Database, run_id: UUID) -> int:
    """Steps that were made so far of everything that the start of a run set going."""
    found: int = await db.fetchval(
        """WITH RECURSIVE up AS (
             SELECT id, parent FROM workflows.run WHERE id = $1
             UNION ALL SELECT r.id, r.parent FROM workflows.run r JOIN up ON r.id = up.parent
           ), down AS (
             SELECT r.id, r.steps FROM workflows.run r JOIN up USING (id) WHERE up.parent IS NULL
             UNION ALL SELECT r.id, r.steps FROM workflows.run r JOIN down ON r.parent = down.id
           ) SELECT coalesce(sum(steps), 0)::bigint FROM down""",
        run_id,
    )
    return found


# -- approvals --------------------------------------------------------------------------------------------------------


async def wait_for(conn: Connection, one: Waiting) -> None:
    await conn.execute(
        """INSERT INTO workflows.approval (id, run, n, node, org_id, who, shows, asked_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (run, n) DO NOTHING""",
        one.id, one.run, one.n, one.node, one.org_id, one.who, one.shows, one.asked_at, one.expires_at,
    )  # fmt: skip


async def hold(conn: Connection, run_id: UUID, worker: str) -> bool:
    """Lock a run until the transaction ends; False when it is no longer this worker's, or its end was asked for."""
    found = await conn.fetchval(
        """SELECT true FROM workflows.run WHERE id = $1 AND worker = $2 AND state = 'running' AND cancel_at IS NULL
              FOR UPDATE""",
        run_id, worker,
    )  # fmt: skip
    return bool(found)


async def pause(conn: Connection, run_id: UUID, worker: str, course: Any, awaited: Sequence[int]) -> bool:
    """Leave a run until what its steps of these numbers wait for has come; False when something has, or it can't be
    held."""
    if not await hold(conn, run_id, worker):
        return False
    done = await conn.fetchval(
        """UPDATE workflows.run SET state = 'paused', worker = NULL, taken_at = NULL, course = $2 WHERE id = $1
              AND NOT EXISTS (SELECT FROM workflows.approval WHERE run = $1 AND n = ANY($3) AND verdict <> '')
              AND NOT EXISTS (SELECT FROM workflows.run p WHERE p.parent = $1 AND p.parent_n = ANY($3)
                                AND p.ended_at IS NOT NULL) RETURNING true""",
        run_id, course, list(awaited),
    )  # fmt: skip
    return bool(done)


async def waiting(db: Connection | Database, approval: UUID, *, lock: bool = False) -> Waiting | None:
    if lock:  # the run, under whose lock whoever ends it writes here too
        await db.fetchrow(
            "SELECT FROM workflows.run WHERE id = (SELECT run FROM workflows.approval WHERE id = $1) FOR UPDATE",
            approval,
        )
    row = await db.fetchrow(f"{_WAITING} WHERE a.id = $1", approval)
    return None if row is None else of_row(Waiting, row)


async def awaited(db: Database, org_id: UUID) -> list[str]:
    """Of whom a word is waited for."""
    rows = await db.fetch("SELECT DISTINCT who FROM workflows.approval WHERE org_id = $1 AND verdict = ''", org_id)
    return [row["who"] for row in rows]


async def inbox(db: Database, org_id: UUID, who: Sequence[str]) -> list[Waiting]:
    """What waits for one of these, oldest first."""
    rows = await db.fetch(
        f"{_WAITING} WHERE a.org_id = $1 AND a.verdict = '' AND a.who = ANY($2) ORDER BY a.id LIMIT $3",
        org_id, list(who), PAGE_ROWS,
    )  # fmt: skip
    return [of_row(Waiting, row) for row in rows]


async def asked(db: Connection | Database, run_id: UUID, n: int) -> Waiting | None:
    row = await db.fetchrow(f"{_WAITING} WHERE a.run = $1 AND a.n = $2", run_id, n)
    return None if row is None else of_row(Waiting, row)


async def decide(conn: Connection, one: Waiting, verdict: str, note: str, by: str, now: datetime) -> None:
    """Write a word down and let the run go on."""
    await conn.execute(
        "UPDATE workflows.approval SET verdict = $2, note = $3, decided_by = $4, decided_at = $5 WHERE id = $1",
        one.id, verdict, note, by, now,
    )  # fmt: skip
    await conn.execute(
        "UPDATE workflows.run SET state = 'waiting', due_at = $2 WHERE id = $1 AND state = 'paused'", one.run, now
    )
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def late(db: Database, now: datetime) -> list[UUID]:
    rows = await db.fetch(
        "SELECT id FROM workflows.approval WHERE verdict = '' AND expires_at <= $1 LIMIT $2", now, SWEEP_ROWS
    )
    return [row["id"] for row in rows]
