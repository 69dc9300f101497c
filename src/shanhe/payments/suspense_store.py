"""SQL of what waits in suspense and of what explains it. Callers hold the transaction where one is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.payments.bank_model import (
    BankLine,
    BookAs,
    Direction,
    Outgoing,
    Suspense,
    SuspenseKind,
    SuspenseState,
    resend_id,
)
from shanhe.payments.bank_store import OUTGOING

SUSPENSE = (
    "id, file_hash, row, kind, order_id, amount_fen, outgoing, owner, state, posted_at, note, decided_by, decided_at,"
    " released_at, created_at, assigned_by, fee_fen, wanted_back_by, wanted_back_at,"
    " booked_as, ARRAY(SELECT posting_id FROM payments.explanation x WHERE x.suspense_id = suspense.id ORDER BY 1)"
    " AS explained_by"
)
Connection = Any


def _suspense(row: Any) -> Suspense:
    found = dict(row)
    booked_as = found["booked_as"] and BookAs(found["booked_as"])
    kind, state = SuspenseKind(found["kind"]), SuspenseState(found["state"])
    return Suspense(**{**found, "kind": kind, "state": state, "booked_as": booked_as})


async def insert(
    conn: Connection, suspense_id: UUID, held: BankLine, kind: SuspenseKind, amount_fen: int, order_id: UUID | None,
    owner: str, now: datetime,
) -> None:  # fmt: skip
    """The next item of its kind of a row, which is locked."""
    await conn.execute(
        """INSERT INTO payments.suspense (id, file_hash, row, kind, part, order_id, amount_fen, outgoing, owner, state,
                                          created_at)
           SELECT $1, $2, $3, $4, count(*), $5, $6, $7, $8, 'open', $9 FROM payments.suspense
            WHERE (file_hash, row, kind) = ($2, $3, $4)""",
        suspense_id, held.file_hash, held.row, kind, order_id, amount_fen, held.direction is Direction.OUT, owner, now,
    )  # fmt: skip


async def item(conn: Connection | Database, suspense_id: UUID, *, lock: bool = False) -> Suspense | None:
    row = await conn.fetchrow(
        f"SELECT {SUSPENSE} FROM payments.suspense WHERE id = $1{' FOR UPDATE' if lock else ''}", suspense_id
    )
    return None if row is None else _suspense(row)


async def items(db: Database, state: SuspenseState | None, limit: int, *, before: UUID | None = None) -> list[Suspense]:
    """Newest first: their numbers begin with the time."""
    rows = await db.fetch(
        f"""SELECT {SUSPENSE} FROM payments.suspense WHERE ($1::text IS NULL OR state = $1)
            AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $2""",
        state,
        limit,
        before,
    )
    return [_suspense(row) for row in rows]


async def waiting_for(conn: Connection, order_id: UUID) -> list[Suspense]:
    """Open part payments of an order, oldest first, locked."""
    rows = await conn.fetch(
        f"""SELECT {SUSPENSE} FROM payments.suspense WHERE order_id = $1 AND kind = 'under' AND state = 'open'
            ORDER BY id FOR UPDATE""",
        order_id,
    )
    return [_suspense(row) for row in rows]


async def returning(conn: Connection, reference: str) -> Suspense | None:
    """The oldest open item whose line has this reference of what we send, locked."""
    row = await conn.fetchrow(
        f"""SELECT {SUSPENSE} FROM payments.suspense
             WHERE state = 'open' AND NOT outgoing AND order_id IS NULL AND (file_hash, row) IN (
                     SELECT file_hash, row FROM payments.bank_line WHERE reference = $1 AND state = 'suspense')
             ORDER BY id LIMIT 1 FOR UPDATE""",
        reference,
    )
    return None if row is None else _suspense(row)


async def decide(
    conn: Connection, suspense_id: UUID, state: SuspenseState, note: str, by: str, now: datetime, *, fee_fen: int = 0,
    booked_as: BookAs | None = None,
) -> None:  # fmt: skip
    await conn.execute(
        """UPDATE payments.suspense SET state = $2, note = $3, decided_by = $4, decided_at = $5, fee_fen = $6,
                                        booked_as = $7
           WHERE id = $1 AND state = 'open'""",
        suspense_id, state, note, by, now, fee_fen, booked_as,
    )  # fmt: skip


async def explain(conn: Connection, suspense_id: UUID, postings: Collection[UUID]) -> None:
    """Each posting once, for whichever item."""
    await conn.execute("INSERT INTO payments.explanation SELECT unnest($1::uuid[]), $2", list(postings), suspense_id)


async def turn(conn: Connection, posting_id: UUID) -> None:
    """Whoever names the same posting waits for this one."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", f"explains:{posting_id}")


async def hold_outgoing(conn: Connection, posting_id: UUID) -> None:
    """A line that would show the payout that a posting booked, or what was sent again, waits for this one."""
    await conn.execute(
        """SELECT FROM payments.bank_outgoing
            WHERE subject_id = $2 OR subject_id IN (SELECT id FROM payments.payout WHERE posting_id = $1) FOR UPDATE""",
        posting_id, resend_id(posting_id),
    )  # fmt: skip


