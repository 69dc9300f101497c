"""SQL of the studio."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.studio.model import Comparison, Job, Made, Point, Step, StepPlan

PAGE_MAX: Final = 200
COMPARISONS_MAX: Final = 200
POINTS_MAX: Final = 5_000
CHANNEL: Final = "studio_changed"
Connection = Any


def _job(row: Any) -> Job:
    return Job(**{name: row[name] for name in Job.__struct_fields__})


def _step(row: Any) -> Step:
    return Step(**{name: row[name] for name in Step.__struct_fields__})


def _made(row: Any) -> Made:
    return Made(**{name: row[name] for name in Made.__struct_fields__})


# -- jobs -------------------------------------------------------------------------------------------------------------


async def lock_org(conn: Connection, org_id: UUID) -> None:
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('studio:' || $1::text, 0))", str(org_id))


async def job_by_key(db: Connection | Database, org_id: UUID, request_key: str) -> Job | None:
    row = await db.fetchrow("SELECT * FROM studio.job WHERE org_id = $1 AND request_key = $2", org_id, request_key)
    return None if row is None else _job(row)


async def open_count(conn: Connection, org_id: UUID) -> int:
    found: int = await conn.fetchval("SELECT count(*) FROM studio.job WHERE org_id = $1 AND ended_at IS NULL", org_id)
    return found


async def insert_job(conn: Connection, one: Job, request_key: str | None, steps: Sequence[StepPlan]) -> None:
    await conn.execute(
        """INSERT INTO studio.job (id, org_id, name, dataset_id, version_id, recipe, state, steps, budget_micro,
                                   hold_id, request_key, made_by, made_at, rubric)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)""",
        one.id,
        one.org_id,
        one.name,
        one.dataset_id,
        one.version_id,
        one.recipe,
        one.state,
        one.steps,
        one.budget_micro,
        one.hold_id,
        request_key,
        one.made_by,
        one.made_at,
        one.rubric,
    )
    rows = [(one.id, at, step.kind, step.title, "waiting") for at, step in enumerate(steps)]
    await conn.copy_records_to_table(
        "step", schema_name="studio", columns=("job_id", "at", "kind", "title", "state"), records=rows
    )
    await changed(conn)


async def changed(conn: Connection | Database) -> None:
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def job(db: Connection | Database, job_id: UUID, org_id: UUID | None) -> Job | None:
    row = await db.fetchrow(
        "SELECT * FROM studio.job WHERE id = $1 AND ($2::uuid IS NULL OR org_id = $2)", job_id, org_id
    )
    return None if row is None else _job(row)


async def jobs(db: Database, org_id: UUID | None, limit: int) -> list[Job]:
    rows = await db.fetch(
        "SELECT * FROM studio.job WHERE ($1::uuid IS NULL OR org_id = $1) ORDER BY id DESC LIMIT $2", org_id, limit
    )
    return [_job(row) for row in rows]


async def jobs_named(db: Database, org_id: UUID, name: str) -> list[Job]:
    """Those under a name whose money is settled, the newest first."""
    rows = await db.fetch(
        """SELECT * FROM studio.job WHERE org_id = $1 AND name = $2 AND settled_at IS NOT NULL
            ORDER BY id DESC LIMIT $3""",
        org_id,
        name,
        PAGE_MAX,
    )
    return [_job(row) for row in rows]


async def take(db: Database, worker: str, now: datetime) -> Job | None:
    """The job that this worker had when it ended, else the one that waits longest."""
    async with db.transaction() as conn:
        row = await conn.fetchrow(
            """SELECT id FROM studio.job WHERE (state = 'running' AND worker = $1) OR state = 'waiting'
                ORDER BY state, id LIMIT 1 FOR UPDATE SKIP LOCKED""",
            worker,
        )
        if row is None:
            return None
        found = await conn.fetchrow(
            """UPDATE studio.job SET state = 'running', worker = $2, started_at = coalesce(started_at, $3)
                WHERE id = $1 RETURNING *""",
            row["id"],
            worker,
            now,
        )
        return _job(found)


async def ask_cancel(conn: Connection, job_id: UUID) -> None:
    await conn.execute("UPDATE studio.job SET cancel_asked = true WHERE id = $1 AND ended_at IS NULL", job_id)


async def cancel_asked(db: Database, job_id: UUID) -> bool:
    return bool(await db.fetchval("SELECT cancel_asked FROM studio.job WHERE id = $1", job_id))


async def used(db: Database, job_id: UUID, core_ms: int, spent_micro: int) -> None:
    """What a job has used so far."""
    await db.execute("UPDATE studio.job SET core_ms = $2, spent_micro = $3 WHERE id = $1", job_id, core_ms, spent_micro)


async def end(db: Connection | Database, job_id: UUID, state: str, error: dict[str, Any] | None, now: datetime) -> bool:
    done = await db.writes.fetchval(
        """UPDATE studio.job SET state = $2, error = $3, ended_at = $4 WHERE id = $1 AND ended_at IS NULL
            RETURNING true""",
        job_id,
        state,
        error,
        now,
    )
    return bool(done)


async def unsettled(db: Database) -> list[Job]:
    rows = await db.fetch(
        "SELECT * FROM studio.job WHERE ended_at IS NOT NULL AND settled_at IS NULL ORDER BY id LIMIT $1", PAGE_MAX
    )
    return [_job(row) for row in rows]


async def settled(db: Database, job_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE studio.job SET settled_at = $2 WHERE id = $1", job_id, now)


# -- steps and curves -------------------------------------------------------------------------------------------------


async def steps(db: Database, job_id: UUID) -> list[Step]:
    rows = await db.fetch("SELECT * FROM studio.step WHERE job_id = $1 ORDER BY at LIMIT $2", job_id, PAGE_MAX)
    return [_step(row) for row in rows]


async def begin_step(db: Database, job_id: UUID, at: int, digest: bytes, now: datetime) -> None:
    await db.execute(
        """UPDATE studio.step SET state = 'running', hash = $3, started_at = coalesce(started_at, $4)
            WHERE job_id = $1 AND at = $2""",
        job_id,
        at,
        digest,
        now,
    )


async def end_step(
    db: Database, job_id: UUID, at: int, state: str, core_ms: int, metrics: dict[str, Any], now: datetime
) -> None:
    await db.execute(
        """UPDATE studio.step SET state = $3, core_ms = $4, metrics = $5, ended_at = $6
            WHERE job_id = $1 AND at = $2""",
        job_id,
        at,
        state,
        core_ms,
        metrics,
        now,
    )


async def add_point(db: Database, job_id: UUID, point: Point) -> None:
    await db.execute(
        """INSERT INTO studio.point (job_id, at, n, of, loss) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (job_id, at, n) DO UPDATE SET loss = EXCLUDED.loss""",
        job_id,
        point.at,
        point.n,
        point.of,
        point.loss,
    )


async def points(db: Database, job_id: UUID) -> list[Point]:
    rows = await db.fetch(
        "SELECT at, n, of, loss FROM studio.point WHERE job_id = $1 ORDER BY at, n LIMIT $2", job_id, POINTS_MAX
    )
    return [Point(**dict(row)) for row in rows]


# -- models -----------------------------------------------------------------------------------------------------------


async def owner_of_name(conn: Connection | Database, name: str) -> UUID | None:
    found: UUID | None = await conn.fetchval(
        "SELECT org_id FROM (SELECT org_id FROM studio.model WHERE name = $1 UNION ALL "
        "SELECT org_id FROM studio.job WHERE name = $1 AND ended_at IS NULL) AS one LIMIT 1",
        name,
    )
    return found


async def insert_made(conn: Connection, one: Made) -> Made:
    """Idempotent by its job, and by what it is: a file of the same step under the same name stays one model. Numbered
    under its name, one at a time."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('studio.model:' || $1::text, 0))", one.name)
    await conn.execute(
        """INSERT INTO studio.model (id, org_id, name, number, job_id, version_id, base, step_hash, sha256, size_bytes,
                                     score_bps, base_bps, card, state, made_at)
           SELECT $1, $2, $3, 1 + (SELECT count(*) FROM studio.model WHERE name = $3), $4, $5, $6, $7, $8, $9, $10,
                  $11, $12, 'ready', $13
            WHERE NOT EXISTS (SELECT FROM studio.model WHERE (name, org_id, step_hash) = ($3, $2, $7)
                                 AND state <> 'destroyed')
           ON CONFLICT (job_id) DO NOTHING""",
        one.id,
        one.org_id,
        one.name,
        one.job_id,
        one.version_id,
        one.base,
        one.step_hash,
        one.sha256,
        one.size_bytes,
        one.score_bps,
        one.base_bps,
        one.card,
        one.made_at,
    )
    row = await conn.fetchrow(
        """SELECT * FROM studio.model WHERE name = $1 AND org_id = $2 AND (job_id = $3 OR step_hash = $4)
            ORDER BY job_id = $3 DESC, state = 'destroyed', number DESC LIMIT 1""",
        one.name, one.org_id, one.job_id, one.step_hash,
    )  # fmt: skip
    return _made(row)


