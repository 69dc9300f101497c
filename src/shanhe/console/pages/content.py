"""The content hub: choose what to write, fill a form, watch drafts come, check, edit, take them out."""

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
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

MAY: Final = "chat"
OPERATORS: Final = "programmes"
STOP_POLLING: Final = 286
"""The status by which htmx is told to ask no more."""


class ContentRoom(Room):
    """`/content` and what is below it."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/content", self.overview, methods=["GET"])
        add("/content/own", self.agree, methods=["POST"])
        add("/content/new/{kind}", self.blank, methods=["GET"])
        add("/content/new/{kind}", self.ask, methods=["POST"])
        add("/content/jobs/{job}", self.job, methods=["GET"])
        add("/content/jobs/{job}/now", self.now, methods=["GET"])
        add("/content/jobs/{job}/again", self.again_, methods=["POST"])
        add("/content/drafts/{draft}", self.draft, methods=["GET"])
        add("/content/drafts/{draft}", self.edit, methods=["POST"])
        add("/content/drafts/{draft}/delete", self.drop, methods=["POST"])
        add("/content/drafts/{draft}/file", self.file, methods=["GET"])
        add("/city/content", self.city, methods=["GET"])
        add("/city/content", self.set_city, methods=["POST"])
        add("/content/profiles/{profile}/delete", self.drop_profile, methods=["POST"])
        return routes

    async def overview(
        self, request: Request, q: str = "", kind: str = "", before: UUID | None = None
    ) -> Response:  # fmt: skip
        who = await self.allowed(request, MAY)
        found = await self.desk.content.overview(who, q, kind, before)
        return self.show(request, "content.html", who, found=found, q=q, kind=kind, before=before)

    async def agree(self, request: Request) -> Response:
        who, fields = await self.posted(request, MAY)
        await self.desk.content.agree(who, fields.get("own", ""))
        return go("/content", "content_agreed")

    async def blank(
        self, request: Request, kind: str, profile: str = "", job: UUID | None = None
    ) -> Response:  # fmt: skip
        who = await self.allowed(request, MAY)
        return await self._blank(request, who, kind, profile, job)

    async def _blank(
        self, request: Request, who: m.Who, kind: str, profile: str = "", job: UUID | None = None,
        typed: Mapping[str, str] | None = None, **values: Any,
    ) -> Response:  # fmt: skip
        found = await self.desk.content.blank(who, kind, UUID(profile) if profile else None, job)
        ref = (typed or {}).get("ref") or str(new_id())
        return self.show(request, "content_new.html", who, found=found, typed=typed, ref=ref, **values)

    async def ask(self, request: Request, kind: str) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            job = await self.desk.content.ask(who, kind, fields)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            unpaid = isinstance(error, ShanheError) and error.code == "content_free_used_up"
            mistake = self.view.mistake(request, error)
            return await self._blank(
                request, who, kind, typed=fields, mistake=mistake, unpaid=unpaid, status=status
            )  # fmt: skip
        return go(f"/content/jobs/{job}")

    async def job(self, request: Request, job: UUID) -> Response:
        who = await self.allowed(request, MAY)
        found = await self.desk.content.job(who, job)
        return self.show(request, "content_job.html", who, found=found, ref=str(new_id()))

    async def now(self, request: Request, job: UUID) -> Response:
        """The drafts as they are now, for htmx."""
        who = await self.allowed(request, MAY)
        found = await self.desk.content.job(who, job)
        status = 200 if found["open"] else STOP_POLLING
        return self.show(request, "parts/content_drafts.html", who, status=status, found=found)

    async def again_(self, request: Request, job: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            made = await self.desk.content.again(who, job, fields.get("ref", ""))
        except ShanheError as error:
            found = await self.desk.content.job(who, job)
            return self.again(request, "content_job.html", who, error, found=found, ref=str(new_id()))
        return go(f"/content/jobs/{made}")

    async def draft(self, request: Request, draft: UUID) -> Response:
        who = await self.allowed(request, MAY)
        found = await self.desk.content.draft(who, draft)
        return self.show(request, "content_draft.html", who, found=found, typed={}, ref=str(new_id()))

    async def edit(self, request: Request, draft: UUID) -> Response:
        who, fields = await self.posted(request, MAY)
        try:
            await self.desk.content.edit(who, draft, fields.get("title", ""), fields.get("text", ""))
        except ShanheError as error:
            found = await self.desk.content.draft(who, draft)
            return self.again(request, "content_draft.html", who, error, found=found, typed=fields, ref=str(new_id()))
        return go(f"/content/drafts/{draft}", "content_saved")

    async def drop(self, request: Request, draft: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.content.drop(who, draft)
        return go("/content", "content_deleted")

    async def file(self, request: Request, draft: UUID, format: str = "txt") -> Response:
        who = await self.allowed(request, MAY)
        data, media = await self.desk.content.file(who, draft, format)
        headers = {"content-disposition": f'attachment; filename="draft-{draft}.{format}"', "cache-control": "no-store"}
        return Response(data, media_type=media, headers=headers)

    async def drop_profile(self, request: Request, profile: UUID) -> Response:
        who, _ = await self.posted(request, MAY)
        await self.desk.content.drop_profile(who, profile)
        return go("/content", "content_profile_deleted")

    # -- for operators ------------------------------------------------------------------------------------------------

    async def city(self, request: Request) -> Response:
        who = await self.allowed(request, OPERATORS)
        return self.show(request, "content_city.html", who, found=await self.desk.content.city(who), typed={})

    async def set_city(self, request: Request) -> Response:
        """Name the government body that pays, or close the free tier."""
        who, fields = await self.posted(request, OPERATORS)
        try:
            org = "" if fields.get("do") == "close" else fields.get("org", "")
            await self.desk.content.set_city(who, org, fields.get("model", ""))
        except ShanheError as error:
            found = await self.desk.content.city(who)
            return self.again(request, "content_city.html", who, error, found=found, typed=fields)
        return go("/city/content", "content_agreed")
