"""The part of the desk's double that is about the weekly bulletin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

DAY = date(2026, 11, 26)


def both(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


class Bulletin:
    """One issue; `empty`: none yet."""

    def __init__(self) -> None:
        self.empty = False

    async def issue(self, day: date | None) -> Mapping[str, Any] | None:
        if self.empty:
            return None
        item = {
            "kind": "open", "ref": "role_grant", "title": both("岗位人才年度积分", "Credits by role"),
            "says": both("每年按岗位获得积分。", "Credits by role every year."), "link": "/programmes/role_grant",
            "for": ["person"], "on": None,
        }  # fmt: skip
        section = {"kind": "open", "title": both("城市机会清单", "Opportunities"), "items": [item]}
        talk = [both("大家好，我是山河小智。", "Hello.")]
        return {"day": day or DAY, "since": date(2026, 11, 19), "talk": talk, "cut": 0, "sections": [section]}

    async def days(self) -> Sequence[date]:
        return [] if self.empty else [DAY, date(2026, 11, 19)]
