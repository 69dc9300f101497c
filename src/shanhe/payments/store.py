"""SQL of orders, mandates and notifications. Callers hold the transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.payments.errors import OrderConflict
from shanhe.payments.model import (
    Created,
    Mandate,
    MandateState,
    Notification,
    Order,
    OrderRequest,
    State,
    Stray,
)

ORDER_COLUMNS = (
    "id, org_id, client_ref, purpose, provider, provider_ref, mandate_id, amount_fen, refunded_fen, subject,"
    " return_path, redirect_url, state, created_at, expires_at, paid_at, settled_at, settled_ref, details"
)
MANDATE_ROWS = 100
MANDATE_COLUMNS = (
    "id, org_id, client_ref, provider, provider_ref, limit_fen, state, redirect_url, created_at, decided_at"
)

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


def order_of(row: Any) -> Order:
    return Order(**{**dict(row), "state": State(row["state"])})


def _mandate(row: Any) -> Mandate:
    return Mandate(**{**dict(row), "state": MandateState(row["state"])})


# -- orders -----------------------------------------------------------------------------------------------------------


async def insert_order(
    conn: Connection, order_id: UUID, request: OrderRequest, *, now: datetime, expires_at: datetime
) -> Order:
    """Insert, or return the order that has the same (organisation, client reference).

    No conflict target: two requests at once may meet on the given id before they meet on the reference.
    """
    row = await conn.fetchrow(
        f"""INSERT INTO payments.pay_order (id, org_id, client_ref, purpose, provider, mandate_id, amount_fen, subject,
                                            return_path, state, created_at, expires_at, checked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'created', $10, $11, $10)
            ON CONFLICT DO NOTHING RETURNING {ORDER_COLUMNS}""",
        order_id,
        request.org_id,
        request.client_ref,
        request.purpose,
        request.provider,
        request.mandate_id,
        request.amount_fen,
        request.subject,
        request.return_path,
        now,
        expires_at,
    )
    if row is not None:
        await add_event(conn, order_id, None, State.CREATED, "ordered", now)
        return order_of(row)
    row = await conn.fetchrow(
        f"SELECT {ORDER_COLUMNS} FROM payments.pay_order WHERE org_id = $1 AND client_ref = $2",
        request.org_id,
        request.client_ref,
    )
    if row is None:  # the given id is another order's
        raise OrderConflict(request.client_ref)
    return order_of(row)


async def order(conn: Connection | Database, order_id: UUID, *, lock: bool = False) -> Order | None:
    row = await conn.fetchrow(
        f"SELECT {ORDER_COLUMNS} FROM payments.pay_order WHERE id = $1{' FOR UPDATE' if lock else ''}", order_id
    )
    return None if row is None else order_of(row)


async def orders_of(db: Database, org_id: UUID, *, before: UUID | None, limit: int) -> list[Order]:
    rows = await db.fetch(
        f"""SELECT {ORDER_COLUMNS} FROM payments.pay_order
            WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3""",
        org_id,
        before,
        limit,
    )
    return [order_of(row) for row in rows]


async def move(
    conn: Connection,
    held: Order,
    to: State,
    *,
    cause: str,
    now: datetime,
    provider_ref: str | None = None,
    created: Created | None = None,
    paid_at: datetime | None = None,
) -> Order:
    """Change the state of an order that the caller has locked, and write the event."""
    row = await conn.fetchrow(
        f"""UPDATE payments.pay_order
            SET state = $2, provider_ref = coalesce(provider_ref, $3), redirect_url = coalesce($4, redirect_url),
                paid_at = coalesce(paid_at, $5), checked_at = $6,
                details = coalesce($7, details),
                settled_at = CASE WHEN $2 = 'refunded' THEN NULL ELSE settled_at END
            WHERE id = $1 RETURNING {ORDER_COLUMNS}""",
        held.id,
        to,
        provider_ref,
        created.redirect_url if created else None,
        paid_at,
        now,
        dict(created.details) if created else None,
    )
    await add_event(conn, held.id, held.state, to, cause, now)
    return order_of(row)


async def set_redirect(conn: Connection, order_id: UUID, created: Created) -> Order:
    row = await conn.fetchrow(
        f"UPDATE payments.pay_order SET redirect_url = $2, details = $3 WHERE id = $1 RETURNING {ORDER_COLUMNS}",
        order_id,
        created.redirect_url,
        dict(created.details),
    )
    return order_of(row)


async def add_event(
    conn: Connection, order_id: UUID, state_from: State | None, state_to: State, cause: str, now: datetime
) -> None:
    await conn.execute(
        """INSERT INTO payments.order_event
           SELECT $1, coalesce(max(ordinal), 0) + 1, $2, $3, $4, $5 FROM payments.order_event WHERE order_id = $1""",
        order_id,
        state_from,
        state_to,
        cause,
        now,
    )


async def events(db: Database, order_id: UUID) -> list[dict[str, Any]]:
    rows = await db.fetch(
        "SELECT state_from, state_to, cause, at FROM payments.order_event WHERE order_id = $1 ORDER BY ordinal",
        order_id,
    )
    return [dict(row) for row in rows]


async def open_orders(db: Database, *, checked_before: datetime, limit: int) -> list[Order]:
    """Orders without an outcome that nobody asked the provider about lately, longest waiting first."""
    rows = await db.fetch(
        f"""SELECT {ORDER_COLUMNS} FROM payments.pay_order
            WHERE state IN ('created', 'pending', 'failed') AND checked_at < $1 ORDER BY checked_at LIMIT $2""",
        checked_before,
        limit,
    )
    return [order_of(row) for row in rows]


async def touch(db: Database, order_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE payments.pay_order SET checked_at = $2 WHERE id = $1", order_id, now)


async def unsettled(db: Database, purpose: str, after: UUID | None, limit: int) -> list[Order]:
    rows = await db.fetch(
        f"""SELECT {ORDER_COLUMNS} FROM payments.pay_order
            WHERE purpose = $1 AND settled_at IS NULL AND state IN ('paid', 'refunded', 'expired')
              AND ($2::uuid IS NULL OR id > $2)
            ORDER BY id LIMIT $3""",
        purpose,
        after,
        limit,
    )
    return [order_of(row) for row in rows]


async def settle(db: Database, order_id: UUID, state: State, reference: UUID | None, now: datetime) -> None:
    await db.execute(
        """UPDATE payments.pay_order SET settled_at = $3, settled_ref = coalesce($4, settled_ref)
           WHERE id = $1 AND state = $2 AND settled_at IS NULL""",
        order_id,
        state,
        now,
        reference,
    )


# -- mandates ---------------------------------------------------------------------------------------------------------


async def insert_mandate(
    conn: Connection | Database,
    mandate_id: UUID,
    org_id: UUID,
    client_ref: str,
    provider: str,
    limit_fen: int,
    now: datetime,
) -> Mandate:
    row = await conn.fetchrow(
        f"""INSERT INTO payments.mandate (id, org_id, client_ref, provider, limit_fen, state, created_at)
            VALUES ($1, $2, $3, $4, $5, 'pending', $6)
            ON CONFLICT (org_id, client_ref) DO UPDATE SET client_ref = EXCLUDED.client_ref
            RETURNING {MANDATE_COLUMNS}""",
        mandate_id,
        org_id,
        client_ref,
        provider,
        limit_fen,
        now,
    )
    return _mandate(row)


async def mandate(conn: Connection | Database, mandate_id: UUID, *, lock: bool = False) -> Mandate | None:
    row = await conn.fetchrow(
        f"SELECT {MANDATE_COLUMNS} FROM payments.mandate WHERE id = $1{' FOR UPDATE' if lock else ''}", mandate_id
    )
    return None if row is None else _mandate(row)


async def unsigned(
    db: Database, prefix: str, until: datetime, since: datetime, *, before: UUID | None = None
) -> list[Mandate]:  # fmt: skip
    """Mandates named so that nobody signed, asked for between two instants; a page, newest first."""
    rows = await db.fetch(
        f"""SELECT {MANDATE_COLUMNS} FROM payments.mandate WHERE state = 'pending' AND starts_with(client_ref, $1)
              AND created_at BETWEEN $3 AND $2 AND ($4::uuid IS NULL OR id < $4)
            ORDER BY id DESC LIMIT {MANDATE_ROWS}""",
        prefix, until, since, before,
    )  # fmt: skip
    return [_mandate(row) for row in rows]


async def set_mandate_created(db: Database, mandate_id: UUID, provider_ref: str, redirect_url: str) -> Mandate:
    row = await db.writes.fetchrow(
        f"""UPDATE payments.mandate SET provider_ref = coalesce(provider_ref, $2), redirect_url = $3
            WHERE id = $1 RETURNING {MANDATE_COLUMNS}""",
        mandate_id,
        provider_ref,
        redirect_url,
    )
    return _mandate(row)


async def set_mandate_state(conn: Connection | Database, mandate_id: UUID, to: MandateState, now: datetime) -> None:
    await conn.execute(
        "UPDATE payments.mandate SET state = $2, decided_at = $3 WHERE id = $1 AND state <> 'revoked'",
        mandate_id,
        to,
        now,
    )


# -- notifications ----------------------------------------------------------------------------------------------------


async def spend_nonce(conn: Connection, notification: Notification, now: datetime) -> bool:
    """Claim the nonce in the caller's transaction; False when an accepted notification used it."""
    row = await conn.fetchrow(
        """INSERT INTO payments.notification (provider, nonce, event_id, event, subject_id, changed, received_at)
           VALUES ($1, $2, $3, $4, $5, false, $6) ON CONFLICT DO NOTHING RETURNING nonce""",
        notification.provider,
        notification.nonce,
        notification.event_id,
        notification.event,
        notification.subject_id,
        now,
    )
    return row is not None


