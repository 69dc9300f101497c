"""What approvals refuse, and why."""

from __future__ import annotations

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from shanhe.kernel.money import format_fen
from shanhe.kernel.words import en, zh


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
            f"The request was decided or ended before: it is {en(state)}.",
            message_zh=f"该申请已办结或已结束（{zh(state)}）。",
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
            hint="Ask a colleague with the same permission to decide; what can't wait has break-glass.",
            hint_zh="请由具有相同权限的同事审批；确属紧急的，可启用紧急授权。",
        )


class PartyToIt(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "party_to_it", "You are a related party (R0) of whom this is for: this needs somebody else.",
            message_zh="您与该事项的受益方存在关联（R0），须由他人审批。",
            hint="Ask a colleague with the same permission to decide.", hint_zh="请由具有相同权限的同事审批。",
        )  # fmt: skip


class OtherRight(Forbidden):
    def __init__(self, right: str, right_zh: str) -> None:
        super().__init__(
            "permission_missing",
            f"Deciding this needs the permission `{right}`, as asking for it does.",
            message_zh=f"审批该申请与提出该申请一样，需要“{right_zh}”权限。",
            hint="Leave it to a colleague who has it.",
            hint_zh="请由具有该权限的同事审批。",
            details={"permission": right},
        )


class NotYet(Unavailable):
    """What a deed raises when nothing is wrong and it could not be finished now."""

    def __init__(self) -> None:
        super().__init__(
            "not_yet", "It is agreed to and under way; something moved at every try, so it is tried again.",
            message_zh="已同意并正在办理；所涉内容持续变动，将自动重试。", retry_after_s=60,
            hint="Look again in a few minutes.", hint_zh="请几分钟后查看。",
        )  # fmt: skip


class BeingDone(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "being_done", "This is being done at this moment.", message_zh="该事项正在办理。",
            hint="Look again in a minute.", hint_zh="请一分钟后查看。",
        )  # fmt: skip


class UnknownGlass(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_glass", "There is no such opening of break-glass.", message_zh="没有该紧急授权记录。",
            hint="List the openings to find it.", hint_zh="请在紧急授权列表中查找。",
        )  # fmt: skip


class BadGlass(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "bad_glass", f"Break-glass can't be opened like this: {why}.", message_zh=f"无法启用紧急授权：{why_zh}。",
            hint="Say what is done, on which object, and why it can't wait for a colleague.",
            hint_zh="请写明办理什么、针对哪个对象、为何不能等待他人审批。",
        )  # fmt: skip


class GlassRefused(Forbidden):
    """What break-glass is never for, or not for this person now."""

    def __init__(self, why: str, why_zh: str, hint: str, hint_zh: str) -> None:
        super().__init__(
            "glass_refused", f"Break-glass is not for this: {why}.", message_zh=f"不得启用紧急授权：{why_zh}。",
            hint=hint, hint_zh=hint_zh,
        )  # fmt: skip


class GlassUnreviewed(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "glass_unreviewed",
            "You have an opening that nobody has reviewed yet; there is one at a time.",
            message_zh="您已有一次尚未复核的紧急授权；同一时间只能有一次。",
            hint="Use the one that is open, or ask a colleague to review the last one.",
            hint_zh="请使用已启用的授权，或请同事复核上一次。",
        )


class GlassEnded(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "glass_ended", "This opening of break-glass has ended; nothing more is done under it.",
            message_zh="该次紧急授权已结束，不能再据此办理。",
            hint="Ask a second person; a new opening takes a review of this one first.",
            hint_zh="请由第二人审批；复核之后才能再次启用。",
        )  # fmt: skip


class GlassOverCap(Conflict):
    def __init__(self, value_fen: int, left_fen: int) -> None:
        super().__init__(
            "glass_over_cap",
            f"This is worth CNY {format_fen(value_fen)}, and the opening has CNY {format_fen(left_fen)} left.",
            message_zh=f"该事项折合 {format_fen(value_fen)} 元，本次紧急授权余额为 {format_fen(left_fen)} 元。",
            hint="Ask a second person for it.", hint_zh="请由第二人审批。",
            details={"value_fen": value_fen, "left_fen": left_fen},
        )  # fmt: skip


class GlassReviewer(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "glass_reviewer", "Who opened break-glass, or acted under it, does not review it.",
            message_zh="启用人或据此办理的人不得复核。",
            hint="Ask an auditor or another operator.", hint_zh="请由审计人员或其他运营人员复核。",
        )  # fmt: skip


class GlassNotEnded(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "glass_not_ended", "It is still open; it is reviewed after its end.",
            message_zh="仍在有效期内，结束后方可复核。",
            hint="Wait, or ask who opened it to end it.", hint_zh="请等待到期，或请启用人提前结束。",
        )  # fmt: skip


class GlassReviewed(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "glass_reviewed", "It was reviewed already; a review stays.", message_zh="已经复核，复核结论不可更改。"
        )


class GlassNoFactor(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "glass_no_factor", "Break-glass takes a fresh code or a passkey, and this account has neither.",
            message_zh="启用紧急授权须当场验证，而该账号尚未设置验证器或通行密钥。",
            hint="Set one up under settings, second factor.", hint_zh="请先在“设置”中设置第二重验证。",
        )  # fmt: skip