async def shown_otherwise(conn: Connection, posting_id: UUID, reverses: UUID | None) -> bool:
    """Whether a statement has shown already what a posting booked: as an order, a refund or a payout or its return,
    because it explains another item, or as the line of an item, whose postings these are. Only what says that an item
    was sent back is yet to be shown, and what sent it again."""
    found: bool = await conn.fetchval(
        """SELECT EXISTS (SELECT FROM payments.explanation WHERE posting_id = $1)
               OR EXISTS (SELECT FROM payments.pay_order o JOIN payments.bank_order b ON b.order_id = o.id
                           WHERE o.settled_ref = $1 AND b.file_hash IS NOT NULL)
               OR EXISTS (SELECT FROM payments.bank_outgoing o JOIN payments.bank_line l USING (reference)
                            LEFT JOIN payments.payout p ON p.id = o.subject_id
                            LEFT JOIN payments.refund r ON r.id = o.subject_id
                           WHERE (coalesce(p.posting_id, r.settled_ref) = $1 OR o.subject_id = $5)
                             AND l.state = 'matched')
               OR EXISTS (SELECT FROM payments.payout JOIN payments.bank_line l USING (reference)
                           WHERE posting_id = $2 AND l.direction = 'in' AND l.state = 'matched')
               OR EXISTS (SELECT FROM payments.suspense
                           WHERE id = ANY($3) AND NOT (id = $4 AND state = 'returned')
                             AND NOT (id = $5 AND state = 'resent'))""",
        posting_id, reverses, [UUID(int=posting_id.int ^ bit) for bit in (0, 1, 2)], UUID(int=posting_id.int ^ 1),
        resend_id(posting_id),
    )  # fmt: skip
    return found


async def whole_files(db: Database, named: Collection[UUID]) -> tuple[list[UUID], dict[UUID, int]]:
    """Postings, by their ids; in place of the number of a bank's file those of the payouts that it sent, and those that
    book, in fen, what it sent again."""
    rows = await db.fetch(
        """SELECT batch, posting_id FROM payments.payout
            WHERE batch = ANY($1) AND state IN ('sent', 'confirmed') ORDER BY posting_id""",
        list(named),
    )
    again = await db.fetch(
        "SELECT batch, subject_id, amount_fen FROM payments.bank_outgoing WHERE batch = ANY($1)", list(named)
    )
    files = {row["batch"] for row in (*rows, *again)}
    postings = {*(one for one in named if one not in files), *(row["posting_id"] for row in rows)}
    return sorted(postings), {resend_id(row["subject_id"]): row["amount_fen"] for row in again}


async def sent_by(db: Database, postings: Sequence[UUID]) -> list[Outgoing]:
    """What of ours these postings sent."""
    rows = await db.fetch(
        f"""SELECT {OUTGOING} FROM payments.bank_outgoing
             WHERE subject_id = ANY($2) OR subject_id IN (SELECT id FROM payments.payout WHERE posting_id = ANY($1))""",
        list(postings), [resend_id(one) for one in postings],
    )  # fmt: skip
    return [Outgoing(**dict(row)) for row in rows]


async def resent_fen(conn: Connection, reference: str) -> int:
    """What came back of a transfer and is sent again already, with what the bank kept."""
    found: int = await conn.fetchval(
        """SELECT coalesce(sum(s.amount_fen + s.fee_fen), 0)::bigint
             FROM payments.suspense s JOIN payments.bank_line l USING (file_hash, row)
            WHERE s.state = 'resent' AND l.reference = $1""",
        reference,
    )
    return found


async def open_of(db: Database, org_id: UUID, limit: int) -> list[Suspense]:
    """Open items of money that came for an organisation's orders, newest first."""
    rows = await db.fetch(
        f"""SELECT {SUSPENSE} FROM payments.suspense WHERE state = 'open' AND order_id IN (
                     SELECT id FROM payments.pay_order WHERE org_id = $1) ORDER BY id DESC LIMIT $2""",
        org_id,
        limit,
    )
    return [_suspense(row) for row in rows]


async def want_back(conn: Connection, suspense_id: UUID, by: str, now: datetime) -> None:
    """The first one who says so counts."""
    await conn.execute(
        """UPDATE payments.suspense SET wanted_back_by = $2, wanted_back_at = $3
            WHERE id = $1 AND state = 'open' AND wanted_back_by IS NULL""",
        suspense_id, by, now,
    )  # fmt: skip


async def set_owner(db: Database, suspense_id: UUID, owner: str, by: str) -> bool:
    done = await db.execute(
        "UPDATE payments.suspense SET owner = $2, assigned_by = $3 WHERE id = $1 AND state = 'open'",
        suspense_id, owner, by,
    )  # fmt: skip
    return bool(done == "UPDATE 1")


async def unposted(db: Database, limit: int) -> list[Suspense]:
    rows = await db.fetch(
        f"""SELECT {SUSPENSE} FROM payments.suspense
            WHERE posted_at IS NULL OR (state <> 'open' AND released_at IS NULL) ORDER BY id LIMIT $1""",
        limit,
    )
    return [_suspense(row) for row in rows]


async def mark(db: Database, suspense_id: UUID, column: str, now: datetime) -> None:
    assert column in ("posted_at", "released_at")
    await db.execute(f"UPDATE payments.suspense SET {column} = $2 WHERE id = $1 AND {column} IS NULL", suspense_id, now)
