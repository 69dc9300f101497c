"""The part of the desk's double that is about the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import MICRO

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
TITLES = {
    "letters": ({"zh": "公文助手", "en": "Letters"}, "agent"), "weather": ({"zh": "天气工具", "en": "Weather"}, "mcp"),
    "rows": ({"zh": "产业数据", "en": "Industry data"}, "data"),
}  # fmt: skip


def listing(slug: str, state: str = "listed") -> dict[str, Any]:
    title, kind = TITLES[slug]
    return {"name": f"{kind}/{slug}", "kind": kind, "slug": slug, "state": state, "category": "government",
            "title": title, "summary": {"zh": "写公文", "en": "Writes letters"}}  # fmt: skip


def card(slug: str) -> dict[str, Any]:
    rated = slug == "letters"
    return {**listing(slug), "maker": "青山机器人", "version": 2, "markup": "20", "fee_micro": 5_000, "calls": 1_200,
            "ratings": 3 if rated else 0, "mean": "4.3" if rated else "", "points": "61.2", "usage_bps": 7_500,
            "jury_bps": 6_000}  # fmt: skip


def version(n: int, state: str) -> dict[str, Any]:
    checks = [{"name": "model", "passed": True, "zh": "模型可用", "en": "the model is there"},
              {"name": "security", "passed": False, "zh": "描述含隐藏字符", "en": "hidden signs"}]  # fmt: skip
    return {"n": n, "version_state": state, "notes": "更简洁", "decision": "可以上架" if state == "approved" else "",
            "submitted_at": NOW, "decided_at": None, "checks": checks, "markup": "20", "fee_micro": 5_000}  # fmt: skip


class Shop:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.offered = ["letters", "weather"]

    async def window(self, kind: str, find: str) -> Sequence[Mapping[str, Any]]:
        return [card(slug) for slug in self.offered if not kind or TITLES[slug][1] == kind]

    async def listing(self, name: str) -> Mapping[str, Any]:
        return {**card(name.partition("/")[2]), "ratings_said": [{"stars": 5, "text": "省时间", "at": NOW}]}

    async def rate(self, who: m.Who, name: str, stars: int, text: str) -> None:
        if stars == 1:
            raise Invalid("not_a_user", "Call it first.", message_zh="请先付费调用。")
        self.done.append(("rate", name, stars, text))

    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {**listing("letters"), "version": 2, "version_state": "approved"},
            {**listing("weather", "draft"), "version": 0, "version_state": "draft"},
        ]

    async def edit(self, who: m.Who, name: str) -> Mapping[str, Any]:
        slug = name.partition("/")[2]
        versions = [version(2, "submitted"), version(1, "approved")] if slug == "rows" else [version(1, "approved")]
        return {**listing(slug), "versions": versions, "open": slug != "rows", "form": {"markup": "20", "fee": "0"}}

    async def open(self, who: m.Who, fields: Mapping[str, str]) -> str:
        if fields.get("slug") == "taken":
            raise Invalid("listing_name_taken", "Taken.", message_zh="名称已被占用。")
        self.done.append(("open", fields["kind"], fields["slug"]))
        return "agent/letters"

    async def save(self, who: m.Who, name: str, fields: Mapping[str, str]) -> None:
        if fields.get("markup") == "0":
            raise Invalid("bad_listing", "At least one percent.", message_zh="加价率至少 1%。")
        self.done.append(("save", name, fields["markup"]))

    async def submit(self, who: m.Who, name: str) -> None:
        self.done.append(("submit", name))

    async def recall(self, who: m.Who, name: str) -> None:
        self.done.append(("recall", name))

    async def withdraw(self, who: m.Who, name: str) -> None:
        self.done.append(("withdraw", name))

    async def income(self, who: m.Who, days: int) -> Mapping[str, Any]:
        chart = [m.DaySpend(date(2026, 10, 22) + timedelta(days=n), n * MICRO, n) for n in range(days)]
        rows = [
            {"day": date(2026, 11, 20), "role": "agent_developer", "resource": "agent/letters", "calls": 12,
             "amount_micro": 3 * MICRO},
            {"day": date(2026, 11, 20), "role": "reversal", "resource": "", "calls": 1, "amount_micro": -MICRO},
        ]  # fmt: skip
        return {"rows": rows, "days": chart, "total_micro": 2 * MICRO}

    async def queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [{**listing("letters"), **version(2, "submitted"), "content": '{\n  "model": "x"\n}'}]

    async def review(self, who: m.Who, name: str, n: int, approve: bool, note: str) -> None:
        if not note:
            raise Invalid("bad_listing", "Say why.", message_zh="须写明理由。")
        self.done.append(("review", name, n, approve, note))
