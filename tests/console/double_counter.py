"""The counter of the double: believable sheets, and what the forms sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console.live import counter as live
from shanhe.kernel.errors import Conflict, Invalid, NotFound
from shanhe.kernel.money import MICRO

AT = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
LATER = date(2027, 11, 20)
Col = c.Col


def ident(number: int) -> UUID:
    return UUID(f"019a9f00-{number:04x}-7000-8000-{number * 7919:012x}")


class Counter:
    """See `ports.Counter`. `sent` keeps what was asked for; `empty` shows nothing yet."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.empty = False
        self.queue = c.Queue()

    def _sheet(self, key: str, columns: tuple[c.Col, ...], empty: str, *rows: c.Row) -> c.Sheet:
        return c.Sheet(key, columns, () if self.empty else rows, empty)

    async def statement(self, who: m.Who, month: str, past: UUID | None) -> c.StatementPage:
        columns = (Col("statement.lot", "short"), Col("wallet.provenance", "word:provenance"),
                   Col("wallet.expires", "day"), Col("statement.closing", "credits"),
                   Col("statement.value", "yuan"))  # fmt: skip
        lots = c.Sheet(
            "statement.lots", columns,
            () if self.empty else (c.Row(ident(1), (ident(1), "purchased", None, 70 * MICRO, 4_550)),
                                   c.Row(ident(2), (ident(2), "subsidy", LATER, 30 * MICRO, 0))),
            "statement.none", ("", "", "", 100 * MICRO, 4_550),
        )  # fmt: skip
        moves = (Col("statement.kind", "word:posting_kind"), Col("statement.change", "credits"))
        return c.StatementPage(
            date(2026, 11, 1), (date(2026, 11, 1), date(2026, 10, 1)), False, 0, 100 * MICRO,
            0, 10_000, 3_000, 7_000, 4_550, lots,
            self._sheet("statement.moves", moves, "statement.no_moves", c.Row("call", ("call", -5 * MICRO))),
            self._sheet("lapses.mine", live.LAPSES, "lapses.none", c.Row("1", (LATER, 30 * MICRO, 0))),
            5, 900, 2,
        )  # fmt: skip

    async def statement_file(self, who: m.Who, month: str, fmt: str, language: str) -> c.File:
        return c.File(b"%PDF", "application/pdf", {"content-disposition": "attachment"})

    async def refunds(self, who: m.Who) -> c.Sheet:
        row = c.Row(ident(3), (AT, 4_000, 70 * MICRO, 0, "failed"), ("retry", "payout"))
        return self._sheet("refunds.list", live.REFUNDS, "refunds.none", row)

    async def refund_offer(self, who: m.Who, purchase_id: UUID) -> c.OfferView:
        if purchase_id == ident(404):
            raise NotFound("unknown_purchase", "There is no such purchase.", message_zh="没有该购买。")
        return c.OfferView(purchase_id, 7_000, 4_000, 30 * MICRO, 70 * MICRO, 0, 0)

    async def refund(self, who: m.Who, purchase_id: UUID, reason: str, client_ref: str) -> None:
        self.sent.append(("refund", (purchase_id, reason)))

    async def redeemed(self, who: m.Who) -> c.Sheet:
        columns = (Col("redeem.at", "minute"), Col("redeem.from"), Col("redeem.credits", "credits"))
        return self._sheet("redeem.list", columns, "redeem.none", c.Row(ident(4), (AT, "大赛", 5 * MICRO)))

    async def redeem(self, who: m.Who, code: str) -> None:
        if code == "used":
            raise Conflict("code_used", "Used by somebody else.", message_zh="该兑换码已被他人使用。")
        self.sent.append(("redeem", code))

    async def invoices(self, who: m.Who) -> tuple[int, c.Sheet]:
        row = c.Row(ident(5), (AT, "山河数据有限公司", "special", 5_000, "requested", ""), ("paper",))
        return 7_000, self._sheet("invoices.list", live.INVOICES, "invoices.none", row)

    async def red_letters(self, who: m.Who) -> c.Sheet:
        row = c.Row(ident(15), (AT, "25332000000012345678", "special", 5_000, "due", "", ""), ("sheet",))
        return self._sheet("red_letters.list", live.RED_LETTERS, "red_letters.none", row)

    async def invoice_request(self, who: m.Who, fields: Mapping[str, str], amount_fen: int) -> None:
        self.sent.append(("invoice", (fields["title"], amount_fen)))

    async def invoice_file(self, who: m.Who, invoice_id: UUID, language: str) -> c.File:
        return await self.statement_file(who, "", "pdf", language)

    async def disputes(self, who: m.Who) -> c.Sheet:
        row = c.Row(ident(6), (AT, (ident(7), f"/receipts/{ident(7)}"), "<b>重复计费</b>", "open", ""), ("withdraw",))
        return self._sheet("disputes.list", live.DISPUTES, "disputes.none", row)

    async def dispute_open(self, who: m.Who, receipt: str, reason: str, evidence: str) -> None:
        self.sent.append(("dispute", (UUID(receipt), reason)))

    async def dispute_withdraw(self, who: m.Who, dispute_id: UUID) -> None:
        self.sent.append(("withdraw", dispute_id))

    async def agreements(self, who: m.Who) -> c.Sheet:
        row = c.Row(f"{ident(8)}/1", (2026, 1, date(2026, 1, 1), 125_000_000, "due"), ("pay",))
        return self._sheet("agreements.list", live.INSTALMENTS, "agreements.none", row)

    async def instalment_pay(self, who: m.Who, agreement_id: UUID, number: int, method: str) -> str:
        return f"/pay/{method}/x"

    async def batches(self, who: m.Who) -> c.Sheet:
        columns = (Col("batches.name"), Col("batches.value", "credits"), Col("batches.state", "state:batch_state"))
        row = c.Row(ident(9), ("大赛", 5 * MICRO, "funded"), ("fund", "export", "revoke"))
        return self._sheet("batches.list", columns, "batches.none", row)

    async def batch_create(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.sent.append(("batch", int(fields["codes"])))

    async def budget_fund(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.sent.append(("fund", fields["budget"]))

    async def batch_fund(self, who: m.Who, batch_id: UUID) -> None:
        self.sent.append(("batch_fund", batch_id))

    async def batch_export(self, who: m.Who, batch_id: UUID) -> c.File:
        return c.File(b"1,ABCDE\r\n", "text/csv", {"content-disposition": "attachment"})

    async def batch_revoke(self, who: m.Who, batch_id: UUID, reason: str) -> None:
        self.sent.append(("revoke", reason))

    async def calendar(self, who: m.Who) -> c.Sheet:
        row = c.Row("1", (LATER, 30 * MICRO, 10 * MICRO))
        return self._sheet("lapses.calendar", live.LAPSES, "lapses.none", row)

    async def all_agreements(self, who: m.Who) -> c.Sheet:
        row = c.Row(f"{ident(8)}/1", ("教育局", 2026, 1, date(2026, 1, 1), 125_000_000, "due"), ("book",))
        return self._sheet("agreements.list", (Col("agreements.org"), *live.INSTALMENTS), "agreements.none", row)

    async def agreement_sign(self, who: m.Who, org: str, year: str, reference: str) -> None:
        self.sent.append(("sign", (UUID(org), year, reference)))

    async def instalment_book(self, who: m.Who, agreement_id: UUID, number: int, reference: str) -> None:
        self.sent.append(("book", (number, reference)))

    async def all_invoices(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        row = c.Row(ident(5), (AT, "山河数据有限公司", "special", 5_000, "requested", ""), ("decide",))
        return self._sheet("invoices.list", live.INVOICES, "invoices.none", row)

    async def all_red_letters(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        return await self.red_letters(who)

    async def red_letter_record(self, who: m.Who, letter_id: UUID, sheet: str, number: str) -> None:
        self.sent.append(("red_letter", (sheet, number)))

    async def invoice_decide(self, who: m.Who, invoice_id: UUID, number: str, reason: str) -> None:
        self.sent.append(("invoice_decide", (number, reason)))

    async def all_disputes(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        at, receipt, reason, *rest = live.DISPUTES
        columns = (at, live.OF, receipt, reason, Col("disputes.evidence", "note"), *rest)
        cells = (AT, ("山河数据有限公司", f"/city/accounts/{ident(1)}"), ("qwen", f"/receipts/{ident(7)}"), "重复计费",
                 "工单 88", "open", "")  # fmt: skip
        row = c.Row(ident(6), cells, ("decide",))
        self.queue = queue
        rows = [] if self.empty else [row]
        return c.Sheet("disputes.list", columns, rows, "disputes.none", more=not queue.everything)

    async def dispute_decide(self, who: m.Who, dispute_id: UUID, granted: bool, answer: str) -> bool:
        if answer == "?":
            raise Invalid("bad_text", "Give an answer.", message_zh="请填写处理意见。")
        self.sent.append(("dispute_decide", (granted, answer)))
        return granted

    async def estates(self, who: m.Who) -> c.Sheet:
        sums = 75 * MICRO, 30 * MICRO
        cells = (AT, "清算公司", "dissolution", "承继公司", "注销通知 1；清算报告 1", "企业注销", "open", *sums)
        return self._sheet("estates.list", live.ESTATES, "estates.none", c.Row(ident(10), cells, ("decide",)))

    async def estate_ask(self, who: m.Who, fields: Mapping[str, str]) -> None:
        self.sent.append(("estate", (UUID(fields["org"]), UUID(fields["successor"]))))

    async def estate_decide(self, who: m.Who, estate_id: UUID, yes: bool, reason: str) -> None:
        self.sent.append(("estate_decide", yes))

    async def all_refunds(self, who: m.Who, queue: c.Queue) -> c.Sheet:
        return await self.refunds(who)

    async def refund_retry(self, who: m.Who, refund_id: UUID) -> None:
        self.sent.append(("retry", refund_id))

    async def refund_payout(self, who: m.Who, refund_id: UUID, reference: str) -> bool:
        self.sent.append(("payout", reference))
        return False
