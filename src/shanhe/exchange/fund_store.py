"""SQL of fund payments, interventions and disputes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.exchange.model import Market
from shanhe.kernel.db import Database

Connection = Any
ENDOWMENT = "stability_fund"
"""The kind of posting that moves cash of the ecosystem fund to the stability fund."""


async def insert(
    conn: Connection, identifier: UUID, org_id: UUID, amount_fen: int, reason: str, by: str, now: datetime
) -> Any:
    await conn.execute(
        """INSERT INTO exchange.fund_payment (id, org_id, amount_fen, reason, asked_by, asked_at)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING""",
        identifier, org_id, amount_fen, reason, by, now,
    )  # fmt: skip
    return await payment(conn, identifier)


async def payment(conn: Connection | Database, identifier: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM exchange.fund_payment WHERE id = $1", identifier)


async def payments(db: Database, limit: int) -> list[Any]:
    return await db.fetch("SELECT * FROM exchange.fund_payment ORDER BY id DESC LIMIT $1", limit)


async def open_payments(db: Database, limit: int) -> list[Any]:
    return await db.fetch("SELECT * FROM exchange.fund_payment WHERE state = 'open' ORDER BY id LIMIT $1", limit)


async def close(db: Database, identifier: UUID, state: str, now: datetime) -> None:
    await db.execute(
        "UPDATE exchange.fund_payment SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'open'",
        identifier, state, now,
    )  # fmt: skip


async def totals(db: Database, market: Market, account: UUID) -> Any:
    """Of a market's fund: fees less what reversals gave back, settled trades, payments, what went to the stability
    fund."""
    return await db.fetchrow(
        """SELECT f.fees_fen + s.fees - (
                    SELECT coalesce(sum(r.fee_fen), 0)::bigint FROM exchange.reversal r
                    JOIN exchange.trade t ON t.id = r.trade_id WHERE t.market = $1) AS fees,
                  f.trades + s.trades AS trades,
                  (SELECT coalesce(sum(amount_fen), 0)::bigint FROM exchange.fund_payment WHERE state = 'paid') AS paid,
                  (SELECT coalesce(sum(t.amount), 0)::bigint FROM ledger.transfer t
                   JOIN ledger.posting p ON p.id = t.posting AND p.kind = $3 WHERE t.debit = $2) AS endowed
           FROM exchange.fee_total f, LATERAL (
             SELECT coalesce(sum(fee_fen), 0)::bigint AS fees, count(*) AS trades FROM exchange.trade
             WHERE market = $1 AND seq > f.seq AND settled_at IS NOT NULL) s
           WHERE f.market = $1""",
        market, account, ENDOWMENT,
    )  # fmt: skip


async def sum_up(conn: Connection, market: Market) -> None:
    """Take what settled since into the total, up to where every trade has. Needs a transaction."""
    await conn.fetchrow("SELECT FROM exchange.fee_total WHERE market = $1 FOR UPDATE", market)
    await conn.execute(
        """UPDATE exchange.fee_total f SET seq = s.seq, fees_fen = f.fees_fen + s.fees, trades = f.trades + s.trades
           FROM (SELECT m.settled AS seq, coalesce(sum(t.fee_fen), 0)::bigint AS fees, count(t.id) AS trades
                 FROM exchange.fee_total o JOIN exchange.matcher m ON m.market = o.market
                 LEFT JOIN exchange.trade t ON t.market = o.market AND t.seq > o.seq AND t.seq <= m.settled
                                             AND t.settled_at IS NOT NULL
                 WHERE o.market = $1 GROUP BY 1) s
           WHERE f.market = $1 AND s.seq > f.seq""",
        market,
    )


# -- stability --------------------------------------------------------------------------------------------------------


async def average(db: Database, market: Market, since: datetime) -> int:
    """Mean price by volume since an instant, in ticks, rounded down; 0 without trades."""
    value = await db.fetchval(
        """SELECT div(sum(ticks::numeric * quantity), sum(quantity))::bigint FROM exchange.trade
           WHERE market = $1 AND at >= $2 AND void_at IS NULL""",
        market, since,
    )  # fmt: skip
    return int(value or 0)


async def float_micro(db: Database, kind: str, now: datetime) -> int:
    """Credits that may trade now, whoever has them, in an order or not: of accounts and lots as in
    `ledger.tradeable_of`."""
    value = await db.fetchval(
        """SELECT sum(greatest(0, least(s.whole, a.balance - coalesce(a.floor, 0))))::bigint
           FROM (SELECT l.account, sum(l.remaining) AS whole FROM ledger.lot l
                 WHERE l.open AND l.provenance <> 'subsidy' AND l.earmark IS NULL
                   AND (l.unlock_at IS NULL OR l.unlock_at <= $2) AND (l.spendable_at IS NULL OR l.spendable_at <= $2)
                   AND (l.expires_at IS NULL OR l.expires_at > $2)
                 GROUP BY l.account) s
           JOIN ledger.account a ON a.id = s.account WHERE a.kind = $1""",
        kind, now,
    )  # fmt: skip
    return int(value or 0)


async def used_today(db: Database, org_id: UUID, market: Market, day: date) -> int:
    """What the fund's orders of a day in a market traded or may still trade."""
    value = await db.fetchval(
        """SELECT sum(CASE WHEN state = 'open' THEN quantity ELSE filled END)::bigint FROM exchange.orders
           WHERE org_id = $1 AND market = $2 AND ordered_on = $3""",
        org_id, market, day,
    )  # fmt: skip
    return int(value or 0)


