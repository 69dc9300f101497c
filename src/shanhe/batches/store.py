"""SQL of batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.batches.model import Batch, File, Line, Taken, Wanted
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

CHANNEL: Final = "batches_changed"
LINES_PAGE: Final = 1_000
SWEEP_MAX: Final = 200
Connection = Any

_BATCH = """SELECT b.*, (SELECT count(*) FROM batches.line l WHERE l.batch_id = b.id AND l.state = 'done') AS done,
                   (SELECT count(*) FROM batches.line l WHERE l.batch_id = b.id AND l.state IN ('failed', 'dropped'))
                     AS failed
              FROM batches.batch b"""


def _file(row: Any) -> File:
    return File(**{name: row[name] for name in File.__struct_fields__})


def _batch(row: Any) -> Batch:
    return Batch(**{name: row[name] for name in Batch.__struct_fields__})


def _line(row: Any) -> Line:
    return Line(**{name: row[name] for name in Line.__struct_fields__})


# -- files ------------------------------------------------------------------------------------------------------------


async def insert_file(conn: Connection | Database, one: File) -> None:
    """Idempotent by id, which output files have from their batch."""
    fields = {name: getattr(one, name) for name in File.__struct_fields__ if name != "deleted_at"}
    columns, marks = ", ".join(fields), ", ".join(f"${at}" for at in range(1, len(fields) + 1))
    await conn.execute(
        f"INSERT INTO batches.file ({columns}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING", *fields.values()
    )


async def file(
    db: Connection | Database, file_id: UUID, org_id: UUID | None, *, ever: bool = False
) -> File | None:  # fmt: skip
    """A file; `ever`: also one that was deleted."""
    row = await db.fetchrow(
        """SELECT * FROM batches.file WHERE id = $1 AND ($2::uuid IS NULL OR org_id = $2)
              AND (deleted_at IS NULL OR $3)""",
        file_id,
        org_id,
        ever,
    )
    return None if row is None else _file(row)


async def files(
    db: Database, org_id: UUID, purpose: str | None, after: UUID | None, limit: int, *, newest: bool
) -> list[File]:
    sign, order = ("<", "DESC") if newest else (">", "ASC")
    rows = await db.fetch(
        f"""SELECT * FROM batches.file WHERE org_id = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR purpose = $2)
               AND ($3::uuid IS NULL OR id {sign} $3) ORDER BY id {order} LIMIT $4""",
        org_id,
        purpose,
        after,
        limit,
    )
    return [_file(row) for row in rows]


async def kept(conn: Connection, org_id: UUID) -> tuple[int, int]:
    """(files, bytes) that an organisation keeps."""
    row = await conn.fetchrow(
        """SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS bytes FROM batches.file
            WHERE org_id = $1 AND deleted_at IS NULL""",
        org_id,
    )
    return row["files"], row["bytes"]


async def forget_file(conn: Connection, file_id: UUID, now: datetime) -> bool:
    done = await conn.fetchval(
        "UPDATE batches.file SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING true", file_id, now
    )
    return bool(done)


async def bytes_to_go(db: Database) -> list[UUID]:
    """Deleted files whose bytes may still be there."""
    rows = await db.fetch(
        "SELECT id FROM batches.file WHERE deleted_at IS NOT NULL AND bytes_gone_at IS NULL LIMIT $1", SWEEP_MAX
    )
    return [row["id"] for row in rows]


async def bytes_are_gone(db: Database, file_id: UUID, now: datetime) -> None:
    await db.execute(
        "UPDATE batches.file SET bytes_gone_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL", file_id, now
    )


async def in_use(conn: Connection, file_id: UUID) -> bool:
    return bool(
        await conn.fetchval(
            "SELECT EXISTS (SELECT 1 FROM batches.batch WHERE input_file = $1 AND ended_at IS NULL)", file_id
        )
    )


async def expired_files(db: Database, now: datetime) -> list[tuple[UUID, UUID]]:
    """(id, organisation) of files whose time is over and that no open batch reads."""
    rows = await db.fetch(
        """SELECT id, org_id FROM batches.file f WHERE deleted_at IS NULL AND expires_at <= $1 AND NOT EXISTS
             (SELECT 1 FROM batches.batch b WHERE b.input_file = f.id AND b.ended_at IS NULL) LIMIT $2""",
        now,
        SWEEP_MAX,
    )
    return [(row["id"], row["org_id"]) for row in rows]


# -- batches ----------------------------------------------------------------------------------------------------------


async def lock_org(conn: Connection, org_id: UUID) -> None:
    """One order of an organisation at a time, so that quotas hold."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('batches:' || $1::text, 0))", str(org_id))


