"""The part of the desk's double that is about connected apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m

NOW = datetime(2026, 11, 20, 6, 32, 18, tzinfo=UTC)


class Connect:
    """One app that asks, one that acts, one that did."""

    def __init__(self) -> None:
        self.ended: list[UUID] = []

    async def apps(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        shared = {"org": "青山机器人", "resource": "https://ai.example.cn/mcp", "made_at": NOW}
        return [
            {**shared, "id": UUID(int=1), "name": "山河助手", "acts": not self.ended, "ended_at": None,
             "budget_day_micro": 10_000_000},
            {**shared, "id": UUID(int=2), "name": "旧应用", "acts": False, "ended_at": NOW, "budget_day_micro": None},
        ]  # fmt: skip

    async def end(self, who: m.Who, app: UUID) -> None:
        self.ended.append(app)

    async def asked(self, request_id: UUID) -> Mapping[str, Any]:
        return {
            "id": request_id,
            "app": "山河助手",
            "resource": "https://ai.example.cn/mcp",
            "returns": "app.example.cn",
        }

    async def allow(self, who: m.Who, request_id: UUID, budget: str) -> str:
        return "https://app.example.cn/back?code=c"

    async def refuse(self, who: m.Who, request_id: UUID) -> str:
        return "https://app.example.cn/back?error=access_denied"
