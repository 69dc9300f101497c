"""Webhooks of an organisation, over their module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.kernel.errors import NotFound
from shanhe.webhooks.api import delivery_view, endpoint_view


class LiveWebhooks:
    """See `ports.WebhookDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._webhooks = modules.webhooks

    async def every(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [endpoint_view(one) for one in await self._webhooks.of(who.org_id)]

    async def add(self, who: m.Who, fields: Mapping[str, str]) -> tuple[UUID, str]:
        made = await self._webhooks.add(
            who.org_id, url=fields.get("url", "").strip(), form=fields.get("form", ""),
            secret=fields.get("secret", "").strip(), kinds=fields.get("kinds", "").replace(",", " ").split(),
            by=actor_of(who).ref, endpoint_id=UUID(fields["id"]) if fields.get("id") else None,
        )  # fmt: skip
        return made.id, made.secret if made.form == "standard" else ""

    async def one(
        self, who: m.Who, endpoint: UUID, before: UUID | None
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        found = await self._webhooks.one(who.org_id, endpoint)
        rows = await self._webhooks.deliveries(who.org_id, endpoint, before)
        return endpoint_view(found), [delivery_view(row) for row in rows]

    async def step(self, who: m.Who, endpoint: UUID, step: str) -> None:
        steps = {
            "test": self._webhooks.test, "resume": self._webhooks.resume, "replay": self._webhooks.replay,
            "remove": self._webhooks.remove,
        }  # fmt: skip
        if step not in steps:
            raise NotFound("no_such_step", "There is no such step.", message_zh="没有该操作。")
        await steps[step](who.org_id, endpoint)

    async def rotate(self, who: m.Who, endpoint: UUID) -> str:
        return (await self._webhooks.rotate(who.org_id, endpoint)).secret

    async def again(self, who: m.Who, delivery: UUID) -> None:
        await self._webhooks.again(who.org_id, delivery)
