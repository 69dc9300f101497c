"""The parts of the desk's double that are about the weekly bulletin and about the second person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.console import model as m

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


class SecondDesk:
    """Two moves wait, one of them asked for by who looks."""

    def __init__(self) -> None:
        self.done: list[tuple[UUID, bool, str]] = []

    async def waiting(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        common = {"kind": "credits.top_up", "subject": "青山机器人", "amount": "1,000", "why": "汇款 7",
                  "asked_at": DAY, "expires_at": DAY}  # fmt: skip
        return [{**common, "id": UUID(int=91), "mine": False}, {**common, "id": UUID(int=92), "mine": True}]

    async def decide(self, who: m.Who, request_id: UUID, *, yes: bool, reason: str) -> None:
        self.done.append((request_id, yes, reason))
