"""What can go wrong between a nomad, a venue and the city."""

from __future__ import annotations

from datetime import date

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from shanhe.kernel.words import field_en, field_zh


class BadCode(Invalid):
    """A code that proves nothing. `reason`: unreadable, other_kind, forged, unknown, closed, expired, ahead."""

    def __init__(self, reason: str, problem: str, problem_zh: str) -> None:
        super().__init__(
            f"code_{reason}",
            f"This code does not count: {problem}.",
            message_zh=f"该码无效：{problem_zh}。",
            hint="Scan the code that is on the screen now.",
            hint_zh="请重新扫描屏幕上当前显示的码。",
        )
        self.reason = reason


class TooOften(TooMany):
    def __init__(self, whose: str, whose_zh: str, retry_after_s: int) -> None:
        super().__init__(
            "check_in_too_often",
            f"Too many check-ins {whose}.",
            message_zh=f"{whose_zh}签到过于频繁。",
            retry_after_s=retry_after_s,
            hint="Wait a moment; a day counts once anyway.",
            hint_zh="请稍后再试；同一天只计一次。",
        )


class NeedsConsent(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "presence_consent",
            "Presence is sensitive personal information; it is recorded with the person's separate consent only.",
            message_zh="在场记录属于敏感个人信息，须本人单独同意后方可记录。",
            hint="Give it on the page “Digital nomad”; it can be withdrawn there at any time.",
            hint_zh="请在“数字游民”页面确认同意，可随时撤回。",
        )


class NotAPerson(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "not_a_person",
            "This belongs to a person; the caller acts for an organisation.",
            message_zh="该功能仅限个人，当前以机构身份操作。",
            hint="Sign in as yourself, or use a key of your own.",
            hint_zh="请以本人身份登录，或使用本人的密钥。",
        )


class UnknownVenue(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_venue", "There is no such venue, or it is not yours.", message_zh="没有该场所，或不属于本单位。",
            hint="`GET /api/nomads/venues` lists yours.", hint_zh="可在“我的场所”查看。",
        )  # fmt: skip


class VenueTaken(Conflict):
    def __init__(self, problem: str, problem_zh: str) -> None:
        super().__init__(
            "venue_taken", f"This venue is registered already: {problem}.", message_zh=f"场所已登记：{problem_zh}。",
            hint="Use the one that exists, or close it first.", hint_zh="请使用已有场所，或先将其停用。",
        )  # fmt: skip


class VenueClosed(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "venue_closed", "The venue is closed.", message_zh="场所已停用。", hint="Register it anew.",
            hint_zh="请重新登记该场所。",
        )  # fmt: skip


class KeyTaken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "organisation_key_taken", "Another organisation signs with this key.", message_zh="该公钥已属于其他机构。",
            hint="Each organisation makes a key of its own.", hint_zh="请由该机构自行生成密钥。",
        )  # fmt: skip


class UnknownNomad(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_nomad", "Nobody has this nomad number.", message_zh="没有该游民编号。",
            hint="It stands on the nomad's page “Digital nomad”.", hint_zh="编号见本人的“数字游民”页面。",
        )  # fmt: skip


class NotEligible(Forbidden):
    """A rule that says no, with what is missing."""

    def __init__(self, code: str, problem: str, problem_zh: str, hint: str = "", hint_zh: str = "") -> None:
        super().__init__(code, f"{problem}.", message_zh=f"{problem_zh}。", hint=hint, hint_zh=hint_zh)


class UsedAlready(Conflict):
    def __init__(self, on: date | None) -> None:
        day = f"{on:%Y-%m-%d}" if on else ""
        super().__init__(
            "ticket_used",
            f"This ticket was used already{f', on {day}' if day else ''}.",
            message_zh=f"该门票已核销{f'（{day}）' if day else ''}。",
            hint="Each ticket admits once; the holder's page shows those that are left.",
            hint_zh="每张门票限用一次，剩余门票见持有人页面。",
        )


class NotRelied(Invalid):
    """A membership proof that does not count."""

    def __init__(self, problem: str, problem_zh: str) -> None:
        super().__init__(
            "membership_refused", f"The membership proof does not count: {problem}.",
            message_zh=f"会员证明无效：{problem_zh}。",
            hint="Ask the organisation for a new one that names your nomad number.",
            hint_zh="请向机构索取写明本人游民编号的新证明。",
        )  # fmt: skip


class CardConflict(Conflict):
    def __init__(self, client_ref: str) -> None:
        super().__init__(
            "card_conflict", f"The reference {client_ref[:60]!r} belongs to another request.",
            message_zh=f"编号“{client_ref[:60]}”已用于其他申请。",
            hint="Use a new reference.", hint_zh="请使用新的编号。",
        )  # fmt: skip


class BadField(Invalid):
    def __init__(self, field: str, problem: str, problem_zh: str) -> None:
        super().__init__(
            "bad_field", f"{field_en(field)}: {problem}.", message_zh=f"{field_zh(field)}：{problem_zh}。",
            hint="Correct it and send again; nothing was written.", hint_zh="请改正后重新提交，本次未写入。",
        )  # fmt: skip
