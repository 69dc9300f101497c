"""Contests: calls and winners for everybody, entering, the jury's blind page, the operators' desk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter


class ContestRoom(Room):
    """`/contests` for everybody, `/contests/{id}/jury` for its jurors, `/city/contests` for operators."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/contests", self.all, methods=["GET"])
        add("/contests/{contest}", self.one, methods=["GET"])
        add("/contests/{contest}", self.enter, methods=["POST"])
        add("/contests/{contest}/withdraw", self.withdraw, methods=["POST"])
        add("/contests/{contest}/jury", self.jury, methods=["GET"])
        add("/contests/{contest}/jury/{n}", self.score, methods=["POST"])
        add("/city/contests", self.city, methods=["GET"])
        add("/city/contests", self.call, methods=["POST"])
        add("/city/contests/{contest}/jurors", self.juror, methods=["POST"])
        add("/city/contests/{contest}/decide", self.decide, methods=["POST"])
        return routes

    async def all(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "contests.html", who, rows=await self.desk.contests.all())

    async def one(self, request: Request, contest: UUID) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "contest.html", who, one=await self.desk.contests.one(who, contest), fields={})

    async def enter(self, request: Request, contest: UUID) -> Response:
        who, fields = await self.posted(request, "publish")
        try:
            await self.desk.contests.enter(who, contest, fields)
        except ShanheError as error:
            one = await self.desk.contests.one(who, contest)
            return self.again(request, "contest.html", who, error, one=one, fields=fields)
        return go(f"/contests/{contest}", "entered")

    async def withdraw(self, request: Request, contest: UUID) -> Response:
        who, _ = await self.posted(request, "publish")
        await self.desk.contests.withdraw(who, contest)
        return go(f"/contests/{contest}", "entry_withdrawn")

    async def jury(self, request: Request, contest: UUID) -> Response:
        who = await self.who(request)
        return self.show(request, "contest_jury.html", who, one=await self.desk.contests.jury(who, contest))

    async def score(self, request: Request, contest: UUID, n: int) -> Response:
        who, fields = await self.posted(request)
        try:
            points, note = fields.get("points", ""), fields.get("note", "")
            await self.desk.contests.score(who, contest, n, points, note)
        except ShanheError as error:
            one = await self.desk.contests.jury(who, contest)
            return self.again(request, "contest_jury.html", who, error, one=one)
        return go(f"/contests/{contest}/jury", "scored")

    # -- operators ----------------------------------------------------------------------------------------------------

    async def city(self, request: Request) -> Response:
        return await self._city(request, await self.allowed(request, "store"))

    async def _city(self, request: Request, who: m.Who, **values: Any) -> Response:
        shown = {"fields": {"id": str(new_id())}, **values}
        return self.show(request, "city_contests.html", who, rows=await self.desk.contests.desk(who), **shown)

    async def _again(self, request: Request, who: m.Who, error: ShanheError, **values: Any) -> Response:
        mistake = self.view.mistake(request, error)
        return await self._city(request, who, mistake=mistake, status=error.status, **values)

    async def call(self, request: Request) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            await self.desk.contests.call(who, fields)
        except ShanheError as error:
            return await self._again(request, who, error, fields=fields)
        return go("/city/contests", "contest_called")

    async def juror(self, request: Request, contest: UUID) -> Response:
        who, fields = await self.posted(request, "store")
        try:
            await self.desk.contests.name_juror(who, contest, fields.get("login", ""))
        except ShanheError as error:
            return await self._again(request, who, error)
        return go("/city/contests", "juror_named")

    async def decide(self, request: Request, contest: UUID) -> Response:
        who, _ = await self.posted(request, "store")
        try:
            await self.desk.contests.decide(who, contest)
        except ShanheError as error:
            return await self._again(request, who, error)
        return go(f"/contests/{contest}", "contest_decided")
