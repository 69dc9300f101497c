"""The register of algorithms, complaints about outputs, and the desk that keeps both."""

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

KINDS = ("generation", "recommendation", "ranking", "search", "dispatch")
STATES = ("not_needed", "preparing", "filed", "changed", "withdrawn")
GRIEVANCES = ("illegal", "false", "personal", "rights", "minors", "unlabelled", "other")
DOCUMENTS = ("model_card", "safety_assessment", "receipt", "other")
ABOUT_CHARS = 80


class ConductRoom(Room):
    """`/algorithms…` for everybody, `/complaints` for members, `/city/moderation` for operators."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/algorithms", self.register, methods=["GET"])
        add("/algorithms/{algorithm_id}", self.algorithm, methods=["GET"])
        add("/complaints", self.mine, methods=["GET"])
        add("/complaints", self.complain, methods=["POST"])
        add("/complaints/{complaint_id}/appeal", self.appeal, methods=["POST"])
        add("/city/moderation", self.desk_page, methods=["GET"])
        add("/city/moderation/months.csv", self.csv, methods=["GET"])
        add("/city/moderation/algorithms", self.add, methods=["POST"])
        add("/city/moderation/algorithms/{algorithm_id}/state", self.move, methods=["POST"])
        add("/city/moderation/algorithms/{algorithm_id}/documents", self.attach, methods=["POST"])
        add("/city/moderation/complaints/{complaint_id}", self.decide, methods=["POST"])
        return routes

    # -- for everybody ------------------------------------------------------------------------------------------------

    async def register(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "algorithms.html", who, **await self.desk.conduct.register())

    async def algorithm(self, request: Request, algorithm_id: UUID) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "algorithm.html", who, one=await self.desk.conduct.algorithm(algorithm_id))

    # -- for members --------------------------------------------------------------------------------------------------

    async def mine(self, request: Request) -> Response:
        who = await self.allowed(request, "usage")
        about = {name: request.query_params.get(name, "")[:ABOUT_CHARS] for name in ("receipt", "listing")}
        return self.show(request, "complaints.html", who, **await self._mine(who, about))

    async def _mine(self, who: Any, fields: dict[str, str]) -> dict[str, Any]:
        rows = await self.desk.conduct.mine(who)
        number = fields.get("id") or str(new_id())
        return {"rows": rows, "fields": fields, "grievances": GRIEVANCES, "complaint_id": number}

    async def complain(self, request: Request) -> Response:
        who, fields = await self.posted(request, "usage")
        try:
            await self.desk.conduct.complain(who, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "complaints.html", who, error, **await self._mine(who, fields))
        return go("/complaints", "complained")

    async def appeal(self, request: Request, complaint_id: UUID) -> Response:
        who, fields = await self.posted(request, "usage")
        try:
            await self.desk.conduct.appeal(who, complaint_id, fields.get("text", ""))
        except ShanheError as error:
            return self.again(request, "complaints.html", who, error, **await self._mine(who, {}))
        return go("/complaints", "complained")

    # -- for operators ------------------------------------------------------------------------------------------------

    async def desk_page(self, request: Request) -> Response:
        who = await self.allowed(request, "store")
        return self.show(request, "city_moderation.html", who, **await self._desk(who, {}))

    async def _desk(self, who: Any, fields: dict[str, str]) -> dict[str, Any]:
        view = await self.desk.conduct.desk(who)
        number = fields.get("id") or str(new_id())
        return {"view": view, "fields": fields, "kinds": KINDS, "states": STATES, "documents": DOCUMENTS,
                "algorithm_id": number}  # fmt: skip

    async def csv(self, request: Request) -> Response:
        who = await self.allowed(request, "store")
        return self.sheet(request, await self.desk.conduct.months_csv(who), "moderation.csv")

    async def add(self, request: Request) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            await self.desk.conduct.add(who, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "city_moderation.html", who, error, **await self._desk(who, fields))
        return go("/city/moderation", "registered")

    async def move(self, request: Request, algorithm_id: UUID) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            await self.desk.conduct.move(who, algorithm_id, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "city_moderation.html", who, error, **await self._desk(who, {}))
        return go("/city/moderation", "registered")

    async def attach(self, request: Request, algorithm_id: UUID) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            await self.desk.conduct.attach(who, algorithm_id, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "city_moderation.html", who, error, **await self._desk(who, {}))
        return go("/city/moderation", "registered")

    async def decide(self, request: Request, complaint_id: UUID) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            uphold = fields.get("do") == "uphold"
            answer, state = fields.get("answer", ""), fields.get("state")
            await self.desk.conduct.decide(who, complaint_id, uphold=uphold, answer=answer, state=state)
        except ShanheError as error:
            return self.again(request, "city_moderation.html", who, error, **await self._desk(who, {}))
        return go("/city/moderation", "decided")
