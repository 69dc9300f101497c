"""SQL of the bank's balance against the books'."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.payments.balance_model import Kept

KEPT: Final = "id, day, bank_fen, ledger_fen, unexplained_fen, made_by, made_at, signed_by, signed_at"
assert KEPT.split(", ") == [field.name for field in fields(Kept)][:-1]
Connection = Any


async def lines(db: Database) -> list[Any]:
    """Every line that counts: (file_hash, row, direction, amount_fen, at, order_id, reference), oldest first."""
    return await db.fetch(
        """SELECT file_hash, row, direction, amount_fen, at, order_id, reference FROM payments.bank_line
            WHERE state NOT IN ('duplicate', 'refused') ORDER BY at, file_hash, row"""
    )


async def moved_fen(db: Database, file_hash: str, until: datetime, twice: str) -> int:
    """What the lines of a statement before an instant come to, those too that another brought before."""
    found: int = await db.fetchval(
        """SELECT coalesce(sum(CASE direction WHEN 'in' THEN amount_fen ELSE -amount_fen END), 0)::bigint
             FROM payments.bank_line
            WHERE file_hash = $1 AND at < $2 AND state <> 'refused' AND NOT (state = 'duplicate' AND why = $3)""",
        file_hash, until, twice,
    )  # fmt: skip
    return found


async def unread(db: Database, until: datetime) -> int:
    """Rows that could not be read, of statements that begin before an instant."""
    found: int = await db.fetchval(
        """SELECT count(*) FROM payments.bank_line l JOIN payments.bank_file f ON f.hash = l.file_hash
            WHERE l.state = 'refused' AND f.first_at < $1""",
        until,
    )
    return found


async def booked_orders(db: Database) -> list[Any]:
    """(id, posting) of every order that the books have."""
    return await db.fetch("SELECT id, settled_ref AS posting FROM payments.pay_order WHERE settled_ref IS NOT NULL")


async def booked_outgoing(db: Database) -> list[Any]:
    """(reference, posting) of every refund and payout that has a reference for the bank."""
    return await db.fetch(
        """SELECT o.reference, coalesce(p.posting_id, r.settled_ref) AS posting FROM payments.bank_outgoing o
             LEFT JOIN payments.payout p ON p.id = o.subject_id LEFT JOIN payments.refund r ON r.id = o.subject_id
            WHERE coalesce(p.posting_id, r.settled_ref) IS NOT NULL"""
    )


async def items(db: Database) -> list[Any]:
    """Every item in suspense, with the order that it came for, the reference under which it was sent again, and the
    posting that has its money otherwise."""
    return await db.fetch(
        """SELECT s.id, s.file_hash, s.row, s.order_id, o.reference, ARRAY(
                    SELECT posting_id FROM payments.explanation x WHERE x.suspense_id = s.id) AS explained_by
             FROM payments.suspense s
             LEFT JOIN payments.bank_outgoing o ON o.subject_id = s.id"""
    )


# -- sheets that were signed ------------------------------------------------------------------------------------------


def _kept(row: Any, sheet: dict[str, object] | None = None) -> Kept:
    return Kept(**{name: row[name] for name in KEPT.split(", ")}, sheet=sheet or {})


async def keep(conn: Connection, kept: Kept) -> None:
    await conn.execute(
        f"INSERT INTO payments.bank_balance ({KEPT}, sheet) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *(getattr(kept, name) for name in KEPT.split(", ")),
        msgspec.json.encode(kept.sheet).decode(),
    )


async def sign(conn: Connection, sheet_id: UUID, by: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE payments.bank_balance SET signed_by = $2, signed_at = $3 WHERE id = $1 AND signed_by IS NULL",
        sheet_id, by, now,
    )  # fmt: skip


async def kept(db: Connection | Database, sheet_id: UUID) -> Kept | None:
    row = await db.fetchrow(f"SELECT {KEPT}, sheet FROM payments.bank_balance WHERE id = $1", sheet_id)
    return None if row is None else _kept(row, msgspec.json.decode(row["sheet"]))


async def kept_sheets(db: Database, limit: int) -> list[Kept]:
    """Newest day first, of one day the newest first, without what is in them."""
    rows = await db.fetch(f"SELECT {KEPT} FROM payments.bank_balance ORDER BY day DESC, made_at DESC LIMIT $1", limit)
    return [_kept(row) for row in rows]
