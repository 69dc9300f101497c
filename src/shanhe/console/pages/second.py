"""What waits for a second person: every money move that operators make by hand."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError

REASON_CHARS_MAX = 200


class SecondRoom(Room):
    """`/city/second`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/second", self.waiting, methods=["GET"])
        add("/city/second/{request_id}", self.decide, methods=["POST"])
        return routes

    async def waiting(self, request: Request) -> Response:
        who = await self.allowed(request, "accounts")
        return self.show(request, "second.html", who, rows=await self.desk.second.waiting(who))

    async def decide(self, request: Request, request_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        reason = fields.get("reason", "")[:REASON_CHARS_MAX]
        try:
            await self.desk.second.decide(who, request_id, yes=fields.get("do") == "approve", reason=reason)
        except ShanheError as error:
            return self.again(request, "second.html", who, error, rows=await self.desk.second.waiting(who))
        return go("/city/second", "decided")
