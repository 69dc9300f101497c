"""The words of notices, Chinese first. Pure."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from shanhe.credits.model import (
    Affected,
    Alert,
    AutoTopUp,
    CodeBatch,
    PriceChange,
    Purchase,
    Refund,
    Source,
    Window,
)
from shanhe.kernel.money import format_fen, said_credits
from shanhe.kernel.notify import Notice, Severity, Text
from shanhe.kernel.sealing import sealed

KEYS_SHOWN = 10
_BUCKETS_ZH = {
    "input": "输入",
    "cached_input": "缓存输入",
    "output": "输出",
    "reasoning": "推理",
    "tool": "工具",
    "cache_write": "缓存写入",
}


def topped_up(purchase: Purchase) -> Notice:
    """Credits arrived."""
    priced = purchase.priced
    quantity, subsidy = said_credits(priced.quantity_micro), said_credits(priced.subsidy_micro)
    paid = format_fen(priced.paid_fen)
    auto_zh, auto_en = ("自动充值", "Automatic top-up") if purchase.source is Source.AUTO else ("充值", "Top-up")
    return Notice(
        "top_up",
        Text(f"{auto_zh}到账 {quantity} 积分", f"{auto_en}: {quantity} credits arrived"),
        Text(
            f"实付 {paid} 元，到账 {quantity} 积分，其中补贴 {subsidy}。",
            f"You paid CNY {paid} and received {quantity} credits, {subsidy} of them subsidy.",
        ),
        org_id=purchase.org_id,
        link=f"/topup/{purchase.id}",
        dedupe=f"credits/topup/{purchase.id}",
    )


def spend_reached(alert: Alert, spent_micro: int, window_start: date) -> Notice:
    """A spend alert's threshold was reached."""
    spent, amount = said_credits(spent_micro), said_credits(alert.amount_micro)
    window_zh, window_en = ("今日", "today") if alert.window is Window.DAY else ("本月", "this month")
    named_zh, named_en = ("提醒额度", "your alert") if sealed(alert.name) else (f"“{alert.name}”", f"“{alert.name}”")
    return Notice(
        "spend_alert",
        Text(
            f"{window_zh}消费已达{named_zh}的 {alert.percent}%",
            f"Spending {window_en} reached {alert.percent}% of {named_en}",
        ),
        Text(
            f"{window_zh}已消费 {spent} 积分，提醒额度为 {amount} 的 {alert.percent}%。可调整密钥预算或充值。",
            f"{spent} credits were spent {window_en}; the alert is set at {alert.percent}% of {amount}."
            " Adjust key budgets or top up.",
        ),
        severity=Severity.WARNING,
        org_id=alert.org_id,
        link="/usage",
        dedupe=f"credits/alert/{alert.id}/{alert.window}/{window_start.isoformat()}",
    )


def auto_capped(rule: AutoTopUp, month: date) -> Notice:
    """The monthly cap stops an automatic top-up."""
    cap = format_fen(rule.monthly_cap_fen)
    return Notice(
        "auto_top_up_capped",
        Text("自动充值已达本月上限", "Automatic top-up reached its monthly cap"),
        Text(
            f"余额低于阈值，但本月自动充值将超过上限 {cap} 元，因此未扣款。请手动充值或提高上限。",
            f"The balance is below the threshold, but another top-up would pass the monthly cap of CNY {cap};"
            " nothing was charged. Top up by hand or raise the cap.",
        ),
        severity=Severity.WARNING,
        org_id=rule.org_id,
        link="/topup",
        dedupe=f"credits/auto-cap/{rule.org_id}/{month.isoformat()}/{rule.monthly_cap_fen}",
    )


def auto_failed(rule: AutoTopUp, purchase: Purchase, *, stopped: bool) -> Notice:
    """An automatic top-up was not paid."""
    tail_zh = "连续失败，规则已停用，请检查授权后重新启用。" if stopped else "稍后会再试一次，请检查支付授权。"
    tail_en = (
        "It failed repeatedly and was switched off; check the mandate and switch it on again."
        if stopped
        else "It will be tried again later; check the mandate."
    )
    amount = format_fen(rule.value_fen)
    return Notice(
        "auto_top_up_failed",
        Text("自动充值未成功", "Automatic top-up failed"),
        Text(
            f"标价 {amount} 元的自动充值未能扣款。{tail_zh}",
            f"The automatic top-up of list value CNY {amount} could not be charged. {tail_en}",
        ),
        severity=Severity.WARNING,
        org_id=rule.org_id,
        link="/topup",
        dedupe=f"credits/auto-failed/{purchase.id}",
    )


