"""SQL of bank transfers. Callers hold the transaction where one is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.kernel.sealing import MARK
from shanhe.payments import store
from shanhe.payments.bank_model import (
    BankFile,
    BankLine,
    BookAs,
    Direction,
    LineState,
    Outgoing,
    Suspense,
    SuspenseKind,
    SuspenseState,
)
from shanhe.payments.model import Order

LINE = (
    "file_hash, row, direction, amount_fen, at, party, party_account, remark, state, why, order_id, reference,"
    " confirmed_at, elsewhere"
)
SUSPENSE = (
    "id, file_hash, row, kind, order_id, amount_fen, outgoing, owner, state, posted_at, note, decided_by, decided_at,"
    " released_at, created_at, assigned_by, fee_fen, wanted_back_by, wanted_back_at,"
    " booked_as, ARRAY(SELECT posting_id FROM payments.explanation x WHERE x.suspense_id = suspense.id ORDER BY 1)"
    " AS explained_by"
)
OUTGOING = "reference, kind, subject_id, amount_fen, created_at, done_at, batch, payee_id"
DUPLICATE_WHY = "already in an earlier statement · 已在之前的对账单中"
PAYER_ROWS_MAX = 10_000
Connection = Any


def _line(row: Any) -> BankLine:
    direction = Direction(row["direction"]) if row["direction"] else None
    return BankLine(**{**dict(row), "direction": direction, "state": LineState(row["state"])})


def _suspense(row: Any) -> Suspense:
    found = dict(row)
    booked_as = found["booked_as"] and BookAs(found["booked_as"])
    kind, state = SuspenseKind(found["kind"]), SuspenseState(found["state"])
    return Suspense(**{**found, "kind": kind, "state": state, "booked_as": booked_as})


# -- what is to arrive and to leave -----------------------------------------------------------------------------------


async def reference_of(db: Database, order_id: UUID, wanted: str, amount_fen: int, now: datetime) -> str:
    """The order's reference; `wanted` when it has none yet."""
    found: str = await db.writes.fetchval(
        """INSERT INTO payments.bank_order (reference, order_id, amount_fen, created_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (order_id) DO UPDATE SET order_id = EXCLUDED.order_id RETURNING reference""",
        wanted,
        order_id,
        amount_fen,
        now,
    )
    return found


async def order_of(conn: Connection | Database, reference: str) -> UUID | None:
    found: UUID | None = await conn.fetchval("SELECT order_id FROM payments.bank_order WHERE reference = $1", reference)
    return found


async def insert_outgoing(
    conn: Connection | Database, reference: str, kind: str, subject_id: UUID, amount_fen: int, now: datetime
) -> Outgoing:
    row = await conn.fetchrow(
        f"""INSERT INTO payments.bank_outgoing (reference, kind, subject_id, amount_fen, created_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (subject_id) DO UPDATE SET subject_id = EXCLUDED.subject_id RETURNING {OUTGOING}""",
        reference,
        kind,
        subject_id,
        amount_fen,
        now,
    )
    return Outgoing(**dict(row))


async def outgoing(
    conn: Connection | Database, *, reference: str | None = None, subject_id: UUID | None = None
) -> Outgoing | None:
    row = await conn.fetchrow(
        f"SELECT {OUTGOING} FROM payments.bank_outgoing WHERE reference = $1 OR subject_id = $2", reference, subject_id
    )
    return None if row is None else Outgoing(**dict(row))


async def end_outgoing(conn: Connection | Database, reference: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE payments.bank_outgoing SET done_at = $2 WHERE reference = $1 AND done_at IS NULL", reference, now
    )


async def open_outgoing(db: Database, limit: int) -> list[Outgoing]:
    rows = await db.fetch(
        f"SELECT {OUTGOING} FROM payments.bank_outgoing WHERE done_at IS NULL ORDER BY created_at LIMIT $1", limit
    )
    return [Outgoing(**dict(row)) for row in rows]


# -- statements -------------------------------------------------------------------------------------------------------


async def insert_file(conn: Connection, file: BankFile) -> bool:
    """False when this very file was uploaded before."""
    done = await conn.execute(
        """INSERT INTO payments.bank_file (hash, name, encoding, lines, uploaded_by, uploaded_at, since, until,
                                           first_at, last_at, opening_fen, closing_fen, repeats)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING""",
        file.hash,
        file.name,
        file.encoding,
        file.lines,
        file.uploaded_by,
        file.uploaded_at,
        file.since,
        file.until,
        file.first_at,
        file.last_at,
        file.opening_fen,
        file.closing_fen,
        list(file.repeats),
    )
    return bool(done == "INSERT 0 1")


