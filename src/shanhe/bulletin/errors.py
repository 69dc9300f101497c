"""What can go wrong with the bulletin, said so that one can act on it."""

from __future__ import annotations

from datetime import date

from shanhe.kernel.errors import Conflict, NotFound


class UnknownIssue(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "unknown_issue", "There is no issue of that day.", message_zh="当日没有播报。",
            hint="GET /api/bulletin lists the days.", hint_zh="GET /api/bulletin 列出各期日期。",
        )  # fmt: skip


class NotDue(Conflict):
    def __init__(self, next_on: date) -> None:
        super().__init__(
            "not_due", f"The next issue is due on {next_on}.", message_zh=f"下一期播报日为 {next_on}。",
            hint="Read what it would say so far: shanhe bulletin preview.",
            hint_zh="可先预览：shanhe bulletin preview。",
        )  # fmt: skip