async def made(db: Connection | Database, name: str, number: int | None, org_id: UUID | None) -> Made | None:
    """A model by name and number; without a number the newest."""
    row = await db.fetchrow(
        """SELECT * FROM studio.model WHERE name = $1 AND ($2::int IS NULL OR number = $2)
              AND ($3::uuid IS NULL OR org_id = $3) ORDER BY number DESC LIMIT 1""",
        name,
        number,
        org_id,
    )
    return None if row is None else _made(row)


async def compared(conn: Connection, one: Comparison) -> None:
    """Write down how two models compare; a later comparison of the two takes its place."""
    names = Comparison.__struct_fields__
    marks, changed = (", ".join(f"${at}" for at in range(1, len(names) + 1)),
                      ", ".join(f"{name} = EXCLUDED.{name}" for name in names[2:]))  # fmt: skip
    await conn.execute(
        f"""INSERT INTO studio.comparison ({", ".join(names)}) VALUES ({marks})
            ON CONFLICT (model_id, against_id) DO UPDATE SET {changed}""",
        *(getattr(one, name) for name in names),
    )


async def comparisons(db: Database, model_id: UUID) -> list[Comparison]:
    """What a model was compared with, from either side, newest first, a bounded page."""
    names = ", ".join(Comparison.__struct_fields__)
    rows = await db.fetch(
        f"""SELECT {names} FROM studio.comparison WHERE model_id = $1 OR against_id = $1
             ORDER BY made_at DESC LIMIT $2""",
        model_id, COMPARISONS_MAX,
    )  # fmt: skip
    return [Comparison(**dict(row)) for row in rows]


