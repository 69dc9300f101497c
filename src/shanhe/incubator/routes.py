"""HTTP of the incubator: companies book and cancel, operators offer and close."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.incubator.model import SERVICES
from shanhe.incubator.service import Incubator
from shanhe.incubator.views import booking_view, quota_view, resource_view
from shanhe.kernel.clock import Clock
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Member = Annotated[Actor, Depends(require("apply"))]
Operator = Annotated[Actor, Depends(require("programmes"))]


class BookBody(Body):
    id: UUID
    resource: UUID
    starts_at: AwareDatetime
    units: int = Field(gt=0, le=500, strict=True)


class ResourceBody(Body):
    id: UUID
    service: str = Field(max_length=20)
    name_zh: str = Field(min_length=1, max_length=100)
    name_en: str = Field(min_length=1, max_length=100)
    place: str = Field(min_length=1, max_length=200)
    opens_hour: int = Field(ge=0, le=23)
    closes_hour: int = Field(ge=1, le=24)
    seats: int = Field(gt=0, le=500)


def router(incubator: Incubator, clock: Clock) -> APIRouter:
    """Everything under /api/incubator."""
    routes = APIRouter(prefix="/api/incubator", tags=["incubator"])
    _members(routes, incubator, clock)
    _operators(routes, incubator)
    return routes


def _members(routes: APIRouter, incubator: Incubator, clock: Clock) -> None:
    @routes.get("/resources")
    async def resources(_: Member, service: str | None = None) -> Response:
        """What can be booked."""
        return as_json({"data": [resource_view(one) for one in await incubator.resources(service)]})

    @routes.get("/resources/{resource}/slots")
    async def slots(resource: UUID, _: Member, day: date | None = None) -> Response:
        """A day's slots with the seats that are free; for desks the month's."""
        found = await incubator.slots(resource, day or clock.today())
        return as_json({"data": [asdict(one) for one in found]})

    @routes.get("/quota")
    async def quota(who: Member, month: date | None = None) -> Response:
        """What the caller has left of each service in a month, and why."""
        first = (month or clock.today()).replace(day=1)
        found = [await incubator.quota(org_of(who), service, first) for service in SERVICES]
        return as_json({"data": [quota_view(one) for one in found]})

    @routes.get("/bookings")
    async def mine(who: Member, before: UUID | None = None) -> Response:
        """The caller's bookings from this month on, the earliest first. `next`: `before` of the next page."""
        found = await incubator.bookings(org_of(who), before=before)
        of = await incubator.resources_of(found.rows)
        views = [booking_view(one, of[one.resource]) for one in found.rows]
        return as_json({"data": views, "next": found.following})

    @routes.post("/bookings", status_code=201)
    async def book(body: BookBody, who: Member) -> Response:
        """Book; idempotent by `id`, which is also the posting's."""
        made = await incubator.book(
            org_of(who), body.resource, body.starts_at, body.units, booking_id=body.id, by=who.ref
        )
        return as_json(booking_view(made, await incubator.resource(made.resource)), 201)

    @routes.post("/bookings/{booking}/cancel")
    async def cancel(booking: UUID, who: Member) -> Response:
        """Give a booking back before it begins."""
        done = await incubator.cancel(booking, org_of(who), by=who.ref)
        return as_json(booking_view(done, await incubator.resource(done.resource)))


def _operators(routes: APIRouter, incubator: Incubator) -> None:
    @routes.post("/resources", status_code=201)
    async def add(body: ResourceBody, who: Operator) -> Response:
        """Offer a resource; idempotent by `id`."""
        made = await incubator.add(
            body.id, service=body.service, name_zh=body.name_zh, name_en=body.name_en, place=body.place,
            opens_hour=body.opens_hour, closes_hour=body.closes_hour, seats=body.seats, by=who.ref,
        )  # fmt: skip
        return as_json(resource_view(made), 201)

    @routes.post("/resources/{resource}/close")
    async def close(resource: UUID, _: Operator) -> Response:
        """Take a resource away; bookings to come are cancelled and told."""
        await incubator.close(resource)
        return as_json(resource_view(await incubator.resource(resource)))

    @routes.get("/resources/{resource}/bookings")
    async def calendar(resource: UUID, _: Operator) -> Response:
        """Who has booked a resource, from this month on."""
        known = await incubator.resource(resource)
        found = (await incubator.booked([resource]))[resource]
        return as_json({"data": [booking_view(one, known) for one in found]})
