"""Rights and open science: public lists and pages, one's own, the office's queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.paging import place_of
from shanhe.kernel.routing import APIRouter

RIGHT_KINDS: Final = ("software_copyright", "invention_patent", "ai_invention_patent", "trade_secret", "other")
RIGHT_STEPS: Final = ("accept", "decline", "change", "file", "withdraw", "terms", "verify", "refuse", "lapse")
OUTPUT_KINDS: Final = ("dataset", "intermediate", "negative", "code", "protocol")
OUTPUT_STEPS: Final = ("agree", "publish", "retract", "revise", "declare")
REUSE_STEPS: Final = ("confirm", "refuse")
CITATIONS: Final = {"cff": ("application/yaml", "CITATION.cff"), "bibtex": ("application/x-bibtex", "citation.bib"),
                    "datacite": ("application/json", "datacite.json")}  # fmt: skip
FIND_MAX: Final = 80


class CommonsRoom(Room):
    """`/ip`, `/science`: what is public; `/ip/mine`, `/science/mine`; `/ip/queue`, `/science/queue` for offices."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/ip", self.rights, methods=["GET"])
        add("/ip/mine", self.my_rights, methods=["GET"])
        add("/ip/mine", self.register, methods=["POST"])
        add("/ip/queue", self.rights_queue, methods=["GET"])
        add("/ip/{entry}", self.right, methods=["GET"])
        add("/ip/{entry}/{step}", self.right_step, methods=["POST"])
        add("/science", self.outputs, methods=["GET"])
        add("/science/mine", self.my_outputs, methods=["GET"])
        add("/science/mine", self.deposit, methods=["POST"])
        add("/science/queue", self.reuse_queue, methods=["GET"])
        add("/science/reuses/{reuse}/{step}", self.reuse_step, methods=["POST"])
        add("/science/{deposit}", self.output, methods=["GET"])
        add("/science/{deposit}/cite/{form}", self.citation, methods=["GET"])
        add("/science/{deposit}/{step}", self.output_step, methods=["POST"])
        return routes

    # -- rights -------------------------------------------------------------------------------------------------------

    async def rights(self, request: Request) -> Response:
        who, asked = await self.desk.gate.who(request), request.query_params
        find, kind, pooled = asked.get("find", "")[:FIND_MAX], asked.get("kind", ""), bool(asked.get("pooled"))
        before = place_of(asked.get("before", ""))
        rows, following = await self.desk.commons.rights(find, kind, pooled, before)
        return self.show(
            request, "ip.html", who, rows=rows, kinds=RIGHT_KINDS, find=find, kind=kind, pooled=pooled, before=before,
            following=following, waiting=await self._waiting(who),
        )  # fmt: skip

    async def _waiting(self, who: m.Who | None) -> Mapping[str, int]:
        """What waits for somebody who decides for an office."""
        return await self.desk.commons.waiting(who) if who is not None and who.reviews else {}

    async def right(self, request: Request, entry: UUID) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "ip_entry.html", who, one=await self.desk.commons.right(who, entry), fields={})

    async def right_step(self, request: Request, entry: UUID, step: str) -> Response:
        office = step in ("verify", "refuse", "lapse")
        who, fields = await self.posted(request, *(() if office else ("apply",)))
        if step not in RIGHT_STEPS:
            raise NotFound("unknown_step", "There is no such step.", message_zh="没有该操作。")
        try:
            await self.desk.commons.right_step(who, entry, step, fields)
        except (ShanheError, ValueError) as error:
            one = await self.desk.commons.right(who, entry)
            return self.again(request, "ip_entry.html", who, error, one=one, fields=fields)
        if step in ("verify", "refuse"):
            return go("/ip/queue", "decided")
        return go(f"/ip/{entry}", "right_filed" if step == "file" else "done")

    async def my_rights(self, request: Request) -> Response:
        return await self._my_rights(request, await self.allowed(request, "apply"))

    async def _my_rights(self, request: Request, who: m.Who, error: Exception | None = None, **values: Any) -> Response:
        page = await self.desk.commons.my_rights(who, place_of(request.query_params.get("before", "")))
        shown = {"page": page, "fields": {}, **values}
        if error is None:
            return self.show(request, "ip_mine.html", who, **shown)
        return self.again(request, "ip_mine.html", who, error, **shown)

    async def register(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            made = await self.desk.commons.register(who, fields)
        except (ShanheError, ValueError) as error:
            return await self._my_rights(request, who, error, fields=fields)
        return go(f"/ip/{made}", "right_registered")

    async def rights_queue(self, request: Request) -> Response:
        who = await self.who(request)
        return self.show(request, "ip_queue.html", who, rows=await self.desk.commons.rights_queue(who))

    # -- open science -------------------------------------------------------------------------------------------------

    async def outputs(self, request: Request) -> Response:
        who, asked = await self.desk.gate.who(request), request.query_params
        find, kind = asked.get("find", "")[:FIND_MAX], asked.get("kind", "")
        before = place_of(asked.get("before", ""))
        rows, following = await self.desk.commons.outputs(find, kind, before)
        shown = {"rows": rows, "kinds": OUTPUT_KINDS, "find": find, "kind": kind, "before": before,
                 "following": following}  # fmt: skip
        return self.show(request, "science.html", who, **shown, waiting=await self._waiting(who))

    async def output(self, request: Request, deposit: UUID) -> Response:
        who = await self.desk.gate.who(request)
        one = await self.desk.commons.output(who, deposit)
        return self.show(request, "science_output.html", who, one=one, fields={})

    async def output_step(self, request: Request, deposit: UUID, step: str) -> Response:
        who, fields = await self.posted(request, "apply")
        if step not in OUTPUT_STEPS:
            raise NotFound("unknown_step", "There is no such step.", message_zh="没有该操作。")
        try:
            await self.desk.commons.output_step(who, deposit, step, fields)
        except (ShanheError, ValueError) as error:
            one = await self.desk.commons.output(who, deposit)
            return self.again(request, "science_output.html", who, error, one=one, fields=fields)
        return go(f"/science/{deposit}", "done")

    async def citation(self, request: Request, deposit: UUID, form: str) -> Response:
        if form not in CITATIONS:
            raise NotFound("unknown_format", "There is no such format.", message_zh="没有该引用格式。")
        media, name = CITATIONS[form]
        body = await self.desk.commons.citation(deposit, form, str(request.base_url).rstrip("/"))
        return Response(body, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})

    async def my_outputs(self, request: Request) -> Response:
        return await self._my_outputs(request, await self.allowed(request, "apply"))

    async def _my_outputs(
        self, request: Request, who: m.Who, error: Exception | None = None, **values: Any
    ) -> Response:
        page = await self.desk.commons.my_outputs(who, place_of(request.query_params.get("before", "")))
        shown = {"page": page, "fields": {}, **values}
        if error is None:
            return self.show(request, "science_mine.html", who, **shown)
        return self.again(request, "science_mine.html", who, error, **shown)

    async def deposit(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            made = await self.desk.commons.deposit(who, fields)
        except (ShanheError, ValueError) as error:
            return await self._my_outputs(request, who, error, fields=fields)
        return go(f"/science/{made}", "done")

    async def reuse_step(self, request: Request, reuse: UUID, step: str) -> Response:
        who, fields = await self.posted(request)
        if step not in REUSE_STEPS:
            raise NotFound("unknown_step", "There is no such step.", message_zh="没有该操作。")
        office = fields.get("as") == "office"
        try:
            await self.desk.commons.reuse_step(who, reuse, step, fields)
        except ShanheError as error:
            if office:
                rows = await self.desk.commons.reuse_queue(who)
                return self.again(request, "science_queue.html", who, error, rows=rows)
            return await self._my_outputs(request, who, error)
        return go("/science/queue" if office else "/science/mine", "done")

    async def reuse_queue(self, request: Request) -> Response:
        who = await self.who(request)
        return self.show(request, "science_queue.html", who, rows=await self.desk.commons.reuse_queue(who))