def price_changed(change: PriceChange, affected: Affected, dedupe: str) -> Notice:
    """A model that the organisation's keys may call gets other prices."""
    shown = "、".join(affected.keys[:KEYS_SHOWN]) + (" …" if len(affected.keys) > KEYS_SHOWN else "")
    lines_zh, lines_en = [], []
    for bucket in sorted({*change.before, *change.after}):
        old, new = change.before.get(bucket), change.after.get(bucket)
        if old == new:
            continue
        texts = [said_credits(price) if price is not None else "—" for price in (old, new)]
        lines_zh.append(f"{_BUCKETS_ZH.get(bucket, bucket)} {texts[0]} → {texts[1]}")
        lines_en.append(f"{bucket} {texts[0]} → {texts[1]}")
    day = change.valid_from.isoformat()
    reason_zh = f"原因：{change.reason}。" if change.reason else ""
    reason_en = f" Reason: {change.reason}." if change.reason else ""
    return Notice(
        "price_change",
        Text(f"{change.model} 自 {day} 起调整价格", f"Prices of {change.model} change on {day}"),
        Text(
            f"每百万词元的积分价：{'；'.join(lines_zh)}。涉及密钥：{shown}。{reason_zh}",
            f"Credits per million tokens: {'; '.join(lines_en)}. Keys concerned: {shown}.{reason_en}",
        ),
        org_id=affected.org_id,
        link="/models",
        dedupe=f"credits/{dedupe}/{affected.org_id}",
    )


def refund_posted(refund: Refund) -> Notice:
    """The credits were taken back; the money is on its way."""
    amount = format_fen(refund.refund_fen)
    return Notice(
        "refund",
        Text(f"退款 {amount} 元已受理", f"A refund of CNY {amount} is on its way"),
        Text(
            f"该购买剩余积分已收回，{amount} 元将退回原支付渠道。",
            f"What was left of the purchase was taken back; CNY {amount} returns the way it came.",
        ),
        org_id=refund.org_id,
        link="/credits/refunds",
        dedupe=f"credits/refund/{refund.id}",
    )


def refund_paid(refund: Refund) -> Notice:
    """The money is back."""
    amount = format_fen(refund.refund_fen)
    return Notice(
        "refund_paid",
        Text(f"退款 {amount} 元已退回", f"CNY {amount} were refunded"),
        Text(f"编号 {refund.id}。", f"Refund {refund.id}."),
        org_id=refund.org_id,
        link="/credits/refunds",
        dedupe=f"credits/refund-paid/{refund.id}",
    )


def refund_failed(refund: Refund) -> Notice:
    """The provider refused: an operator sends the money another way."""
    amount = format_fen(refund.refund_fen)
    return Notice(
        "refund_failed",
        Text(f"退款 {amount} 元未成功，待人工处理", f"A refund of CNY {amount} failed and waits for an operator"),
        Text(
            "支付渠道未能退款，款项仍计为应付机构的余额；请重试或改用银行转账。",
            "The provider refused. The money is still due to the organisation: try again, or transfer it by bank.",
        ),
        severity=Severity.WARNING,
        link="/city/credits",
        dedupe=f"credits/refund-failed/{refund.id}/{refund.attempt}",
    )


def redeemed(batch: CodeBatch, org_id: UUID, posting_id: UUID) -> Notice:
    """A code's credits arrived."""
    amount = said_credits(batch.value_micro)
    return Notice(
        "redeemed",
        Text(f"兑换到账 {amount} 积分", f"{amount} credits were redeemed"),
        Text(f"来自“{batch.name}”。", f"From “{batch.name}”."),
        org_id=org_id,
        link="/credits/redeem",
        dedupe=f"credits/redeem/{posting_id}",
    )


def will_lapse(org_id: UUID, on: date, amount_micro: int, days: int, due: int) -> Notice:
    """Credits lapse soon (C11)."""
    amount = said_credits(amount_micro)
    return Notice(
        "lapse",
        Text(f"{amount} 积分将于 {on} 到期", f"{amount} credits expire on {on}"),
        Text(
            f"距到期还有 {days} 天。到期未使用的积分将作废；到期前已预留的部分不受影响。",
            f"{days} days are left. What is not used by then lapses; what is reserved before stays good.",
        ),
        severity=Severity.WARNING if due <= 7 else Severity.INFO,
        org_id=org_id,
        link="/credits",
        dedupe=f"credits/lapse/{org_id}/{on}/{due}",
    )


def instalment_due(org_id: UUID, agreement_id: UUID, number: int, amount_fen: int, due_on: date) -> Notice:
    """An instalment of a framework purchase is due."""
    amount = format_fen(amount_fen)
    return Notice(
        "instalment_due",
        Text(f"框架采购第 {number} 期应付 {amount} 元", f"Instalment {number} of CNY {amount} is due"),
        Text(f"应付日期 {due_on}。", f"Due since {due_on}."),
        org_id=org_id,
        link="/credits/agreements",
        dedupe=f"credits/instalment/{agreement_id}/{number}",
    )


def invoice_requested(invoice_id: UUID, amount_fen: int) -> Notice:
    """Operators: somebody asks for an invoice."""
    amount = format_fen(amount_fen)
    return Notice(
        "invoice_requested",
        Text(f"新的开票申请 {amount} 元", f"An invoice over CNY {amount} is asked for"),
        Text("抬头与税号见积分业务页。", "Title and tax number are on the credit desk."),
        link="/city/credits",
        dedupe=f"credits/invoice/{invoice_id}",
    )


