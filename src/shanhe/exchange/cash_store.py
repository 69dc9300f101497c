"""SQL of deposits and withdrawals."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database

PAGE_ROWS = 200
Connection = Any


async def tradeable(db: Database, account: UUID, now: datetime) -> int:
    return int(await db.fetchval("SELECT ledger.tradeable($1, $2)", account, now))


async def insert_deposit(
    db: Database, deposit_id: UUID, org_id: UUID, client_ref: str, amount_fen: int, method: str, actor: str,
    now: datetime,
) -> Any:  # fmt: skip
    """The deposit with this reference, ordered now or before."""
    await db.execute(
        """INSERT INTO exchange.deposit (id, org_id, client_ref, amount_fen, method, state, actor, created_at)
           VALUES ($1, $2, $3, $4, $5, 'open', $6, $7) ON CONFLICT (org_id, client_ref) DO NOTHING""",
        deposit_id, org_id, client_ref, amount_fen, method, actor, now,
    )  # fmt: skip
    return await db.fetchrow("SELECT * FROM exchange.deposit WHERE (org_id, client_ref) = ($1, $2)", org_id, client_ref)


async def set_deposit(db: Database, deposit_id: UUID, state: str) -> None:
    await db.execute("UPDATE exchange.deposit SET state = $2 WHERE id = $1 AND state = 'open'", deposit_id, state)


async def withdrawal(conn: Connection | Database, withdrawal_id: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM exchange.withdrawal WHERE id = $1", withdrawal_id)


async def insert_withdrawal(
    conn: Connection, withdrawal_id: UUID, org_id: UUID, amount_fen: int, payee: str, actor: str, now: datetime
) -> None:
    await conn.execute(
        """INSERT INTO exchange.withdrawal (id, org_id, amount_fen, payee, state, actor, created_at)
           VALUES ($1, $2, $3, $4, 'open', $5, $6)""",
        withdrawal_id, org_id, amount_fen, payee, actor, now,
    )  # fmt: skip


async def decide_withdrawal(
    db: Database, withdrawal_id: UUID, state: str, reference: str, actor: str, now: datetime
) -> Any:
    await db.execute(
        """UPDATE exchange.withdrawal SET state = $2, reference = $3, decided_by = $4, decided_at = $5
           WHERE id = $1 AND state = 'open'""",
        withdrawal_id, state, reference, actor, now,
    )  # fmt: skip
    return await withdrawal(db, withdrawal_id)


async def withdrawals(db: Database, org_id: UUID | None, open_only: bool, limit: int) -> list[Any]:
    """Newest first; those that wait: oldest first."""
    return await db.fetch(
        """SELECT * FROM exchange.withdrawal WHERE ($1::uuid IS NULL OR org_id = $1) AND (NOT $2 OR state = 'open')
           ORDER BY CASE WHEN $2 THEN created_at END, created_at DESC, id DESC LIMIT $3""",
        org_id, open_only, limit,
    )  # fmt: skip