async def insert_batch(conn: Connection, one: Batch, request_key: str | None, lines: Sequence[Wanted]) -> None:
    await conn.execute(
        """INSERT INTO batches.batch (id, org_id, key_id, endpoint, input_file, state, request_key, metadata, errors,
                                      total, made_at, expires_at, ended_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)""",
        one.id,
        one.org_id,
        one.key_id,
        one.endpoint,
        one.input_file,
        one.state,
        request_key,
        one.metadata,
        one.errors,
        one.total,
        one.made_at,
        one.expires_at,
        one.ended_at,
    )
    await conn.copy_records_to_table(
        "line",
        schema_name="batches",
        columns=("batch_id", "at", "custom_id", "model", "body_start", "body_bytes", "state", "due_at"),
        records=[
            (one.id, at, line.custom_id, line.model, line.body_start, line.body_bytes, "waiting", one.made_at)
            for at, line in enumerate(lines)
        ],
    )
    await changed(conn)


async def changed(conn: Connection) -> None:
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def batch(db: Connection | Database, batch_id: UUID, org_id: UUID | None) -> Batch | None:
    row = await db.fetchrow(f"{_BATCH} WHERE b.id = $1 AND ($2::uuid IS NULL OR b.org_id = $2)", batch_id, org_id)
    return None if row is None else _batch(row)


async def batch_by_key(conn: Connection, org_id: UUID, request_key: str) -> Batch | None:
    row = await conn.fetchrow(f"{_BATCH} WHERE b.org_id = $1 AND b.request_key = $2", org_id, request_key)
    return None if row is None else _batch(row)


async def batches(db: Database, org_id: UUID | None, after: UUID | None, limit: int) -> list[Batch]:
    rows = await db.fetch(
        f"""{_BATCH} WHERE ($1::uuid IS NULL OR b.org_id = $1) AND ($2::uuid IS NULL OR b.id < $2)
            ORDER BY b.id DESC LIMIT $3""",
        org_id,
        after,
        limit,
    )
    return [_batch(row) for row in rows]


async def open_count(conn: Connection, org_id: UUID) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM batches.batch WHERE org_id = $1 AND ended_at IS NULL", org_id
    )
    return found


async def cancel(conn: Connection, batch_id: UUID, now: datetime) -> None:
    """Run nothing more of a batch; what runs is finished."""
    await conn.execute(
        """UPDATE batches.batch SET state = 'cancelling', cancelling_at = $2
            WHERE id = $1 AND state = 'in_progress'""",
        batch_id,
        now,
    )
    await conn.execute("UPDATE batches.line SET state = 'dropped' WHERE batch_id = $1 AND state = 'waiting'", batch_id)
    await changed(conn)


async def expire(db: Database, now: datetime) -> None:
    """Drop what waits in batches whose time is over, and what was put back while its batch was cancelled."""
    await db.execute(
        """UPDATE batches.line l SET state = 'dropped' FROM batches.batch b
            WHERE l.batch_id = b.id AND l.state = 'waiting' AND b.ended_at IS NULL
              AND (b.expires_at <= $1 OR b.state = 'cancelling')""",
        now,
    )


async def finished(db: Database) -> list[Batch]:
    """Open batches without an open line: their results can be written."""
    rows = await db.fetch(
        f"""{_BATCH} WHERE b.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM batches.line l WHERE l.batch_id = b.id
              AND l.state IN ('waiting', 'running', 'answered')) LIMIT $1""",
        SWEEP_MAX,
    )
    return [_batch(row) for row in rows]


async def finalizing(db: Database, batch_id: UUID, now: datetime) -> None:
    await db.execute(
        "UPDATE batches.batch SET finalizing_at = coalesce(finalizing_at, $2) WHERE id = $1", batch_id, now
    )


async def end(
    conn: Connection, batch_id: UUID, state: str, output: UUID | None, errors: UUID | None, now: datetime
) -> None:
    await conn.execute(
        """UPDATE batches.batch SET state = $2, output_file = $3, error_file = $4, ended_at = $5
            WHERE id = $1 AND ended_at IS NULL""",
        batch_id,
        state,
        output,
        errors,
        now,
    )


async def answers_to_go(db: Database) -> list[UUID]:
    """Batches that have ended, and whose lines' answers may still lie beside their results."""
    rows = await db.fetch(
        "SELECT id FROM batches.batch WHERE ended_at IS NOT NULL AND answers_gone_at IS NULL LIMIT $1", SWEEP_MAX
    )
    return [row["id"] for row in rows]