async def made_by(db: Database, job: Job) -> Made | None:
    """The model of a job's own, else one of its name that is a result of one of its steps."""
    row = await db.fetchrow(
        """SELECT * FROM studio.model m WHERE m.name = $1 AND m.org_id = $2 AND (m.job_id = $3
              OR m.step_hash IN (SELECT s.hash FROM studio.step s WHERE s.job_id = $3))
            ORDER BY m.job_id = $3 DESC, m.number DESC LIMIT 1""",
        job.name, job.org_id, job.id,
    )  # fmt: skip
    return None if row is None else _made(row)


async def deployed(db: Connection | Database, name: str) -> Made | None:
    row = await db.fetchrow("SELECT * FROM studio.model WHERE name = $1 AND state = 'deployed'", name)
    return None if row is None else _made(row)


async def on_trial(db: Connection | Database, name: str) -> Made | None:
    row = await db.fetchrow("SELECT * FROM studio.model WHERE name = $1 AND state = 'trial'", name)
    return None if row is None else _made(row)


async def deployed_before(db: Connection | Database, name: str) -> Made | None:
    """The model that was deployed last before the one that is."""
    row = await db.fetchrow(
        """SELECT * FROM studio.model WHERE name = $1 AND state = 'retired' ORDER BY deployed_at DESC LIMIT 1""", name
    )
    return None if row is None else _made(row)


async def first_deployed(db: Database, org_id: UUID) -> list[tuple[str, datetime]]:
    """The names of an organisation under which a model answers or did, and the first time, the newest first."""
    rows = await db.fetch(
        """SELECT name, min(coalesce(first_deployed_at, deployed_at)) AS at FROM studio.model
            WHERE org_id = $1 AND deployed_at IS NOT NULL GROUP BY name ORDER BY at DESC LIMIT $2""",
        org_id,
        PAGE_MAX,
    )
    return [(row["name"], row["at"]) for row in rows]


