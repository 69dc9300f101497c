"""Watching: break-glass, and how thin money is spread."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

DAY_CHARS = 10
FOLLOW_UPS = ("none", "procedure", "staffing", "rights", "reversal")


class WatchRoom(Room):
    """`/governance/dilution`, `/city/break-glass`, `/city/break-glass/{id}`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/governance/dilution", self.dilution, methods=["GET"])
        add("/governance/dilution.csv", self.dilution_csv, methods=["GET"])
        add("/city/break-glass", self.openings, methods=["GET"])
        add("/city/break-glass", self.open, methods=["POST"])
        add("/city/break-glass/{glass_id}", self.opening, methods=["GET"])
        add("/city/break-glass/{glass_id}/end", self.end, methods=["POST"])
        add("/city/break-glass/{glass_id}/read", self.read, methods=["POST"])
        add("/city/break-glass/{glass_id}/review", self.review, methods=["POST"])
        return routes

    # -- how thin money is spread -------------------------------------------------------------------------------------

    async def dilution(self, request: Request) -> Response:
        who, on = await self.desk.gate.who(request), request.query_params.get("on", "")[:DAY_CHARS]
        return self.show(request, "dilution.html", who, on=on, **await self.desk.watch.dilution(who, on))

    async def dilution_csv(self, request: Request) -> Response:
        who, on = await self.desk.gate.who(request), request.query_params.get("on", "")[:DAY_CHARS]
        text = await self.desk.watch.dilution_csv(who, on)
        return self.sheet(request, text, "dilution.csv")

    # -- break-glass --------------------------------------------------------------------------------------------------

    async def openings(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        return self.show(request, "break_glass.html", who, **await self._openings(who, {}))

    async def _openings(self, who: Any, fields: dict[str, str]) -> dict[str, Any]:
        view = await self.desk.watch.openings(who)
        return {"view": view, "fields": fields, "glass_id": fields.get("id") or str(new_id())}

    async def open(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            made = await self.desk.watch.open(who, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "break_glass.html", who, error, **await self._openings(who, fields))
        return go(f"/city/break-glass/{made}", "glass_opened")

    async def opening(self, request: Request, glass_id: UUID) -> Response:
        who = await self.allowed(request, "ledger")
        return self.show(request, "break_glass_one.html", who, **await self._opening(who, glass_id))

    async def _opening(self, who: Any, glass_id: UUID, **values: Any) -> dict[str, Any]:
        one = await self.desk.watch.opening(who, glass_id)
        return {"one": one, "fields": {}, "read": None, "follow_ups": FOLLOW_UPS} | values

    async def end(self, request: Request, glass_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        await self.desk.watch.end(who, glass_id)
        return go(f"/city/break-glass/{glass_id}", "glass_ended")

    async def read(self, request: Request, glass_id: UUID) -> Response:
        """The audit of the opening's object, shown once: each look is an act of its own."""
        who, _ = await self.posted(request, "accounts")
        try:
            rows = await self.desk.watch.read(who, glass_id)
        except ShanheError as error:
            return self.again(request, "break_glass_one.html", who, error, **await self._opening(who, glass_id))
        return self.show(request, "break_glass_one.html", who, **await self._opening(who, glass_id, read=rows))

    async def review(self, request: Request, glass_id: UUID) -> Response:
        who, fields = await self.posted(request, "ledger")
        try:
            await self.desk.watch.review(who, glass_id, fields)
        except (ShanheError, ValueError) as error:
            shown = await self._opening(who, glass_id, fields=fields)
            return self.again(request, "break_glass_one.html", who, error, **shown)
        return go(f"/city/break-glass/{glass_id}", "glass_reviewed")
