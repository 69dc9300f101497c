"""What the ledger refuses, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError, TooMany, Unavailable
from shanhe.kernel.money import format_fen, said_credits
from shanhe.ledger.model import Asset, Limit

PAYMENT_REQUIRED: Final = 402


class InsufficientCredit(ShanheError):
    """The database says that an account does not have it; amounts in the asset's minor unit (credits: µ)."""

    default_status = PAYMENT_REQUIRED

    def __init__(self, account: UUID, available_micro: int, needed_micro: int, asset: Asset = Asset.CREDIT) -> None:
        credit, unit_zh, unit = asset is Asset.CREDIT, asset.value, asset.value
        written: Callable[[int], str] = str
        if credit:
            written, unit_zh, unit = said_credits, "积分", "AI Credits"
        elif asset is Asset.CNY:
            written, unit_zh, unit = format_fen, "元", "CNY"
        available, needed = written(available_micro), written(needed_micro)
        hint, hint_zh = "Put money there first.", "请先备足款项。"
        if credit:
            hint = "Top up, or ask for less (a smaller max_tokens reserves less)."
            hint_zh = "请充值，或减少用量（较小的 max_tokens 占用更少）。"
        super().__init__(
            "insufficient_credit",
            f"The balance does not cover this: {needed} {unit} needed, {available} available.",
            message_zh=f"余额不足：需要 {needed} {unit_zh}，可用 {available}。",
            hint=hint,
            hint_zh=hint_zh,
            details={"account": str(account), "available": available_micro, "needed": needed_micro},
        )
        self.account = account
        self.available_micro = available_micro
        self.needed_micro = needed_micro


class LimitExceeded(TooMany):
    """A counter (a key's budget or rate) has no room left in its window."""

    def __init__(self, limit: Limit, used: int) -> None:
        left = max(0, limit.cap - used)
        super().__init__(
            "limit_exceeded",
            f"The limit {limit.name} ({limit.cap} per window {limit.window}) has {left} left, {limit.amount} needed.",
            message_zh=f"超出限额 {limit.name}（{limit.window} 内 {limit.cap}）：剩余 {left}，需 {limit.amount}。",
            hint="Wait for the next window, or raise the limit of this key.",
            hint_zh="请等待下一个窗口，或提高该密钥的限额。",
            details={"limit": limit.name, "window": limit.window, "cap": limit.cap, "used": used},
        )
        self.limit = limit
        self.used = used


class IdempotencyConflict(Conflict):
    """The id was used before with other content."""

    def __init__(self, identifier: UUID) -> None:
        super().__init__(
            "idempotency_conflict",
            f"{identifier} was used before with other content; nothing was booked.",
            message_zh=f"{identifier} 已用于不同内容，本次未入账。",
            hint="Use a fresh id for a new posting, or send exactly the first content again.",
            hint_zh="新的入账请换新的编号，重试请发送与首次完全相同的内容。",
            details={"id": str(identifier)},
        )
        self.identifier = identifier


class UnknownAccount(NotFound):
    def __init__(self, account: UUID) -> None:
        super().__init__(
            "unknown_account",
            f"There is no account {account}.",
            message_zh=f"不存在账户 {account}。",
            details={"account": str(account)},
        )


class UnknownPosting(NotFound):
    def __init__(self, posting: UUID) -> None:
        super().__init__(
            "unknown_posting",
            f"There is no posting {posting}.",
            message_zh=f"不存在入账 {posting}。",
            details={"posting": str(posting)},
        )


class BadCursor(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "cursor_invalid", "This cursor is not one of ours.", message_zh="游标无效。",
            hint="Start again without it.", hint_zh="请去掉游标，从第一页开始。",
        )  # fmt: skip


class UnknownHold(NotFound):
    def __init__(self, hold: UUID) -> None:
        super().__init__(
            "unknown_hold", f"There is no hold {hold}.", message_zh=f"不存在冻结 {hold}。", details={"hold": str(hold)}
        )


class HoldClosed(Conflict):
    """The hold was captured, voided or has expired."""

    def __init__(self, hold: UUID) -> None:
        super().__init__(
            "hold_closed",
            f"The hold {hold} is no longer open: it was captured, voided or has expired.",
            message_zh=f"冻结 {hold} 已结束：已扣款、已撤销或已过期。",
            hint="Make a new hold.",
            hint_zh="请重新冻结。",
            details={"hold": str(hold)},
        )


