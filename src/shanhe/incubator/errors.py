"""What can go wrong with a booking, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from shanhe.kernel.errors import Conflict, Forbidden, Invalid, NotFound

NAMES: Mapping[str, tuple[str, str]] = {
    "desk": ("工位", "desks"),
    "training": ("培训学时", "hours of training"),
    "mentoring": ("辅导小时", "hours of mentoring"),
    "marketing": ("推广", "campaigns"),
    "adviser": ("专属顾问小时", "hours of an adviser"),
}


class UnknownResource(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_resource", "There is no such resource to book.", message_zh="没有该可预约资源。",
            hint="GET /api/incubator/resources lists them.", hint_zh="GET /api/incubator/resources 列出全部资源。",
        )  # fmt: skip


class UnknownBooking(NotFound):
    def __init__(self) -> None:
        super().__init__("unknown_booking", "You have no such booking.", message_zh="贵单位没有该预约。")


class BadSlot(Invalid):
    def __init__(self, why: str, why_zh: str) -> None:
        super().__init__(
            "bad_slot", f"This time can't be booked: {why}.", message_zh=f"该时段不可预约：{why_zh}。",
            hint="GET /api/incubator/resources/{id}/slots?day= shows what is free.",
            hint_zh="GET /api/incubator/resources/{id}/slots?day= 列出可预约时段。",
        )  # fmt: skip


class Taken(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "slot_taken", "Somebody else has this time.", message_zh="该时段已约满。", hint="Choose another.",
            hint_zh="请选择其他时段。",
        )  # fmt: skip


class BeyondQuota(Forbidden):
    """`nearest`: what would change it, as the rule says."""

    def __init__(self, service: str, left: int, month: date, rule: str, nearest: Sequence[Mapping[str, str]]) -> None:
        zh, en = NAMES[service]
        near = nearest[0] if nearest else {
            "zh": f"可改约 {left} 个单位，或等到下月", "en": f"book {left}, or wait for the next month"
        }  # fmt: skip
        super().__init__(
            "beyond_quota", f"By {rule} you have {left} {en} left in {month:%Y-%m}.",
            message_zh=f"按规则 {rule}，{month:%Y-%m} 月剩余{zh} {left}。", hint=near["en"], hint_zh=near["zh"],
            details={"rule": rule, "left": left, "nearest": list(nearest)},
        )  # fmt: skip


class TooLate(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "too_late", "It has begun: a booking can be cancelled before its time only.",
            message_zh="预约已开始，只能在开始前取消。",
        )  # fmt: skip


class BookingConflict(Conflict):
    def __init__(self) -> None:
        super().__init__(
            "booking_conflict", "This id already belongs to another booking.", message_zh="该编号已用于另一项预约。",
            hint="Use a new id.", hint_zh="请使用新的编号。",
        )  # fmt: skip