async def answers_are_gone(db: Database, batch_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE batches.batch SET answers_gone_at = $2 WHERE id = $1", batch_id, now)


# -- lines ------------------------------------------------------------------------------------------------------------


async def lines(db: Database, batch_id: UUID, after: int) -> list[Line]:
    """A page of a batch's lines, in the file's order."""
    rows = await db.fetch(
        "SELECT * FROM batches.line WHERE batch_id = $1 AND at > $2 ORDER BY at LIMIT $3", batch_id, after, LINES_PAGE
    )
    return [_line(row) for row in rows]


async def waiting_models(db: Database, now: datetime) -> list[str]:
    """Models that a line waits for which may run now."""
    rows = await db.fetch(
        """SELECT DISTINCT model FROM batches.line WHERE state = 'waiting' AND due_at <= $1 LIMIT $2""", now, SWEEP_MAX
    )
    return [row["model"] for row in rows]


async def any_open(db: Database) -> bool:
    return bool(await db.fetchval("SELECT EXISTS (SELECT 1 FROM batches.batch WHERE ended_at IS NULL)"))


async def take(db: Database, model: str, most: int, worker: str, now: datetime) -> list[Taken]:
    """Take up to `most` lines for this worker, of the batch that has waited longest for its turn."""
    async with db.transaction() as conn:
        row = await conn.fetchrow(
            """SELECT b.id, b.org_id, b.key_id, b.endpoint, b.input_file, b.metadata FROM batches.batch b
                WHERE b.state = 'in_progress' AND b.expires_at > $2 AND EXISTS (SELECT 1 FROM batches.line l
                      WHERE l.batch_id = b.id AND l.state = 'waiting' AND l.model = $1 AND l.due_at <= $2)
                ORDER BY b.turn_at NULLS FIRST, b.id LIMIT 1 FOR UPDATE OF b SKIP LOCKED""",
            model,
            now,
        )
        if row is None:
            return []
        await conn.execute("UPDATE batches.batch SET turn_at = $2 WHERE id = $1", row["id"], now)
        chosen = await conn.fetch(
            """SELECT at FROM batches.line WHERE batch_id = $1 AND state = 'waiting' AND model = $2 AND due_at <= $3
                ORDER BY at LIMIT $4 FOR UPDATE""",
            row["id"],
            model,
            now,
            most,
        )
        found = await conn.fetch(
            """UPDATE batches.line l SET state = 'running', worker = $2, taken_at = $3, receipt_id = c.receipt_id,
                      tries = tries + 1
                 FROM unnest($4::int[], $5::uuid[]) AS c(at, receipt_id)
                WHERE l.batch_id = $1 AND l.at = c.at RETURNING l.*""",
            row["id"],
            worker,
            now,
            [one["at"] for one in chosen],
            [new_id() for _ in chosen],
        )
    return [
        Taken(
            _line(one),
            one["receipt_id"],
            row["key_id"],
            row["endpoint"],
            row["input_file"],
            row["org_id"],
            row["metadata"],
        )
        for one in found
    ]


async def answered(db: Database, taken: Taken) -> bool:
    """The answer is kept; False when the line is not this try's any more."""
    return await _move(db, taken, "('running')", "state = 'answered'")


async def done(db: Database, taken: Taken, status: int) -> bool:
    """The line is over: answered and charged, or refused for good."""
    state = "done" if status == 200 else "failed"
    return await _move(db, taken, "('running', 'answered')", f"state = '{state}', status = $4", status)


async def put_back(db: Database, taken: Taken, due_at: datetime) -> bool:
    """Run the line again later, or not at all if its batch was cancelled meanwhile."""
    return await _move(
        db,
        taken,
        "('running', 'answered')",
        """worker = NULL, taken_at = NULL, due_at = $4, state = CASE WHEN (SELECT b.state FROM batches.batch b
             WHERE b.id = batch_id) = 'in_progress' THEN 'waiting' ELSE 'dropped' END""",
        due_at,
    )


async def _move(db: Database, taken: Taken, states: str, changes: str, *values: Any) -> bool:
    found = await db.writes.fetchval(
        f"""UPDATE batches.line SET {changes} WHERE batch_id = $1 AND at = $2 AND receipt_id = $3 AND state IN {states}
            RETURNING true""",
        taken.line.batch_id,
        taken.line.at,
        taken.receipt_id,
        *values,
    )
    return bool(found)


async def left_behind(db: Database, worker: str | None, before: datetime) -> list[tuple[Taken, datetime]]:
    """Lines that a worker had when it ended, or (None) that anybody took before an instant, and when."""
    rows = await db.fetch(
        """SELECT l.*, b.org_id, b.key_id, b.endpoint, b.input_file
             FROM batches.line l JOIN batches.batch b ON b.id = l.batch_id
            WHERE l.state IN ('running', 'answered') AND ($1::text IS NULL OR l.worker = $1) AND l.taken_at <= $2
            LIMIT $3""",
        worker,
        before,
        LINES_PAGE,
    )
    return [
        (
            Taken(_line(one), one["receipt_id"], one["key_id"], one["endpoint"], one["input_file"], one["org_id"]),
            one["taken_at"],
        )
        for one in rows
    ]
