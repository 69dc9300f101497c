"""What can go wrong with invoices and the red letters that take them back."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, NotFound
from shanhe.kernel.money import format_fen
from shanhe.kernel.words import en, zh


class UnknownInvoice(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_invoice",
            "There is no such invoice request in this organisation.",
            message_zh="本机构没有该开票申请。",
        )


class TooMuchInvoiced(Conflict):
    def __init__(self, left_fen: int) -> None:
        super().__init__(
            "too_much_invoiced",
            f"At most CNY {format_fen(left_fen)} can still be invoiced.",
            message_zh=f"可开票余额为 {format_fen(left_fen)} 元。",
            hint="Ask for less; refunds and earlier requests count.",
            hint_zh="请减少金额；退款与已申请金额均已扣除。",
            details={"left_fen": left_fen},
        )


class InvoiceConflict(Conflict):
    def __init__(self, reference: str) -> None:
        super().__init__(
            "invoice_conflict",
            f"{reference!r} already belongs to another invoice.",
            message_zh=f"{reference!r} 已用于其他发票。",
        )


class InvoiceTooMuch(Conflict):
    """What it is for was refunded in between: issued, there would be invoices over money that nobody paid."""

    def __init__(self, excess_fen: int) -> None:
        super().__init__(
            "invoice_too_much",
            f"Refunds since it was asked for leave CNY {format_fen(excess_fen)} less than this invoice is over.",
            message_zh=f"申请之后有退款，若开具此发票将比实付金额多 {format_fen(excess_fen)} 元。",
            hint="Give the request back with this reason; it can be asked for again over what is left.",
            hint_zh="请以此为由退回申请，由申请人按余下的金额重新申请。",
            details={"excess_fen": excess_fen},
        )


class UnknownRedLetter(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_red_letter", "There is no such red-letter invoice.", message_zh="没有该红字发票。")


class RedLetterDone(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "red_letter_done",
            f"The red-letter invoice is {en(state)} already.",
            message_zh=f"该红字发票状态为“{zh(state)}”，不能再登记。",
        )


class SheetMissing(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "sheet_missing",
            "A special invoice is reversed on the tax bureau's confirmation sheet, to which its buyer agrees first.",
            message_zh="专用发票红冲，须先有经购买方确认的《红字发票信息确认单》。",
            hint="Record the number of the confirmation sheet, then the red-letter invoice.",
            hint_zh="请先登记确认单编号，再登记红字发票号码。",
        )


class RedLetterFirst(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "red_letter_first",
            "What is refunded was invoiced: the money leaves after the red-letter invoice.",
            message_zh="所退款项已开具发票，须先开具红字发票，再退款。",
            hint="Record the red-letter invoices of this refund first.",
            hint_zh="请先在“红字发票”中登记本笔退款的红字发票。",
        )


class InvoiceDecided(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "invoice_decided",
            f"The request is {en(state)} already.",
            message_zh=f"该申请已处理（{zh(state)}）。",
        )
