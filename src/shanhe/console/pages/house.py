"""One's organisations and password, and an owner's members."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.pages.base import Room
from shanhe.console.pages.settings import settings_of
from shanhe.console.render import go
from shanhe.kernel.errors import Invalid, NotFound, ShanheError
from shanhe.kernel.routing import APIRouter

LOGIN_CHARS_MAX = 254
PASSWORD_CHARS_MAX = 1024
GRACES_S: Final = (0, 86_400, 7 * 86_400)
"""How long the old secrets of keys that are taken over may still work."""
LEAVES_BEHIND: Final = "leaves_behind"
SETTLED: Final = "settled"


class HouseRoom(Room):
    """`/members`, `/settings/organisation`, `/settings/personal`, `/settings/password`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/settings/organisation", self.switch, methods=["POST"])
        add("/settings/organisation/{org_id}/leave", self.leave, methods=["POST"])
        add("/settings/personal", self.personal, methods=["POST"])
        add("/settings/password", self.password, methods=["POST"])
        add("/members", self.members, methods=["GET"])
        add("/members", self.put, methods=["POST"])
        add("/members/{person_id}/leaving", self.leaving, methods=["GET"])
        add("/members/{person_id}/remove", self.remove, methods=["POST"])
        add("/members/left/{kind}/{left_id}", self.settle, methods=["POST"])
        return routes

    async def switch(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.house.switch(who, UUID(fields.get("org", "")))
        except (ShanheError, ValueError) as error:
            return await self._settings(request, who, error, "organisation")
        return go("/", "organisation_changed")

    async def leave(self, request: Request, org_id: UUID) -> Response:
        who, _ = await self.posted(request)
        try:
            await self.desk.house.leave(who, org_id)
        except ShanheError as error:
            return await self._settings(request, who, error, "organisation")
        return go("/settings", "organisation_left")

    async def personal(self, request: Request) -> Response:
        who, _ = await self.posted(request)
        try:
            await self.desk.house.personal(who)
        except ShanheError as error:
            return await self._settings(request, who, error, "organisation")
        return go("/", "personal_opened")

    async def password(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        new = fields.get("new", "")[:PASSWORD_CHARS_MAX]
        try:
            if new != fields.get("again", ""):
                raise Invalid("not_twice", "The new password differs in the two fields.",
                              message_zh="两次填写的新密码不一致。")  # fmt: skip
            await self.desk.house.password(who, fields.get("current", "")[:PASSWORD_CHARS_MAX], new)
        except ShanheError as error:
            return await self._settings(request, who, error, "password")
        return go("/settings", "password_changed")

    async def _settings(self, request: Request, who: Who, error: Exception, part: str) -> Response:
        shown = await settings_of(self.desk, who) | {"mistake_in": part}
        return self.again(request, "settings.html", who, error, **shown)

    async def members(self, request: Request) -> Response:
        who = await self.allowed(request, "members")
        made = await self.left(request, who, SETTLED)
        settled = json.loads(made.get(SETTLED, "[]"))
        page = self.show(request, "members.html", who, **await self._members(who) | {SETTLED: settled})
        return self.handed(request, page) if settled else page

    async def _members(self, who: Who) -> dict[str, Any]:
        here = next((one for one in await self.desk.house.places(who) if one["current"]), None)
        return {
            "rows": await self.desk.house.members(who), "asked": await self.desk.arrivals.asked(who), "typed": {},
            "personal": here is not None and here["personal"], "left": await self.desk.house.left(who),
            "graces": GRACES_S, "settled": (),
        }  # fmt: skip

    async def put(self, request: Request) -> Response:
        who, fields = await self.posted(request, "members")
        try:
            name, role = fields.get("login", "")[:LOGIN_CHARS_MAX], fields.get("role", "")
            invited = await self.desk.house.put(who, name, role)
        except ShanheError as error:
            return self.again(request, "members.html", who, error, **await self._members(who) | {"typed": fields})
        return go("/members", "member_invited" if invited else "member_put")

    async def remove(self, request: Request, person_id: UUID) -> Response:
        who, fields = await self.posted(request, "members")
        try:
            done = await self.desk.house.remove(who, person_id, fields.get("fate", ""), _grace(fields))
        except ShanheError as error:
            if error.code == LEAVES_BEHIND:
                return go(f"/members/{person_id}/leaving")
            return self.again(request, "members.html", who, error, **await self._members(who))
        if not done:
            return go("/members", "member_removed")
        return await self.hand(request, who, "/members", **{SETTLED: json.dumps(done)})

    async def leaving(self, request: Request, person_id: UUID) -> Response:
        """What a member would leave behind, before they are removed."""
        who = await self.allowed(request, "members")
        name = next((one["name"] for one in await self.desk.house.members(who) if one["id"] == person_id), None)
        if name is None:
            raise NotFound("unknown_member", "There is no such member.", message_zh="没有该成员。")
        left = await self.desk.house.left(who, person_id)
        return self.show(request, "leaving.html", who, name=name, person=person_id, left=left, graces=GRACES_S)

    async def settle(self, request: Request, kind: str, left_id: UUID) -> Response:
        who, fields = await self.posted(request, "members")
        try:
            done = await self.desk.house.settle(who, kind, left_id, fields.get("fate", ""), _grace(fields))
        except (ShanheError, ValueError) as error:
            return self.again(request, "members.html", who, error, **await self._members(who))
        return await self.hand(request, who, "/members", **{SETTLED: json.dumps([done])})


def _grace(fields: Mapping[str, str]) -> int:
    """How long old secrets still work, in seconds; at once when nothing fits."""
    said = fields.get("grace", "")
    return int(said) if said in map(str, GRACES_S) else 0
