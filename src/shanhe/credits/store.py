"""SQL of quotes, purchases and benefits. Callers hold the transaction; money rows are locked before they are read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.credits.model import Priced, Purchase, PurchaseState, Quote, Source
from shanhe.kernel.db import Database

PRICED = (
    "value_fen, benefit_fen, paid_fen, purchased_micro, subsidy_micro, list_price_fen, category, rule_version, trace"
)
PURCHASE = (
    f"id, org_id, client_ref, source, method, actor, reason, beneficiary, year, {PRICED}, state, order_id, posting_id,"
    " created_at, decided_at"
)
PRICED_FIELDS = tuple(PRICED.split(", "))

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself for reads


def _priced(row: Any) -> Priced:
    return Priced(**{name: row[name] for name in PRICED_FIELDS})


def _purchase(row: Any) -> Purchase:
    rest = {name: value for name, value in dict(row).items() if name not in PRICED_FIELDS}
    rest |= {"source": Source(row["source"]), "state": PurchaseState(row["state"])}
    return Purchase(priced=_priced(row), **rest)


def priced_values(priced: Priced) -> tuple[Any, ...]:
    return tuple(getattr(priced, name) for name in PRICED_FIELDS)


# -- benefit ----------------------------------------------------------------------------------------------------------


async def used_fen(conn: Connection | Database, beneficiaries: Collection[UUID], year: int) -> int:
    """Benefit given or promised this year to those who share a cap, without a lock: for quotes."""
    value = await conn.fetchval(
        "SELECT sum(reserved_fen + given_fen)::bigint FROM credits.benefit WHERE beneficiary = ANY($1) AND year = $2",
        list(beneficiaries),
        year,
    )
    return int(value or 0)


async def lock_benefit(conn: Connection, beneficiaries: Collection[UUID], year: int) -> int:
    """Put the purchases of those who share a cap in a line; the benefit given or promised them this year, in fen."""
    wanted = sorted(set(beneficiaries))
    await conn.execute(
        "INSERT INTO credits.benefit (beneficiary, year) SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING",
        wanted,
        year,
    )
    rows = await conn.fetch(
        """SELECT reserved_fen + given_fen AS used FROM credits.benefit
           WHERE beneficiary = ANY($1) AND year = $2 ORDER BY beneficiary FOR UPDATE""",
        wanted,
        year,
    )
    return sum(row["used"] for row in rows)


async def move_benefit(conn: Connection, purchase: Purchase, *, reserved_fen: int, given_fen: int) -> None:
    await conn.execute(
        """UPDATE credits.benefit SET reserved_fen = reserved_fen + $3, given_fen = given_fen + $4
           WHERE beneficiary = $1 AND year = $2""",
        purchase.beneficiary,
        purchase.year,
        reserved_fen,
        given_fen,
    )


# -- quotes -----------------------------------------------------------------------------------------------------------


async def insert_quote(db: Database, quote: Quote) -> None:
    await db.execute(
        f"""INSERT INTO credits.quote (id, org_id, beneficiary, year, benefit_left_fen, created_at, expires_at,
                                       {PRICED})
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)""",
        quote.id,
        quote.org_id,
        quote.beneficiary,
        quote.year,
        quote.benefit_left_fen,
        quote.created_at,
        quote.expires_at,
        *priced_values(quote.priced),
    )


async def quote(db: Database, quote_id: UUID, org_id: UUID) -> Quote | None:
    row = await db.fetchrow("SELECT * FROM credits.quote WHERE id = $1 AND org_id = $2", quote_id, org_id)
    if row is None:
        return None
    return Quote(
        row["id"],
        row["org_id"],
        row["beneficiary"],
        row["year"],
        _priced(row),
        row["benefit_left_fen"],
        row["created_at"],
        row["expires_at"],
    )


async def drop_quotes(db: Database, before: datetime, limit: int) -> None:
    await db.execute(
        """DELETE FROM credits.quote WHERE id IN
           (SELECT id FROM credits.quote WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)""",
        before,
        limit,
    )


# -- purchases --------------------------------------------------------------------------------------------------------


async def insert_purchase(conn: Connection, purchase: Purchase) -> bool:
    """False when the organisation already used the client reference."""
    row = await conn.fetchrow(
        f"""INSERT INTO credits.purchase (id, org_id, client_ref, source, method, actor, reason, beneficiary, year,
                                          state, order_id, posting_id, created_at, checked_at, decided_at, {PRICED})
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14,
                    $15, $16, $17, $18, $19, $20, $21, $22, $23)
            ON CONFLICT (org_id, client_ref) DO NOTHING RETURNING id""",
        purchase.id,
        purchase.org_id,
        purchase.client_ref,
        purchase.source,
        purchase.method,
        purchase.actor,
        purchase.reason,
        purchase.beneficiary,
        purchase.year,
        purchase.state,
        purchase.order_id,
        purchase.posting_id,
        purchase.created_at,
        purchase.decided_at,
        *priced_values(purchase.priced),
    )
    return row is not None


async def purchase(conn: Connection | Database, purchase_id: UUID, *, lock: bool = False) -> Purchase | None:
    row = await conn.fetchrow(
        f"SELECT {PURCHASE} FROM credits.purchase WHERE id = $1{' FOR UPDATE' if lock else ''}", purchase_id
    )
    return None if row is None else _purchase(row)


async def purchase_by_ref(conn: Connection | Database, org_id: UUID, client_ref: str) -> Purchase | None:
    row = await conn.fetchrow(
        f"SELECT {PURCHASE} FROM credits.purchase WHERE org_id = $1 AND client_ref = $2", org_id, client_ref
    )
    return None if row is None else _purchase(row)


async def purchases_of(db: Database, org_id: UUID, *, before: UUID | None, limit: int) -> list[Purchase]:
    rows = await db.fetch(
        f"""SELECT {PURCHASE} FROM credits.purchase
            WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3""",
        org_id,
        before,
        limit,
    )
    return [_purchase(row) for row in rows]


async def decide_purchase(conn: Connection, purchase_id: UUID, to: PurchaseState, now: datetime) -> None:
    await conn.execute(
        "UPDATE credits.purchase SET state = $2, decided_at = $3 WHERE id = $1 AND state = 'open'", purchase_id, to, now
    )


async def stale_purchases(db: Database, *, auto: bool, checked_before: datetime, limit: int) -> list[Purchase]:
    """Open purchases nobody looked at lately, longest waiting first; automatic ones or all others."""
    rows = await db.fetch(
        f"""SELECT {PURCHASE} FROM credits.purchase
            WHERE state = 'open' AND (source = 'auto') = $1 AND checked_at < $2 ORDER BY checked_at LIMIT $3""",
        auto,
        checked_before,
        limit,
    )
    return [_purchase(row) for row in rows]


async def touch_purchase(db: Database, purchase_id: UUID, now: datetime) -> None:
    await db.execute("UPDATE credits.purchase SET checked_at = $2 WHERE id = $1", purchase_id, now)


async def auto_paid_fen(conn: Connection, org_id: UUID, start: datetime, end: datetime) -> int:
    """What automatic top-ups of [start, end) cost or are about to cost."""
    value: int = await conn.fetchval(
        """SELECT coalesce(sum(paid_fen), 0)::bigint FROM credits.purchase
           WHERE org_id = $1 AND source = 'auto' AND state <> 'closed' AND created_at >= $2 AND created_at < $3""",
        org_id,
        start,
        end,
    )
    return value
