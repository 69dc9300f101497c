"""SQL of statements that wait for a second person."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database

Connection = Any


@dataclass(frozen=True)
class Due:
    """An order by transfer. `came_fen`: parts of it that wait; `completed`: a line has completed it already."""

    order_id: UUID
    state: str
    amount_fen: int
    completed: bool
    came_fen: int


@dataclass(frozen=True)
class Sent:
    """What we have sent or are to send. `shown`: a line has shown it already."""

    amount_fen: int
    shown: bool


async def insert(
    conn: Connection, file_hash: str, key: UUID, name: str, content: bytes, now: datetime, most: int
) -> UUID | None:
    """Keep a statement; the key under which it is kept, that of the first time where it is there already. None where as
    many wait as may."""
    await conn.execute("LOCK TABLE payments.bank_held IN SHARE ROW EXCLUSIVE MODE")
    kept: UUID | None = await conn.fetchval(
        """INSERT INTO payments.bank_held (hash, key, name, content, held_at)
           SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT FROM payments.bank_held WHERE hash = $1)
                                        OR (SELECT count(*) FROM payments.bank_held) < $6
           ON CONFLICT (hash) DO UPDATE SET held_at = EXCLUDED.held_at RETURNING key""",
        file_hash, key, name, content, now, most,
    )  # fmt: skip
    return kept


async def content(db: Database, file_hash: str) -> tuple[UUID, str, bytes] | None:
    row = await db.fetchrow("SELECT key, name, content FROM payments.bank_held WHERE hash = $1", file_hash)
    return None if row is None else (row["key"], row["name"], row["content"])


async def all_(db: Database, limit: int) -> list[tuple[str, datetime]]:
    rows = await db.fetch("SELECT hash, held_at FROM payments.bank_held ORDER BY held_at, hash LIMIT $1", limit)
    return [(row["hash"], row["held_at"]) for row in rows]


async def delete(db: Database, file_hash: str, held_at: datetime | None) -> UUID | None:
    """The key that goes with it; None where nothing is there that was uploaded last at `held_at`."""
    key: UUID | None = await db.writes.fetchval(
        "DELETE FROM payments.bank_held WHERE hash = $1 AND ($2::timestamptz IS NULL OR held_at = $2) RETURNING key",
        file_hash, held_at,
    )  # fmt: skip
    return key


async def due(db: Database, references: Collection[str]) -> dict[str, Due]:
    """Orders by the references of their transfers."""
    rows = await db.fetch(
        """SELECT b.reference, o.id AS order_id, o.state, o.amount_fen, b.file_hash IS NOT NULL AS completed,
                  coalesce((SELECT sum(s.amount_fen) FROM payments.suspense s
                             WHERE s.order_id = o.id AND s.kind = 'under' AND s.state = 'open'), 0)::bigint AS came_fen
             FROM payments.bank_order b JOIN payments.pay_order o ON o.id = b.order_id
            WHERE b.reference = ANY($1)""",
        list(references),
    )
    return {row["reference"]: Due(*list(row.values())[1:]) for row in rows}


async def sent(db: Database, references: Collection[str]) -> dict[str, Sent]:
    """Refunds, payouts and what is sent again, by their references."""
    rows = await db.fetch(
        """SELECT reference, amount_fen, EXISTS (
                    SELECT FROM payments.bank_line l
                     WHERE l.reference = o.reference AND l.direction = 'out' AND l.state = 'matched') AS shown
             FROM payments.bank_outgoing o WHERE reference = ANY($1)""",
        list(references),
    )
    return {row["reference"]: Sent(row["amount_fen"], row["shown"]) for row in rows}