async def insert_intervention(
    db: Database, identifier: UUID, at: datetime, side: int, ticks: int, quantity: int, trace: Any
) -> None:
    await db.execute(
        """INSERT INTO exchange.intervention (id, at, side, ticks, quantity, trace) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (id) DO NOTHING""",
        identifier, at, side, ticks, quantity, trace,
    )  # fmt: skip


async def delete_intervention(db: Database, identifier: UUID) -> None:
    await db.execute("DELETE FROM exchange.intervention WHERE id = $1", identifier)


async def interventions(db: Database, limit: int) -> list[Any]:
    """Newest first; those whose order was accepted."""
    return await db.fetch(
        """SELECT i.* FROM exchange.intervention i WHERE EXISTS (SELECT FROM exchange.orders o WHERE o.id = i.id)
            ORDER BY i.id DESC LIMIT $1""",
        limit,
    )


# -- disputes ---------------------------------------------------------------------------------------------------------


async def insert_dispute(
    db: Database, identifier: UUID, order_id: UUID, org_id: UUID, text: str, actor: str, now: datetime
) -> Any:
    await db.execute(
        """INSERT INTO exchange.dispute (id, order_id, org_id, text, state, actor, created_at)
           VALUES ($1, $2, $3, $4, 'open', $5, $6) ON CONFLICT (id) DO NOTHING""",
        identifier, order_id, org_id, text, actor, now,
    )  # fmt: skip
    return await dispute(db, identifier)


async def dispute(db: Database, identifier: UUID) -> Any:
    return await db.fetchrow("SELECT * FROM exchange.dispute WHERE id = $1", identifier)


async def disputes(db: Database, org_id: UUID | None, open_only: bool, limit: int) -> list[Any]:
    """Newest first; those that wait: oldest first."""
    return await db.fetch(
        """SELECT * FROM exchange.dispute WHERE ($1::uuid IS NULL OR org_id = $1) AND (NOT $2 OR state = 'open')
           ORDER BY CASE WHEN $2 THEN created_at END, created_at DESC, id DESC LIMIT $3""",
        org_id, open_only, limit,
    )  # fmt: skip


async def decide_dispute(db: Database, identifier: UUID, state: str, answer: str, actor: str, now: datetime) -> Any:
    """As it stands then: the first answer counts."""
    await db.execute(
        """UPDATE exchange.dispute SET state = $2, answer = $3, decided_by = $4, decided_at = $5
           WHERE id = $1 AND state = 'open'""",
        identifier, state, answer, actor, now,
    )  # fmt: skip
    return await dispute(db, identifier)
