"""Invoices (发票): a member asks for one over money that was paid, an operator issues it or says why not.

What can be invoiced = paid purchases − refunds − what is invoiced or asked for + what red letters take back. Requests
of one organisation stand in a line, so two at once cannot exceed it. The number is the tax bureau's; the paper made
here is the request or its confirmation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.credits import messages
from shanhe.credits.invoice_errors import (
    InvoiceConflict,
    InvoiceDecided,
    InvoiceTooMuch,
    TooMuchInvoiced,
    UnknownInvoice,
)
from shanhe.credits.statements import yuan
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.documents import Document
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals

KINDS = {"ordinary": ("增值税普通发票", "Ordinary VAT invoice"), "special": ("增值税专用发票", "Special VAT invoice")}
STATES = {"requested": ("已申请", "Requested"), "issued": ("已开具", "Issued"), "rejected": ("已退回", "Rejected")}
TAX_NUMBER = re.compile(r"^[0-9A-Z]{15,20}$")
PAGE_ROWS = 100
TEXT_LIMIT_CHARS = 120


@dataclass(frozen=True)
class Invoice:
    """`state`: requested, issued (with the tax bureau's `number`) or rejected (with a `reason`)."""

    id: UUID
    org_id: UUID
    client_ref: str
    kind: str
    title: str
    tax_number: str
    amount_fen: int
    email: str
    state: str
    number: str
    reason: str
    actor: str
    decided_by: str
    created_at: datetime
    decided_at: datetime | None


class Invoices:
    """Requests of members, decisions of operators."""

    def __init__(self, db: Database, clock: Clock, *, notifier: Notifier, seals: Seals | None = None) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._seals = seals or Seals()

    async def invoiceable_fen(self, org_id: UUID) -> int:
        """Paid and neither refunded, invoiced, nor asked for."""
        return await self._left(self._db, org_id)

    async def _left(self, conn: Any, org_id: UUID) -> int:
        value: int = await conn.fetchval(
            """SELECT ((SELECT coalesce(sum(paid_fen), 0) FROM credits.purchase WHERE org_id = $1 AND state = 'posted')
              - (SELECT coalesce(sum(refund_fen), 0) FROM credits.refund WHERE org_id = $1 AND state <> 'void')
              - (SELECT coalesce(sum(amount_fen), 0) FROM credits.invoice
                 WHERE org_id = $1 AND state <> 'rejected')
              + (SELECT coalesce(sum(amount_fen), 0) FROM credits.red_letter WHERE org_id = $1))::bigint""",
            org_id,
        )
        return value

    async def request(
        self, org_id: UUID, *, client_ref: str, kind: str, title: str, tax_number: str = "", amount_fen: int,
        email: str = "", actor: str,
    ) -> Invoice:  # fmt: skip
        """Ask for an invoice. Idempotent by (organisation, client_ref); TooMuchInvoiced past what was paid."""
        tax_number = tax_number.strip().upper()
        _check(client_ref, kind, title, tax_number, amount_fen, email)
        async with self._db.transaction() as conn:
            await line_up(conn, org_id)
            row = await conn.fetchrow(
                "SELECT * FROM credits.invoice WHERE org_id = $1 AND client_ref = $2", org_id, client_ref
            )
            if row is None:
                left_fen = await self._left(conn, org_id)
                if amount_fen > left_fen:
                    raise TooMuchInvoiced(left_fen)
                seal, invoice_id = self._seals.seal, new_id()
                row = await conn.fetchrow(
                    """INSERT INTO credits.invoice (id, org_id, client_ref, kind, title, tax_number, amount_fen, email,
                                                    state, actor, created_at)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'requested', $9, $10) RETURNING *""",
                    invoice_id, org_id, client_ref, kind, await seal(org_id, "invoice.title", title),
                    await seal(org_id, "invoice.tax_number", tax_number), amount_fen,
                    await seal(org_id, "invoice.email", email), actor, self._clock.now(),
                )  # fmt: skip
                notice = messages.invoice_requested(invoice_id, amount_fen)
                await self._notifier.notify(notice, conn)
        invoice = await self._invoice(row)
        wanted = (kind, title, tax_number, amount_fen)
        if wanted != (invoice.kind, invoice.title, invoice.tax_number, invoice.amount_fen):
            raise InvoiceConflict(client_ref)
        return invoice

    async def issue(self, invoice_id: UUID, *, number: str, by: str) -> Invoice:
        """Say that the invoice was issued under the tax bureau's number."""
        if not 0 < len(number) <= TEXT_LIMIT_CHARS or not number.isprintable():
            raise Invalid("bad_number", "Give the invoice's number.", message_zh="请填写发票号码。")
        return await self._decide(invoice_id, "issued", by, number=number)

    async def reject(self, invoice_id: UUID, *, reason: str, by: str) -> Invoice:
        """Give a request back with a reason; its amount can be asked for again."""
        if not 0 < len(reason) <= TEXT_LIMIT_CHARS:
            raise Invalid("bad_reason", "Say why.", message_zh="请填写退回原因。")
        return await self._decide(invoice_id, "rejected", by, reason=reason)

    async def _check_covered(self, conn: Any, row: Any) -> None:
        """Refuse what would put invoices over more than was paid and not refunded; other requests may still be given
        back and don't count."""
        await line_up(conn, row["org_id"])
        waiting: int = await conn.fetchval(
            """SELECT coalesce(sum(amount_fen), 0)::bigint FROM credits.invoice
               WHERE org_id = $1 AND state = 'requested' AND id <> $2""",
            row["org_id"], row["id"],
        )  # fmt: skip
        left_fen = await self._left(conn, row["org_id"]) + waiting
        if left_fen < 0:
            raise InvoiceTooMuch(-left_fen)

    async def _decide(self, invoice_id: UUID, to: str, by: str, *, number: str = "", reason: str = "") -> Invoice:
        async with self._db.transaction() as conn:
            row = await conn.fetchrow("SELECT * FROM credits.invoice WHERE id = $1 FOR UPDATE", invoice_id)
            if row is None:
                raise UnknownInvoice
            if row["state"] != "requested":
                known = await self._invoice(row)
                if (known.state, known.number, known.reason) == (to, number, reason):
                    return known
                raise InvoiceDecided(row["state"])
            if number and await number_taken(conn, number):
                raise InvoiceConflict(number)
            if to == "issued":
                await self._check_covered(conn, row)
            row = await conn.fetchrow(
                """UPDATE credits.invoice SET state = $2, number = $3, reason = $4, decided_by = $5, decided_at = $6
                   WHERE id = $1 RETURNING *""",
                invoice_id, to, number, await self._seals.seal(row["org_id"], "invoice.reason", reason), by,
                self._clock.now(),
            )  # fmt: skip
            invoice = await self._invoice(row)
            notice = messages.invoice_decided(invoice.org_id, invoice.id, to, number)
            await self._notifier.notify(notice, conn)
        return invoice

    async def get(self, org_id: UUID | None, invoice_id: UUID) -> Invoice:
        """UnknownInvoice when absent or, for an organisation, another's."""
        row = await self._db.fetchrow("SELECT * FROM credits.invoice WHERE id = $1", invoice_id)
        if row is None or (org_id is not None and row["org_id"] != org_id):
            raise UnknownInvoice
        return await self._invoice(row)

    async def list(
        self, org_id: UUID | None = None, *, waiting: bool = False, before: UUID | None = None, limit: int = 50
    ) -> list[Invoice]:
        """Newest first, of one organisation or of all; `waiting`: only what somebody has to decide, oldest first.

        `before`: the last one seen, in the order of the list."""
        beyond, order = (">", "ASC") if waiting else ("<", "DESC")
        rows = await self._db.fetch(
            f"""SELECT * FROM credits.invoice WHERE ($1::uuid IS NULL OR org_id = $1)
                AND ($2::uuid IS NULL OR id {beyond} $2) AND (NOT $4 OR state = 'requested')
                ORDER BY id {order} LIMIT $3""",
            org_id,
            before,
            min(max(limit, 1), PAGE_ROWS),
            waiting,
        )
        return [await self._invoice(row) for row in rows]

    async def _invoice(self, row: Any) -> Invoice:
        opened = await self._seals.opened(row["org_id"], "invoice", row, "title", "tax_number", "email", "reason")
        return Invoice(**opened)


def paper(invoice: Invoice, *, org_name: str, city_name: str, language: str = "zh") -> Document:
    """The request, or the confirmation that it was issued. Not the invoice itself: that is the tax bureau's."""
    side = 0 if language.startswith("zh") else 1

    def word(chinese: str, english: str) -> str:
        return (chinese, english)[side]

    facts = [
        (word("申请机构", "Organisation"), org_name),
        (word("发票类型", "Kind"), KINDS[invoice.kind][side]),
        (word("抬头", "Title"), invoice.title),
        (word("纳税人识别号", "Tax number"), invoice.tax_number or "—"),
        (word("金额（元）", "Amount (CNY)"), f"{yuan(invoice.amount_fen):,}"),
        (word("状态", "State"), STATES[invoice.state][side]),
        (word("申请日期", "Requested on"), str(city_date(invoice.created_at))),
    ]
    if invoice.number:
        facts.append((word("发票号码", "Invoice number"), invoice.number))
    if invoice.reason:
        facts.append((word("退回原因", "Reason"), invoice.reason))
    facts.append((word("申请编号", "Request"), str(invoice.id)))
    issued = invoice.state == "issued"
    return Document(
        title=word("开票确认单", "Confirmation of invoice") if issued else word("开票申请单", "Request for an invoice"),
        subtitle=city_name,
        issued_on=city_date(invoice.decided_at or invoice.created_at),
        language="zh" if side == 0 else "en",
        facts=tuple(facts),
        notes=(word("本单不是发票，发票以税务机关开具的为准。", "This is not the invoice; the tax bureau's counts."),),
        footer=f"{city_name} · {invoice.id}",
    )


async def number_taken(conn: Any, number: str) -> bool:
    """Whether an invoice or a red letter has a number of the tax bureau's."""
    found: bool = await conn.fetchval(
        """SELECT EXISTS (SELECT FROM credits.invoice WHERE number = $1)
               OR EXISTS (SELECT FROM credits.red_letter WHERE number = $1)""",
        number,
    )
    return found


async def line_up(conn: Any, org_id: UUID) -> None:
    """One request or issue of an organisation at a time: two that fit alone may not fit together."""
    await conn.execute("INSERT INTO credits.invoice_line VALUES ($1) ON CONFLICT DO NOTHING", org_id)
    await conn.execute("SELECT FROM credits.invoice_line WHERE org_id = $1 FOR UPDATE", org_id)


def _check(client_ref: str, kind: str, title: str, tax_number: str, amount_fen: int, email: str) -> None:
    if kind not in KINDS or amount_fen <= 0:
        raise Invalid("bad_invoice", "Give a kind and a positive amount.", message_zh="请选择发票类型并填写正数金额。")
    for text in (client_ref, title):
        if not 0 < len(text) <= TEXT_LIMIT_CHARS or not text.isprintable():
            raise Invalid("bad_text", "Give a title and a reference.", message_zh="请填写抬头与编号。")
    if (tax_number or kind == "special") and not TAX_NUMBER.match(tax_number):
        raise Invalid(
            "bad_tax_number", "A tax number has 15 to 20 digits and capital letters.",
            message_zh="纳税人识别号为 15 至 20 位数字或大写字母。",
        )  # fmt: skip
    if email and (len(email) > TEXT_LIMIT_CHARS or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email)):
        raise Invalid("bad_email", "That is no e-mail address.", message_zh="邮箱格式有误。")
