"""What can go wrong with people's rights."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shanhe.kernel.words import en, field_en, field_zh, zh


class UnknownRequest(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_privacy_request", "There is no such request.", message_zh="没有该请求。")


class RequestClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "privacy_request_closed",
            f"This request is {en(state)} already.",
            message_zh=f"该请求已办结（{zh(state)}）。",
            hint="Look at its answer, or make a new request.",
            hint_zh="请查看答复，或重新提出。",
        )


class RequestConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "privacy_request_conflict",
            "This id already belongs to a request with other content.",
            message_zh="该编号已用于内容不同的请求。",
            hint="Use a new id.",
            hint_zh="请使用新的编号。",
        )


class BadText(Invalid):
    def __init__(self, field: str, limit_chars: int) -> None:
        super().__init__(
            "bad_text",
            f"{field_en(field)} has 1 to {limit_chars} characters.",
            message_zh=f"{field_zh(field)}须为 1–{limit_chars} 字。",
            details={"field": field},
        )


class NotTheGuardian(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_the_guardian",
            "The register does not name you as this child's guardian.",
            message_zh="登记信息中您不是该未成年人的监护人。",
            hint="Ask the civil affairs bureau to record the guardianship first.",
            hint_zh="请先由民政部门登记监护关系。",
        )
