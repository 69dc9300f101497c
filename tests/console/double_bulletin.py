"""The parts of the desk's double that are about the weekly bulletin and about the second person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.kernel.errors import Conflict

DAY = date(2026, 11, 26)
AT = datetime(2026, 11, 25, 6, tzinfo=UTC)


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
    """Two moves wait, one of them asked for by who looks; one is agreed to and not done; one was decided."""

    def __init__(self) -> None:
        self.done: list[tuple[UUID, str, str]] = []
        self.asked: list[object] = []
        self.refused: set[UUID] = set()
        self.wanted = mc.Wanted()

    async def waiting(self, who: m.Who, wanted: mc.Wanted) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        self.wanted = wanted
        return await self.chosen(who, [UUID(int=n) for n in (91, 95, 92)]), UUID(int=90)

    async def chosen(self, who: m.Who, numbers: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
        return [self.row(n.int, mine=n.int == 92) | {"may": who.may("accounts")} for n in numbers]

    def kinds(self) -> Sequence[str]:
        return ("credits.top_up", "ledger.reversal")

    async def undone(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        why = ("余额不足：需要 5 cny，可用 0。", "The balance does not cover this: 5 cny needed, 0 available.")
        known = {"state": "approved", "decided_by": "周敏", "decided_at": AT, "fault": why, "tries": 2, "next_at": AT}
        known["may"] = who.may("accounts")
        return [self.row(94, mine=False) | known]

    async def decided(self, who: m.Who, wanted: mc.Wanted) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        known = {"state": "rejected", "decided_by": "周敏", "decided_at": AT, "said": "回单金额不符"}
        return [self.row(93, mine=False) | known], UUID(int=93)

    def row(self, number: int, *, mine: bool) -> Mapping[str, Any]:
        return {
            "id": UUID(int=number), "kind": "credits.top_up", "subject": "青山机器人", "link": "/city/accounts/1",
            "amount": 1_000_000_000, "asset": "credit", "why": "汇款 7", "asked_at": AT, "asked_by": "李青",
            "expires_at": AT, "mine": mine, "state": "open", "decided_by": "", "decided_at": None, "said": "",
            "glass": None, "fault": ("", ""), "running": False, "tries": 0, "next_at": None, "late": False,
        }  # fmt: skip

    def rights(self) -> Sequence[str]:
        return ("accounts", "programmes")

    async def decide(self, who: m.Who, request_id: UUID, do: str, reason: str) -> None:
        if request_id in self.refused:
            raise Conflict("budget_short", "Not enough.", message_zh="预算不足。")
        self.done.append((request_id, do, reason))

    async def ask_close(self, who: m.Who, through: date) -> None:
        self.asked.append(through)

    async def ask_reversal(self, who: m.Who, posting: UUID, reason: str) -> None:
        self.asked.append((posting, reason))
