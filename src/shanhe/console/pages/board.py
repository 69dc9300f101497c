"""The board: needs and solutions for everybody, what fits one and why, posting, and coming to terms."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.routing import APIRouter

POST_STEPS: Final = ("publish", "withdraw")
MATCH_STEPS: Final = ("offer", "accept", "leave")


class BoardRoom(Room):
    """`/board` for everybody, `/board/mine`, one's own posts and matches."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/board", self.all, methods=["GET"])
        add("/board/new", self.blank, methods=["GET"])
        add("/board/new", self.write, methods=["POST"])
        add("/board/mine", self.mine, methods=["GET"])
        add("/board/posts/{post}", self.one, methods=["GET"])
        add("/board/posts/{post}/edit", self.edit, methods=["GET"])
        add("/board/posts/{post}/edit", self.change, methods=["POST"])
        add("/board/posts/{post}/meet", self.meet, methods=["POST"])
        add("/board/posts/{post}/remove", self.remove, methods=["POST"])
        add("/board/posts/{post}/{step}", self.move, methods=["POST"])
        add("/board/matches/{match}", self.match, methods=["GET"])
        add("/board/matches/{match}/{step}", self.answer, methods=["POST"])
        return routes

    # -- posts --------------------------------------------------------------------------------------------------------

    async def all(self, request: Request) -> Response:
        who, asked = await self.desk.gate.who(request), request.query_params
        page = await self.desk.board.all(asked.get("kind", ""), asked.get("sector", ""), asked.get("find", ""))
        return self.show(request, "board.html", who, page=page)

    async def one(self, request: Request, post: UUID) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "board_post.html", who, page=await self.desk.board.one(who, post), fields={})

    async def blank(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self._form(request, who, await self.desk.board.blank(request.query_params.get("kind", "need")))

    def _form(self, request: Request, who: m.Who, page: Any, **values: Any) -> Response:
        return self.show(request, "board_form.html", who, page=page, **values)

    async def write(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            post = await self.desk.board.save(who, None, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.board.blank(fields.get("kind", "need"))
            return self.again(request, "board_form.html", who, error, page={**page, "fields": fields})
        return go(f"/board/posts/{post}", "board_drafted" if fields.get("draft") else "board_posted")

    async def edit(self, request: Request, post: UUID) -> Response:
        who = await self.allowed(request, "apply")
        return self._form(request, who, await self.desk.board.filled(who, post))

    async def change(self, request: Request, post: UUID) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.board.save(who, post, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.board.filled(who, post)
            return self.again(request, "board_form.html", who, error, page={**page, "fields": fields})
        return go(f"/board/posts/{post}", "board_changed")

    async def move(self, request: Request, post: UUID, step: str) -> Response:
        who, _ = await self.posted(request, "apply")
        if step not in POST_STEPS:
            raise NotFound("unknown_step", "There is no such step.", message_zh="没有该操作。")
        try:
            await self.desk.board.move(who, post, step)
        except ShanheError as error:
            page = await self.desk.board.one(who, post)
            return self.again(request, "board_post.html", who, error, page=page, fields={})
        return go(f"/board/posts/{post}", "board_posted" if step == "publish" else "board_withdrawn")

    async def remove(self, request: Request, post: UUID) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            await self.desk.board.remove(who, post, fields.get("why", ""))
        except ShanheError as error:
            page = await self.desk.board.one(who, post)
            return self.again(request, "board_post.html", who, error, page=page, fields=fields)
        return go("/board", "board_removed")

    # -- matches ------------------------------------------------------------------------------------------------------

    async def mine(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "board_mine.html", who, page=await self.desk.board.mine(who))

    async def meet(self, request: Request, post: UUID) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            match = await self.desk.board.meet(who, post, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.board.one(who, post)
            return self.again(request, "board_post.html", who, error, page=page, fields=fields)
        return go(f"/board/matches/{match}", "board_met")

    async def match(self, request: Request, match: UUID) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "board_match.html", who, page=await self.desk.board.match(who, match), fields={})

    async def answer(self, request: Request, match: UUID, step: str) -> Response:
        who, fields = await self.posted(request, "apply")
        if step not in MATCH_STEPS:
            raise NotFound("unknown_step", "There is no such step.", message_zh="没有该操作。")
        try:
            await self.desk.board.answer(who, match, step, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.board.match(who, match)
            return self.again(request, "board_match.html", who, error, page=page, fields=fields)
        return go(f"/board/matches/{match}", f"board_{step}")
