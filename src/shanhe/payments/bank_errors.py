"""What can go wrong between a bank's statement and the books."""

from __future__ import annotations

from datetime import date

from shanhe.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from shanhe.kernel.money import format_fen
from shanhe.kernel.words import en, zh


class StatementUnreadable(Invalid):
    """A statement file as a whole; single rows are reported, not refused."""

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "statement_unreadable",
            f"The statement could not be read: {why}.",
            message_zh=f"无法读取对账单：{why_zh}。",
            hint="Export it as CSV with the columns date, amount (or debit and credit), counterparty and remark.",
            hint_zh="请导出含日期、金额（或借方、贷方）、对方户名和附言各列的 CSV 文件。",
        )


class StatementIncomplete(Invalid):
    """A statement that lacks lines by its own balances or sums, or ends in the middle."""

    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "statement_incomplete",
            f"The statement is not complete: {why}. Nothing of it was taken.",
            message_zh=f"对账单不完整：{why_zh}。本次未读入任何内容。",
            hint="Download it from the bank again and upload the file as it is, without opening or editing it.",
            hint_zh="请从网银重新下载，不要打开或编辑，直接上传原文件。",
        )


class StatementOfAnother(Invalid):
    """A statement that names another account than the city's."""

    def __init__(self, named: str, ours: str) -> None:
        super().__init__(
            "statement_of_another",
            f"The statement is of the account {named}, not of the city's, {ours}. Nothing of it was taken.",
            message_zh=f"该对账单的账号为 {named}，不是本市收款账户 {ours}。本次未读入任何内容。",
            hint="Choose the city's account at the bank and download its statement.",
            hint_zh="请在网银中选择本市收款账户后重新下载。",
        )


class StatementContradicts(Conflict):
    """A statement over days that were read before, without lines that the bank listed then."""

    def __init__(self, name: str, lines: int) -> None:
        super().__init__(
            "statement_contradicts",
            f"The statement covers days of “{name}”, which was read before, and lacks {lines} of its lines: it is of"
            " another account, or was exported in another form. Nothing of it was taken.",
            message_zh=f"该对账单与已读入的“{name}”日期重叠，却缺少其中 {lines} 笔明细：可能是其他账户的对账单，"
            "或导出的格式不同。本次未读入任何内容。",
            hint="Export it as the earlier one was, or only the days after those that were read.",
            hint_zh="请按先前的格式重新导出，或只导出尚未读入的日期。",
        )


class StatementsWait(Conflict):
    def __init__(self, most: int) -> None:
        super().__init__(
            "statements_wait",
            f"{most} statements wait for a second operator; no more are kept.",
            message_zh=f"已有 {most} 份对账单待另一名运营人员复核，暂不能再上传。",
            hint="Have those that wait decided first.",
            hint_zh="请先复核已上传的对账单。",
        )


class StatementGone(NotFound):
    """No statement waits under this digest: it was decided, or nobody uploaded it."""

    def __init__(self) -> None:
        super().__init__(
            "statement_gone",
            "No statement waits under this digest.",
            message_zh="没有待复核的该份对账单。",
            hint="It was decided already, or its contents can't be read any more; upload the file again.",
            hint_zh="可能已经办结，或内容已无法读取；请重新上传文件。",
        )


class NotReturned(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "not_returned",
            "No statement shows that this money had left with one of our references before it came.",
            message_zh="没有对账单显示该笔款项曾以本市的识别码汇出，不能作为退汇重新汇出。",
            hint="Upload the statement that shows how it left, or deal with the money another way.",
            hint_zh="请先上传显示其汇出的对账单，或改用其他方式处理。",
        )


class MoreThanSent(Conflict):
    def __init__(self, left_fen: int, came_fen: int, fee_fen: int) -> None:
        super().__init__(
            "more_than_sent",
            f"CNY {format_fen(came_fen)} that came back and CNY {format_fen(fee_fen)} that the bank kept are more than"
            f" what is still out, CNY {format_fen(left_fen)}.",
            message_zh=f"退回的 {format_fen(came_fen)} 元与银行扣收的 {format_fen(fee_fen)} 元，"
            f"合计超过尚未退回的 {format_fen(left_fen)} 元。",
            hint="Put right what the bank kept; money that we never sent is given back to whoever paid it.",
            hint_zh="请核对银行扣收的金额；并非本市汇出的款项，请退回付款人。",
            details={"left_fen": left_fen},
        )


class UnknownSuspense(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_suspense",
            "There is no such item in suspense.",
            message_zh="没有该笔待处理款项。",
            hint="List the open items first.",
            hint_zh="请先查看待处理款项列表。",
        )