async def mark_changed(conn: Connection, notification: Notification) -> None:
    await conn.execute(
        "UPDATE payments.notification SET changed = true WHERE provider = $1 AND nonce = $2",
        notification.provider,
        notification.nonce,
    )


async def insert_stray(db: Database, stray_id: UUID, notification: Notification, why: str, now: datetime) -> None:
    """Once for each payment, however often the provider repeats itself."""
    await db.execute(
        """INSERT INTO payments.stray (id, provider, event_id, why, order_id, provider_ref, amount_fen, seen_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
        stray_id,
        notification.provider,
        notification.event_id,
        why,
        None if why == "unknown_order" else notification.subject_id,
        notification.provider_ref,
        notification.amount_fen,
        now,
    )


async def strays(db: Database, since: datetime, until: datetime, limit: int) -> list[Stray]:
    rows = await db.fetch(
        """SELECT id, provider, event_id, why, order_id, provider_ref, amount_fen, seen_at FROM payments.stray
           WHERE seen_at >= $1 AND seen_at < $2 ORDER BY id LIMIT $3""",
        since,
        until,
        limit,
    )
    return [Stray(**dict(row)) for row in rows]


async def paid_between(db: Database, since: datetime, until: datetime, limit: int) -> list[Order]:
    rows = await db.fetch(
        f"SELECT {ORDER_COLUMNS} FROM payments.pay_order WHERE paid_at >= $1 AND paid_at < $2 ORDER BY id LIMIT $3",
        since,
        until,
        limit,
    )
    return [order_of(row) for row in rows]
