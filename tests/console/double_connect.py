"""The part of the desk's double that is about connected apps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shanhe.console import model as m


class Connect:
    """One app that asks."""

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
