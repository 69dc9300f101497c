"""What can go wrong between an order and its money; every refused notification changes nothing."""

from __future__ import annotations

from datetime import date

from shanhe.kernel.errors import Conflict, Invalid, NotFound, Unauthorized, Unavailable
from shanhe.kernel.money import format_fen, said_credits
from shanhe.kernel.words import en, zh


class NotificationForged(Unauthorized):
    """The signature is absent or does not match."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "notification_forged",
            f"The notification was refused: {why}.",
            message_zh="支付通知被拒绝：签名缺失或不正确。",
            hint="Sign `timestamp\\nnonce\\nbody\\n` with the provider's current key.",
            hint_zh="请用支付机构当前密钥对“时间戳、随机串、报文”签名。",
        )


class NotificationLate(Conflict):
    """Signed too long ago (or in the future), or about an order that is closed."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "notification_late",
            f"The notification was refused: {why}.",
            message_zh="支付通知被拒绝：已超过有效时间，或订单已关闭。",
            hint="Send it again with a fresh timestamp and nonce; money for a closed order goes back to its payer.",
            hint_zh="请用新的时间戳与随机串重发；已关闭订单的款项应原路退回。",
        )


class NotificationReplayed(Conflict):
    """Exactly this message was accepted before."""

    def __init__(self) -> None:
        super().__init__(
            "notification_replayed",
            "A notification with this nonce was accepted before; nothing was done again.",
            message_zh="该通知（随机串）已处理过，未重复执行。",
            hint="A repeated notice needs a nonce of its own.",
            hint_zh="重发通知须使用新的随机串。",
        )


class NotificationMalformed(Invalid):
    def __init__(self, why: str) -> None:
        super().__init__(
            "notification_malformed",
            f"The notification could not be read: {why}.",
            message_zh="支付通知格式不正确。",
            hint="See the provider protocol for the fields a notification carries.",
            hint_zh="请对照支付协议检查通知字段。",
        )


class UnknownPayment(NotFound):
    """No order, refund or mandate answers to the reference."""

    def __init__(self, what: str = "payment") -> None:
        super().__init__(
            "unknown_payment",
            f"There is no such {what}.",
            message_zh="没有对应的支付记录。",
            hint="Check the reference; it belongs to one provider and one organisation.",
            hint_zh="请核对编号；每个编号只属于一个支付机构与一个机构。",
        )


class AmountMismatch(Conflict):
    """The notification names another amount than the order."""

    def __init__(self, expected_fen: int, got_fen: int | None) -> None:
        expected, got = format_fen(expected_fen), "—" if got_fen is None else format_fen(got_fen)
        super().__init__(
            "amount_mismatch",
            f"The order is over CNY {expected}, the notification says CNY {got}; nothing was booked.",
            message_zh=f"订单金额为 {expected} 元，通知金额为 {got} 元；未入账。",
            hint="Query the payment at the provider; an operator settles the difference.",
            hint_zh="请向支付机构查询该笔支付，由运营人员处理差额。",
            details={"expected_fen": expected_fen, "got_fen": got_fen},
        )


class OrderConflict(Conflict):
    """The client's reference was used for an order with other content."""

    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "order_conflict",
            f"The reference {client_ref!r} already belongs to an order with other content.",
            message_zh=f"订单号 {client_ref!r} 已用于内容不同的订单。",
            hint="Use a new reference for a new order; repeat the same content to get the same order.",
            hint_zh="新订单请使用新的订单号；内容相同的重复请求会得到同一订单。",
        )


class OrderState(Conflict):
    """The order is not in a state that permits this."""

    def __init__(self, state: str, wanted: str) -> None:
        super().__init__(
            "order_state",
            f"The order is {en(state)}; it cannot be {en(wanted)}.",
            message_zh=f"订单当前状态为“{zh(state)}”，不能变为“{zh(wanted)}”。",
            hint="Read the order again; a closed order needs a new one.",
            hint_zh="请刷新订单；已关闭的订单请重新下单。",
            details={"state": state},
        )


class AmountOutOfBounds(Invalid):
    def __init__(self, amount_fen: int, least_fen: int, most_fen: int) -> None:
        amount, least, most = format_fen(amount_fen), format_fen(least_fen), format_fen(most_fen)
        super().__init__(
            "amount_out_of_bounds",
            f"CNY {amount} is outside what this provider takes at once (CNY {least} to {most}).",
            message_zh=f"金额 {amount} 元超出该支付方式单笔范围（{least} 至 {most} 元）。",
            hint="Split the amount or choose another method.",
            hint_zh="请拆分金额或更换支付方式。",
            details={"least_fen": least_fen, "most_fen": most_fen},
        )


class UnknownProvider(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(
            "unknown_provider",
            f"There is no payment provider {name[:64]!r} here.",
            message_zh="未配置该支付方式。",
            hint="Choose one of the configured methods.",
            hint_zh="请选择已配置的支付方式。",
        )


class ProviderUnavailable(Unavailable):
    """The provider did not answer; the order stays as it is and may be retried."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "provider_unavailable",
            f"The payment provider {name!r} did not answer; the order was kept.",
            message_zh="支付机构暂时无响应，订单已保留。",
            hint="Repeat the request with the same reference.",
            hint_zh="请用同一订单号重试。",
        )


class MethodCannot(Invalid):
    """The institution offers no such thing, or not to this merchant."""

    def __init__(self, name: str, what: str, what_zh: str) -> None:
        super().__init__(
            "method_cannot",
            f"The payment method {name!r} cannot {what}.",
            message_zh=f"该支付方式不支持{what_zh}。",
            hint="Choose another method.",
            hint_zh="请更换支付方式。",
        )


class ProviderRefused(Conflict):
    """The institution answered, and said no. Nothing was changed."""

    def __init__(self, name: str, code: str) -> None:
        super().__init__(
            "provider_refused",
            f"The payment provider {name!r} refused: {code[:80]}.",
            message_zh=f"支付机构拒绝了请求：{code[:80]}。",
            hint="Look the code up in the institution's documentation; an operator checks the merchant account.",
            hint_zh="请按该代码查阅支付机构文档，并由运营人员检查商户配置。",
            details={"provider": name, "institution_code": code[:80]},
        )


class ProviderMisconfigured(Invalid):
    """A key or a name of the merchant is missing or unreadable; says which, never what is in it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            "provider_misconfigured",
            f"The payment provider {name!r} cannot be used: {why}.",
            message_zh=f"支付方式 {name!r} 配置不完整：{why}。",
            hint="See docs/payments.md for the settings of each method.",
            hint_zh="各支付方式的配置见 docs/payments.md。",
        )


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