async def known(conn: Connection, prints: list[str]) -> dict[str, str]:
    """Which of these lines an earlier statement brought, and which one. Uploads take turns from here on, so that none
    slips through."""
    await conn.execute("LOCK TABLE payments.bank_line IN SHARE ROW EXCLUSIVE MODE")
    rows = await conn.fetch(
        """SELECT print, file_hash FROM payments.bank_line
            WHERE print = ANY($1) AND state NOT IN ('duplicate', 'refused')""",
        prints,
    )
    return {row["print"]: row["file_hash"] for row in rows}


async def lacking(conn: Connection, first: datetime, last: datetime, prints: list[str]) -> tuple[str, int] | None:
    """The statement that brought most of the lines between two instants that are none of these, and how many those
    are."""
    row = await conn.fetchrow(
        """SELECT f.name, count(*)::int AS lines
             FROM payments.bank_line l JOIN payments.bank_file f ON f.hash = l.file_hash
            WHERE l.at > $1 AND l.at < $2 AND l.state NOT IN ('duplicate', 'refused') AND l.print <> ALL($3)
            GROUP BY f.hash ORDER BY 2 DESC, 1 LIMIT 1""",
        first,
        last,
        prints,
    )
    return None if row is None else (row["name"], row["lines"])


async def insert_lines(conn: Connection, rows: Sequence[tuple[Any, ...]], known: Collection[str]) -> None:
    """Rows in the order (file_hash, row, print, direction, amount_fen, at, party, party_account, remark, state, why,
    payer_index). A line whose print is `known` becomes a duplicate."""
    told = [(*row[:9], LineState.DUPLICATE, DUPLICATE_WHY, row[11]) if row[2] in known else row for row in rows]
    await conn.executemany(
        """INSERT INTO payments.bank_line (file_hash, row, print, direction, amount_fen, at, party, party_account,
                                           remark, state, why, payer_index)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        told,
    )


async def set_elsewhere(conn: Connection, file_hash: str, rows: list[int]) -> None:
    await conn.execute(
        "UPDATE payments.bank_line SET elsewhere = true WHERE file_hash = $1 AND row = ANY($2)", file_hash, rows
    )


async def file(db: Database, file_hash: str) -> BankFile | None:
    row = await db.fetchrow("SELECT * FROM payments.bank_file WHERE hash = $1", file_hash)
    return None if row is None else BankFile(**dict(row))


async def files(db: Database, limit: int) -> list[BankFile]:
    rows = await db.fetch("SELECT * FROM payments.bank_file ORDER BY uploaded_at DESC LIMIT $1", limit)
    return [BankFile(**dict(row)) for row in rows]


async def lines(db: Database, file_hash: str, limit: int) -> list[BankLine]:
    rows = await db.fetch(
        f"SELECT {LINE} FROM payments.bank_line WHERE file_hash = $1 ORDER BY row LIMIT $2", file_hash, limit
    )
    return [_line(row) for row in rows]


async def new_lines(db: Database, limit: int) -> list[BankLine]:
    """Oldest first; of one instant, what left before what came: it may have come back."""
    rows = await db.fetch(
        f"""SELECT {LINE} FROM payments.bank_line WHERE state = 'new'
            ORDER BY at, direction DESC, file_hash, row LIMIT $1""",
        limit,
    )
    return [_line(row) for row in rows]


async def line(conn: Connection, file_hash: str, number: int) -> BankLine:
    row = await conn.fetchrow(
        f"SELECT {LINE} FROM payments.bank_line WHERE file_hash = $1 AND row = $2 FOR UPDATE", file_hash, number
    )
    return _line(row)


async def lines_at(db: Database, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], BankLine]:
    """Lines by file and row."""
    rows = await db.fetch(
        f"""SELECT {LINE} FROM payments.bank_line
             WHERE (file_hash, row) IN (SELECT * FROM unnest($1::text[], $2::int[]))""",
        [place[0] for place in places],
        [place[1] for place in places],
    )
    return {(row["file_hash"], row["row"]): _line(row) for row in rows}


async def awaited(
    db: Database, provider: str, states: Sequence[str], amounts_fen: list[int], limit: int
) -> list[Order]:
    """Orders of a provider in one of these states over one of these amounts, newest first."""
    rows = await db.fetch(
        f"""SELECT {store.ORDER_COLUMNS} FROM payments.pay_order
             WHERE provider = $1 AND state = ANY($2) AND amount_fen = ANY($3) ORDER BY id DESC LIMIT $4""",
        provider,
        states,
        amounts_fen,
        limit,
    )
    return [store.order_of(row) for row in rows]


async def awaited_of(
    db: Database, org_id: UUID, provider: str, states: Sequence[str], now: datetime, limit: int
) -> list[Order]:
    """An organisation's own orders that wait for money, newest first."""
    rows = await db.fetch(
        f"""SELECT {store.ORDER_COLUMNS} FROM payments.pay_order
             WHERE org_id = $1 AND provider = $2 AND state = ANY($3) AND expires_at > $4 ORDER BY id DESC LIMIT $5""",
        org_id,
        provider,
        states,
        now,
        limit,
    )
    return [store.order_of(row) for row in rows]


async def shown(conn: Connection, reference: str, direction: Direction = Direction.OUT) -> bool:
    """Whether a line has shown already that what has this reference was sent, or came back; others who ask wait for
    this one."""
    await conn.execute("SELECT FROM payments.bank_outgoing WHERE reference = $1 FOR UPDATE", reference)
    found: bool = await conn.fetchval(
        """SELECT EXISTS (SELECT FROM payments.bank_line
                           WHERE reference = $1 AND direction = $2 AND state = 'matched')
               OR ($2 = 'out' AND EXISTS (SELECT FROM payments.payout JOIN payments.explanation USING (posting_id)
                                           WHERE reference = $1))""",
        reference,
        direction,
    )
    return found


async def decide_line(
    conn: Connection, held: BankLine, state: LineState, why: str, order_id: UUID | None, reference: str | None
) -> None:
    await conn.execute(
        """UPDATE payments.bank_line SET state = $3, why = $4, order_id = $5, reference = $6, confirmed_at = NULL
           WHERE file_hash = $1 AND row = $2""",
        held.file_hash,
        held.row,
        state,
        why,
        order_id,
        reference,
    )


async def unconfirmed(db: Database, limit: int) -> list[BankLine]:
    rows = await db.fetch(
        f"""SELECT {LINE} FROM payments.bank_line WHERE state = 'matched' AND confirmed_at IS NULL
            ORDER BY at, direction DESC, file_hash, row LIMIT $1""",
        limit,
    )
    return [_line(row) for row in rows]


async def confirm_line(db: Connection | Database, held: BankLine, now: datetime) -> None:
    await db.execute(
        "UPDATE payments.bank_line SET confirmed_at = $3 WHERE file_hash = $1 AND row = $2 AND confirmed_at IS NULL",
        held.file_hash,
        held.row,
        now,
    )


async def completing(conn: Connection | Database, order_id: UUID) -> BankLine | None:
    """The line that completed an order's payment."""
    row = await conn.fetchrow(
        f"""SELECT {LINE} FROM payments.bank_line
            WHERE (file_hash, row) = (SELECT file_hash, row FROM payments.bank_order WHERE order_id = $1)""",
        order_id,
    )
    return None if row is None else _line(row)


async def complete(conn: Connection, order: Order, held: BankLine | None, wanted: str, now: datetime) -> None:
    """Say which line completed an order's payment, None where its money waits instead. `wanted`: the reference of an
    order that has none yet."""
    await conn.execute(
        """INSERT INTO payments.bank_order (reference, order_id, amount_fen, created_at, file_hash, row)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (order_id) DO UPDATE SET file_hash = EXCLUDED.file_hash, row = EXCLUDED.row""",
        wanted, order.id, order.amount_fen, now, held and held.file_hash, held and held.row,
    )  # fmt: skip


async def plain_lines(db: Database, limit: int) -> list[Any]:
    """Lines whose payer stands in plain, as rows in the order of `insert_lines` without the last."""
    return await db.fetch(
        """SELECT file_hash, row, print, direction, amount_fen, at, party, party_account, remark, state, why
             FROM payments.bank_line
            WHERE payer_index IS NULL AND (party <> '' OR party_account <> '')
              AND NOT starts_with(party || party_account, $1) LIMIT $2""",
        MARK,
        limit,
    )


async def seal_line(db: Database, row: Sequence[Any]) -> None:
    await db.execute(
        """UPDATE payments.bank_line SET party = $3, party_account = $4, remark = $5, why = $6, payer_index = $7
            WHERE file_hash = $1 AND row = $2""",
        row[0], row[1], row[6], row[7], row[8], row[10], row[11],
    )  # fmt: skip


async def lines_of(db: Database, payer: bytes) -> list[tuple[str, int]]:
    """Lines whose payer has this keyed hash, a bounded list."""
    rows = await db.fetch(
        "SELECT file_hash, row FROM payments.bank_line WHERE payer_index = $1 LIMIT $2", payer, PAYER_ROWS_MAX
    )
    return [(row["file_hash"], row["row"]) for row in rows]


# -- suspense ---------------------------------------------------------------------------------------------------------


async def insert_suspense(
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


async def suspense(conn: Connection | Database, suspense_id: UUID, *, lock: bool = False) -> Suspense | None:
    row = await conn.fetchrow(
        f"SELECT {SUSPENSE} FROM payments.suspense WHERE id = $1{' FOR UPDATE' if lock else ''}", suspense_id
    )
    return None if row is None else _suspense(row)


async def suspenses(
    db: Database, state: SuspenseState | None, limit: int, *, before: UUID | None = None
) -> list[Suspense]:
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


async def hold_payout(conn: Connection, posting_id: UUID) -> None:
    """A line that would show the payout that a posting booked waits for this one."""
    await conn.execute(
        """SELECT FROM payments.bank_outgoing o JOIN payments.payout p ON p.id = o.subject_id
            WHERE p.posting_id = $1 FOR UPDATE OF o""",
        posting_id,
    )


async def shown_otherwise(conn: Connection, posting_id: UUID, reverses: UUID | None) -> bool:
    """Whether a statement has shown already what a posting booked: as an order, a refund or a payout or its return,
    because it explains another item, or as the line of an item, whose postings these are. Only what says that an item
    was sent back is yet to be shown."""
    found: bool = await conn.fetchval(
        """SELECT EXISTS (SELECT FROM payments.explanation WHERE posting_id = $1)
               OR EXISTS (SELECT FROM payments.pay_order o JOIN payments.bank_order b ON b.order_id = o.id
                           WHERE o.settled_ref = $1 AND b.file_hash IS NOT NULL)
               OR EXISTS (SELECT FROM payments.bank_outgoing o JOIN payments.bank_line l USING (reference)
                            LEFT JOIN payments.payout p ON p.id = o.subject_id
                            LEFT JOIN payments.refund r ON r.id = o.subject_id
                           WHERE coalesce(p.posting_id, r.settled_ref) = $1 AND l.state = 'matched')
               OR EXISTS (SELECT FROM payments.payout JOIN payments.bank_line l USING (reference)
                           WHERE posting_id = $2 AND l.direction = 'in' AND l.state = 'matched')
               OR EXISTS (SELECT FROM payments.suspense
                           WHERE id = ANY($3) AND NOT (id = $4 AND state = 'returned'))""",
        posting_id, reverses, [UUID(int=posting_id.int ^ bit) for bit in (0, 1, 2)], UUID(int=posting_id.int ^ 1),
    )  # fmt: skip
    return found


async def whole_files(db: Database, named: Sequence[UUID]) -> list[UUID]:
    """Postings, by their ids; in place of the number of a bank's file those of the payouts that it sent."""
    rows = await db.fetch(
        """SELECT batch, posting_id FROM payments.payout
            WHERE batch = ANY($1) AND state IN ('sent', 'confirmed') ORDER BY posting_id""",
        list(named),
    )
    files = {row["batch"] for row in rows}
    return sorted({*(one for one in named if one not in files), *(row["posting_id"] for row in rows)})


async def sent_by(db: Database, postings: Sequence[UUID]) -> list[Outgoing]:
    """What of ours these postings sent."""
    rows = await db.fetch(
        f"""SELECT {OUTGOING} FROM payments.bank_outgoing
             WHERE subject_id IN (SELECT id FROM payments.payout WHERE posting_id = ANY($1))""",
        list(postings),
    )
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


async def set_line_reference(conn: Connection, held: BankLine, reference: str) -> None:
    await conn.execute(
        "UPDATE payments.bank_line SET reference = $3 WHERE file_hash = $1 AND row = $2",
        held.file_hash, held.row, reference,
    )  # fmt: skip


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


async def last_at(db: Database) -> datetime | None:
    """When the latest line of any statement was, as the bank dates it."""
    found: datetime | None = await db.fetchval(
        "SELECT max(at) FROM payments.bank_line WHERE state NOT IN ('duplicate', 'refused')"
    )
    return found


async def last_until(db: Database) -> date | None:
    """The last day that any statement says it covers."""
    found: date | None = await db.fetchval("SELECT max(until) FROM payments.bank_file")
    return found
