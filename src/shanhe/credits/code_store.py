"""SQL of redeem codes: batches, hashes, claims, failed tries."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.credits.model import BatchState, ClaimedCode, CodeBatch
from shanhe.kernel.db import Database

Connection = Any
COLUMNS = (
    "id, client_ref, name, budget, codes, value_micro, provenance, earmark, state, expires_at, funding_posting,"
    " return_posting, returned_micro, end_reason, actor, created_at, ended_at, funded_by,"
    " exported_by, ended_by"
)
NAMES = tuple(COLUMNS.split(", "))


def _batch(row: Any) -> CodeBatch:
    values = dict(row)
    return CodeBatch(**(values | {"state": BatchState(values["state"])}))


async def insert_batch(db: Database, batch: CodeBatch) -> None:
    marks = ", ".join(f"${index}" for index in range(1, len(NAMES) + 1))
    await db.execute(
        f"INSERT INTO credits.code_batch ({COLUMNS}) VALUES ({marks}) ON CONFLICT (client_ref) DO NOTHING",
        *(getattr(batch, name) for name in NAMES),
    )


async def batch(conn: Connection | Database, batch_id: UUID, *, lock: bool = False) -> CodeBatch | None:
    row = await conn.fetchrow(
        f"SELECT {COLUMNS} FROM credits.code_batch WHERE id = $1{' FOR UPDATE' if lock else ''}", batch_id
    )
    return None if row is None else _batch(row)


async def batch_by_ref(db: Database, client_ref: str) -> CodeBatch | None:
    row = await db.fetchrow(f"SELECT {COLUMNS} FROM credits.code_batch WHERE client_ref = $1", client_ref)
    return None if row is None else _batch(row)


async def batches(db: Database, *, before: UUID | None, limit: int) -> list[CodeBatch]:
    rows = await db.fetch(
        f"""SELECT {COLUMNS}, (SELECT count(*) FROM credits.code c
                               WHERE c.batch_id = b.id AND c.org_id IS NOT NULL)::int AS redeemed
            FROM credits.code_batch b WHERE ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2""",
        before,
        limit,
    )
    return [_batch(row) for row in rows]


async def move_batch(
    conn: Connection | Database, batch_id: UUID, to: BatchState, *, now: datetime | None = None,
    returned_micro: int = 0, reason: str = "", by: str,
) -> None:  # fmt: skip
    await conn.execute(
        """UPDATE credits.code_batch SET state = $2, ended_at = $3, returned_micro = $4, end_reason = $5,
             funded_by = CASE WHEN $2 = 'funded' THEN $6 ELSE funded_by END,
             exported_by = CASE WHEN $2 = 'issued' THEN $6 ELSE exported_by END,
             ended_by = CASE WHEN $2 = 'ended' THEN $6 ELSE ended_by END
           WHERE id = $1""",
        batch_id,
        to,
        now,
        returned_micro,
        reason,
        by,
    )


async def over(db: Database, now: datetime, limit: int) -> list[CodeBatch]:
    """Batches with money whose codes have expired and that were not ended."""
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM credits.code_batch WHERE state IN ('funded', 'issued') AND expires_at <= $1
            ORDER BY expires_at LIMIT $2""",
        now,
        limit,
    )
    return [_batch(row) for row in rows]


async def drafts(db: Database, since: datetime, before: datetime, over: datetime, limit: int) -> list[CodeBatch]:
    """Batches that were asked for in [since, before] and have no money yet, and those that expired before `over`."""
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM credits.code_batch
            WHERE state = 'draft' AND (created_at BETWEEN $1 AND $2 OR expires_at <= $3) ORDER BY id DESC LIMIT $4""",
        since, before, over, limit,
    )  # fmt: skip
    return [_batch(row) for row in rows]


async def unreturned(db: Database, limit: int) -> list[CodeBatch]:
    """Ended batches whose rest may not have gone back to its budget."""
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM credits.code_batch b WHERE state = 'ended' AND returned_micro > 0
            AND NOT returned ORDER BY ended_at LIMIT $1""",
        limit,
    )
    return [_batch(row) for row in rows]


