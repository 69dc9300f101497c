"""Whether an app may act for a person's organisation: asked once, answered with a budget or a no."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.routing import APIRouter


class ConnectRoom(Room):
    """`/connect/{request}`: what an app asks for, and where the browser goes back to; `/apps`: those that may act."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/connect/{request_id}", self.asked, methods=["GET"])
        add("/connect/{request_id}", self.answer, methods=["POST"])
        add("/apps", self.apps, methods=["GET"])
        add("/apps/{app}/end", self.end, methods=["POST"])
        return routes

    async def apps(self, request: Request) -> Response:
        who = await self.who(request)
        rows = await self.desk.connect.apps(who)
        acting, ended = [row for row in rows if row["acts"]], [row for row in rows if not row["acts"]]
        return self.show(request, "apps.html", who, acting=acting, ended=ended)

    async def end(self, request: Request, app: UUID) -> Response:
        who, _ = await self.posted(request)
        await self.desk.connect.end(who, app)
        return go("/apps", "app_ended")

    async def asked(self, request: Request, request_id: UUID) -> Response:
        who = await self.allowed(request, "keys")
        return self.show(request, "connect.html", who, one=await self.desk.connect.asked(request_id), fields={})

    async def answer(self, request: Request, request_id: UUID) -> Response:
        """The way back is a page with a link: a form's answer may not lead to another site."""
        who, fields = await self.posted(request, "keys")
        one = await self.desk.connect.asked(request_id)
        try:
            if fields.get("then") == "allow":
                back = await self.desk.connect.allow(who, request_id, fields.get("budget", ""))
            else:
                back = await self.desk.connect.refuse(who, request_id)
        except (ShanheError, ValueError) as error:
            return self.again(request, "connect.html", who, error, one=one, fields=fields)
        return self.show(request, "connect_done.html", who, one=one, back=back, allowed=fields.get("then") == "allow")