def invoice_decided(org_id: UUID, invoice_id: UUID, state: str, number: str) -> Notice:
    """The invoice was issued, or not."""
    issued = state == "issued"
    return Notice(
        "invoice_decided",
        Text("发票已开具" if issued else "开票申请被退回", "Invoice issued" if issued else "Invoice request returned"),
        Text(
            f"发票号码：{number}。" if issued else "原因见发票页。",
            f"Number: {number}." if issued else "The reason is on the page of invoices.",
        ),
        org_id=org_id,
        link="/credits/invoices",
        dedupe=f"credits/invoice-decided/{invoice_id}",
    )


def red_letter_due(
    org_id: UUID, letter_id: UUID, amount_fen: int, invoice: str, *, special: bool
) -> tuple[Notice, ...]:
    """A refund takes back what was invoiced: its buyer and the operators, in this order."""
    amount = format_fen(amount_fen)
    buyer = (
        Text(
            "专用发票：请在电子税务局确认《红字发票信息确认单》；已用于抵扣的，由贵方发起。红字发票开具后即退款。",
            "A special invoice: agree to its confirmation sheet at the tax bureau; if you have deducted it, you begin"
            " it. The money is sent once the red-letter invoice is issued.",
        )
        if special
        else Text("无须办理；红字发票开具后即退款。", "Nothing to do. The money is sent once it is issued.")
    )
    title = Text(
        f"发票 {invoice} 将红冲 {amount} 元", f"CNY {amount} of invoice {invoice} are reversed by a red-letter invoice"
    )
    return (
        Notice("red_letter_due", title, buyer, org_id=org_id, link="/credits/invoices#red",
               dedupe=f"credits/red-letter/{letter_id}"),
        Notice("red_letter_due", Text(f"发票 {invoice} 须红冲 {amount} 元", title.en),
               Text("退款在红字发票登记后付出。", "The refund is paid once the red-letter invoice is recorded."),
               link="/city/credits/red-letters", dedupe=f"credits/red-letter-desk/{letter_id}"),
    )  # fmt: skip


def red_letter_issued(org_id: UUID, letter_id: UUID, invoice: str, number: str) -> Notice:
    """The red-letter invoice is there."""
    return Notice(
        "red_letter_issued",
        Text(f"红字发票 {number} 已开具", f"Red-letter invoice {number} was issued"),
        Text(f"对应发票 {invoice}，退款随后付出。", f"It reverses {invoice}; the refund is sent next."),
        org_id=org_id,
        link="/credits/invoices#red",
        dedupe=f"credits/red-letter-issued/{letter_id}",
    )


def dispute_opened(dispute_id: UUID) -> Notice:
    """Operators: a receipt is disputed."""
    return Notice(
        "dispute_opened",
        Text("有凭据被提出争议", "A receipt is disputed"),
        Text("原因与证据见积分业务页。", "Reason and evidence are on the credit desk."),
        severity=Severity.WARNING,
        link="/city/credits",
        dedupe=f"credits/dispute/{dispute_id}",
    )


def dispute_decided(org_id: UUID, dispute_id: UUID, granted: bool) -> Notice:
    """How a dispute ended."""
    return Notice(
        "dispute_decided",
        Text(
            "争议成立，费用已退回" if granted else "争议不成立",
            "The charge was given back" if granted else "The charge stands",
        ),
        Text("处理意见见争议页。", "The answer is on the page of disputes."),
        org_id=org_id,
        link="/credits/disputes",
        dedupe=f"credits/dispute-decided/{dispute_id}",
    )


def estate_booked(org_id: UUID, estate_id: UUID) -> Notice:
    """A successor received what passes to it."""
    return Notice(
        "estate",
        Text("继承或清算的财产已到账", "What passes to you has arrived"),
        Text(
            "积分保留原来源、到期日与锁定期，资金转入交易账户。明细见本月对账单。",
            "Credits keep their provenance, expiry and lock; cash is in the exchange account."
            " See this month's statement.",
        ),
        org_id=org_id,
        link="/credits",
        dedupe=f"credits/estate/{estate_id}/{org_id}",
    )


def estate_left(org_id: UUID, estate_id: UUID) -> Notice:
    """Whoever acted for what has ended reads where its balance went."""
    return Notice(
        "estate_left",
        Text("账户已办理继承或清算", "Your account was handed over"),
        Text(
            "可移转的积分与资金已转给承继方，其余已失效。明细见本月对账单；如有异议，请联系运营方。",
            "What may pass went to its successors, the rest lapsed. See this month's statement; ask the operator.",
        ),
        severity=Severity.WARNING,
        org_id=org_id,
        link="/credits",
        dedupe=f"credits/estate/{estate_id}/{org_id}",
    )
