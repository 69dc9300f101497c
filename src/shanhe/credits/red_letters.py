"""Red-letter invoices (红字发票): what a refund takes back of invoices that were issued, before its money leaves.

due → (confirmed: the tax bureau's confirmation sheet, which a special invoice needs, since its buyer may have deducted
it) → issued. The newest invoices are taken first, each at most whole; the refund waits until the last one is issued.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.credits import messages
from shanhe.credits.invoice_errors import InvoiceConflict, RedLetterDone, SheetMissing, UnknownRedLetter
from shanhe.credits.invoices import line_up, number_taken
from shanhe.credits.model import Refund
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.texts import check_line

SPECIAL: Final = "special"
NUMBER_MAX_CHARS: Final = 120
PAGE_ROWS: Final = 100
FOUND: Final = """SELECT r.*, i.number AS invoice
                    FROM credits.red_letter r JOIN credits.invoice i ON i.id = r.invoice_id"""


@dataclass(frozen=True)
class RedLetter:
    """`invoice`: the number of the one it takes back; `sheet`: of the confirmation sheet; `number`: its own."""

    id: UUID
    invoice_id: UUID
    refund_id: UUID
    org_id: UUID
    kind: str
    amount_fen: int
    state: str
    sheet: str
    number: str
    confirmed_by: str | None
    issued_by: str | None
    created_at: datetime
    confirmed_at: datetime | None
    issued_at: datetime | None
    invoice: str


class RedLetters:
    """Due with a refund; confirmed and issued by operators."""

    def __init__(self, db: Database, clock: Clock, notifier: Notifier) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier

    async def owe(self, conn: Any, refund: Refund) -> None:
        """Those that a refund makes due, in its transaction: as much of it as is invoiced over what stays paid."""
        await line_up(conn, refund.org_id)
        excess_fen: int = await conn.fetchval(
            """SELECT ((SELECT coalesce(sum(amount_fen), 0) FROM credits.invoice WHERE org_id = $1 AND state = 'issued')
              - (SELECT coalesce(sum(amount_fen), 0) FROM credits.red_letter WHERE org_id = $1)
              - (SELECT coalesce(sum(paid_fen), 0) FROM credits.purchase WHERE org_id = $1 AND state = 'posted')
              + (SELECT coalesce(sum(refund_fen), 0) FROM credits.refund
                  WHERE org_id = $1 AND state <> 'void'))::bigint""",
            refund.org_id,
        )
        excess_fen = min(
            excess_fen, refund.refund_fen
        )  # earlier refunds may have none: their letters were nobody's here
        if excess_fen <= 0:
            return
        rows = await conn.fetch(
            """SELECT i.id, i.kind, i.number, (i.amount_fen - coalesce(sum(r.amount_fen), 0))::bigint AS left_fen
                 FROM credits.invoice i LEFT JOIN credits.red_letter r ON r.invoice_id = i.id
                WHERE i.org_id = $1 AND i.state = 'issued' GROUP BY i.id ORDER BY i.decided_at DESC, i.id DESC""",
            refund.org_id,
        )
        for row in rows:
            part_fen = min(row["left_fen"], excess_fen)
            if part_fen > 0:
                excess_fen -= part_fen
                await self._insert(conn, refund, row, part_fen)

    async def _insert(self, conn: Any, refund: Refund, invoice: Any, amount_fen: int) -> None:
        made = new_id()
        await conn.execute(
            """INSERT INTO credits.red_letter (id, invoice_id, refund_id, org_id, kind, amount_fen, state, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, 'due', $7)""",
            made, invoice["id"], refund.id, refund.org_id, invoice["kind"], amount_fen, self._clock.now(),
        )  # fmt: skip
        special = invoice["kind"] == SPECIAL
        for notice in messages.red_letter_due(refund.org_id, made, amount_fen, invoice["number"], special=special):
            await self._notifier.notify(notice, conn)

    async def keeps(self, refund_id: UUID) -> bool:
        """Whether a refund's money still waits for one."""
        found: bool = await self._db.fetchval(
            "SELECT EXISTS (SELECT FROM credits.red_letter WHERE refund_id = $1 AND state <> 'issued')", refund_id
        )
        return found

    async def confirm(self, letter_id: UUID, *, sheet: str, by: str) -> RedLetter:
        """Record the tax bureau's confirmation sheet (红字信息确认单), to which the buyer agreed. Idempotent."""
        check_line("number", sheet, NUMBER_MAX_CHARS)
        async with self._db.transaction() as conn:
            held = await self._held(conn, letter_id)
            if held.state != "due":
                if held.sheet == sheet:
                    return held
                raise RedLetterDone(held.state)
            await conn.execute(
                """UPDATE credits.red_letter SET state = 'confirmed', sheet = $2, confirmed_by = $3, confirmed_at = $4
                    WHERE id = $1""",
                letter_id, sheet, by, self._clock.now(),
            )  # fmt: skip
        return await self.get(letter_id)

    async def issue(self, letter_id: UUID, *, number: str, by: str) -> RedLetter:
        """Record the red-letter invoice's own number; the refund's money leaves after the last one. Idempotent. Raises
        SheetMissing (of a special invoice), InvoiceConflict (a number that another one has)."""
        check_line("number", number, NUMBER_MAX_CHARS)
        async with self._db.transaction() as conn:
            held = await self._held(conn, letter_id)
            if held.state == "issued":
                if held.number == number:
                    return held
                raise RedLetterDone(held.state)
            if held.kind == SPECIAL and held.state != "confirmed":
                raise SheetMissing
            if await number_taken(conn, number):
                raise InvoiceConflict(number)
            await conn.execute(
                """UPDATE credits.red_letter SET state = 'issued', number = $2, issued_by = $3, issued_at = $4
                    WHERE id = $1""",
                letter_id, number, by, self._clock.now(),
            )  # fmt: skip
            await self._notifier.notify(messages.red_letter_issued(held.org_id, letter_id, held.invoice, number), conn)
        return await self.get(letter_id)

    async def get(self, letter_id: UUID) -> RedLetter:
        """UnknownRedLetter when there is none."""
        row = await self._db.fetchrow(f"{FOUND} WHERE r.id = $1", letter_id)
        if row is None:
            raise UnknownRedLetter
        return RedLetter(**dict(row))

    async def list(
        self, org_id: UUID | None = None, *, waiting: bool = False, before: UUID | None = None, limit: int = 50
    ) -> list[RedLetter]:
        """Newest first, of one organisation or of all; `waiting`: only what is not issued, oldest first.

        `before`: the last one seen, in the order of the list."""
        beyond, order = (">", "ASC") if waiting else ("<", "DESC")
        rows = await self._db.fetch(
            f"""{FOUND} WHERE ($1::uuid IS NULL OR r.org_id = $1) AND ($2::uuid IS NULL OR r.id {beyond} $2)
                AND (NOT $4 OR r.state <> 'issued') ORDER BY r.id {order} LIMIT $3""",
            org_id, before, min(max(limit, 1), PAGE_ROWS), waiting,
        )  # fmt: skip
        return [RedLetter(**dict(row)) for row in rows]

    async def _held(self, conn: Any, letter_id: UUID) -> RedLetter:
        row = await conn.fetchrow(f"{FOUND} WHERE r.id = $1 FOR UPDATE OF r", letter_id)
        if row is None:
            raise UnknownRedLetter
        return RedLetter(**dict(row))
