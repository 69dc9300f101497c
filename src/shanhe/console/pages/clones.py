"""Digital clones: a person's consents, a maker's requests, feedback and the next version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.routing import APIRouter

CODE_MAX: Final = 64


class ClonesRoom(Room):
    """`/my-clones` for everybody who is signed in, `/my-clones/{slug}` for a clone's maker."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/my-clones", self.mine, methods=["GET"])
        add("/my-clones", self.ask, methods=["POST"])
        add("/my-clones/say", self.say, methods=["POST"])
        add("/my-clones/consent/{code}", self.asked, methods=["GET"])
        add("/my-clones/consent/{code}", self.decide, methods=["POST"])
        add("/my-clones/revoke/{mandate}", self.revoke, methods=["POST"])
        add("/my-clones/drop/{mandate}", self.drop, methods=["POST"])
        add("/my-clones/{slug}", self.one, methods=["GET"])
        add("/my-clones/{slug}", self.change, methods=["POST"])
        return routes

    # -- people and makers --------------------------------------------------------------------------------------------

    async def mine(self, request: Request) -> Response:
        made = await self.left(request, who := await self.who(request), "link")
        return self.handed(request, await self._mine(request, who, {}, **made))

    async def _mine(self, request: Request, who: m.Who, fields: Mapping[str, str], **values: Any) -> Response:
        found = await self.desk.clones.mine(who)
        return self.show(request, "clones.html", who, mine=found, fields=fields, **values)

    async def ask(self, request: Request) -> Response:
        who, fields = await self.posted(request, "publish")
        try:
            code = await self.desk.clones.ask(who, fields.get("slug", ""), _chosen(fields), fields.get("until", ""))
        except ShanheError as error:
            mistake = self.view.mistake(request, error)
            return await self._mine(request, who, fields, mistake=mistake, status=error.status)
        link = f"{str(request.base_url).rstrip('/')}/my-clones/consent/{code}"
        return await self.hand(request, who, "/my-clones", link=link)

    async def drop(self, request: Request, mandate: UUID) -> Response:
        who, _ = await self.posted(request, "publish")
        await self.desk.clones.drop(who, mandate)
        return go("/my-clones", "clone_dropped")

    async def asked(self, request: Request, code: str) -> Response:
        who = await self.who(request)
        one = await self.desk.clones.asked(who, code[:CODE_MAX])
        return self.show(request, "clone_consent.html", who, one=one, code=code[:CODE_MAX], fields={})

    async def decide(self, request: Request, code: str) -> Response:
        who, fields = await self.posted(request)
        desk, code = self.desk.clones, code[:CODE_MAX]
        try:
            if fields.get("do") == "decline":
                await desk.decline(who, code)
                return go("/my-clones", "clone_declined")
            await desk.grant(
                who, code, fields.get("called", ""), _chosen(fields), fields.get("until", ""),
                fields.get("version", ""),
            )  # fmt: skip
        except ShanheError as error:
            one = await desk.asked(who, code)
            return self.again(request, "clone_consent.html", who, error, one=one, code=code, fields=fields)
        return go("/my-clones", "clone_granted")

    async def revoke(self, request: Request, mandate: UUID) -> Response:
        who, _ = await self.posted(request)
        await self.desk.clones.revoke(who, mandate)
        return go("/my-clones", "clone_revoked")

    async def say(self, request: Request) -> Response:
        who, fields = await self.posted(request, "chat")
        await self.desk.clones.say(who, fields)
        return go("/my-clones", "clone_said")

    # -- one clone ----------------------------------------------------------------------------------------------------

    async def one(self, request: Request, slug: str) -> Response:
        who = await self.allowed(request, "publish")
        return self.show(request, "clone.html", who, one=await self.desk.clones.one(who, slug))

    async def change(self, request: Request, slug: str) -> Response:
        """Review a piece of feedback, make lessons, train, hand in: what the pressed button says."""
        who, fields = await self.posted(request, "publish")
        try:
            done = await self._changed(who, slug, fields)
        except (ShanheError, ValueError) as error:
            return self.again(request, "clone.html", who, error, one=await self.desk.clones.one(who, slug))
        return done

    async def _changed(self, who: m.Who, slug: str, fields: Mapping[str, str]) -> Response:
        desk, do = self.desk.clones, fields.get("do", "")
        if do == "lessons":
            await desk.collect(who, slug)
        elif do == "train":
            job = await desk.train(who, slug, fields.get("version", ""), fields.get("epochs", ""))
            return go(f"/studio/jobs/{job}", "job_ordered")
        elif do == "next":
            await desk.offer(who, slug, int(fields.get("number", "")))
            return go(f"/makers/clone/{slug}", "listing_submitted")
        else:
            await desk.decide(who, UUID(fields.get("feedback", "")), do == "accept")
        return go(f"/my-clones/{slug}", "clone_lessons" if do == "lessons" else "clone_reviewed")


def _chosen(fields: Mapping[str, str]) -> list[str]:
    return [name.removeprefix("use_") for name in fields if name.startswith("use_")]
