"""What can go wrong between income and its maker's account."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound
from shanhe.kernel.money import format_fen, said_credits
from shanhe.kernel.words import en, zh


class UnknownPayout(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_payout",
            "There is no such payout.",
            message_zh="没有该笔提现。",
            hint="List the organisation's payouts first.",
            hint_zh="请先查看提现列表。",
        )


class NothingToPay(Conflict):
    """No payout waits for the bank's file, so there is nothing to write into one."""

    def __init__(self) -> None:
        super().__init__(
            "nothing_to_pay",
            "No approved payout waits to be sent by the bank's file.",
            message_zh="没有等待通过银行文件付款的已批准提现。",
            hint="Files made before can be downloaded again from the list of files.",
            hint_zh="以前导出的文件可在“银行批量文件”列表中重新下载。",
        )


class UnknownPayee(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_payee",
            "There is no such account to pay to, or a newer one has replaced it.",
            message_zh="没有该收款账户，或已被新账户取代。",
            hint="Look at the organisation's current account.",
            hint_zh="请查看该机构当前的收款账户。",
        )


class PayeeNotChecked(Conflict):
    """No account is named, or nobody has checked that it is the named holder's."""

    def __init__(self) -> None:
        super().__init__(
            "payee_not_checked",
            "There is no checked account to pay to.",
            message_zh="尚无通过核验的收款账户。",
            hint="Give name and account on the income page; an operator or the check service compares them.",
            hint_zh="请先在收益页填写户名与账号，由核验服务或运营人员核对。",
        )


class PayoutOutOfBounds(Invalid):
    def __init__(self, amount_micro: int, most_micro: int, least_fen: int, most_fen: int) -> None:
        super().__init__(
            "payout_out_of_bounds",
            f"{said_credits(amount_micro)} credits cannot be paid out: at most {said_credits(most_micro)} are"
            f" available, and one payout is over CNY {format_fen(least_fen)} to {format_fen(most_fen)}.",
            message_zh=f"无法提现：当前可提 {said_credits(most_micro)} 积分，单笔金额须在 {format_fen(least_fen)} 至"
            f" {format_fen(most_fen)} 元之间。",
            hint="Income can be paid out after its pending days; see rule P10_payout for the bounds.",
            hint_zh="收益在待结算期满后方可提现；限额见规则 P10_payout。",
            details={"most_micro": most_micro, "least_fen": least_fen, "most_fen": most_fen},
        )


class PayoutConflict(Conflict):
    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "payout_conflict",
            f"The reference {client_ref!r} already belongs to a payout over another amount.",
            message_zh=f"编号 {client_ref!r} 已用于另一笔金额不同的提现。",
            hint="Use a new reference for a new payout.",
            hint_zh="新的提现请使用新的编号。",
        )


class PayoutStateError(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "payout_state",
            f"The payout is {en(state)}; this cannot be done now.",
            message_zh=f"该笔提现当前状态为“{zh(state)}”，不能执行此操作。",
            hint="Read it again.",
            hint_zh="请刷新后再试。",
            details={"state": state},
        )


class PayoutSamePerson(Conflict):
    """Four eyes: who asked, the first and the second approver are three different people."""

    def __init__(self) -> None:
        super().__init__(
            "payout_same_person",
            "Two operators other than whoever asked must approve, each once.",
            message_zh="须由申请人以外的两名运营人员分别批准。",
            hint="Ask a colleague.",
            hint_zh="请由另一位同事办理。",
        )