class NotExplained(Invalid):
    """The posting that is to have an item's money moved something else."""

    def __init__(self, item_fen: int, moved_fen: int | None) -> None:
        found = f"{format_fen(moved_fen)}" if moved_fen is not None else "—"
        super().__init__(
            "not_explained",
            f"The posting moved CNY {found} on the bank's account, not {format_fen(item_fen)}, or there is none.",
            message_zh=f"所列分录在银行账户上发生 {found} 元，而非 {format_fen(item_fen)} 元，或该分录不存在。",
            hint="Name the posting that has exactly this money; the bank's balance lists what only the books have.",
            hint_zh="请填写恰好记载该笔款项的分录编号；“银行存款余额调节表”列有仅账面记载的各笔。",
        )


class NotElsewhere(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "not_elsewhere",
            "This is no transfer to another account, or another line has shown that it was sent.",
            message_zh="该笔并非汇往其他账户的款项，或已有其他流水显示其汇出。",
            hint="Look at the item and at what is to be sent.",
            hint_zh="请查看该笔款项与待汇出列表。",
        )


class ExplainsAnother(Conflict):
    """A statement has shown already what a posting booked."""

    def __init__(self) -> None:
        super().__init__(
            "explains_another",
            "That posting belongs to another line of a statement.",
            message_zh="该分录已对应对账单的另一行。",
            hint="One posting explains one line. Look for the one that no statement has shown.",
            hint_zh="一笔分录只能对应一行流水，请查找尚未对应的分录。",
        )


class CannotBeBooked(Invalid):
    def __init__(self, booked_as: str, outgoing: bool, fee_fen: int = 0) -> None:
        way, way_zh = ("left", "支出") if outgoing else ("came", "收入")
        kept = f", with CNY {format_fen(fee_fen)} kept of it" if fee_fen else ""
        kept_zh = f"（另扣手续费 {format_fen(fee_fen)} 元）" if fee_fen else ""
        super().__init__(
            "cannot_be_booked",
            f"Money that {way} can't be booked as {booked_as!r}{kept}.",
            message_zh=f"该笔{way_zh}不能记为“{booked_as}”{kept_zh}。",
            hint="Charges and tax leave, interest comes; commission is kept only of what WeChat Pay or Alipay settles.",
            hint_zh="手续费与税款为支出，利息为收入；只有微信支付、支付宝的结算款可扣手续费。",
        )


class UnknownBalance(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_balance",
            "There is no such sheet of the bank's balance.",
            message_zh="没有该份银行存款余额调节表。",
            hint="List the sheets first.",
            hint_zh="请先查看调节表列表。",
        )


class BalanceTooEarly(Invalid):
    def __init__(self, day: date) -> None:
        super().__init__(
            "balance_too_early",
            f"{day} is not over yet.",
            message_zh=f"{day} 尚未结束。",
            hint="A balance is looked at up to today, and signed from the day after.",
            hint_zh="调节表可查看至今日，当日结束后方可提交复核。",
        )


class SuspenseDecided(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "suspense_decided",
            f"This item is {en(state)} already.",
            message_zh=f"该款项已处理（{zh(state)}）。",
            hint="A decision is final; book a correction in the ledger instead.",
            hint_zh="处理结果不可更改；如需更正请在账本中另行记账。",
        )


class SuspenseUnfit(Conflict):
    """The money does not fit the order it was to be applied to."""

    def __init__(self, needed_fen: int, given_fen: int) -> None:
        super().__init__(
            "suspense_unfit",
            f"The order needs CNY {format_fen(needed_fen)}, this item has CNY {format_fen(given_fen)}.",
            message_zh=f"订单需要 {format_fen(needed_fen)} 元，该款项为 {format_fen(given_fen)} 元，金额不足。",
            hint="Apply it together with other items of the order, or send it back.",
            hint_zh="请与同一订单的其他款项一并处理，或退回付款人。",
            details={"needed_fen": needed_fen, "given_fen": given_fen},
        )


class SuspenseChanged(Conflict):
    """Other money of the order came or went since somebody decided on a sum."""

    def __init__(self, decided_fen: int, given_fen: int) -> None:
        super().__init__(
            "suspense_changed",
            f"CNY {format_fen(decided_fen)} were decided on; with the order's other parts it is CNY"
            f" {format_fen(given_fen)} now. Nothing was moved.",
            message_zh=f"所决定的金额为 {format_fen(decided_fen)} 元，连同该订单的其他款项现为"
            f" {format_fen(given_fen)} 元，未作处理。",
            hint="Look at the order's items and decide again.",
            hint_zh="请核对该订单的款项后重新提交。",
            details={"decided_fen": decided_fen, "given_fen": given_fen},
        )


class SuspenseUnsettled(Unavailable):
    """What the same row of the statement paid last is not booked yet."""

    def __init__(self) -> None:
        super().__init__(
            "suspense_unsettled",
            "Another part of the same transfer is being booked. Nothing was moved.",
            message_zh="同一笔汇款的其他部分正在入账，未作处理。",
            hint="Try again in a minute.",
            hint_zh="请稍后再试。",
        )