async def every_made(db: Database, org_id: UUID | None, most: int) -> list[Made]:
    rows = await db.fetch(
        """SELECT * FROM studio.model WHERE ($1::uuid IS NULL OR org_id = $1) ORDER BY made_at DESC LIMIT $2""",
        org_id, most,
    )  # fmt: skip
    return [_made(row) for row in rows]


async def under(db: Database, name: str, org_id: UUID) -> tuple[list[Made], list[Job]]:
    """Everything that was made and ordered under a name."""
    made = await db.fetch("SELECT * FROM studio.model WHERE name = $1 AND org_id = $2", name, org_id)
    jobs = await db.fetch("SELECT * FROM studio.job WHERE name = $1 AND org_id = $2", name, org_id)
    return [_made(row) for row in made], [_job(row) for row in jobs]


async def destroyed(conn: Connection, name: str, org_id: UUID) -> None:
    """Models of this name are gone; what they were measured at stays."""
    await conn.execute(
        "UPDATE studio.model SET state = 'destroyed', engine = NULL WHERE name = $1 AND org_id = $2", name, org_id
    )


async def hashes_under(db: Database, name: str, org_id: UUID) -> list[bytes]:
    """Folders of a name's jobs and steps, but for those of models of other names."""
    rows = await db.fetch(
        """SELECT s.hash FROM studio.step s JOIN studio.job j ON j.id = s.job_id
            WHERE j.name = $1 AND j.org_id = $2 AND s.hash IS NOT NULL
           EXCEPT SELECT step_hash FROM studio.model WHERE (name, org_id) IS DISTINCT FROM ($1, $2)""",
        name, org_id,
    )  # fmt: skip
    return [bytes(row["hash"]) for row in rows]


async def hashes_of(db: Database, org_id: UUID) -> list[bytes]:
    """Folders of an organisation's jobs and steps, but for those that a model is made of."""
    rows = await db.fetch(
        """SELECT s.hash FROM studio.step s JOIN studio.job j ON j.id = s.job_id
            WHERE j.org_id = $1 AND s.hash IS NOT NULL EXCEPT SELECT step_hash FROM studio.model""",
        org_id,
    )
    jobs = await db.fetch("SELECT id FROM studio.job WHERE org_id = $1", org_id)
    return [bytes(row["hash"]) for row in rows] + [row["id"].bytes for row in jobs]


async def kept_hashes(db: Database) -> frozenset[bytes]:
    """Steps whose files a model or an open job needs."""
    rows = await db.fetch(
        """SELECT step_hash AS hash FROM studio.model WHERE state <> 'destroyed' UNION
           SELECT s.hash FROM studio.step s JOIN studio.job j ON j.id = s.job_id
            WHERE j.ended_at IS NULL AND s.hash IS NOT NULL"""
    )
    return frozenset(bytes(row["hash"]) for row in rows)


async def set_deployed(conn: Connection, one: Made, engine: str, now: datetime) -> None:
    """It answers, and nothing else under its name."""
    await conn.execute(
        "UPDATE studio.model SET state = 'retired' WHERE name = $1 AND state IN ('deployed', 'trial')", one.name
    )
    await conn.execute(
        """UPDATE studio.model SET state = 'deployed', engine = $2, deployed_at = $3, share_bps = 10000,
                  first_deployed_at = coalesce(first_deployed_at, $3) WHERE id = $1""",
        one.id,
        engine,
        now,
    )


async def set_trial(conn: Connection, one: Made, engine: str, share_bps: int, now: datetime) -> None:
    """It answers a share of the calls beside the one that is deployed; another on trial leaves."""
    await conn.execute("UPDATE studio.model SET state = 'retired' WHERE name = $1 AND state = 'trial'", one.name)
    await conn.execute(
        "UPDATE studio.model SET state = 'trial', engine = $2, deployed_at = $3, share_bps = $4 WHERE id = $1",
        one.id,
        engine,
        now,
        share_bps,
    )
