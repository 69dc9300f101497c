"""What can go wrong between an order and its money; every refused notification changes nothing."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound, Unauthorized, Unavailable
from shanhe.kernel.money import format_fen
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
