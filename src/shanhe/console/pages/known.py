"""What registers and documents say of a party: operators look, and ask that something be recorded."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.routing import APIRouter


class KnownRoom(Room):
    """`/city/accounts/{org}/facts`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/accounts/{org_id}/facts", self.facts, methods=["GET"])
        add("/city/accounts/{org_id}/facts", self.record, methods=["POST"])
        return routes

    async def facts(self, request: Request, org_id: UUID) -> Response:
        who = await self.allowed(request, "programmes")
        return self.show(request, "known.html", who, page=await self.desk.known.page(who, org_id), fields={})

    async def record(self, request: Request, org_id: UUID) -> Response:
        """Ask that a fact be recorded; a second operator agrees."""
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.known.record(who, org_id, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.known.page(who, org_id)
            return self.again(request, "known.html", who, error, page=page, fields=fields)
        return go("/city/second", "payment_asked")
