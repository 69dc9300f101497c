"""SQL of remedies and the reversals they led to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.db import Database

Connection = Any
_REMEDY: Final = (
    "SELECT r.*, d.order_id, d.org_id, d.actor AS complainant FROM exchange.remedy r "
    "JOIN exchange.dispute d ON d.id = r.dispute_id"
)

_REVERSAL: Final = (
    "SELECT r.*, t.quantity AS traded FROM exchange.reversal r JOIN exchange.trade t ON t.id = r.trade_id"
)


async def insert(
    conn: Connection, identifier: UUID, dispute_id: UUID, trades: Sequence[UUID], reason: str, by: str, now: datetime
) -> bool:
    """False when another one of that dispute waits; true again for the same id."""
    await conn.execute(
        """INSERT INTO exchange.remedy (id, dispute_id, trades, reason, asked_by, asked_at)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING""",
        identifier, dispute_id, list(trades), reason, by, now,
    )  # fmt: skip
    return await remedy(conn, identifier) is not None


async def remedy(conn: Connection | Database, identifier: UUID) -> Any:
    return await conn.fetchrow(f"{_REMEDY} WHERE r.id = $1", identifier)


async def remedies(db: Database, org_id: UUID | None, open_only: bool, limit: int) -> list[Any]:
    """Newest first; those that wait: oldest first."""
    return await db.fetch(
        f"""{_REMEDY} WHERE ($1::uuid IS NULL OR d.org_id = $1) AND (NOT $2 OR r.state = 'open')
            ORDER BY CASE WHEN $2 THEN r.asked_at END, r.asked_at DESC, r.id DESC LIMIT $3""",
        org_id, open_only, limit,
    )  # fmt: skip


async def close(db: Database, identifier: UUID, state: str, by: str | None, now: datetime) -> None:
    await db.execute(
        "UPDATE exchange.remedy SET state = $2, decided_by = $3, decided_at = $4 WHERE id = $1 AND state = 'open'",
        identifier, state, by, now,
    )  # fmt: skip


async def reversible(db: Database, order_id: UUID, limit: int) -> list[UUID]:
    """Settled trades of an order that were not undone before, oldest first."""
    rows = await db.fetch(
        """SELECT t.id FROM exchange.trade t WHERE (t.buy = $1 OR t.sell = $1) AND t.settled_at IS NOT NULL
             AND NOT EXISTS (SELECT FROM exchange.reversal r WHERE r.trade_id = t.id)
           ORDER BY t.seq, t.n LIMIT $2""",
        order_id, limit,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def due(db: Database, at_once: int, limit: int) -> list[Any]:
    """Upheld disputes that nobody has asked to reverse yet, or only the first trades `at_once`, though a settled trade
    of theirs stands; oldest first."""
    return await db.fetch(
        """SELECT d.* FROM exchange.dispute d WHERE d.state = 'upheld'
             AND NOT EXISTS (SELECT FROM exchange.remedy m WHERE m.dispute_id = d.id
               AND (m.state = 'open' OR m.state = 'done' AND cardinality(m.trades) < $1))
             AND EXISTS (SELECT FROM exchange.trade t WHERE (t.buy = d.order_id OR t.sell = d.order_id)
               AND t.settled_at IS NOT NULL AND NOT EXISTS (SELECT FROM exchange.reversal r WHERE r.trade_id = t.id))
           ORDER BY d.id LIMIT $2""",
        at_once, limit,
    )  # fmt: skip


async def trade(db: Database, trade_id: UUID) -> Any:
    """A trade with the four accounts it moved."""
    return await db.fetchrow(
        """SELECT t.*, b.credit_account AS buyer_credits, b.cash_account AS buyer_cash,
                  s.credit_account AS seller_credits, s.cash_account AS seller_cash
           FROM exchange.trade t JOIN exchange.orders b ON b.id = t.buy JOIN exchange.orders s ON s.id = t.sell
           WHERE t.id = $1""",
        trade_id,
    )  # fmt: skip


async def insert_reversal(conn: Connection, values: tuple[Any, ...]) -> bool:
    """False when the trade was undone before."""
    row = await conn.fetchrow(
        """INSERT INTO exchange.reversal (trade_id, remedy_id, posting, quantity, cash_fen, fee_fen, bound, at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (trade_id) DO NOTHING RETURNING trade_id""",
        *values,
    )
    return row is not None


async def reversals(db: Database, remedy_ids: Sequence[UUID]) -> list[Any]:
    return await db.fetch(f"{_REVERSAL} WHERE r.remedy_id = ANY($1) ORDER BY t.seq, t.n", list(remedy_ids))


async def of_trades(db: Database, trade_ids: Sequence[UUID]) -> list[Any]:
    return await db.fetch(f"{_REVERSAL} WHERE r.trade_id = ANY($1)", list(trade_ids))


async def reversal(db: Database, trade_id: UUID) -> Any:
    return await db.fetchrow(f"{_REVERSAL} WHERE r.trade_id = $1", trade_id)
