"""My data: what is known, what it is used for, who read it, taking it along, correcting, refusing, being erased."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.pages.base import Room
from shanhe.console.pages.credits import download
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

KINDS = ("correction", "explanation", "restriction", "other")
COPIES = ("json", "pdf")


class RightsRoom(Room):
    """`/my-data`, `/city/privacy`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/my-data", self.mine, methods=["GET"])
        add("/my-data/copy.{fmt}", self.copy, methods=["GET"])
        add("/my-data/correct", self.correct, methods=["POST"])
        add("/my-data/purposes/{purpose}", self.purpose, methods=["POST"])
        add("/my-data/ask", self.ask, methods=["POST"])
        add("/my-data/erase", self.erase, methods=["POST"])
        add("/city/privacy", self.desk_page, methods=["GET"])
        add("/city/privacy/requests/{request_id}", self.answer, methods=["POST"])
        add("/city/privacy/assessments", self.assess, methods=["POST"])
        return routes

    async def mine(self, request: Request) -> Response:
        who = await self.who(request)
        return self.show(request, "my_data.html", who, **await self._mine(who))

    async def _mine(self, who: Any) -> dict[str, Any]:
        return {
            "mine": await self.desk.rights.mine(who),
            "kinds": KINDS,
            "request_id": str(new_id()),
            "fields": {},
            "mistake_in": "",
        }

    async def _again(self, request: Request, who: Any, error: Exception, fields: Any, part: str = "") -> Response:
        shown = await self._mine(who) | {"fields": fields, "mistake_in": part}
        return self.again(request, "my_data.html", who, error, **shown)

    async def copy(self, request: Request, fmt: str) -> Response:
        who = await self.who(request)
        return download(await self.desk.rights.copy(who, fmt if fmt in COPIES else "json", language(request)))

    async def correct(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.rights.correct(who, fields)
        except ShanheError as error:
            return await self._again(request, who, error, fields)
        return go("/my-data", "data_corrected")

    async def purpose(self, request: Request, purpose: str) -> Response:
        """Consent, withdraw, refuse or accept: the button says which."""
        who, fields = await self.posted(request)
        rights, what = self.desk.rights, fields.get("do", "")
        try:
            if what == "consent":
                await rights.consent(who, purpose, fields.get("version", ""), apart=fields.get("apart") == "on")
            elif what == "withdraw":
                await rights.withdraw(who, purpose)
            else:
                await rights.refuse(who, purpose, refused=what == "refuse")
        except ShanheError as error:
            return await self._again(request, who, error, fields)
        return go("/my-data", "choice_kept")

    async def ask(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            number = UUID(fields.get("id", ""))
            await self.desk.rights.ask(who, fields.get("kind", ""), fields.get("text", ""), number)
        except (ShanheError, ValueError) as error:
            return await self._again(request, who, error, fields)
        return go("/my-data", "request_sent")

    async def erase(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.rights.erase(who, fields.get("password", ""))
        except ShanheError as error:
            return await self._again(request, who, error, fields, "erase")
        return go("/sign-in", "erased")

    async def desk_page(self, request: Request) -> Response:
        who = await self.allowed(request, "people")
        return self.show(request, "city_privacy.html", who, **await self._desk(who))

    async def _desk(self, who: Any) -> dict[str, Any]:
        return {"desk": await self.desk.rights.desk(who), "assessment_id": str(new_id()), "fields": {}}

    async def answer(self, request: Request, request_id: UUID) -> Response:
        who, fields = await self.posted(request, "people")
        try:
            done = fields.get("do") == "done"
            await self.desk.rights.answer(who, request_id, done=done, answer=fields.get("answer", ""))
        except ShanheError as error:
            return self.again(request, "city_privacy.html", who, error, **await self._desk(who) | {"fields": fields})
        return go("/city/privacy", "answered")

    async def assess(self, request: Request) -> Response:
        who, fields = await self.posted(request, "people")
        try:
            await self.desk.rights.assess(who, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "city_privacy.html", who, error, **await self._desk(who) | {"fields": fields})
        return go("/city/privacy", "assessed")
