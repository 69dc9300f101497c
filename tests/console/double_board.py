"""The part of the desk's double that is about the board."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from tests.console.double_shop import NOW

from shanhe.board.api import SECTORS, BadPost
from shanhe.console import model as m
from shanhe.kernel.errors import Conflict

OPEN, OWN, DRAFT, MATCHED = (UUID(int=n) for n in (901, 902, 903, 904))
OFFERED, AGREED, KIN = (UUID(int=n) for n in (911, 912, 913))
TERMS = {"rule": "T10", "reward_micro": 500_000_000, "matches_max": 10, "credits": "500"}
SHOWN = [{"id": name, "zh": zh, "en": en} for name, (zh, en) in SECTORS.items()]
TEXT = "红外阵列测滚筒叶温。\n模型控制燃烧机，杀青均匀。"


def post(number: UUID) -> dict[str, Any]:
    need = number == MATCHED
    money = {"budget_from_fen": 1, "budget_to_fen": 2} if need else {"price_fen": None, "asks": "两周试机"}
    return {
        "id": number, "kind": "need" if need else "solution", "title": "滚筒杀青红外测温", "text": TEXT,
        "state": {DRAFT: "draft", MATCHED: "matched"}.get(number, "open"), "sector": "food",
        "sector_title": {"zh": "食品加工", "en": "food processing"}, "until": date(2026, 12, 31),
        "name": "" if number == OPEN else "农机所", "readiness": 0 if need else 8, "published_at": NOW,
        "changed_at": NOW, "revision": 1, "removed_why": "", **money,
    }  # fmt: skip


def fit(number: UUID, match: UUID | None = None, cosine: float | None = 0.871) -> dict[str, Any]:
    reasons = [(True, "同属食品加工", "Both are in food processing"), (False, "超出预算", "Above the budget"),
               (None, "双方均公示至 2026-12-31", "Both stand until 2026-12-31")]  # fmt: skip
    return {
        "post": post(number), "score": 0.12, "words": {"rank": 1, "score": 4.2, "matched": [
            {"piece": "杀青", "weight": 2.31, "share": 100}, {"piece": "滚筒", "weight": 1.9, "share": 82}]},
        "meaning": {"rank": 2 if cosine else 0, "cosine": cosine}, "id": UUID(int=5), "match": match,
        "reasons": [{"code": "x", "good": good, "zh": zh, "en": en} for good, zh, en in reasons],
    }  # fmt: skip


class Board:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.rows: list[dict[str, Any]] = [post(OPEN), post(MATCHED)]

    async def all(self, kind: str, sector: str, find: str) -> Mapping[str, Any]:
        rows = [] if find == "nothing" else self.rows
        return {"rows": rows, "kind": kind, "sector": sector, "find": find, "sectors": SHOWN, "terms": TERMS}

    async def one(self, who: m.Who | None, number: UUID) -> Mapping[str, Any]:
        own = number in (OWN, DRAFT, MATCHED)
        fits = [fit(OPEN), fit(OPEN, OFFERED, None)] if number == OWN else []
        mine = [] if own or who is None else [{"id": OWN, "title": "我的需求", "match": OFFERED}]
        return {"one": post(number), "own": own, "stands": number in (OPEN, OWN), "mine": mine, "id": UUID(int=6),
                "fits": {"way": "both" if number == OWN else "words", "data": fits}, "other": "need", "terms": TERMS,
                "paid_micro": 12 if own else 0}  # fmt: skip

    async def blank(self, kind: str) -> Mapping[str, Any]:
        return {"kind": kind, "fields": {"until": "2026-12-31", "id": str(OPEN)}, "sectors": SHOWN, "post": None,
                "levels": range(1, 10), "state": "draft", "terms": TERMS}  # fmt: skip

    async def filled(self, who: m.Who, number: UUID) -> Mapping[str, Any]:
        return {**await self.blank("solution"), "post": number, "fields": {"title": "杀青", "shows_name": "1"}}

    async def save(self, who: m.Who, number: UUID | None, fields: Mapping[str, str]) -> UUID:
        if not fields.get("title"):
            raise BadPost("title", "4 to 80 characters", "标题须为 4–80 字")
        self.done.append(("save", number, fields["title"]))
        return number or OPEN

    async def move(self, who: m.Who, number: UUID, step: str) -> None:
        self.done.append((step, number))

    async def remove(self, who: m.Who, number: UUID, why: str) -> None:
        self.done.append(("remove", number, why))

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        matches = [(await self.match(who, one))["one"] for one in (OFFERED, AGREED)] if self.rows else []
        return {"posts": [post(one) for one in (OWN, DRAFT)] if self.rows else [], "matches": matches, "terms": TERMS}

    async def meet(self, who: m.Who, number: UUID, fields: Mapping[str, str]) -> UUID:
        self.done.append(("meet", number, fields["note"]))
        return OFFERED

    async def match(self, who: m.Who, number: UUID) -> Mapping[str, Any]:
        agreed = number == AGREED
        reward = {"state": "completed", "reasons": [{"zh": "说明", "en": "why"}],
                  "payments": [{"side": "need", "amount_micro": 5, "paid_micro": 5}]}  # fmt: skip
        words = [(1, "need", "interest", "能试机吗？", None), (2, "solution", "offer", TEXT, 800_000),
                 (3, "solution", "offer", TEXT, None)]  # fmt: skip
        one = {
            "id": number, "state": "agreed" if agreed else "offer", "mine": "need", "related": number == KIN,
            "partner": "" if number == KIN else "农机所", "need": {"id": OWN, "title": "在线测温"},
            "solution": {"id": OPEN, "title": "红外测温"}, "opened_by": "need", "round": 2, "offered_by": "solution",
            "my_accepted_at": NOW if agreed else None, "their_accepted_at": NOW, "reward": reward if agreed else None,
            "words": [dict(zip(("n", "side", "kind", "text", "fee_fen"), word, strict=True)) | {"at": NOW}
                      for word in words], "application": UUID(int=7), "opened_at": NOW, "changed_at": NOW,
        }  # fmt: skip
        return {"one": one, "live": not agreed, "terms": TERMS, "to_accept": not agreed}

    async def answer(self, who: m.Who, number: UUID, step: str, fields: Mapping[str, str]) -> None:
        if step == "accept" and fields.get("round") != "2":
            raise Conflict("offer_changed", "Another offer stands.", message_zh="现行报价已变为第 2 版。")
        self.done.append((step, number))
