"""What can go wrong when differences are handled."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Invalid, NotFound


class UnknownDifference(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_difference",
            "There is no such difference.",
            message_zh="没有该条差异。",
            hint="List the open differences first.",
            hint_zh="请先查看未处理的差异。",
        )


class DifferenceResolved(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "difference_resolved",
            "This difference is resolved already.",
            message_zh="该条差异已处理。",
            hint="A resolution is final; book a correction in the ledger instead.",
            hint_zh="处理结果不可更改；如需更正请在账本中另行记账。",
        )


class OutcomeUnfit(Invalid):
    """Money is released or written off; what moves no money is explained."""

    def __init__(self, money: bool) -> None:
        super().__init__(
            "outcome_unfit",
            "Money is released or written off." if money else "This difference moves no money: explain it.",
            message_zh="涉及款项的差异只能释放或核销。" if money else "该差异不涉及款项，请填写说明。",
            hint="Choose another outcome.",
            hint_zh="请选择其他处理方式。",
        )


class DayNotOver(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "day_not_over",
            "Only a day that is over can be reconciled.",
            message_zh="只能对已结束的日期对账。",
            hint="Run it for yesterday or earlier.",
            hint_zh="请选择昨天或更早的日期。",
        )
