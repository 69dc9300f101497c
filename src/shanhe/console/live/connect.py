"""The page that asks whether an app may act, and that of those that do, over the module of connected apps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import parse_credits


class LiveConnect:
    """See `ports.Connect`."""

    def __init__(self, modules: Modules) -> None:
        self._oauth = modules.oauth
        self._orgs = modules.identity.orgs

    async def apps(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        now, found = self._oauth.now(), await self._oauth.apps(who.person_id)
        names = await self._orgs.names({one.org_id for one in found})
        return [{**asdict(one), "acts": one.acts(now), "org": names[one.org_id]} for one in found]

    async def end(self, who: m.Who, app: UUID) -> None:
        await self._oauth.end(app, who.person_id)

    async def asked(self, request_id: UUID) -> Mapping[str, Any]:
        found = await self._oauth.asked(request_id)
        parts = urlsplit(found.redirect_uri)
        return {"id": found.id, "app": found.client_name, "resource": found.resource,
                "returns": parts.netloc or f"{parts.scheme}:"}  # fmt: skip

    async def allow(self, who: m.Who, request_id: UUID, budget: str) -> str:
        budget_micro = parse_credits(budget)
        if budget_micro <= 0:
            raise Invalid("budget_missing", "Say how much it may spend a day.", message_zh="请填写每日预算。")
        return await self._oauth.allow(request_id, actor_of(who), who.org_id, budget_micro)

    async def refuse(self, who: m.Who, request_id: UUID) -> str:
        return await self._oauth.refuse(request_id)
