"""Where an organisation wants to be told what happens: its webhooks, and what went there."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

MAY = "keys"
UUID_CHARS = 36
FORMS = ("standard", "wecom", "dingtalk", "feishu")


class WebhooksRoom(Room):
    """`/webhooks`, `/webhooks/{id}` and what is done there."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/webhooks", self.every, methods=["GET"])
        add("/webhooks", self.add, methods=["POST"])
        add("/webhooks/{endpoint}", self.one, methods=["GET"])
        add("/webhooks/{endpoint}/rotate", self.rotate, methods=["POST"])
        add("/webhooks/{endpoint}/{step}", self.step, methods=["POST"])
        add("/webhooks/{endpoint}/deliveries/{delivery}/again", self.send_again, methods=["POST"])
        return routes

    async def every(self, request: Request) -> Response:
        return await self._list(request)

    async def _list(self, request: Request, error: Exception | None = None, **typed: str) -> Response:
        who = await self.allowed(request, MAY)
        shown = {"rows": await self.desk.webhooks.every(who), "forms": FORMS, "typed": typed, "new_id": str(new_id())}
        if error is not None:
            return self.again(request, "webhooks.html", who, error, **shown)
        return self.show(request, "webhooks.html", who, **shown)

    async def add(self, request: Request) -> Response:
        """Its secret is shown on its page, once."""
        who, fields = await self.posted(request, MAY)
        try:
            made, secret = await self.desk.webhooks.add(who, fields)
        except (ShanheError, ValueError) as error:
            return await self._list(request, error, **fields)
        return await self.hand(request, who, f"/webhooks/{made}", secret=secret)

    async def one(self, request: Request, endpoint: UUID) -> Response:
        who = await self.allowed(request, MAY)
        before = request.query_params.get("before", "")[:UUID_CHARS]
        found, rows = await self.desk.webhooks.one(who, endpoint, UUID(before) if before else None)
        left = await self.left(request, who, "secret")
        page = self.show(
            request, "webhook.html", who, one=found, rows=rows, secret=left.get("secret", ""), before=before
        )
        return self.handed(request, page) if left else page

    async def step(self, request: Request, endpoint: UUID, step: str) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.webhooks.step(who, endpoint, step)
        return go("/webhooks" if step == "remove" else f"/webhooks/{endpoint}", f"webhook_{step}")

    async def rotate(self, request: Request, endpoint: UUID) -> Response:
        """The next secret, shown on its page."""
        who, _ = await self.posted(request, MAY)
        secret = await self.desk.webhooks.rotate(who, endpoint)
        return await self.hand(request, who, f"/webhooks/{endpoint}", secret=secret)

    async def send_again(self, request: Request, endpoint: UUID, delivery: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.webhooks.again(who, delivery)
        return go(f"/webhooks/{endpoint}", "webhook_replay")
