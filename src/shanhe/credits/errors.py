"""What can go wrong on the way to credits."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from shanhe.kernel.money import format_fen, said_credits
from shanhe.kernel.words import en, zh
from shanhe.ledger.api import InsufficientCredit

PEOPLE_READ = {
    "µ": (said_credits, "积分", "credits"),
    "fen": (format_fen, "元", "yuan"),
}
"""How an amount of a unit is written, and what it is called, for people."""


class BudgetShort(InsufficientCredit):
    """A budget does not hold what a batch of codes is worth."""

    def __init__(self, short: InsufficientCredit) -> None:
        super().__init__(short.account, short.available_micro, short.needed_micro)
        self.hint = "Ask for credits into the budget; once another operator agreed, set the batch's money aside again."
        self.hint_zh = "请先提请注入预算，另一位运营人员同意后，在批次列表中再次划拨。"


class UnknownPurchase(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_purchase",
            "There is no such purchase in this organisation.",
            message_zh="本机构没有该购买记录。",
            hint="List the purchases to find its number.",
            hint_zh="请在购买记录中查找编号。",
        )


class UnknownQuote(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_quote",
            "There is no such quote in this organisation, or it has run out.",
            message_zh="本机构没有该报价，或报价已过期。",
            hint="Ask for a new quote.",
            hint_zh="请重新询价。",
        )


class QuoteChanged(Conflict):
    """Between quote and purchase the discount left this year changed; nothing was ordered."""

    def __init__(self, quoted_fen: int, now_fen: int) -> None:
        super().__init__(
            "quote_changed",
            f"The price changed from CNY {format_fen(quoted_fen)} to {format_fen(now_fen)} since the quote; nothing was"
            " ordered.",
            message_zh=f"询价后应付金额由 {format_fen(quoted_fen)} 元变为 {format_fen(now_fen)} 元，未下单。",
            hint="Ask for a new quote and decide again.",
            hint_zh="请重新询价后再决定。",
            details={"quoted_fen": quoted_fen, "now_fen": now_fen},
        )


class PurchaseConflict(Conflict):
    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "purchase_conflict",
            f"The reference {client_ref!r} already belongs to a purchase with other content.",
            message_zh=f"编号 {client_ref!r} 已用于内容不同的购买。",
            hint="Use a new reference for a new purchase.",
            hint_zh="新的购买请使用新的编号。",
        )


class RuleChanged(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "auto_top_up_changed",
            "The rule for automatic top-up is being changed by somebody else.",
            message_zh="自动充值规则正被他人修改。",
            hint="Look at it again and save what shall stand.",
            hint_zh="请刷新后重新保存。",
        )


class PurchaseClosed(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "purchase_closed",
            "The purchase was not paid in time and is closed.",
            message_zh="该购买未按时支付，已关闭。",
            hint="Buy again with a new reference.",
            hint_zh="请使用新的编号重新购买。",
        )


class ValueOutOfBounds(Invalid):
    """`unit` is that of the interface (µ, fen or %); people read credits and yuan."""

    def __init__(self, least: int, most: int, unit: str) -> None:
        shape, zh, en = PEOPLE_READ.get(unit, (str, unit, unit))
        super().__init__(
            "value_out_of_bounds",
            f"This must be between {shape(least)} and {shape(most)} {en}.",
            message_zh=f"须在 {shape(least)} 至 {shape(most)} {zh}之间。",
            hint="Give a value within the bounds.",
            hint_zh="请填写范围内的数值。",
            details={"least": least, "most": most, "unit": unit},
        )


class TooManyAlerts(Conflict):
    def __init__(self, limit: int) -> None:
        super().__init__(
            "too_many_alerts",
            f"An organisation keeps at most {limit} spend alerts.",
            message_zh=f"每个机构最多设置 {limit} 条消费提醒。",
            hint="Delete one that is no longer needed.",
            hint_zh="请先删除不再需要的提醒。",
        )


class UnknownAlert(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_alert",
            "There is no such spend alert in this organisation.",
            message_zh="本机构没有该消费提醒。",
        )


class NoAutoTopUp(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "no_auto_top_up",
            "This organisation has no automatic top-up rule.",
            message_zh="本机构未设置自动充值。",
            hint="Set threshold, amount and monthly cap first.",
            hint_zh="请先设置阈值、金额与每月上限。",
        )


class BadMonth(Invalid):
    def __init__(self, month: object) -> None:
        super().__init__(
            "bad_month",
            f"There is no statement for {month}: it lies ahead or before the books began.",
            message_zh=f"{month} 没有对账单：该月尚未到来或早于建账。",
            hint="Choose this month or an earlier one, written like 2026-11.",
            hint_zh="请选择本月或以前的月份，格式如 2026-11。",
        )


class StatementUnbalanced(Conflict):
    """The lots and the balance differ: either calls settle faster than they are read, or the books are broken."""

    def __init__(self, balance_micro: int, lots_micro: int) -> None:
        lots, balance = said_credits(lots_micro), said_credits(balance_micro)
        super().__init__(
            "statement_unbalanced",
            f"The lots sum to {lots} credits, the balance is {balance}; no statement is given out.",
            message_zh=f"批次合计 {lots} 积分与余额 {balance} 积分不一致，暂不出具对账单。",
            hint="Try again; if it stays, an operator runs `shanhe ledger verify`.",
            hint_zh="请重试；若仍不一致，请运营人员运行 `shanhe ledger verify`。",
            details={"balance_micro": balance_micro, "lots_micro": lots_micro},
        )


class UnknownRefund(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_refund",
            "There is no such refund in this organisation.",
            message_zh="本机构没有该退款记录。",
        )


class NothingToRefund(Conflict):
    """`refunded`: because it was refunded before."""

    def __init__(self, *, refunded: bool = False) -> None:
        if refunded:
            super().__init__(
                "nothing_to_refund",
                "This purchase was refunded already.",
                message_zh="这笔购买已经退过款，没有余下可退的金额。",
                hint="Look at the list of refunds for how far it is.",
                hint_zh="进度见退款记录。",
            )
            return
        super().__init__(
            "nothing_to_refund",
            "What was used is worth the payment or more at list price; there is nothing to refund.",
            message_zh="已使用部分按标价计不低于实付金额，无可退款项。",
            hint="Rule R3 shows the arithmetic: shanhe rules show R3.",
            hint_zh="计算方法见规则 R3。",
        )


class LotsHeld(Conflict):
    def __init__(self, held_micro: int) -> None:
        super().__init__(
            "lots_held",
            f"{said_credits(held_micro)} credits of this purchase are held by running calls, orders or collateral.",
            message_zh=f"该购买有 {said_credits(held_micro)} 积分被进行中的调用、挂单或抵押占用。",
            hint="Cancel the orders or wait for the calls to end, then ask again.",
            hint_zh="请撤单或等待调用结束后重试。",
            details={"held_micro": held_micro},
        )


class CreditsMoved(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "credits_moved",
            "The credits moved while they were being taken back; nothing was refunded.",
            message_zh="收回积分时余额发生变动，未退款。",
            hint="Ask again with a new reference.",
            hint_zh="请使用新的编号重试。",
        )


class RefundConflict(Conflict):
    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "refund_conflict",
            f"The reference {client_ref!r} belongs to another refund, or the purchase has one already.",
            message_zh=f"编号 {client_ref!r} 已用于其他退款，或该购买已退款。",
            hint="Look at the refunds of this organisation.",
            hint_zh="请查看本机构的退款记录。",
        )


class RefundClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "refund_state",
            f"A refund that is {en(state)} cannot be changed this way.",
            message_zh=f"退款当前状态为“{zh(state)}”，不能进行该操作。",
        )


class UnknownBatch(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_batch",
            "There is no such batch of codes.",
            message_zh="没有该批次的兑换码。",
        )


class BatchConflict(Conflict):
    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "batch_conflict",
            f"The reference {client_ref!r} belongs to a batch with other content.",
            message_zh=f"编号 {client_ref!r} 已用于内容不同的批次。",
            hint="Use a new reference for a new batch.",
            hint_zh="新的批次请使用新的编号。",
        )


class BatchClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "batch_closed",
            f"The batch of this code is {en(state)} or has expired.",
            message_zh=f"该兑换码所属批次已失效（{zh(state)}）。",
            hint="Ask whoever gave you the code.",
            hint_zh="请联系发放单位。",
        )


class OwnCodes(Forbidden):
    """Whoever sees codes can redeem them."""

    def __init__(self) -> None:
        super().__init__(
            "own_codes", "You made this batch or set its value aside; another operator has its codes.",
            message_zh="该批次由您创建或划拨资金，兑换码须由另一名运营人员导出。",
            hint="Ask a colleague to export it.", hint_zh="请由同事导出。",
        )  # fmt: skip


class CodesShown(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "codes_shown",
            "The codes of this batch were shown before; only their hashes are kept.",
            message_zh="该批次的兑换码已导出过，系统只保存其摘要。",
            hint="If the file is lost, revoke the batch and make a new one.",
            hint_zh="若文件遗失，请撤销该批次并重新创建。",
        )


class UnknownCode(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_code",
            "There is no such code.",
            message_zh="兑换码不存在。",
            hint="Check it for typing mistakes; after ten wrong tries in an hour it is refused.",
            hint_zh="请核对输入；一小时内输错十次将暂停兑换。",
        )


class CodeUsed(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "code_used",
            "This code was redeemed by somebody else.",
            message_zh="该兑换码已被他人使用。",
            hint="Ask whoever gave you the code.",
            hint_zh="请联系发放单位。",
        )


class TooManyTries(TooMany):
    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "too_many_tries",
            "Too many wrong codes were tried this hour.",
            message_zh="一小时内输错兑换码次数过多。",
            hint="Wait until the next hour.",
            hint_zh="请下一个小时再试。",
            retry_after_s=retry_after_s,
        )


class UnknownAgreement(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_agreement",
            "There is no such agreement or instalment in this organisation.",
            message_zh="本机构没有该框架协议或该期次。",
        )


class AgreementConflict(Conflict):
    def __init__(self, year: int) -> None:
        super().__init__(
            "agreement_conflict",
            f"This body has another agreement for {year}.",
            message_zh=f"该单位 {year} 年已签有其他框架协议。",
        )


class InstalmentPaid(Conflict):
    def __init__(self, number: int) -> None:
        super().__init__(
            "instalment_paid",
            f"Instalment {number} is paid.",
            message_zh=f"第 {number} 期已支付。",
        )


class NotGovernment(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "not_government",
            "Framework agreements are for government bodies and institutions.",
            message_zh="框架采购仅适用于政府机关与事业单位。",
            hint="Check the kind of the organisation.",
            hint_zh="请核对机构类型。",
        )


class UnknownDispute(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_dispute",
            "There is no such dispute in this organisation.",
            message_zh="本机构没有该争议。",
        )


class NotYourReceipt(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_receipt",
            "There is no such receipt of a call paid by this organisation.",
            message_zh="本机构没有该调用凭据。",
            hint="The usage page lists the receipts.",
            hint_zh="可在用量页面查看凭据。",
        )


class DisputeConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "dispute_conflict",
            "This receipt is disputed already.",
            message_zh="该凭据已提出过争议。",
        )


class DisputeClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "dispute_closed",
            f"The dispute is {en(state)} already.",
            message_zh=f"该争议已处理（{zh(state)}）。",
        )


class OwnDispute(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "own_dispute",
            "Whoever opened a dispute cannot decide it.",
            message_zh="提出争议的人不能自行裁决。",
            hint="Ask a colleague.",
            hint_zh="请由他人处理。",
        )
