"""What the exchange refuses, and why."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, ShanheError, TooMany, Unavailable
from shanhe.kernel.money import format_fen, said_credits
from shanhe.kernel.words import en, zh

PAYMENT_REQUIRED = 402


def yuan_of(ticks: int) -> str:
    """`6543` ticks → `"0.6543"` yuan."""
    whole, part = divmod(ticks, 10_000)
    return f"{whole}.{part:04d}"


class OutsideCorridor(Invalid):
    """C7."""

    def __init__(self, ticks: int, floor: int, ceiling: int) -> None:
        super().__init__(
            "outside_corridor",
            f"CNY {yuan_of(ticks)} is outside today's corridor, CNY {yuan_of(floor)} to {yuan_of(ceiling)} (rule C7).",
            message_zh=f"报价 {yuan_of(ticks)} 元不在今日价格通道内："
            f"{yuan_of(floor)} 至 {yuan_of(ceiling)} 元（规则 C7）。",
            hint="Choose a price inside the corridor.",
            hint_zh="请选择通道内的价格。",
            details={"price_ticks": ticks, "floor_ticks": floor, "ceiling_ticks": ceiling},
        )


class BadPrice(Invalid):
    def __init__(self, given: object) -> None:
        super().__init__(
            "bad_price",
            f"{given!s} is no price: a price is positive and a multiple of CNY 0.0001.",
            message_zh=f"{given!s} 不是有效报价：须为正数且为 0.0001 元的整数倍。",
            hint="Write it like 0.6543.",
            hint_zh="格式如 0.6543。",
        )


class BadQuantity(Invalid):
    def __init__(self, most_micro: int) -> None:
        super().__init__(
            "bad_quantity",
            f"A quantity is positive and at most {said_credits(most_micro)} credits.",
            message_zh=f"数量须为正数且不超过 {said_credits(most_micro)} 积分。",
            hint="Write it like 100 or 12.5.",
            hint_zh="格式如 100 或 12.5。",
        )


class BelowFilled(Invalid):
    """An amendment to no more than was filled already."""

    def __init__(self, filled_micro: int) -> None:
        super().__init__(
            "below_filled",
            f"{said_credits(filled_micro)} credits of the order are filled already; the new total must be more.",
            message_zh=f"该委托已成交 {said_credits(filled_micro)} 积分，改后的总数量须多于此数。",
            hint="Cancel the order to end what is left of it.",
            hint_zh="如不再需要其余部分，请撤单。",
            details={"filled_micro": filled_micro},
        )


class OrderTooSmall(Invalid):
    """C8."""

    def __init__(self, value_fen: int, least_fen: int) -> None:
        super().__init__(
            "order_too_small",
            f"The order is worth CNY {format_fen(value_fen)}; the least is CNY {format_fen(least_fen)} (rule C8).",
            message_zh=f"委托金额 {format_fen(value_fen)} 元，低于最小委托金额 {format_fen(least_fen)} 元（规则 C8）。",
            hint="Order more, or at a higher price.",
            hint_zh="请增加数量或提高价格。",
            details={"value_fen": value_fen, "least_fen": least_fen},
        )


class NothingToSell(ShanheError):
    """C6: not enough tradeable credits."""

    default_status = PAYMENT_REQUIRED

    def __init__(self, available_micro: int, needed_micro: int) -> None:
        available, needed = said_credits(available_micro), said_credits(needed_micro)
        super().__init__(
            "not_tradeable",
            f"{needed} credits are to be sold, {available} may be traded: subsidies and locked lots never trade (C6).",
            message_zh=f"拟卖出 {needed} 积分，可交易仅 {available}：补贴与锁定期内的批次不得交易（规则 C6）。",
            hint="Sell less, or wait until a lot's lock ends; the wallet shows when each does.",
            hint_zh="请减少数量，或等待锁定期满；钱包页可查看各批次解锁日。",
            details={"available_micro": available_micro, "needed_micro": needed_micro},
        )


class NotEnoughCash(ShanheError):
    default_status = PAYMENT_REQUIRED

    def __init__(self, available_fen: int, needed_fen: int, *, play: bool) -> None:
        super().__init__(
            "not_enough_cash",
            f"The order needs CNY {format_fen(needed_fen)}, the exchange account has CNY {format_fen(available_fen)}.",
            message_zh=f"委托需要 {format_fen(needed_fen)} 元，交易资金可用 {format_fen(available_fen)} 元。",
            hint="Take play money first." if play else "Deposit cash to the exchange account first.",
            hint_zh="请先领取模拟资金。" if play else "请先转入交易资金。",
            details={"available_fen": available_fen, "needed_fen": needed_fen, "play": play},
        )


class SelfTrade(Conflict):
    """R0."""

    def __init__(self) -> None:
        super().__init__(
            "self_trade",
            "The order would meet an open order of yours or of a related party; such trades are refused (rule R0).",
            message_zh="该委托将与您本人或关联方的委托成交，不予受理（规则 R0）。",
            hint="Cancel the other order first, or choose a price that does not meet it.",
            hint_zh="请先撤销对手委托，或选择不会成交的价格。",
        )


class UnknownOrder(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_order",
            "There is no such order in this organisation.",
            message_zh="本机构没有该委托。",
            hint="List the orders to find its id.",
            hint_zh="请在委托列表中查找编号。",
        )


class OrderConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "order_conflict",
            "This id already belongs to an order with other content; nothing was ordered.",
            message_zh="该编号已用于内容不同的委托，未受理。",
            hint="Use a new id for a new order.",
            hint_zh="新的委托请使用新的编号。",
        )


class OrderEnded(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "order_ended",
            f"The order has ended: it is {en(state)}.",
            message_zh=f"该委托已结束（{zh(state)}）。",
            hint="Place a new order.",
            hint_zh="请重新委托。",
            details={"state": state},
        )


class MarketPaused(Unavailable):
    def __init__(self, reason: str) -> None:
        super().__init__(
            "market_paused",
            f"Trading is paused: {reason or 'no reason recorded'}. Orders can be cancelled.",
            message_zh=f"交易已暂停：{reason or '未说明原因'}。可以撤单。",
            hint="Try again after trading resumes; the market page tells when.",
            hint_zh="请在恢复交易后再试，行情页会公布。",
            retry_after_s=60,
        )


class MarketChanged(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "market_changed",
            "The approval behind the exchange has just begun or ended; nothing was ordered.",
            message_zh="交易所批文状态刚刚变化，未受理。",
            hint="Look at the market page and order again.",
            hint_zh="请查看行情页后重新委托。",
        )


class TraderFrozen(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "trader_frozen",
            "The organisation is frozen and cannot trade; its open orders can be cancelled.",
            message_zh="该机构已被冻结，不能交易；可以撤单。",
            hint="Ask the operator.",
            hint_zh="请联系运营方。",
        )


class TooManyOrders(TooMany):
    def __init__(self, most: int) -> None:
        super().__init__(
            "too_many_orders",
            f"An organisation keeps at most {most} open orders.",
            message_zh=f"每个机构最多保留 {most} 笔未成交委托。",
            hint="Cancel some first.",
            hint_zh="请先撤销部分委托。",
        )


class ExchangeBusy(Unavailable):
    def __init__(self) -> None:
        super().__init__(
            "exchange_busy",
            "Too many orders wait to be accepted.",
            message_zh="等待受理的委托过多。",
            hint="Repeat it with the same id in a moment.",
            hint_zh="请稍后用同一编号重试。",
        )


class ExchangeUnavailable(Unavailable):
    def __init__(self) -> None:
        super().__init__(
            "exchange_unavailable",
            "The order could not be recorded, or its outcome is unknown.",
            message_zh="委托未能记录，或结果未知。",
            hint="Repeat it with the same id: it is accepted at most once.",
            hint_zh="请用同一编号重试，最多只会受理一次。",
        )


class RealOnly(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "real_only",
            "Without a recorded approval the exchange runs with play money: real cash cannot be moved in.",
            message_zh="未登记批文时交易所以模拟资金运行，不能转入真实资金。",
            hint="Use the play money, or wait for the approval.",
            hint_zh="请使用模拟资金，或等待批文登记。",
        )


class PlayOnly(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "play_only",
            "Play money is for the sandbox; this exchange trades under an approval.",
            message_zh="模拟资金仅用于沙盒；本交易所已有批文。",
            hint="Deposit cash instead.",
            hint_zh="请转入资金。",
        )


class UnknownItem(NotFound):
    """A deposit, withdrawal, dispute or trade that is not there."""

    def __init__(self, what: str, what_zh: str) -> None:
        super().__init__("unknown_" + what, f"There is no such {what}.", message_zh=f"没有该{what_zh}。")


class ItemClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "already_decided", f"It was decided before: it is {en(state)}.", message_zh=f"已办结（{zh(state)}）。",
            hint="Reload to see how it stands.", hint_zh="请刷新查看最新状态。",
        )  # fmt: skip


class SecondPersonNeeded(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "same_person",
            "Who asked cannot decide: this needs a second person.",
            message_zh="申请人不能自行审批，须由另一人决定。",
            hint="Ask a colleague.",
            hint_zh="请由同事审批。",
        )


class NotUpheld(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "dispute_not_upheld",
            f"Only an upheld dispute leads to a reversal; this one is {en(state)}.",
            message_zh=f"只有得到支持的申诉才能冲正，该申诉状态为“{zh(state)}”。",
            hint="Decide the dispute first.",
            hint_zh="请先对申诉作出决定。",
        )


class ReversalWaits(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "reversal_waits",
            "A reversal of this dispute was asked for and waits for a second person.",
            message_zh="该申诉已有冲正申请，正等待第二人审批。",
            hint="Decide that one first.",
            hint_zh="请先办结该申请。",
        )


class NothingToReverse(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "nothing_to_reverse",
            "The disputed order has no settled trade (of those named) that was not undone before.",
            message_zh="该委托没有（所指定的）已结算且尚未冲正的成交。",
            hint="Look at the order's trades.",
            hint_zh="请查看该委托的成交记录。",
        )
