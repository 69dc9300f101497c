"""For companies: the value index and why, the alliance, what can be booked, guarantees; for operators: all of it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room, uuid_in
from shanhe.console.render import go
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.routing import APIRouter

STEPS: Final = ("found", "invite", "accept", "decline", "leave", "share", "unshare")


class CompanyRoom(Room):
    """`/company`, `/alliance`, `/bookings`, `/guarantees`, `/city/services`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/company", self.index, methods=["GET"])
        add("/alliance", self.alliance, methods=["GET"])
        add("/alliance/{step}", self.ally, methods=["POST"])
        add("/bookings", self.bookings, methods=["GET"])
        add("/bookings", self.book, methods=["POST"])
        add("/bookings/{booking}/cancel", self.give_back, methods=["POST"])
        add("/guarantees", self.guarantees, methods=["GET"])
        add("/guarantees/{application}", self.claim, methods=["POST"])
        add("/city/services", self.city, methods=["GET"])
        add("/city/services", self.offer, methods=["POST"])
        add("/city/services/{resource}/close", self.close, methods=["POST"])
        return routes

    async def index(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "company.html", who, page=await self.desk.company.index(who))

    async def alliance(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "alliance.html", who, page=await self.desk.company.alliances(who), fields={})

    async def ally(self, request: Request, step: str) -> Response:
        who, fields = await self.posted(request, "apply")
        if step not in STEPS:
            raise NotFound("unknown_step", "There is no such step.", message_zh="没有该操作。")
        try:
            await self.desk.company.ally(who, step, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.company.alliances(who)
            return self.again(request, "alliance.html", who, error, page=page, fields=fields)
        return go("/alliance", "done")

    async def bookings(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "bookings.html", who, page=await self._calendar(request, who))

    async def _calendar(self, request: Request, who: m.Who) -> Any:
        asked = request.query_params
        service, day = asked.get("service", ""), asked.get("day", "")
        return await self.desk.company.bookings(who, service, day, uuid_in(asked, "past"))

    async def book(self, request: Request) -> Response:
        who, fields = await self.posted(request, "apply")
        service, day = fields.get("service", ""), fields.get("day", "")
        try:
            await self.desk.company.book(who, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.company.bookings(who, service, day)
            return self.again(request, "bookings.html", who, error, page=page)
        return go("/bookings", "booked")

    async def give_back(self, request: Request, booking: UUID) -> Response:
        who, _ = await self.posted(request, "apply")
        try:
            await self.desk.company.give_back(who, booking)
        except ShanheError as error:
            return self.again(request, "bookings.html", who, error, page=await self._calendar(request, who))
        return go("/bookings", "done")

    async def guarantees(self, request: Request) -> Response:
        who = await self.allowed(request, "apply")
        return self.show(request, "guarantees.html", who, page=await self.desk.company.guarantees(who))

    async def claim(self, request: Request, application: UUID) -> Response:
        who, fields = await self.posted(request, "apply")
        try:
            await self.desk.company.claim(who, application, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.company.guarantees(who)
            return self.again(request, "guarantees.html", who, error, page=page)
        return go("/guarantees", "payment_asked" if fields.get("do") != "recover" else "done")

    async def city(self, request: Request) -> Response:
        who = await self.allowed(request, "programmes")
        return self.show(request, "city_services.html", who, page=await self.desk.company.operations(who), fields={})

    async def offer(self, request: Request) -> Response:
        who, fields = await self.posted(request, "programmes")
        try:
            await self.desk.company.offer(who, fields)
        except (ShanheError, ValueError) as error:
            page = await self.desk.company.operations(who)
            return self.again(request, "city_services.html", who, error, page=page, fields=fields)
        return go("/city/services", "done")

    async def close(self, request: Request, resource: UUID) -> Response:
        who, _ = await self.posted(request, "programmes")
        await self.desk.company.close(who, resource)
        return go("/city/services", "done")
