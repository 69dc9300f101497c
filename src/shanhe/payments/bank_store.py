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
    Direction,
    LineState,
    Outgoing,
    resend_id,
)
from shanhe.payments.model import Order

LINE = (
    "file_hash, row, direction, amount_fen, at, party, party_account, remark, state, why, order_id, reference,"
    " confirmed_at, elsewhere"
)
OUTGOING = "reference, kind, subject_id, amount_fen, created_at, done_at, batch, payee_id"
DUPLICATE_WHY = "already in an earlier statement · 已在之前的对账单中"
PAYER_ROWS_MAX = 10_000
Connection = Any


def _line(row: Any) -> BankLine:
    direction = Direction(row["direction"]) if row["direction"] else None
    return BankLine(**{**dict(row), "direction": direction, "state": LineState(row["state"])})


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


async def outgoings(db: Database, references: Collection[str]) -> dict[str, Outgoing]:
    """What left, or leaves, under each of these references, where anything does."""
    rows = await db.fetch(f"SELECT {OUTGOING} FROM payments.bank_outgoing WHERE reference = ANY($1)", list(references))
    return {row["reference"]: Outgoing(**dict(row)) for row in rows}


async def end_outgoing(conn: Connection | Database, reference: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE payments.bank_outgoing SET done_at = $2 WHERE reference = $1 AND done_at IS NULL", reference, now
    )


async def open_outgoing(db: Database, limit: int) -> list[Outgoing]:
    rows = await db.fetch(
        f"SELECT {OUTGOING} FROM payments.bank_outgoing WHERE done_at IS NULL ORDER BY created_at LIMIT $1", limit
    )
    return [Outgoing(**dict(row)) for row in rows]


async def sending(db: Database, limit: int) -> list[tuple[Outgoing, UUID | None, tuple[str, int] | None]]:
    """The same with whose refund or payout each is, and of a refund the line with which the money came."""
    rows = await db.fetch(
        f"""SELECT {", ".join(f"s.{name}" for name in OUTGOING.split(", "))}, coalesce(p.org_id, o.org_id) AS org_id,
                   b.file_hash, b.row
              FROM payments.bank_outgoing s
              LEFT JOIN payments.payout p ON p.id = s.subject_id
              LEFT JOIN payments.refund r ON r.id = s.subject_id
              LEFT JOIN payments.pay_order o ON o.id = r.order_id
              LEFT JOIN payments.bank_order b ON b.order_id = r.order_id
             WHERE s.done_at IS NULL ORDER BY s.created_at LIMIT $1""",
        limit,
    )
    return [
        (Outgoing(*list(row.values())[:-3]), row["org_id"],
         None if row["file_hash"] is None else (row["file_hash"], row["row"]))
        for row in rows
    ]  # fmt: skip


# -- statements -------------------------------------------------------------------------------------------------------


async def insert_file(conn: Connection, file: BankFile) -> bool:
    """False when this very file was uploaded before."""
    done = await conn.execute(
        """INSERT INTO payments.bank_file (hash, name, encoding, lines, uploaded_by, uploaded_at, since, until,
                                           first_at, last_at, opening_fen, closing_fen, repeats, agreed_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING""",
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
        file.agreed_by,
    )
    return bool(done == "INSERT 0 1")


async def take_turns(conn: Connection) -> None:
    """Statements are taken in one after the other from here on, so that no line slips through twice."""
    await conn.execute("LOCK TABLE payments.bank_line IN SHARE ROW EXCLUSIVE MODE")


async def known(conn: Connection | Database, prints: list[str]) -> dict[str, str]:
    """Which of these lines an earlier statement brought, and which one."""
    rows = await conn.fetch(
        """SELECT print, file_hash FROM payments.bank_line
            WHERE print = ANY($1) AND state NOT IN ('duplicate', 'refused')""",
        prints,
    )
    return {row["print"]: row["file_hash"] for row in rows}


async def lacking(
    conn: Connection | Database, first: datetime, last: datetime, prints: list[str]
) -> tuple[str, int] | None:
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
    subject = await conn.fetchval(
        "SELECT subject_id FROM payments.bank_outgoing WHERE reference = $1 FOR UPDATE", reference
    )
    found: bool = await conn.fetchval(
        """SELECT EXISTS (SELECT FROM payments.bank_line
                           WHERE reference = $1 AND direction = $2 AND state = 'matched')
               OR ($2 = 'out' AND EXISTS (SELECT FROM payments.explanation WHERE posting_id = $3 OR posting_id IN (
                                           SELECT posting_id FROM payments.payout WHERE reference = $1)))""",
        reference, direction, subject and resend_id(subject),
    )  # fmt: skip
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


async def lines_of(db: Database, payer: bytes, *, before: tuple[str, int] | None = None) -> list[tuple[str, int]]:
    """Lines whose payer has this keyed hash, a page; those before one where it is given."""
    rows = await db.fetch(
        """SELECT file_hash, row FROM payments.bank_line WHERE payer_index = $1
              AND ($2::text IS NULL OR (file_hash, row) < ($2, $3::int)) ORDER BY file_hash DESC, row DESC LIMIT $4""",
        payer, *(before or (None, None)), PAYER_ROWS_MAX,
    )  # fmt: skip
    return [(row["file_hash"], row["row"]) for row in rows]


async def set_line_reference(conn: Connection, held: BankLine, reference: str) -> None:
    await conn.execute(
        "UPDATE payments.bank_line SET reference = $3 WHERE file_hash = $1 AND row = $2",
        held.file_hash, held.row, reference,
    )  # fmt: skip


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
