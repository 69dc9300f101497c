"""SQL of workflows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.workflows.model import STEPS_MAX, Cost, Hook, Run, Step, Trigger, Version, Waiting, Workflow

CHANNEL: Final = "workflows_changed"
PAGE_ROWS: Final = 100
SWEEP_ROWS: Final = 200
PURGE_ROWS: Final = 2_000
Connection = Any
T = TypeVar("T")
_RUN: Final = """r.id, r.workflow, r.version, r.org_id, r.key_id, r.source, r.state, r.course, r.result, r.why, r.error,
  r.steps, r.budget_micro, r.paid_micro, r.made_at, r.due_at, r.expires_at, r.ended_at, r.node, r.parent, r.parent_n,
  r.depth, w.slug"""
_RUNS: Final = f"SELECT {_RUN} FROM workflows.run r JOIN workflows.workflow w ON w.id = r.workflow"
_WORKFLOW: Final = """SELECT w.*, (SELECT n FROM workflows.version v WHERE v.workflow = w.id AND v.state = 'draft')
    AS draft, (SELECT n FROM workflows.version v WHERE v.workflow = w.id AND v.state = 'published') AS published
  FROM workflows.workflow w"""
_WAITING: Final = """SELECT a.*, w.slug FROM workflows.approval a JOIN workflows.run r ON r.id = a.run
  JOIN workflows.workflow w ON w.id = r.workflow"""
_STEP: Final = ", ".join(Step.__struct_fields__)


def _row(kind: type[T], row: Any) -> T:
    keys = set(row.keys())
    fields: Sequence[str] = kind.__struct_fields__  # type: ignore[attr-defined]
    return kind(**{name: row[name] for name in fields if name in keys})


# -- definitions ------------------------------------------------------------------------------------------------------


async def add(conn: Connection, one: Workflow) -> None:
    await conn.execute(
        """INSERT INTO workflows.workflow (id, org_id, slug, title, made_by, made_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (id) DO NOTHING""",
        one.id, one.org_id, one.slug, one.title, one.made_by, one.made_at,
    )  # fmt: skip


async def rename(db: Database, workflow: UUID, title: str) -> None:
    await db.execute("UPDATE workflows.workflow SET title = $2 WHERE id = $1", workflow, title)


async def find(db: Connection | Database, org_id: UUID, slug: str, *, lock: bool = False) -> Workflow | None:
    row = await db.fetchrow(
        f"{_WORKFLOW} WHERE w.org_id = $1 AND w.slug = $2 AND w.deleted_at IS NULL"
        + (" FOR UPDATE OF w" if lock else ""),
        org_id,
        slug,
    )
    return None if row is None else _row(Workflow, row)


async def by_id(db: Connection | Database, workflow: UUID) -> Workflow | None:
    row = await db.fetchrow(f"{_WORKFLOW} WHERE w.id = $1", workflow)
    return None if row is None else _row(Workflow, row)


async def mine(db: Database, org_id: UUID, most: int = PAGE_ROWS) -> list[Workflow]:
    rows = await db.fetch(
        f"{_WORKFLOW} WHERE w.org_id = $1 AND w.deleted_at IS NULL ORDER BY w.id DESC LIMIT $2", org_id, most
    )
    return [_row(Workflow, row) for row in rows]


async def count(conn: Connection, org_id: UUID) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM workflows.workflow WHERE org_id = $1 AND deleted_at IS NULL", org_id
    )
    return found


async def delete(conn: Connection, workflow: UUID, by: str, now: datetime) -> None:
    """Take it off every list, and end what starts it."""
    await conn.execute(
        "UPDATE workflows.workflow SET deleted_at = $2, deleted_by = $3 WHERE id = $1 AND deleted_at IS NULL",
        workflow, now, by,
    )  # fmt: skip
    await conn.execute("DELETE FROM workflows.schedule WHERE workflow = $1", workflow)
    await conn.execute(
        "UPDATE workflows.hook SET revoked_at = coalesce(revoked_at, $2) WHERE workflow = $1", workflow, now
    )


async def open_of(db: Database, workflow: UUID) -> int:
    found: int = await db.fetchval(
        "SELECT count(*) FROM workflows.run WHERE workflow = $1 AND ended_at IS NULL", workflow
    )
    return found


async def open_runs(db: Database, workflow: UUID) -> list[UUID]:
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


async def save_draft(conn: Connection, workflow: UUID, definition: Any, by: str, now: datetime) -> int:
    """Change the open draft, or begin the next version; its number."""
    n: int = await conn.fetchval(
        """INSERT INTO workflows.version (workflow, n, state, definition, made_by, made_at)
           VALUES ($1, (SELECT coalesce(max(n), 0) + 1 FROM workflows.version WHERE workflow = $1), 'draft', $2, $3, $4)
           ON CONFLICT (workflow) WHERE state = 'draft'
           DO UPDATE SET definition = excluded.definition, made_by = excluded.made_by, made_at = excluded.made_at
           RETURNING n""",
        workflow, definition, by, now,
    )  # fmt: skip
    return n


async def publish(conn: Connection, workflow: UUID, n: int, now: datetime) -> None:
    await conn.execute(
        "UPDATE workflows.version SET state = 'retired' WHERE workflow = $1 AND state = 'published'", workflow
    )
    await conn.execute(
        "UPDATE workflows.version SET state = 'published', published_at = $3 WHERE workflow = $1 AND n = $2",
        workflow, n, now,
    )  # fmt: skip


async def version(db: Connection | Database, workflow: UUID, n: int) -> Version | None:
    row = await db.fetchrow("SELECT * FROM workflows.version WHERE workflow = $1 AND n = $2", workflow, n)
    return None if row is None else _row(Version, row)


async def definitions(db: Database, org_id: UUID, most: int) -> list[tuple[Workflow, dict[str, Any]]]:
    """The draft and what is published of each of an organisation's own."""
    known = {one.id: one for one in await mine(db, org_id, most)}
    rows = await db.fetch(
        """SELECT workflow, definition FROM workflows.version
            WHERE workflow = ANY($1) AND state IN ('draft', 'published') ORDER BY workflow DESC, n DESC""",
        list(known),
    )
    return [(known[row["workflow"]], row["definition"]) for row in rows]


async def versions(db: Database, workflow: UUID) -> list[Version]:
    rows = await db.fetch(
        "SELECT * FROM workflows.version WHERE workflow = $1 ORDER BY n DESC LIMIT $2", workflow, PAGE_ROWS
    )
    return [_row(Version, row) for row in rows]


# -- runs -------------------------------------------------------------------------------------------------------------


async def begin(conn: Connection | Database, one: Run, ref: str) -> Run:
    """A new run, or the one that the same start has already made."""
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
    return _row(Run, row)


async def run(db: Connection | Database, run_id: UUID) -> Run | None:
    row = await db.fetchrow(f"{_RUNS} WHERE r.id = $1", run_id)
    return None if row is None else _row(Run, row)


async def by_ref(db: Database, workflow: UUID, ref: str) -> Run | None:
    row = await db.fetchrow(f"{_RUNS} WHERE r.workflow = $1 AND r.ref = $2", workflow, ref)
    return None if row is None else _row(Run, row)


async def runs(db: Database, org_id: UUID, workflow: UUID | None, before: UUID | None) -> list[Run]:
    rows = await db.fetch(
        f"""{_RUNS} WHERE r.org_id = $1 AND ($2::uuid IS NULL OR r.workflow = $2) AND ($3::uuid IS NULL OR r.id < $3)
             ORDER BY r.id DESC LIMIT $4""",
        org_id, workflow, before, PAGE_ROWS,
    )  # fmt: skip
    return [_row(Run, row) for row in rows]


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
    return [_row(Cost, row) for row in rows]


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
    return [_row(Run, row) for row in rows]


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
    return [_row(Step, row) for row in rows]


async def steps(db: Database, run_id: UUID) -> list[Step]:
    rows = await db.fetch(f"SELECT {_STEP} FROM workflows.step WHERE run = $1 ORDER BY n", run_id)
    return [_row(Step, row) for row in rows]


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


Ending = tuple[Any, str, Any, datetime]
"""(result, error, why, when)."""


async def end(conn: Connection | Database, run_id: UUID, state: str, ended: Ending) -> bool:
    """End a run that has not ended."""
    done = await conn.fetchval(
        """UPDATE workflows.run SET state = $2, result = $3, error = $4, why = $5, ended_at = $6, worker = NULL,
                  taken_at = NULL WHERE id = $1 AND ended_at IS NULL RETURNING true""",
        run_id, state, *ended,
    )  # fmt: skip
    await _left_behind(conn, run_id, ended[3])
    return bool(done)


async def _left_behind(conn: Connection | Database, run_id: UUID, now: datetime) -> None:
    """Of a run that has ended: nobody is asked any more, and the run goes on that waits for it. That one is locked
    whatever it does, as it may be about to rest."""
    await conn.execute(
        "UPDATE workflows.approval SET verdict = 'dropped', decided_at = $2 WHERE run = $1 AND verdict = ''",
        run_id, now,
    )  # fmt: skip
    parent = await conn.fetchval(
        "SELECT id FROM workflows.run WHERE id = (SELECT parent FROM workflows.run WHERE id = $1) FOR UPDATE", run_id
    )
    woken = parent and await conn.fetchval(
        "UPDATE workflows.run SET state = 'waiting', due_at = $2 WHERE id = $1 AND state = 'paused' RETURNING true",
        parent, now,
    )  # fmt: skip
    if woken:
        await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def parts(db: Database, run_id: UUID) -> list[Run]:
    """The runs that are steps of one."""
    rows = await db.fetch(f"{_RUNS} WHERE r.parent = $1 ORDER BY r.parent_n LIMIT $2", run_id, STEPS_MAX)
    return [_row(Run, row) for row in rows]


async def part(db: Database, run_id: UUID, n: int) -> Run | None:
    row = await db.fetchrow(f"{_RUNS} WHERE r.parent = $1 AND r.parent_n = $2", run_id, n)
    return None if row is None else _row(Run, row)


async def cancel(db: Database, run_id: UUID, now: datetime) -> None:
    await db.execute(
        "UPDATE workflows.run SET cancel_at = coalesce(cancel_at, $2) WHERE id = $1 AND ended_at IS NULL", run_id, now
    )


async def overdue(db: Database, now: datetime) -> list[Run]:
    """Runs whose time is over and that nobody works on."""
    rows = await db.fetch(
        f"""{_RUNS} WHERE r.ended_at IS NULL AND r.state IN ('waiting', 'paused') AND r.expires_at <= $1 LIMIT $2""",
        now,
        SWEEP_ROWS,
    )
    return [_row(Run, row) for row in rows]


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
    row = await db.fetchrow(f"{_WAITING} WHERE a.id = $1" + (" FOR UPDATE OF a, r" if lock else ""), approval)
    return None if row is None else _row(Waiting, row)


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
    return [_row(Waiting, row) for row in rows]


async def asked(db: Connection | Database, run_id: UUID, n: int) -> Waiting | None:
    row = await db.fetchrow(f"{_WAITING} WHERE a.run = $1 AND a.n = $2", run_id, n)
    return None if row is None else _row(Waiting, row)


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


# -- what starts runs -------------------------------------------------------------------------------------------------


async def set_schedule(
    db: Database, workflow: UUID, form: Any, given: Any, key_id: UUID, next_at: datetime | None, by: str, now: datetime
) -> None:
    await db.execute(
        """INSERT INTO workflows.schedule (workflow, form, given, key_id, next_at, made_by, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workflow) DO UPDATE SET form = $2, given = $3, key_id = $4,
             next_at = $5, made_by = $6, made_at = $7, error = ''""",
        workflow, form, given, key_id, next_at, by, now,
    )  # fmt: skip


async def stop_schedule(db: Database, workflow: UUID) -> None:
    await db.execute("UPDATE workflows.schedule SET next_at = NULL WHERE workflow = $1", workflow)


async def schedule(db: Database, workflow: UUID) -> Any:
    return await db.fetchrow("SELECT * FROM workflows.schedule WHERE workflow = $1", workflow)


async def due(db: Database, now: datetime) -> list[Any]:
    rows: list[Any] = await db.fetch(
        "SELECT * FROM workflows.schedule WHERE next_at <= $1 ORDER BY next_at LIMIT $2", now, SWEEP_ROWS
    )
    return rows


async def move_on(db: Database, workflow: UUID, was: datetime, to: datetime, error: str) -> None:
    await db.execute(
        "UPDATE workflows.schedule SET next_at = $3, error = $4 WHERE workflow = $1 AND next_at = $2",
        workflow, was, to, error,
    )  # fmt: skip


async def give_schedule(db: Database, workflow: UUID, key_id: UUID, by: str) -> None:
    """Another answers for a schedule, and another key pays."""
    await db.execute(
        "UPDATE workflows.schedule SET made_by = $3, key_id = $2 WHERE workflow = $1", workflow, key_id, by
    )


async def triggers(db: Database, org_id: UUID) -> list[Trigger]:
    rows = await db.fetch(
        """SELECT 'hook' AS kind, h.id, w.id AS workflow, w.slug, h.made_by, h.made_at
             FROM workflows.hook h JOIN workflows.workflow w ON w.id = h.workflow
            WHERE w.org_id = $1 AND h.revoked_at IS NULL
            UNION ALL
           SELECT 'schedule', w.id, w.id, w.slug, s.made_by, s.made_at
             FROM workflows.schedule s JOIN workflows.workflow w ON w.id = s.workflow
            WHERE w.org_id = $1 AND s.next_at IS NOT NULL
            ORDER BY made_at, id""",
        org_id,
    )
    return [_row(Trigger, row) for row in rows]


async def add_hook(db: Any, one: Hook, key_id: UUID) -> None:
    await db.execute(
        """INSERT INTO workflows.hook (id, workflow, key_id, made_by, made_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (id) DO NOTHING""",
        one.id, one.workflow, key_id, one.made_by, one.made_at,
    )  # fmt: skip


async def hook(db: Database, hook_id: UUID) -> tuple[Hook, UUID] | None:
    row = await db.fetchrow("SELECT * FROM workflows.hook WHERE id = $1", hook_id)
    return None if row is None else (_row(Hook, row), row["key_id"])


async def hooks(db: Database, workflow: UUID) -> list[Hook]:
    rows = await db.fetch("SELECT * FROM workflows.hook WHERE workflow = $1 ORDER BY id LIMIT $2", workflow, PAGE_ROWS)
    return [_row(Hook, row) for row in rows]


async def revoke_hook(db: Any, hook_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE workflows.hook SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1", hook_id, now)
