"""Lent machines: who lends what, how fast it is, what it earned and by which receipts; where models should be."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import Conflict, Invalid, NotFound, ShanheError
from shanhe.kernel.routing import APIRouter

STEPS: Final = ("drain", "restart", "release", "quarantine", "remove", "withheld")
REASON_CHARS_MAX: Final = 200


class PoolRoom(Room):
    """`/nodes` and what is below it."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/nodes", self.nodes, methods=["GET"])
        add("/nodes", self.token, methods=["POST"])
        add("/nodes/{name}", self.node, methods=["GET"])
        add("/nodes/{name}/{step}", self.change, methods=["POST"])
        return routes

    async def may(self, request: Request) -> m.Who:
        who = await self.who(request)
        return who if who.may("engines") else await self.allowed(request, "usage")

    async def nodes(self, request: Request) -> Response:
        made = await self.left(request, who := await self.may(request), "secret")
        return self.handed(request, await self._nodes(request, who, **made))

    async def _nodes(self, request: Request, who: m.Who, **values: Any) -> Response:
        base = str(request.base_url).rstrip("/")
        return self.show(request, "nodes.html", who, pool=await self.desk.pool.nodes(who), base=base, **values)

    async def token(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            secret = await self.desk.pool.token(who, fields.get("name", ""))
        except ShanheError as error:
            return await self._nodes(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return await self.hand(request, who, "/nodes", secret=secret)

    async def node(self, request: Request, name: str) -> Response:
        who = await self.may(request)
        return await self._node(request, who, name)

    async def _node(self, request: Request, who: m.Who, name: str, **values: Any) -> Response:
        return self.show(request, "node.html", who, node=await self.desk.pool.node(who, name), **values)

    async def change(self, request: Request, name: str, step: str) -> Response:
        who, fields = await self.posted(request)
        if step not in STEPS:
            raise NotFound("not_found", "There is nothing at this address.", message_zh="此地址没有内容。")
        reason, restore = fields.get("reason", "")[:REASON_CHARS_MAX].strip(), "restore" in fields
        try:
            asked = await self.desk.pool.change(who, name, step, reason, restore=restore)
        except (Invalid, Conflict) as error:
            return await self._node(request, who, name, mistake=self.view.mistake(request, error), status=error.status)
        done = "payment_asked" if asked else "node_changed"
        return go("/nodes" if step == "remove" else f"/nodes/{name}", done)
