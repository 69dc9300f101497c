"""The weekly bulletin, for everybody to read, hear and subscribe to."""

from __future__ import annotations

from datetime import date

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.kernel.routing import APIRouter


class BulletinRoom(Room):
    """`/bulletin` shows the newest issue, `/bulletin/{day}` an earlier one."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/bulletin", self.newest, methods=["GET"])
        add("/bulletin/{day}", self.of_a_day, methods=["GET"])
        return routes

    async def newest(self, request: Request) -> Response:
        return await self._issue(request, None)

    async def of_a_day(self, request: Request, day: date) -> Response:
        return await self._issue(request, day)

    async def _issue(self, request: Request, day: date | None) -> Response:
        who = await self.desk.gate.who(request)
        issue, others = await self.desk.bulletin.issue(day), await self.desk.bulletin.days()
        return self.show(request, "bulletin.html", who, issue=issue, others=others)