async def mark_returned(db: Database, batch_id: UUID) -> None:
    await db.execute("UPDATE credits.code_batch SET returned = true WHERE id = $1", batch_id)


async def insert_codes(conn: Connection, batch_id: UUID, hashes: list[bytes]) -> None:
    await conn.execute(
        """INSERT INTO credits.code (hash, batch_id, number)
           SELECT u.hash, $1, u.n FROM unnest($2::bytea[]) WITH ORDINALITY u(hash, n)""",
        batch_id,
        hashes,
    )


async def find_code(conn: Connection | Database, digest: bytes) -> ClaimedCode | None:
    row = await conn.fetchrow("SELECT * FROM credits.code WHERE hash = $1", digest)
    return None if row is None else ClaimedCode(**dict(row))


async def claim(
    conn: Connection, digest: bytes, org_id: UUID, actor: str, posting_id: UUID, now: datetime
) -> ClaimedCode | None:
    """The code, if nobody had it before."""
    row = await conn.fetchrow(
        """UPDATE credits.code SET org_id = $2, actor = $3, posting_id = $4, claimed_at = $5
           WHERE hash = $1 AND org_id IS NULL RETURNING *""",
        digest,
        org_id,
        actor,
        posting_id,
        now,
    )
    return None if row is None else ClaimedCode(**dict(row))


async def book(conn: Connection, digest: bytes, now: datetime) -> bool:
    row = await conn.fetchrow(
        "UPDATE credits.code SET booked_at = $2 WHERE hash = $1 AND booked_at IS NULL RETURNING hash", digest, now
    )
    return row is not None


async def unbooked(db: Database, before: datetime, limit: int) -> list[ClaimedCode]:
    rows = await db.fetch(
        "SELECT * FROM credits.code WHERE claimed_at <= $1 AND booked_at IS NULL ORDER BY claimed_at LIMIT $2",
        before,
        limit,
    )
    return [ClaimedCode(**dict(row)) for row in rows]


async def claimed(conn: Connection | Database, batch_id: UUID) -> int:
    value: int = await conn.fetchval(
        "SELECT count(*) FROM credits.code WHERE batch_id = $1 AND org_id IS NOT NULL", batch_id
    )
    return value


async def redeemed_by(db: Database, org_id: UUID, limit: int) -> list[dict[str, Any]]:
    rows = await db.fetch(
        """SELECT c.posting_id, c.claimed_at, c.booked_at, b.name, b.value_micro, b.provenance, b.earmark
           FROM credits.code c JOIN credits.code_batch b ON b.id = c.batch_id
           WHERE c.org_id = $1 ORDER BY c.claimed_at DESC LIMIT $2""",
        org_id,
        limit,
    )
    return [dict(row) for row in rows]


async def take_try(db: Database, org_id: UUID, hour: datetime, most: int) -> bool:
    """Count one more wrong code of an hour, before it is looked at; False when there were `most`."""
    row = await db.writes.fetchrow(
        """INSERT INTO credits.code_try AS t VALUES ($1, $2, 1)
           ON CONFLICT (org_id, hour) DO UPDATE SET failures = t.failures + 1 WHERE t.failures < $3 RETURNING true""",
        org_id, hour, most,
    )  # fmt: skip
    return row is not None


async def give_try_back(db: Database, org_id: UUID, hour: datetime) -> None:
    """It was none."""
    await db.execute(
        "UPDATE credits.code_try SET failures = failures - 1 WHERE org_id = $1 AND hour = $2", org_id, hour
    )


async def drop_tries(db: Database, before: datetime) -> None:
    await db.execute("DELETE FROM credits.code_try WHERE hour < $1", before)
