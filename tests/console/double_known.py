"""The part of the desk's double that is about facts of parties."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.kernel.errors import Invalid


class Known:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.done: list[Mapping[str, str]] = []

    async def page(self, who: m.Who, org_id: UUID) -> Mapping[str, Any]:
        fact = {"title": {"zh": "在孵企业", "en": "Incubated"}, "key": "", "said": True, "standing": "checked",
                "valid_from": date(2026, 1, 1), "valid_to": None, "source": "孵化器名册", "evidence": "第 3 号",
                "known_at": datetime(2026, 11, 20, 6, tzinfo=UTC)}  # fmt: skip
        kinds = [("incubated", ("在孵企业", "Incubated"), "bool", ""),
                 ("owned_by", ("出资人所占份额", "Share held by an owner"), "percent", "party")]  # fmt: skip
        facts = [fact, fact | {"said": "¥ 1,000.00", "key": "7", "valid_to": date(2026, 2, 1)}]
        return {"name": "青山机器人", "org_id": org_id, "id": str(UUID(int=77)), "facts": facts, "kinds": kinds}

    async def record(self, who: m.Who, org_id: UUID, fields: Mapping[str, str]) -> None:
        if fields.get("value") == "也许":
            raise Invalid("bad_fact", "Write yes or no.", message_zh="请填写“是”或“否”。")
        self.done.append(fields)
