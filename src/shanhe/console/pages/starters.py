"""The gallery of starters: what each is for, needs and costs, and one click to a draft of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

MAY = "publish"
KINDS = ("agent", "workflow")
SUFFIX_CHARS = 6


class StartersRoom(Room):
    """`/starters`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/starters", self.gallery, methods=["GET"])
        add("/starters/{name}", self.copy, methods=["POST"])
        return routes

    async def gallery(self, request: Request) -> Response:
        who = await self.allowed(request, MAY)
        return self.show(request, "starters.html", who, **await self._gallery(request, who, {}))

    async def _gallery(self, request: Request, who: m.Who, typed: Mapping[str, str]) -> dict[str, Any]:
        """What the page shows; `typed` is what was filled in for the starter `name` of it."""
        found = [
            {**one, "number": str(number := new_id()), "slug": f"{one['name']}-{number.hex[-SUFFIX_CHARS:]}"}
            for one in await self.desk.starters.gallery(who, _spoken(request))
        ]
        kinds = [(kind, [one for one in found if one["kind"] == kind]) for kind in KINDS]
        return {"kinds": kinds, "bases": await self.desk.knowledge.overview(who), "typed": typed}

    async def copy(self, request: Request, name: str) -> Response:
        """A draft out of a starter; sent again it is the same draft."""
        who, fields = await self.posted(request, MAY)
        try:
            made = await self.desk.starters.copy(who, name, _spoken(request), fields)
        except ShanheError as error:
            shown = await self._gallery(request, who, fields | {"name": name})
            return self.again(request, "starters.html", who, error, **shown)
        return go(f"/{'makers' if made['kind'] == 'agent' else 'workflows'}/{made['name']}", "starter_copied")


def _spoken(request: Request) -> str:
    return language(request).partition("-")[0]
