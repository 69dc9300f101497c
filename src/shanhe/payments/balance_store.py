"""SQL of the bank's balance against the books'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.db import Database
from shanhe.payments.balance_model import Kept

KEPT: Final = "id, day, bank_fen, ledger_fen, unexplained_fen, made_by, made_at, signed_by, signed_at"
assert KEPT.split(", ") == [field.name for field in fields(Kept)][:-1]
Connection = Any


async def lines(db: Database, since: datetime, until: datetime) -> list[Any]:
    """Lines in [since, until) that count: (file_hash, row, direction, amount_fen, at, order_id, reference)."""
    return await db.fetch(
        """SELECT file_hash, row, direction, amount_fen, at, order_id, reference FROM payments.bank_line
            WHERE state NOT IN ('duplicate', 'refused') AND at >= $1 AND at < $2 ORDER BY at, file_hash, row""",
        since, until,
    )  # fmt: skip


async def first_at(db: Database) -> datetime | None:
    """When the first line that counts was."""
    found: datetime | None = await db.fetchval(
        "SELECT min(at) FROM payments.bank_line WHERE state NOT IN ('duplicate', 'refused')"
    )
    return found


async def lines_fen(
    db: Database, until: datetime, *, after: datetime | None = None, without: str | None = None
) -> int:  # fmt: skip
    """What lines that count come to, before an instant, after another one, without those of a statement."""
    found: int = await db.fetchval(
        """SELECT coalesce(sum(CASE direction WHEN 'in' THEN amount_fen ELSE -amount_fen END), 0)::bigint
             FROM payments.bank_line
            WHERE state NOT IN ('duplicate', 'refused') AND at < $1 AND ($2::timestamptz IS NULL OR at > $2)
              AND ($3::text IS NULL OR file_hash <> $3)""",
        until, after, without,
    )  # fmt: skip
    return found


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


async def booked_orders(db: Database, postings: Sequence[UUID]) -> list[Any]:
    """(id, posting) of the orders that the books have by these postings."""
    return await db.fetch(
        "SELECT id, settled_ref AS posting FROM payments.pay_order WHERE settled_ref = ANY($1)", postings
    )


async def booked_outgoing(db: Database, postings: Sequence[UUID]) -> list[Any]:
    """(reference, posting) of the refunds and payouts that the books have by these postings, and that have a reference
    for the bank."""
    return await db.fetch(
        """SELECT o.reference, p.posting_id AS posting FROM payments.payout p
             JOIN payments.bank_outgoing o ON o.subject_id = p.id WHERE p.posting_id = ANY($1)
           UNION ALL
           SELECT o.reference, r.settled_ref FROM payments.refund r
             JOIN payments.bank_outgoing o ON o.subject_id = r.id WHERE r.settled_ref = ANY($1)""",
        postings,
    )


async def items(db: Database, lines: Sequence[tuple[str, int]], postings: Sequence[UUID]) -> list[Any]:
    """Items in suspense of these lines, that these postings put there or took out, or that they have the money of
    otherwise: with the order that each came for, the reference under which it was sent again, and what explains it."""
    own = [UUID(int=one.int ^ bit) for one in postings for bit in (0, 1, 2)]
    return await db.fetch(
        """SELECT s.id, s.file_hash, s.row, s.order_id, o.reference, ARRAY(
                    SELECT posting_id FROM payments.explanation x WHERE x.suspense_id = s.id) AS explained_by
             FROM payments.suspense s
             LEFT JOIN payments.bank_outgoing o ON o.subject_id = s.id
            WHERE s.id IN (
                    SELECT id FROM payments.suspense WHERE id = ANY($1)
                    UNION SELECT suspense_id FROM payments.explanation WHERE posting_id = ANY($2)
                    UNION SELECT i.id FROM payments.suspense i
                            JOIN unnest($3::text[], $4::int[]) l(h, r) ON (i.file_hash, i.row) = (l.h, l.r))""",
        own, postings, [line[0] for line in lines], [line[1] for line in lines],
    )  # fmt: skip


async def known_items(db: Database, ids: Sequence[UUID]) -> set[UUID]:
    """Those of these ids that are items in suspense."""
    return {row["id"] for row in await db.fetch("SELECT id FROM payments.suspense WHERE id = ANY($1)", ids)}


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


async def last_signed(db: Database, day: date, after: timedelta) -> Kept | None:
    """The last sheet of a day before this one that was signed, explains all, was made at least `after` its day was
    over, and that no statement taken in since reaches back to."""
    row = await db.fetchrow(
        f"""SELECT {KEPT}, sheet FROM payments.bank_balance b
             WHERE day < $1 AND signed_by IS NOT NULL AND unexplained_fen = 0
               AND made_at >= (day + 1)::timestamp AT TIME ZONE $2 + $3
               AND NOT EXISTS (SELECT FROM payments.bank_file f
                                WHERE f.uploaded_at >= b.made_at
                                  AND f.first_at < (b.day + 1)::timestamp AT TIME ZONE $2)
             ORDER BY day DESC, made_at DESC LIMIT 1""",
        day, str(CITY_TZ), after,
    )  # fmt: skip
    return None if row is None else _kept(row, msgspec.json.decode(row["sheet"]))


async def kept_sheets(db: Database, limit: int) -> list[Kept]:
    """Newest day first, of one day the newest first, without what is in them."""
    rows = await db.fetch(f"SELECT {KEPT} FROM payments.bank_balance ORDER BY day DESC, made_at DESC LIMIT $1", limit)
    return [_kept(row) for row in rows]
