"""What approvals refuse, and why."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound


class UnknownLicence(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_licence",
            "There is no such recorded approval.",
            message_zh="没有该批文记录。",
            hint="List the approvals to find its number.",
            hint_zh="请在批文列表中查找编号。",
        )


class LicenceConflict(Conflict):
    def __init__(self, number: str) -> None:
        super().__init__(
            "licence_conflict",
            f"The approval {number!r} of this authority is already recorded with other content, or was revoked.",
            message_zh=f"该机关的批文“{number}”已登记且内容不同，或已被撤销。",
            hint="Check number and days; a new approval has a new number.",
            hint_zh="请核对文号与日期；新的批文应有新的文号。",
        )


class SampleRefused(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "sample_refused",
            "A sample approval opens nothing in a real city, so it is not recorded here.",
            message_zh="示例批文在正式城市中无效，故不予登记。",
            hint="Record the authority's own approval, without the sample mark.",
            hint_zh="请登记主管机关的正式批文，不要标记为示例。",
        )


class BadApproval(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "bad_approval",
            f"This cannot be recorded: {why}",
            message_zh=f"无法登记：{why_zh}",
            hint="Correct it and send it again.",
            hint_zh="请更正后重新提交。",
        )


class UnknownRequest(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_request",
            "There is no such request.",
            message_zh="没有该审批申请。",
            hint="List the open requests to find it.",
            hint_zh="请在待审批列表中查找。",
        )


class RequestConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "request_conflict",
            "This id already belongs to a request with other content.",
            message_zh="该编号已用于内容不同的申请。",
            hint="Use a new id for a new request.",
            hint_zh="新的申请请使用新的编号。",
        )


class RequestClosed(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(
            "request_closed",
            f"The request was decided or ended before: it is {state}.",
            message_zh=f"该申请已办结或已结束（{state}）。",
            hint="Make a new request if it is still wanted.",
            hint_zh="如仍需要，请重新申请。",
            details={"state": state},
        )


class SamePerson(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "same_person",
            "Who asked cannot decide: this needs a second person.",
            message_zh="申请人不能审批自己的申请，须由另一人决定。",
            hint="Ask a colleague with the same permission to decide.",
            hint_zh="请由具有相同权限的同事审批。",
        )
