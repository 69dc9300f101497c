"""Registering, the first page afterwards, answering invitations; and who registered, for officers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.pages.base import Room
from shanhe.console.pages.settings import settings_of
from shanhe.console.render import form, go
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

WAITING_PATH = "/register/waiting"
WORDS = ("approve", "decline", "suspend", "resume")
FIELD_CHARS_MAX = 1_024
PLACE_CHARS_MAX = 120


class ArrivalsRoom(Room):
    """`/register`, `/welcome`, `/settings/invitations/{id}`, `/members/invitations/…`, `/city/registrations`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/register", self.page, methods=["GET"])
        add("/register", self.register, methods=["POST"])
        add(WAITING_PATH, self.waiting, methods=["GET"])
        add("/register/{registration_id}", self.outcome, methods=["GET"])
        add("/welcome", self.welcome, methods=["GET"])
        add("/settings/invitations/{invitation_id}", self.answer, methods=["POST"])
        add("/members/invitations/{invitation_id}/withdraw", self.withdraw, methods=["POST"])
        add("/city/registrations", self.registrations, methods=["GET"])
        add("/city/registrations/{registration_id}", self.decide, methods=["POST"])
        return routes

    async def page(self, request: Request) -> Response:
        if await self.desk.gate.who(request) is not None:
            return go("/")
        return self.show(request, "register.html", None, **self._form({}))

    def _form(self, fields: dict[str, str]) -> dict[str, Any]:
        desk = self.desk.arrivals
        typed = {name: text for name, text in fields.items() if name in ("id", "name", "login")}
        notice = desk.notice()
        agreed = fields.get("agreed") == "yes" and fields.get("notice") == str(notice["version"])
        return {"mode": desk.mode, "notice": notice, "typed": typed, "agreed": agreed,
                "form_id": typed.get("id") or new_id()}  # fmt: skip

    async def register(self, request: Request) -> Response:
        fields = {name: text[:FIELD_CHARS_MAX] for name, text in (await form(request, None)).items()}
        try:
            if fields.get("password", "") != fields.get("again", ""):
                raise Invalid("not_twice", "The password differs in the two fields.",
                              message_zh="两次填写的密码不一致。")  # fmt: skip
            login, signed_in = await self.desk.arrivals.register(request, fields)
        except ShanheError as error:
            return self.again(request, "register.html", None, error, **self._form(fields))
        if signed_in is None:
            return await self.hand(request, None, WAITING_PATH, login=login, number=fields["id"])
        response = go("/welcome")
        self.desk.gate.seat(response, signed_in, secure=self.desk.secure)
        return response

    async def waiting(self, request: Request) -> Response:
        """The name to note: it stays on the screen until the page is left, and is nowhere after that."""
        left = await self.left(request, None, "login", "number")
        values = {"login": left.get("login", ""), "number": left.get("number", "")}
        return self.handed(request, self.show(request, "registered.html", None, **values))

    async def outcome(self, request: Request, registration_id: UUID) -> Response:
        """What became of it, for who has the address."""
        state, ground = await self.desk.arrivals.outcome(registration_id)
        return self.show(request, "register_outcome.html", None, state=state, ground=ground)

    async def welcome(self, request: Request) -> Response:
        who = await self.who(request)
        return self.show(request, "welcome.html", who, own=await self.desk.arrivals.own(who))

    # -- invitations -----------------------------------------------------------------------------------------------

    async def answer(self, request: Request, invitation_id: UUID) -> Response:
        who, fields = await self.posted(request)
        accepted = fields.get("do") == "accept"
        try:
            await self.desk.arrivals.answer(who, invitation_id, accepted)
        except ShanheError as error:
            shown = await settings_of(self.desk, who) | {"mistake_in": "invitation"}
            return self.again(request, "settings.html", who, error, **shown)
        return go("/settings", "invitation_accepted" if accepted else "invitation_declined")

    async def withdraw(self, request: Request, invitation_id: UUID) -> Response:
        who, _ = await self.posted(request, "members")
        await self.desk.arrivals.withdraw(who, invitation_id)
        return go("/members", "invitation_withdrawn")

    # -- officers --------------------------------------------------------------------------------------------------

    async def registrations(self, request: Request) -> Response:
        who = await self.allowed(request, "people")
        after = request.query_params.get("after", "")[:PLACE_CHARS_MAX]
        return self.show(request, "city_registrations.html", who, **await self._desk(who, after))

    async def _desk(self, who: Who, after: str = "") -> dict[str, Any]:
        rows, following = await self.desk.arrivals.registrations(who, after)
        return {"rows": rows, "after": after, "following": following, "mode": self.desk.arrivals.mode}

    async def decide(self, request: Request, registration_id: UUID) -> Response:
        who, fields = await self.posted(request, "people")
        word = fields.get("do", "")
        try:
            if word not in WORDS:
                raise Invalid("bad_word", "Approve, decline, suspend or resume.", message_zh="请选择要办理的事项。")
            await self.desk.arrivals.decide(who, registration_id, word, fields.get("ground", ""))
        except ShanheError as error:
            return self.again(request, "city_registrations.html", who, error, **await self._desk(who))
        return go("/city/registrations", f"registration_{word}")