class LeaseReclaimed(Conflict):
    """The lease behind a reservation expired and was given back: what it reserved may belong to others by now."""

    def __init__(self, receipt: UUID) -> None:
        super().__init__(
            "lease_reclaimed",
            f"The reservation of {receipt} lapsed because its worker was silent too long; nothing was charged.",
            message_zh=f"{receipt} 的预留因工作进程失联而失效，未扣款。",
            hint="Nothing to do: the call costs nothing.",
            hint_zh="无需处理：本次调用不收费。",
            details={"receipt": str(receipt)},
        )


class PeriodClosed(Conflict):
    def __init__(self, day: object, closed_through: object) -> None:
        super().__init__(
            "period_closed",
            f"The books are closed through {closed_through}; a posting dated {day} is refused.",
            message_zh=f"账期已关闭至 {closed_through}，拒绝日期为 {day} 的入账。",
            hint="Book the correction today; reversals go into the open period.",
            hint_zh="请在当前账期更正，冲正记入未关闭的账期。",
        )


class ClosedBefore(PeriodClosed):
    """A period that is to be closed and is."""

    def __init__(self, through: date, closed_through: date) -> None:
        Conflict.__init__(
            self,
            "period_closed",
            f"The books are closed through {closed_through} already, so {through} is too.",
            message_zh=f"账期已关闭至 {closed_through}，{through} 已在其中，无需再次关账。",
            hint=f"Close through a day after {closed_through}, or leave it at that.",
            hint_zh=f"如需继续关账，请填写 {closed_through} 之后的日期。",
        )


class PeriodNotOver(Invalid):
    """A period that is to be closed and still runs."""

    def __init__(self, through: date, open_day: date) -> None:
        last = open_day - timedelta(days=1)
        super().__init__(
            "period_not_over",
            f"{through} is not over yet, so the books can't be closed through it.",
            message_zh=f"{through} 尚未结束，不能关账至该日。",
            hint=f"The last day that can be closed now is {last}.",
            hint_zh=f"目前最晚可关账至 {last}。",
        )


class TooManyVouchers(Invalid):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_vouchers",
            f"These days have more than {most} lines of vouchers.",
            message_zh=f"所选期间的凭证超过 {most} 行。",
            hint="Choose a shorter period.",
            hint_zh="请缩短期间。",
        )


class NotBalanced(Invalid):
    """A posting that cannot be right whatever the balances are."""

    def __init__(self, why: str, why_zh: str = "") -> None:
        super().__init__("posting_invalid", why, message_zh=why_zh or why)


class AlreadyReversed(Conflict):
    def __init__(self, posting: UUID) -> None:
        super().__init__(
            "already_reversed",
            f"The posting {posting} was reversed before.",
            message_zh=f"入账 {posting} 已被冲正。",
            details={"posting": str(posting)},
        )


class LedgerUnavailable(Unavailable):
    """The database did not answer within the bounded wait; retry with the same id, it is booked at most once."""

    def __init__(self, why: str = "") -> None:
        super().__init__(
            "ledger_unavailable",
            f"The ledger cannot reach its database. {why}".strip(),
            message_zh=f"账本无法连接数据库。{why}".strip(),
            hint="Try again in a moment; what has the same id is booked at most once.",
            hint_zh="请稍后重试；相同编号最多入账一次。",
        )


class LedgerFull(Unavailable):
    """The database has no room left on its disk. It said so itself: nothing was booked, and nothing is pending, unlike
    where it is only away."""

    def __init__(self) -> None:
        super().__init__(
            "disk_full",
            "The city's disk is full; nothing was booked or charged. Try again when the operator has made room.",
            message_zh="磁盘空间不足，未入账、未计费。请在运营方清理磁盘后重试。",
            retry_after_s=60,
            hint="Make room on the disk of the database (`shanhe doctor` names it); the city goes on by itself.",
            hint_zh="请清理数据库所在磁盘（`shanhe doctor` 会指出），之后会自动恢复。",
        )


class LedgerBusy(Unavailable):
    """The queue of waiting postings is full."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            "ledger_busy",
            f"{waiting} postings are waiting already; this one was not queued.",
            message_zh=f"已有 {waiting} 笔入账在等待，本次未排队。",
            hint="Try again in a second; what has the same id is booked at most once.",
            hint_zh="请稍后重试；相同编号最多入账一次。",
        )
