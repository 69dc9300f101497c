"""The part of the desk's double that is about the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import MICRO
from shanhe.store.errors import ListingChanged

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
CONTEST = UUID(int=77)
TITLES = {
    "letters": ({"zh": "公文助手", "en": "Letters"}, "agent"), "weather": ({"zh": "天气工具", "en": "Weather"}, "mcp"),
    "rows": ({"zh": "产业数据", "en": "Industry data"}, "data"),
    "teacher": ({"zh": "张老师", "en": "Teacher Zhang"}, "clone"),
    "school": ({"zh": "教师联盟", "en": "School"}, "alliance"),
}  # fmt: skip


def listing(slug: str, state: str = "listed") -> dict[str, Any]:
    title, kind = TITLES[slug]
    return {"name": f"{kind}/{slug}", "kind": kind, "slug": slug, "state": state, "category": "government",
            "title": title, "summary": {"zh": "写公文", "en": "Writes letters"}}  # fmt: skip


def card(slug: str) -> dict[str, Any]:
    rated = slug == "letters"
    return {**listing(slug), "maker": "青山机器人", "version": 2, "markup": "20", "fee_micro": 5_000, "calls": 1_200,
            "payers": 40, "markup_bps": 2_000,
            "ratings": 3 if rated else 0, "mean": "4.3" if rated else "", "points": "61.2", "usage_bps": 7_500,
            "jury_bps": 6_000}  # fmt: skip


def version(n: int, state: str) -> dict[str, Any]:
    checks = [{"name": "model", "passed": True, "zh": "模型可用", "en": "the model is there"},
              {"name": "security", "passed": False, "zh": "描述含隐藏字符", "en": "hidden signs"}]  # fmt: skip
    return {"n": n, "version_state": state, "notes": "更简洁", "decision": "可以上架" if state == "approved" else "",
            "submitted_at": NOW, "decided_at": None, "starts_on": None,
            "checks": checks, "markup": "20", "fee_micro": 5_000}  # fmt: skip


MOVE = {"was": "listed", "becomes": "removed", "reason": "冒用他人名称", "at": NOW, "by": "周审核"}


def case(slug: str) -> dict[str, Any]:
    """A listing as its reviewer reads it."""
    return {
        **listing(slug), **version(2, "submitted"), "waits": True, "maker": "青山机器人",
        "content": '{\n  "model": "x"\n}', "before": version(1, "approved") | {"markup": "5"}, "makers": [
            {"name": "云麓软件", "share": "100"}], "rights": ["ip/000001"], "moves": [MOVE],
        "changes": [{"field": "instructions", "was": "写公文", "becomes": "先问身份证号"}],
        "renamed": [{"field": "title_zh", "was": "公文助手", "becomes": "市府官方助手"}],
        "decided": [version(1, "approved") | {"by": "周审核", "decided_at": NOW}],
        "alike": [{**listing("rows"), "maker": "他人机构"}],
    }  # fmt: skip


class Shop:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.offered = ["letters", "weather"]

    async def answer_file(self, who: m.Who, name: str, text: str, label: str, form: str, *, language: str) -> c.File:
        return c.File(text.encode(), "text/plain", {})

    async def window(
        self, kind: str, find: str, category: str = "", order: str = "rank", *, first: int = 0, most: int
    ) -> tuple[Sequence[Mapping[str, Any]], int]:
        self.asked = (kind, find, category, order)
        found = [slug for slug in self.offered if not kind or TITLES[slug][1] == kind]
        return [card(slug) for slug in found[first : first + most]], len(found)

    async def listing(self, name: str, who: m.Who | None) -> Mapping[str, Any]:
        honours = [{"contest": CONTEST, "title": {"zh": "政务智能体大赛", "en": "Contest"}, "place": 1}]
        row = {"id": UUID(int=50), "stars": 5, "text": "省时间", "at": NOW, "struck": False, "reply": "谢谢，已改进",
               "replied_at": NOW, "reply_struck": False}  # fmt: skip
        said = [row, {**row, "id": UUID(int=51), "text": "", "struck": True, "reply": "", "reply_struck": True}]
        since, last = NOW - timedelta(days=30), NOW - timedelta(days=1)
        looks_up = {"documents": 3, "changed": [{"name": "<b>价目.md", "at": last}], "last": last, "since": since}
        known = looks_up if name == "agent/letters" else None
        return {**card(name.partition("/")[2]), "looks_up": known, "honours": honours, "ratings_said": said,
                "model": "qwen", "own": name == "mcp/weather", "voice": row if who else None,
                "history": [{"n": 2, "notes": "更简洁", "at": NOW}], "coming": None if name != "agent/letters" else {
                    **version(3, "announced"), "markup": "30", "starts_on": date(2026, 12, 15),
                    "model": "qwen-large"}}  # fmt: skip

    async def ranks(self, month: str) -> Mapping[str, Any]:
        row = {**listing("letters"), "place": 1, "points": "61.2", "payers": 7, "own_micro": 900 * MICRO,
               "due_micro": 180 * MICRO, "paid": True, "second": False, "maker": "青山机器人"}  # fmt: skip
        terms = {"rewards": [1_000 * MICRO, 600 * MICRO, 300 * MICRO], "score_min": 2_500, "payers_min": 5,
                 "own_micro_min": 10 * MICRO, "own_share": 2_000, "usage_days": 90}  # fmt: skip
        rows = [row, {**row, **listing("rows", "withdrawn"), "place": 2, "paid": False, "second": True}]
        return {"month": "2026-10", "months": ["2026-10", "2026-09"], "rows": rows, "terms": terms}

    async def rate(self, who: m.Who, name: str, stars: int, text: str) -> None:
        if stars == 1:
            raise Invalid("not_a_user", "Call it first.", message_zh="请先付费调用。")
        self.done.append(("rate", name, stars, text))

    async def reply(self, who: m.Who, rating: UUID, text: str) -> None:
        if not text:
            raise Invalid("bad_listing", "Say something.", message_zh="请填写回复。")
        self.done.append(("reply", rating, text))

    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {**listing("letters"), "version": 2, "version_state": "approved"},
            {**listing("weather", "draft"), "version": 0, "version_state": "draft"},
        ]

    async def edit(self, who: m.Who, name: str) -> Mapping[str, Any]:
        slug = name.partition("/")[2]
        versions = [version(2, "submitted"), version(1, "approved")] if slug == "rows" else [version(1, "approved")]
        state, moves = ("removed", [MOVE]) if slug == "weather" else ("listed", [])
        return {**listing(slug, state), "versions": versions, "open": slug != "rows", "moves": moves, "mark": "m2",
                "form": {"markup": "20", "fee": "0", "title_zh": "公文助手", "title_en": "Letters"}}  # fmt: skip

    async def version(self, who: m.Who, name: str, n: int) -> Mapping[str, Any]:
        return {"model": "x", "instructions": "写公文"}

    async def open(self, who: m.Who, fields: Mapping[str, str], content: Mapping[str, Any] | None) -> str:
        if fields.get("slug") == "taken":
            raise Invalid("listing_name_taken", "Taken.", message_zh="名称已被占用。")
        self.done.append(("open", fields["kind"], fields["slug"], *(() if content is None else (content,))))
        return "agent/letters"

    async def save(self, who: m.Who, name: str, fields: Mapping[str, str]) -> None:
        if fields.get("markup") == "0":
            raise Invalid("bad_listing", "At least one percent.", message_zh="加价率至少 1%。")
        if fields.get("base", "m2") != "m2":
            raise ListingChanged()
        self.done.append(("save", name, fields["markup"]))

    async def submit(self, who: m.Who, name: str) -> None:
        self.done.append(("submit", name))

    async def recall(self, who: m.Who, name: str) -> None:
        self.done.append(("recall", name))

    async def expose(self, who: m.Who, name: str, shown: bool) -> None:
        self.done.append(("expose", name, shown))

    async def withdraw(self, who: m.Who, name: str) -> None:
        self.done.append(("withdraw", name))

    async def income(self, who: m.Who, first: str, last: str) -> Mapping[str, Any]:
        if first > last:
            raise Invalid("bad_listing", "At most 366 days.", message_zh="期间不超过 366 天。")
        chart = [m.DaySpend(date(2026, 10, 22) + timedelta(days=n), n * MICRO, n) for n in range(30)]
        days = [
            {"day": date(2026, 11, 20), "resource": "agent/letters", "calls": 12, "tokens": 4_800,
             "paid_micro": 18 * MICRO, "earned_micro": 3 * MICRO, "per_thousand_micro": 625_000},
            {"day": date(2026, 11, 20), "resource": "mcp/weather", "calls": 3, "tokens": 0, "paid_micro": 30_000,
             "earned_micro": 24_000, "per_thousand_micro": None},
        ]  # fmt: skip
        refunds = [{"at": NOW, "posting": UUID(int=5), "amount_micro": -MICRO}]
        payouts = [{"at": NOW, "state": "confirmed", "amount_micro": MICRO, "net_fen": 100}]
        return {"first": date(2026, 10, 22), "last": date(2026, 11, 20), "days": days, "chart": chart, "tokens": 4_800,
                "earned_micro": 3_024_000, "refunded_micro": -MICRO, "balance_micro": 2 * MICRO, "refunds": refunds,
                "payouts": payouts}  # fmt: skip

    async def income_file(self, who: m.Who, first: str, last: str, fmt: str, language: str) -> c.File:
        return c.File(b"day", "text/csv", {"content-disposition": f"attachment; filename=income.{fmt}"})

    async def queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [case("letters")]

    async def known(
        self, who: m.Who, find: str, *, first: int, most: int
    ) -> tuple[Sequence[Mapping[str, Any]], int]:  # fmt: skip
        found = [] if find == "zzz" else [listing("letters"), listing("weather", "removed")]
        return found[first : first + most], len(found)

    async def case(self, who: m.Who, name: str) -> Mapping[str, Any]:
        slug = name.partition("/")[2]
        return case(slug) | {"state": "removed" if slug == "weather" else "listed"}

    async def stand(self, who: m.Who, name: str, offered: bool, reason: str) -> None:
        if not reason:
            raise Invalid("bad_listing", "Say why.", message_zh="须写明理由。")
        self.done.append(("stand", name, offered, reason))

    async def review(self, who: m.Who, name: str, n: int, approve: bool, note: str) -> None:
        if not note:
            raise Invalid("bad_listing", "Say why.", message_zh="须写明理由。")
        self.done.append(("review", name, n, approve, note))
