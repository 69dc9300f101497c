"""The part of the desk's double that is about contests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from tests.console.double_shop import CONTEST, NOW

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid

DECIDED, JUDGED = UUID(int=78), UUID(int=79)
WORK = "先归类，再逐条引用办事指南作答。"


def contest(number: UUID) -> dict[str, Any]:
    phase = {CONTEST: "entries", JUDGED: "jury"}.get(number, "decided")
    return {
        "id": number, "title": {"zh": "政务智能体大赛", "en": "Contest"}, "phase": phase, "open": phase == "entries",
        "call": {"zh": "做一个好用的助手。", "en": "Make a helper."}, "judging": phase == "jury",
        "pool_fen": 10_000_000, "prizes_fen": [5_000_000, 3_000_000, 2_000_000], "opens_on": date(2026, 11, 1),
        "entries_until": date(2026, 11, 30), "judged_until": date(2026, 12, 14),
        "decided_at": NOW if phase == "decided" else None,
    }  # fmt: skip


class Contests:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.known: Sequence[UUID] = (CONTEST, JUDGED, DECIDED)

    async def all(self) -> Sequence[Mapping[str, Any]]:
        return [contest(one) for one in self.known]

    async def one(self, who: m.Who | None, number: UUID) -> Mapping[str, Any]:
        winners = [
            {"place": 1, "name": "agent/letters", "title": {"zh": "公文助手", "en": "Letters"}, "maker": "青山机器人",
             "points": "91.3", "prize_fen": 5_000_000},
        ] if number == DECIDED else []  # fmt: skip
        entry = {"n": 3, "work": WORK, "listing": "agent/letters", "withdrawn": False}
        return {**contest(number), "winners": winners, "mine": ["agent/letters", "agent/minutes"], "juror": True,
                "entry": None if number == DECIDED else entry}  # fmt: skip

    async def enter(self, who: m.Who, number: UUID, fields: Mapping[str, str]) -> None:
        if "青山" in fields.get("work", ""):
            raise Invalid("entry_says_its_name", "It says its name.", message_zh="文字中出现了“青山机器人”。")
        self.done.append(("enter", fields["listing"]))

    async def withdraw(self, who: m.Who, number: UUID) -> None:
        self.done.append(("withdraw", number))

    async def jury(self, who: m.Who, number: UUID) -> Mapping[str, Any]:
        entries = [{"n": 1, "kind": "agent", "work": WORK, "points": None, "note": ""},
                   {"n": 2, "kind": "mcp", "work": WORK, "points": 80, "note": "清楚"}]  # fmt: skip
        return {**contest(number), "entries": entries if number == JUDGED else []}

    async def score(self, who: m.Who, number: UUID, n: int, points: str, note: str) -> None:
        if not points.isdigit():
            raise Invalid("bad_number", "0 to 100.", message_zh="请填写 0–100 分。")
        self.done.append(("score", n, points, note))

    async def desk(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        heard = [(1, 3), (2, 1)]
        return [{**contest(one), "jurors": ["李评", "王审"], "heard": heard, "decides": one == JUDGED}
                for one in self.known]  # fmt: skip

    async def call(self, who: m.Who, fields: Mapping[str, str]) -> None:
        if not fields.get("pool"):
            raise Invalid("bad_number", "No amount.", message_zh="请填写奖金池。")
        self.done.append(("call", fields["title_zh"]))

    async def name_juror(self, who: m.Who, number: UUID, login: str) -> None:
        if login == "nobody":
            raise Invalid("unknown_person", "Nobody.", message_zh="没有使用该登录名的人。")
        self.done.append(("juror", login))

    async def decide(self, who: m.Who, number: UUID) -> None:
        if number == CONTEST:
            raise Invalid("not_judged", "Not judged.", message_zh="评委不足 3 人。")
        self.done.append(("decide", number))
