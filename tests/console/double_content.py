"""The part of the desk's double that is about the content hub: the module's own views of made-up records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.content import FIELD, _pieces
from shanhe.content.api import Draft, FreeUsedUp, draft_view, everything, kinds_view
from shanhe.content.checking import findings
from shanhe.rulebook.api import Rulebook

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)
ONE, ORG, CITY = UUID(int=501), UUID(int=7), UUID(int=502)
TEXT = "全市第一的山泉热水器，省电 45%。\n\n【卖点】\n1. 三年质保"
STANDING = {
    "month": "2026-11-01", "eligible": True, "designated": False, "used": 37, "free_left": 63,
    "city": "市经济和信息化局", "own": "none", "own_now": False, "basic_model": "qwen2.5-coder-0.5b-instruct",
    "models": ["qwen2.5-coder-0.5b-instruct", "deepseek-v3"],
}  # fmt: skip


def draft(n: int = 1, state: str = "done", **more: Any) -> dict[str, Any]:
    one = Draft(
        ONE, ONE, ORG, n, "product_text", "qwen2.5-coder-0.5b-instruct", state, "city", CITY, ONE, date(2026, 11, 1),
        {}, ONE, 1_840, "一台省心的热水器", TEXT if state == "done" else "", None,
        {"zh": "模型的回答无法使用，未扣费。", "en": "It could not be used."} if state == "failed" else None, "",
        NOW, NOW, NOW,
    )  # fmt: skip
    found = findings(one.text, ["山泉热水器", "三年质保"], lambda text: [])
    return draft_view(one, found) | {"made_at": NOW, "edited_at": None} | more


class ContentDesk:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.empty = False

    async def overview(self, who: m.Who, find: str, kind: str, before: UUID | None) -> Mapping[str, Any]:
        profiles = [{"id": str(ONE), "name": "热水器", "fields": {"product": "山泉热水器"}}]
        return {"standing": STANDING, "kinds": kinds_view()["kinds"], "profiles": [] if self.empty else profiles,
                "rows": [] if self.empty else [draft(), draft(2, "failed"), draft(3, "writing")]}  # fmt: skip

    async def agree(self, who: m.Who, own: str) -> None:
        self.done.append(("agree", own))

    async def blank(self, who: m.Who, kind: str, profile: UUID | None, job: UUID | None) -> Mapping[str, Any]:
        known, shape = everything(), everything().kinds[kind]
        fields = [
            {"id": name, "name": FIELD + name, "label": {"zh": known.fields[name].zh, "en": known.fields[name].en},
             "lines": known.fields[name].lines, "max_chars": known.fields[name].max_chars,
             "required": known.fields[name].required, "value": "山泉热水器" if profile else ""}
            for name in shape.fields
        ]  # fmt: skip
        words = {key: {"zh": one.zh, "en": one.en} for key, one in known.tones.items()}
        return {"kind": kind, "title": {"zh": shape.zh, "en": shape.en}, "fields": fields, "tones": words,
                "about": {"zh": shape.about.zh, "en": shape.about.en}, "tone": "plain", "length": "medium",
                "lengths": {key: {"zh": one.zh, "en": one.en} for key, one in known.lengths.items()},
                "profiles": [{"id": str(ONE), "name": "热水器", "fields": {}}], "profile": str(profile or ""),
                "standing": STANDING, "drafts_max": 3}  # fmt: skip

    async def ask(self, who: m.Who, kind: str, fields: Mapping[str, str]) -> UUID:
        if fields.get("drafts") == "3":
            raise FreeUsedUp(2, 3, ("本月免费额度不足", "The free tier of this month is not enough"))
        self.done.append(("ask", kind, dict(fields)))
        return ONE

    async def job(self, who: m.Who, job_id: UUID) -> Mapping[str, Any]:
        return {"id": str(ONE), "kind": "product_text", "model": "qwen2.5-coder-0.5b-instruct", "made_at": NOW,
                "title": {"zh": "产品说明", "en": "Product text"}, "open": True,
                "drafts": [draft(), draft(2, "writing"), draft(3, "failed")]}  # fmt: skip

    async def again(self, who: m.Who, job_id: UUID, ref: str) -> UUID:
        self.done.append(("again", job_id))
        return ONE

    async def draft(self, who: m.Who, draft_id: UUID) -> Mapping[str, Any]:
        found = draft()
        facts = {"designated": False, "used": 36}
        decision = Rulebook.load().evaluate("B10_content_hub", facts, on=date(2026, 11, 20))
        paid = {"name": "市经济和信息化局", "own": False, "micro": 1_840, "receipt": ONE, "trace": decision.trace,
                "lines": [{"bucket": "input", "tokens": 310}]}  # fmt: skip
        return found | {"pieces": _pieces(found["text"], found["findings"]), "paid": paid}

    async def edit(self, who: m.Who, draft_id: UUID, title: str, text: str) -> None:
        self.done.append(("edit", title, text))

    async def drop(self, who: m.Who, draft_id: UUID) -> None:
        self.done.append(("drop", draft_id))

    async def drop_profile(self, who: m.Who, profile: UUID) -> None:
        self.done.append(("drop_profile", profile))

    async def file(self, who: m.Who, draft_id: UUID, form: str) -> tuple[bytes, str]:
        return TEXT.encode(), "text/plain; charset=utf-8"

    async def city(self, who: m.Who) -> Mapping[str, Any]:
        return {"org_id": CITY, "name": "市经济和信息化局", "organisations": 12, "used": 340, "paid_micro": 625_600,
                "model": "", "models": STANDING["models"]}  # fmt: skip

    async def set_city(self, who: m.Who, org: str, model: str) -> None:
        self.done.append(("city", org, model))
