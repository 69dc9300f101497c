"""The part of the desk's double that is about starters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shanhe.console import model as m
from shanhe.kernel.errors import Conflict

WORDS = {"title": {"zh": "活动助手", "en": "Events"}, "summary": {"zh": "推荐活动", "en": "Suggests events"}}


def shown(name: str, kind: str, data_class: str, models: Sequence[str], **lacks: Any) -> dict[str, Any]:
    agent = kind == "agent"
    needs = {"data_class": data_class, "knowledge": ["活动安排"], "tools": ["weather/forecast"] if agent else [],
             "code": not agent, "approval": not agent}  # fmt: skip
    return {"name": name, "kind": kind, "category": "general", **WORDS, "needs": needs, "models": list(models),
            "missing": {"model": not models, "knowledge": [], "tools": []} | lacks,
            "cost_micro": 12_345 if models else None, "most_micro": 1_000_000}  # fmt: skip


class StarterDesk:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    async def gallery(self, who: m.Who, language: str) -> Sequence[Mapping[str, Any]]:
        return [
            shown("events", "agent", "general", ["m1", "m2"], tools=["weather/forecast"], knowledge=["活动安排"]),
            shown("guide", "agent", "citizen", []), shown("report", "workflow", "general", ["m1"]),
        ]  # fmt: skip

    async def copy(self, who: m.Who, name: str, language: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        if fields["slug"] == "taken":
            raise Conflict("listing_name_taken", "Taken.", message_zh="名称已被占用。")
        self.done.append((name, language, {key: fields[key] for key in ("id", "slug", "model", "knowledge")}))
        return {"kind": "agent", "name": f"agent/{fields['slug']}"}
