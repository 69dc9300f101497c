"""Who is told of money at the bank that waits: whoever's order it came for, and whom a returned transfer was for."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from shanhe.kernel.money import format_fen
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.payments.api import BankDesk, Outgoing, Payments, Payouts, Suspense, SuspenseKind

SAID: Final = {
    SuspenseKind.OVER: ("多付了 {} 元", "paid CNY {} too much"),
    SuspenseKind.UNDER: ("已付 {} 元，尚不足订单金额", "paid CNY {}, which is less than the order"),
    SuspenseKind.LATE: ("为已过期的订单付了 {} 元", "paid CNY {} for an order that had run out"),
}
PAYER: Final = Text(
    "这笔钱仍是贵方的：可用于支付另一笔银行转账订单，或要求退回原账户。",
    "The money is still yours: pay another order by transfer with it, or ask for it back.",
)
PAYEE: Final = Text(
    "通常是账户有误或已销户。请核对并更正收款账户，款项随后重新汇出，银行扣收的手续费不由贵方承担。",
    "The account is usually wrong or closed. Look at it and put it right; the money is sent again, and what the bank"
    " kept is not at your cost.",
)


def follow_stray_money(bank: BankDesk, payments: Payments, payouts: Payouts, notifier: Notifier) -> None:
    """Tell payers and payees."""

    async def waiting(conn: Any, item: Suspense, sent: Outgoing | None) -> None:
        fen = format_fen(item.amount_fen)
        if item.order_id is not None and item.kind in SAID:
            zh, en = (text.format(fen) for text in SAID[item.kind])
            order = await payments.order(item.order_id)
            await notifier.notify(
                Notice(
                    kind="payments.waiting", title=Text(f"银行转账{zh}", f"By bank transfer you {en}"), body=PAYER,
                    org_id=order.org_id, link="/topup#waiting", dedupe=f"waiting:{item.id}",
                ),
                conn,
            )  # fmt: skip
        elif sent is not None:
            await notifier.notify(
                Notice(
                    kind="payments.came_back", severity=Severity.WARNING, body=PAYEE,
                    title=Text(f"银行退回了汇给贵方的 {fen} 元", f"The bank returned CNY {fen} that was sent to you"),
                    org_id=await owner(await bank.origin(sent)), link="/income#payee", dedupe=f"came_back:{item.id}",
                ),
                conn,
            )  # fmt: skip

    async def owner(sent: Outgoing) -> UUID:
        if sent.kind == "refund":
            return (await payments.order((await payments.refund_of(sent.subject_id)).order_id)).org_id
        return (await payouts.get(sent.subject_id)).org_id

    bank.matching.on_waiting(waiting)
