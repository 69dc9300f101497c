"""SQL of refunds. Callers hold the transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.payments.model import Order, Refund, RefundState
from shanhe.payments.store import ORDER_COLUMNS, Connection, order_of

REFUND_COLUMNS = (
    "id, order_id, client_ref, amount_fen, reason, actor, state, provider_ref, created_at, decided_at, settled_at,"
    " settled_ref"
)


def _refund(row: Any) -> Refund:
    return Refund(**{**dict(row), "state": RefundState(row["state"])})


async def insert_refund(
    conn: Connection,
    held: Order,
    client_ref: str,
    amount_fen: int,
    reason: str,
    actor: str,
    refund_id: UUID,
    now: datetime,
) -> Refund:
    row = await conn.fetchrow(
        f"""INSERT INTO payments.refund (id, order_id, client_ref, amount_fen, reason, actor, state, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, 'requested', $7) RETURNING {REFUND_COLUMNS}""",
        refund_id,
        held.id,
        client_ref,
        amount_fen,
        reason,
        actor,
        now,
    )
    return _refund(row)


async def refund_by_ref(conn: Connection, order_id: UUID, client_ref: str) -> Refund | None:
    row = await conn.fetchrow(
        f"SELECT {REFUND_COLUMNS} FROM payments.refund WHERE order_id = $1 AND client_ref = $2", order_id, client_ref
    )
    return None if row is None else _refund(row)


async def refund(conn: Connection | Database, refund_id: UUID, *, lock: bool = False) -> Refund | None:
    row = await conn.fetchrow(
        f"SELECT {REFUND_COLUMNS} FROM payments.refund WHERE id = $1{' FOR UPDATE' if lock else ''}", refund_id
    )
    return None if row is None else _refund(row)


async def refunds_of(db: Database, order_id: UUID) -> list[Refund]:
    rows = await db.fetch(f"SELECT {REFUND_COLUMNS} FROM payments.refund WHERE order_id = $1 ORDER BY id", order_id)
    return [_refund(row) for row in rows]


async def open_refunds(db: Database, *, checked_before: datetime, limit: int) -> list[Refund]:
    """Refunds without an outcome: those the provider has not taken, and those nobody asked about lately."""
    rows = await db.fetch(
        f"""SELECT {REFUND_COLUMNS} FROM payments.refund
            WHERE state = 'requested' AND (provider_ref IS NULL OR coalesce(checked_at, created_at) < $1)
            ORDER BY coalesce(checked_at, created_at), id LIMIT $2""",
        checked_before,
        limit,
    )
    return [_refund(row) for row in rows]


async def touch(db: Database, refund_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE payments.refund SET checked_at = $2 WHERE id = $1", refund_id, now)


async def unsettled(db: Database, purpose: str, after: UUID | None, limit: int) -> list[Refund]:
    columns = ", ".join(f"r.{name.strip()}" for name in REFUND_COLUMNS.split(","))
    rows = await db.fetch(
        f"""SELECT {columns} FROM payments.refund r JOIN payments.pay_order o ON o.id = r.order_id
            WHERE r.state <> 'requested' AND r.settled_at IS NULL AND o.purpose = $1
              AND ($2::uuid IS NULL OR r.id > $2) ORDER BY r.id LIMIT $3""",
        purpose,
        after,
        limit,
    )
    return [_refund(row) for row in rows]


async def settle(db: Database, refund_id: UUID, reference: UUID | None, now: datetime) -> None:
    await db.execute(
        """UPDATE payments.refund SET settled_at = $3, settled_ref = coalesce($2, settled_ref)
           WHERE id = $1 AND state <> 'requested' AND settled_at IS NULL""",
        refund_id,
        reference,
        now,
    )


async def promised_fen(conn: Connection, order_id: UUID) -> int:
    """Refunds of an order that succeeded or still may."""
    value: int = await conn.fetchval(
        "SELECT coalesce(sum(amount_fen), 0)::bigint FROM payments.refund WHERE order_id = $1 AND state <> 'failed'",
        order_id,
    )
    return value


async def set_refund_ref(db: Database, refund_id: UUID, provider_ref: str) -> None:
    await db.execute("UPDATE payments.refund SET provider_ref = $2 WHERE id = $1", refund_id, provider_ref)


async def decide_refund(conn: Connection, refund_id: UUID, to: RefundState, now: datetime) -> None:
    await conn.execute(
        "UPDATE payments.refund SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'requested'",
        refund_id,
        to,
        now,
    )


async def add_refunded(conn: Connection, order_id: UUID, amount_fen: int) -> Order:
    row = await conn.fetchrow(
        f"UPDATE payments.pay_order SET refunded_fen = refunded_fen + $2 WHERE id = $1 RETURNING {ORDER_COLUMNS}",
        order_id,
        amount_fen,
    )
    return order_of(row)


async def succeeded_between(db: Database, since: datetime, until: datetime, limit: int) -> list[Refund]:
    rows = await db.fetch(
        f"""SELECT {REFUND_COLUMNS} FROM payments.refund
            WHERE state = 'succeeded' AND decided_at >= $1 AND decided_at < $2 ORDER BY id LIMIT $3""",
        since,
        until,
        limit,
    )
    return [_refund(row) for row in rows]
