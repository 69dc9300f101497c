"""SQL of refunds. A refund's row is locked before its state changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.credits.model import Refund, RefundState
from shanhe.kernel.db import Database

Connection = Any
COLUMNS = (
    "id, purchase_id, org_id, client_ref, state, refund_fen, consumed_micro, taken_micro, cancelled_micro,"
    " restored_fen, lots, rule_version, trace, posting_id, payout_posting_id, attempt, payout_ref, payout_method,"
    " reason, actor, created_at, decided_at, retried_by, paid_by"
)
NAMES = tuple(COLUMNS.split(", "))


def _refund(row: Any) -> Refund:
    values = dict(row)
    values["lots"] = {UUID(lot): amount for lot, amount in values["lots"].items()}
    return Refund(**(values | {"state": RefundState(values["state"])}))


async def insert(conn: Connection, refund: Refund) -> bool:
    """False when the purchase has a refund already, or the organisation used the reference."""
    values = [getattr(refund, name) for name in NAMES]
    values[NAMES.index("lots")] = {str(lot): amount for lot, amount in refund.lots.items()}
    marks = ", ".join(f"${index}" for index in range(1, len(NAMES) + 1))
    row = await conn.fetchrow(
        f"INSERT INTO credits.refund ({COLUMNS}, checked_at) VALUES ({marks}, ${NAMES.index('created_at') + 1})"
        " ON CONFLICT DO NOTHING RETURNING id",
        *values,
    )
    return row is not None


async def get(conn: Connection | Database, refund_id: UUID, *, lock: bool = False) -> Refund | None:
    row = await conn.fetchrow(
        f"SELECT {COLUMNS} FROM credits.refund WHERE id = $1{' FOR UPDATE' if lock else ''}", refund_id
    )
    return None if row is None else _refund(row)


async def of_purchase(conn: Connection | Database, purchase_id: UUID) -> Refund | None:
    """The one that counts."""
    row = await conn.fetchrow(
        f"SELECT {COLUMNS} FROM credits.refund WHERE purchase_id = $1 AND state <> 'void'", purchase_id
    )
    return None if row is None else _refund(row)


async def by_ref(conn: Connection | Database, org_id: UUID, client_ref: str) -> Refund | None:
    row = await conn.fetchrow(
        f"SELECT {COLUMNS} FROM credits.refund WHERE org_id = $1 AND client_ref = $2", org_id, client_ref
    )
    return None if row is None else _refund(row)


async def of_org(
    db: Database, org_id: UUID | None, *, waiting: bool = False, before: UUID | None, limit: int
) -> list[Refund]:
    """Newest first; `waiting`: those that are stuck, oldest first. `before`: the last one seen."""
    beyond, order = (">", "ASC") if waiting else ("<", "DESC")
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM credits.refund WHERE ($1::uuid IS NULL OR org_id = $1)
            AND ($2::uuid IS NULL OR id {beyond} $2) AND (NOT $4 OR state IN ('posted', 'failed'))
            ORDER BY id {order} LIMIT $3""",
        org_id,
        before,
        limit,
        waiting,
    )
    return [_refund(row) for row in rows]


async def due(db: Database, checked_before: datetime, limit: int) -> list[Refund]:
    """Refunds on their way that nobody looked at lately."""
    rows = await db.fetch(
        f"""SELECT {COLUMNS} FROM credits.refund WHERE state IN ('open', 'posted', 'sent', 'paying')
            AND checked_at <= $1 ORDER BY checked_at LIMIT $2""",
        checked_before,
        limit,
    )
    return [_refund(row) for row in rows]


async def touch(db: Database, refund_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE credits.refund SET checked_at = $2 WHERE id = $1", refund_id, now)


async def move(
    conn: Connection | Database, refund_id: UUID, to: RefundState, *, now: datetime | None = None,
    payout: tuple[str, str] | None = None, attempt: int | None = None, retried_by: str | None = None,
    paid_by: str | None = None,
) -> None:  # fmt: skip
    """`payout`: the method by which it is paid, and the payment's reference."""
    method, reference = payout or (None, None)
    await conn.execute(
        """UPDATE credits.refund SET state = $2, decided_at = coalesce($3, decided_at),
             payout_method = coalesce($4, payout_method), payout_ref = coalesce($5, payout_ref),
             attempt = coalesce($6, attempt), retried_by = coalesce($7, retried_by),
             paid_by = coalesce($8, paid_by) WHERE id = $1""",
        refund_id, to, now, method, reference, attempt, retried_by, paid_by,
    )  # fmt: skip


async def give_back_benefit(conn: Connection, beneficiary: UUID, year: int, fen: int) -> None:
    """The cap of what was not used is free again, in the year of the purchase."""
    await conn.execute(
        "UPDATE credits.benefit SET given_fen = given_fen - $3 WHERE beneficiary = $1 AND year = $2",
        beneficiary,
        year,
        fen,
    )
