"""A person's own settings: sessions, second factors, language, look, alerts, automatic top-up."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.pages.base import Room
from shanhe.console.pages.entrance import PASSWORD_CHARS_MAX
from shanhe.console.ports import Desk
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.http import LANGUAGES, THEMES
from shanhe.kernel.routing import APIRouter


async def settings_of(desk: Desk, who: Who) -> dict[str, Any]:
    """What the page shows; the forms of its money part are empty."""
    gate, till, money = desk.gate, desk.till, who.may("topup")
    return {
        "sessions": await gate.sessions(who),
        "factors": await gate.factors(who),
        "passkeys": await gate.passkeys(who),
        "alerts": await till.alerts(who) if money else (),
        "auto": await till.auto(who) if money else None,
        "places": await desk.house.places(who),
        "own": await desk.arrivals.own(who),
        "invitations": await desk.arrivals.invitations(who),
        "has_password": await desk.house.has_password(who),
        "languages": LANGUAGES,
        "themes": THEMES,
        "typed": {},
        "mistake_in": "",
    }


class SettingsRoom(Room):
    """`/settings`, `/settings/sessions/{id}/end`, `/settings/passkeys/{id}/remove`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/settings", self.page, methods=["GET"])
        add("/settings/sessions/{session_id}/end", self.end, methods=["POST"])
        add("/settings/passkeys/{passkey_id}/remove", self.passkey_remove, methods=["POST"])
        return routes

    async def page(self, request: Request) -> Response:
        who = await self.who(request)
        return self.show(request, "settings.html", who, **await settings_of(self.desk, who))

    async def end(self, request: Request, session_id: str) -> Response:
        who, _ = await self.posted(request)
        await self.desk.gate.session_end(who, session_id)
        return go("/settings", "session_ended")

    async def passkey_remove(self, request: Request, passkey_id: str) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.gate.passkey_remove(who, passkey_id, fields.get("password", "")[:PASSWORD_CHARS_MAX])
        except ShanheError as error:
            shown = await settings_of(self.desk, who) | {"mistake_in": "passkey"}
            return self.again(request, "settings.html", who, error, **shown)
        return go("/settings", "passkey_removed")
