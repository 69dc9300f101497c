"""SQL of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.webhooks.model import BATCH, CLAIM_S, ENDPOINTS_MAX, Delivery

DELIVERY = "id, endpoint, kind, notice, state, attempts, due_at, made_at, status, error, done_at"


async def add(conn: Any, row: tuple[Any, ...], org_id: UUID) -> bool:
    """Keep an address; the standing one for an id that is known. False when the organisation has too many."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"webhooks:{org_id}")
    there = await conn.fetchval(
        "SELECT count(*) FROM webhooks.endpoint WHERE org_id = $1 AND state <> 'removed' AND id <> $2", org_id, row[0]
    )
    if there >= ENDPOINTS_MAX:
        return False
    await conn.execute(
        """INSERT INTO webhooks.endpoint (id, org_id, form, address, kinds, made_by, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING""",
        *row,
    )
    return True


async def endpoint(db: Database, endpoint_id: UUID) -> Any:
    return await db.fetchrow("SELECT * FROM webhooks.endpoint WHERE id = $1 AND state <> 'removed'", endpoint_id)


async def endpoints(db: Database, org_id: UUID) -> Sequence[Any]:
    return await db.fetch(
        "SELECT * FROM webhooks.endpoint WHERE org_id = $1 AND state <> 'removed' ORDER BY made_at, id", org_id
    )


async def remove(db: Database, endpoint_id: UUID) -> None:
    """Forget where it was; what waits for it is given up."""
    async with db.transaction() as conn:
        await conn.execute(
            "UPDATE webhooks.endpoint SET state = 'removed', address = '{}', failing_since = NULL WHERE id = $1",
            endpoint_id,
        )
        await conn.execute(
            """UPDATE webhooks.delivery SET state = 'failed', error = 'removed', done_at = due_at
                WHERE endpoint = $1 AND state = 'pending'""",
            endpoint_id,
        )


async def switch(db: Database, endpoint_id: UUID, state: str) -> bool:
    """Active or stopped; whether that was a change."""
    done = await db.writes.fetchval(
        """UPDATE webhooks.endpoint SET state = $2, failing_since = NULL
            WHERE id = $1 AND state NOT IN ('removed', $2) RETURNING id""",
        endpoint_id,
        state,
    )
    return done is not None


async def give(conn: Any, endpoint_id: UUID, made_by: str) -> None:
    await conn.execute(
        "UPDATE webhooks.endpoint SET made_by = $2 WHERE id = $1 AND state <> 'removed'", endpoint_id, made_by
    )


async def turn(db: Any, endpoint_id: UUID, now: datetime, before: datetime) -> None:
    """The next secret from now on, unless that was done after `before`."""
    await db.execute(
        """UPDATE webhooks.endpoint SET turn = turn + 1, turned_at = $2
            WHERE id = $1 AND state <> 'removed' AND (turned_at IS NULL OR turned_at <= $3)""",
        endpoint_id,
        now,
        before,
    )


async def queue(
    db: Database, rows: Sequence[tuple[UUID, UUID]], notice_id: UUID, kind: str, notice: Any, now: datetime
) -> None:
    """One delivery for each (id, address), once for a notice."""
    await db.execute(
        """INSERT INTO webhooks.delivery (id, endpoint, notice_id, kind, notice, due_at, made_at)
           SELECT id, endpoint, $3, $4, $5, $6, $6 FROM unnest($1::uuid[], $2::uuid[]) AS fresh (id, endpoint)
               ON CONFLICT (endpoint, notice_id) DO NOTHING""",
        [one for one, _ in rows],
        [endpoint for _, endpoint in rows],
        notice_id,
        kind,
        notice,
        now,
    )


async def claim(db: Database, now: datetime) -> list[Delivery]:
    """What is due, counted as tried and put aside for the time that a try may take."""
    rows = await db.writes.fetch(
        f"""WITH due AS (SELECT d.id FROM webhooks.delivery d JOIN webhooks.endpoint e ON e.id = d.endpoint
                          WHERE d.state = 'pending' AND d.due_at <= $1 AND e.state = 'active'
                          ORDER BY d.due_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED)
            UPDATE webhooks.delivery SET attempts = attempts + 1, due_at = $3
             WHERE id IN (SELECT id FROM due) RETURNING {DELIVERY}""",
        now,
        BATCH,
        now + timedelta(seconds=CLAIM_S),
    )
    return [Delivery(**dict(row)) for row in rows]


async def sent(db: Database, one: Delivery, status: int, now: datetime) -> None:
    async with db.transaction() as conn:
        await conn.execute(
            "UPDATE webhooks.delivery SET state = 'sent', status = $2, error = NULL, done_at = $3 WHERE id = $1",
            one.id,
            status,
            now,
        )
        await conn.execute(
            "UPDATE webhooks.endpoint SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL",
            one.endpoint,
        )


async def failed(
    db: Database, one: Delivery, status: int | None, error: str, due_at: datetime | None, now: datetime
) -> None:
    """It was not taken; `due_at`: when it is tried again, None: never."""
    async with db.transaction() as conn:
        await conn.execute(
            """UPDATE webhooks.delivery SET status = $2, error = $3, due_at = coalesce($4, due_at),
                      state = CASE WHEN $4::timestamptz IS NULL THEN 'failed' ELSE 'pending' END,
                      done_at = CASE WHEN $4::timestamptz IS NULL THEN $5::timestamptz END
                WHERE id = $1""",
            one.id,
            status,
            error,
            due_at,
            now,
        )
        await conn.execute(
            "UPDATE webhooks.endpoint SET failing_since = coalesce(failing_since, $2) WHERE id = $1", one.endpoint, now
        )


async def deliveries(db: Database, endpoint_id: UUID, before: UUID | None, most: int) -> list[Delivery]:
    """The newest of an address, or those before one; ids are in the order of time."""
    rows = await db.fetch(
        f"""SELECT {DELIVERY} FROM webhooks.delivery WHERE endpoint = $1 AND ($2::uuid IS NULL OR id < $2)
             ORDER BY id DESC LIMIT $3""",
        endpoint_id,
        before,
        most,
    )
    return [Delivery(**dict(row)) for row in rows]


async def delivery(db: Database, delivery_id: UUID) -> Delivery | None:
    row = await db.fetchrow(f"SELECT {DELIVERY} FROM webhooks.delivery WHERE id = $1", delivery_id)
    return None if row is None else Delivery(**dict(row))


async def again(db: Database, endpoint_id: UUID, delivery_id: UUID | None, now: datetime) -> int:
    """Send one again, or all that were given up; how many."""
    rows = await db.writes.fetch(
        """UPDATE webhooks.delivery SET state = 'pending', attempts = 0, due_at = $3, done_at = NULL
            WHERE endpoint = $1 AND state <> 'pending' AND CASE WHEN $2::uuid IS NULL THEN state = 'failed'
                                                               ELSE id = $2 END RETURNING id""",
        endpoint_id,
        delivery_id,
        now,
    )
    return len(rows)


async def purge(db: Database, before: datetime) -> int:
    done = await db.execute("DELETE FROM webhooks.delivery WHERE made_at < $1 AND state <> 'pending'", before)
    await db.execute(
        """DELETE FROM webhooks.endpoint e WHERE state = 'removed'
              AND NOT EXISTS (SELECT FROM webhooks.delivery d WHERE d.endpoint = e.id)"""
    )
    return int(done.rsplit(" ", 1)[-1])
