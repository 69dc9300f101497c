"""What filings refuse, with what to do next."""

from __future__ import annotations

from shanhe.kernel import words
from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound


class UnknownAlgorithm(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_algorithm", "The register has no such algorithm.", message_zh="登记册中没有该算法。")


class BadAlgorithm(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__("bad_algorithm", f"This can't be registered: {why}.", message_zh=f"无法登记：{why_zh}。")


class AlgorithmConflict(Conflict):
    def __init__(self, subject: str) -> None:
        super().__init__(
            "algorithm_conflict", f"{subject} is registered already, or the id is taken.",
            message_zh=f"“{subject}”已登记，或编号已被使用。", hint="Change its record instead.",
            hint_zh="请修改已有登记。",
        )  # fmt: skip


class FilingMove(Conflict):
    def __init__(self, was: str, becomes: str) -> None:
        super().__init__(
            "filing_move", f"A filing can't go from {words.en(was)} to {words.en(becomes)}.",
            message_zh=f"备案状态不能由“{words.zh(was)}”变为“{words.zh(becomes)}”。", hint="Look at its history.",
            hint_zh="请查看状态历史。",
        )  # fmt: skip


class FiledOtherwise(Conflict):
    def __init__(self, number: str) -> None:
        super().__init__(
            "filed_otherwise", f"It is filed already, under {number}, with another number or day.",
            message_zh=f"已按备案号“{number}”备案，备案号或日期与此不同。",
            hint="Where its filing changed, record that first.", hint_zh="如备案有变更，请先登记变更。",
        )  # fmt: skip


class NotFiled(Forbidden):
    """Something that generates for the public has no record that is enough."""

    def __init__(self, name: str, filing: str) -> None:
        super().__init__(
            "not_filed",
            f"{name} may not be published: its record in the register of algorithms is {filing}.",
            message_zh=f"“{name}”不得上架：算法登记状态为 {filing}。",
            hint="Ask the digital office to register it, or to bring its filing up to date; see /algorithms.",
            hint_zh="请联系市数字办登记或更新备案，见“算法公示”页面。",
            details={"filing": filing},
        )


class UnknownComplaint(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_complaint", "There is no such complaint.", message_zh="没有该投诉。")


class BadComplaint(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "bad_complaint", f"The complaint is not in order: {why}.", message_zh=f"投诉不合规：{why_zh}。"
        )


class ComplaintTaken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "complaint_taken", "A complaint with this id is about something else.",
            message_zh="该编号的投诉针对其他对象。", hint="Take a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class ComplaintClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "complaint_closed", f"The complaint is {state}; this can't be done now.",
            message_zh=f"投诉当前状态为“{words.zh(state)}”，不能进行该操作。",
            hint="Look at it again.", hint_zh="请刷新后再试。",
        )  # fmt: skip


class AppealedSince(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "appealed_since", "It was decided, and appealed, since you read it.",
            message_zh="该投诉在您查看之后已作出结论并被申诉。",
            hint="Read the appeal, then decide it.", hint_zh="请查看申诉内容后再作决定。",
        )  # fmt: skip


class NotYourComplaint(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_your_complaint", "Whoever complained, or decided first, does not decide this.",
            message_zh="投诉人或原决定人不得办理。", hint="Ask a colleague.", hint_zh="请由其他同事办理。",
        )  # fmt: skip
