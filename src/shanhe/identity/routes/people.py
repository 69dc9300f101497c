"""People over HTTP, for those the city trusts with them; and the audit of what operators did."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from shanhe.identity.api import (
    Actor,
    ActsAsked,
    Category,
    Identity,
    NewPerson,
    PermissionMissing,
    Role,
    acts_csv,
    require,
)
from shanhe.identity.errors import OwnCase
from shanhe.identity.guard import identity_of, person_behind
from shanhe.identity.routes import forms
from shanhe.kernel.clock import midnight
from shanhe.kernel.http import private_json, sheet
from shanhe.kernel.routing import APIRouter

Clerk = Annotated[Actor, Depends(require("people"))]
Admin = Annotated[Actor, Depends(require("roles"))]
Auditor = Annotated[Actor, Depends(require("audit"))]


async def acts_wanted(
    request: Request,
    by: Annotated[str, Query(max_length=200)] = "",
    object: Annotated[str | None, Query(max_length=200)] = None,
    org: UUID | None = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    since: date | None = None,
    until: date | None = None,
) -> ActsAsked:
    """`by`: a login, or as the record writes it (`person:…`, `key:…`, `cli:…`). `object`: `kind:id`, or the id.
    `action`: one act, or what acts of its kind begin with. The city's days [since, until]."""
    return ActsAsked(
        await identity_of(request).actor_named(by) if by else None, object, org, action,
        midnight(since) if since else None, midnight(until + timedelta(days=1)) if until else None,
    )  # fmt: skip


Wanted = Annotated[ActsAsked, Depends(acts_wanted)]


def router(identity: Identity) -> APIRouter:
    routes = APIRouter(tags=["people"])
    _people(routes, identity)
    _decisions(routes, identity)
    _audit(routes, identity)
    return routes


def _people(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/api/people")
    async def people(
        acting: Clerk, before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """People, newest first. Reading them is written down."""
        found = await identity.people.list(before=before, limit=limit)
        await identity.record(acting, "person.list", "people", {"count": len(found)})
        return private_json({"data": found})

    @routes.post("/api/people")
    async def create(body: forms.PersonBody, acting: Clerk) -> Response:
        return private_json(await identity.people.create(NewPerson(**body.model_dump()), by=acting), 201)

    @routes.post("/api/people/find")
    async def find(body: forms.FindBody, acting: Clerk) -> Response:
        """By exact login, e-mail address or telephone; in a body, since addresses end up in logs."""
        found = await identity.people.find(**body.model_dump())
        await identity.record(acting, "person.find", "people", {"found": [str(person.id) for person in found]})
        return private_json({"data": found})

    @routes.get("/api/people/{person_id}")
    async def get(person_id: UUID, acting: Clerk) -> Response:
        person = await identity.people.get(person_id)
        await identity.record(acting, "person.read", f"person:{person_id}")
        return private_json(person)

    @routes.patch("/api/people/{person_id}")
    async def edit(person_id: UUID, body: forms.PersonChange, acting: Clerk) -> Response:
        await _may_touch(identity, acting, person_id)
        return private_json(await identity.people.edit(person_id, body.given(), by=acting))


def _decisions(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/api/people/{person_id}/categories")
    async def category(person_id: UUID, body: forms.CategoryBody, acting: Clerk) -> Response:
        """Record or verify a ground for benefits; never one's own."""
        if await person_behind(identity, acting) == person_id:
            raise OwnCase()
        await identity.people.set_category(person_id, Category(**body.model_dump()), by=acting)
        return private_json((await identity.people.get(person_id)).categories)

    @routes.post("/api/people/{person_id}/suspend")
    async def suspend(person_id: UUID, acting: Clerk) -> Response:
        await _may_touch(identity, acting, person_id)
        await identity.people.suspend(person_id, by=acting)
        return private_json({"state": "suspended"})

    @routes.post("/api/people/{person_id}/resume")
    async def resume(person_id: UUID, acting: Clerk) -> Response:
        await _may_touch(identity, acting, person_id)
        await identity.people.resume(person_id, by=acting)
        return private_json({"state": "active"})

    @routes.post("/api/people/{person_id}/erase")
    async def erase(person_id: UUID, acting: Clerk) -> Response:
        """Erase at the person's request; cannot be undone."""
        await _may_touch(identity, acting, person_id)
        await identity.people.erase(person_id, by=acting)
        return private_json({"erased": True})

    @routes.put("/api/people/{person_id}/roles/{role}")
    async def grant(person_id: UUID, role: Role, acting: Admin) -> Response:
        """Make somebody operator, auditor or admin of the city."""
        await identity.people.grant(person_id, role, by=acting)
        return private_json({"granted": role})

    @routes.delete("/api/people/{person_id}/roles/{role}")
    async def withdraw(person_id: UUID, role: Role, acting: Admin) -> Response:
        await identity.people.withdraw(person_id, role, by=acting)
        return private_json({"withdrawn": role})


def _audit(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/api/audit")
    async def audit(
        acting: Auditor,
        wanted: Wanted,
        before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        """Who did what to what, through which door, from what to what; newest first."""
        return private_json({"data": await identity.audit(wanted, before=before, limit=limit)})

    @routes.get("/api/audit.csv")
    async def audit_csv(acting: Auditor, wanted: Wanted) -> Response:
        """The same as a sheet, one line a column that was changed, newest first, whole."""
        return sheet(acts_csv(identity, wanted), "audit")


async def _may_touch(identity: Identity, acting: Actor, person_id: UUID) -> None:
    """People with a role in the city are touched by administrators only, or an operator could take one's place."""
    person = await identity.people.get(person_id)
    if person.city_roles and "roles" not in acting.permissions:
        raise PermissionMissing("roles")
