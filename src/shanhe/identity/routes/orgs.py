"""Organisations over HTTP: operators manage all, owners their own departments and members."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Response

from shanhe.identity.api import (
    Actor,
    Fate,
    Identity,
    Leaving,
    LeftKind,
    NewOrganisation,
    OrgKind,
    PermissionMissing,
    Settled,
    Unknown,
    actor,
    require,
)
from shanhe.identity.errors import OwnCase
from shanhe.identity.guard import person_behind
from shanhe.identity.routes import forms
from shanhe.kernel.http import private_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

Acting = Annotated[Actor, Depends(actor)]
Operator = Annotated[Actor, Depends(require("accounts"))]
Grace = Annotated[int, Query(ge=0, le=forms.GRACE_MAX_S)]
"""How long the old secret of a key that is taken over still works."""


def readable(acting: Actor, org_id: UUID) -> None:
    """One's own organisation, or any for operators; otherwise it does not exist."""
    if "accounts" not in acting.permissions and (acting.org_id != org_id or "usage" not in acting.permissions):
        raise Unknown("organisation", "机构")


def writable(acting: Actor, org_id: UUID) -> None:
    readable(acting, org_id)
    if "accounts" not in acting.permissions and "members" not in acting.permissions:
        raise PermissionMissing("members")


async def names(identity: Identity, acting: Actor, org_id: UUID) -> None:
    """HasAnOwner for whoever would name people of an organisation, or have its secrets, by an office of the city's."""
    if not (acting.org_id == org_id and "members" in acting.permissions):
        await identity.orgs.no_owner(org_id)


def settled_view(done: Settled) -> dict[str, Any]:
    """What became of something that was left behind; `id` is a taken one's new id."""
    found = {"kind": str(done.left.kind), "id": done.id, "name": done.left.name, "fate": str(done.fate)}
    return found | {name: text for name, text in (("secret", done.secret), ("problem", done.problem)) if text}


def router(identity: Identity, leaving: Leaving) -> APIRouter:
    routes = APIRouter(prefix="/api/orgs", tags=["organisations"])
    _organisations(routes, identity)
    _people(routes, identity, leaving)
    _left(routes, identity, leaving)
    return routes


def _organisations(routes: APIRouter, identity: Identity) -> None:
    @routes.get("")
    async def organisations(
        acting: Operator,
        kind: OrgKind | None = None,
        find: Annotated[str | None, Query(max_length=200)] = None,
        before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        return private_json({"data": await identity.orgs.list(kind=kind, find=find, before=before, limit=limit)})

    @routes.post("")
    async def create(body: forms.OrgBody, acting: Operator) -> Response:
        values = body.model_dump(exclude={"owner"})
        return private_json(await identity.orgs.create(NewOrganisation(**values), owner=body.owner, by=acting), 201)

    @routes.get("/{org_id}")
    async def get(org_id: UUID, acting: Acting) -> Response:
        readable(acting, org_id)
        return private_json(await identity.orgs.get(org_id))

    @routes.patch("/{org_id}")
    async def edit(org_id: UUID, body: forms.OrgChange, acting: Operator) -> Response:
        """Change what the request names; registration and its verification are an operator's who is no member."""
        person = await person_behind(identity, acting)
        if person is not None and await identity.orgs.is_member(org_id, person):
            raise OwnCase()
        return private_json(await identity.orgs.edit(org_id, body.given(), by=acting))

    @routes.post("/{org_id}/freeze")
    async def freeze(org_id: UUID, body: forms.ReasonBody, acting: Operator) -> Response:
        """Stop all its keys within a second."""
        return private_json(await identity.orgs.freeze(org_id, body.reason, by=acting))

    @routes.post("/{org_id}/unfreeze")
    async def unfreeze(org_id: UUID, acting: Operator) -> Response:
        return private_json(await identity.orgs.unfreeze(org_id, by=acting))


def _people(routes: APIRouter, identity: Identity, leaving: Leaving) -> None:
    @routes.get("/{org_id}/departments")
    async def departments(org_id: UUID, acting: Acting) -> Response:
        readable(acting, org_id)
        return private_json({"data": await identity.orgs.departments(org_id)})

    @routes.post("/{org_id}/departments")
    async def add_department(org_id: UUID, body: forms.NameBody, acting: Acting) -> Response:
        writable(acting, org_id)
        return private_json(await identity.orgs.add_department(org_id, body.name, by=acting), 201)

    @routes.get("/{org_id}/members")
    async def members(org_id: UUID, acting: Acting) -> Response:
        readable(acting, org_id)
        return private_json({"data": await identity.orgs.members(org_id)})

    @routes.put("/{org_id}/members/{person_id}")
    async def set_member(org_id: UUID, person_id: UUID, body: forms.MemberBody, acting: Acting) -> Response:
        """Change a member's role or department. Whom an owner names is invited (202); operators make members of an
        organisation that has no owner."""
        writable(acting, org_id)
        await names(identity, acting, org_id)
        if "accounts" not in acting.permissions and not await identity.orgs.is_member(org_id, person_id):
            invited = await identity.invitations.invite(
                new_id(), org_id, person_id, body.role, department_id=body.department_id, by=acting
            )
            return private_json(invited, 202)
        if person_id == await person_behind(identity, acting) and not (
            acting.org_id == org_id and "members" in acting.permissions
        ):
            raise OwnCase()
        member = await identity.orgs.set_member(
            org_id, person_id, body.role, department_id=body.department_id, by=acting
        )
        return private_json(member)

    @routes.delete("/{org_id}/members/{person_id}")
    async def remove_member(
        org_id: UUID, person_id: UUID, acting: Acting, left: Fate | None = None, grace_s: Grace = 0
    ) -> Response:
        """End a membership. `left`: what becomes of what the member made and knows the secrets of; 409 where there is
        something and nobody says. Secrets of what one takes over are in this answer and nowhere else."""
        writable(acting, org_id)
        if left is Fate.TAKE:
            await names(identity, acting, org_id)
        done = await leaving.remove(org_id, person_id, left, grace_s=grace_s, by=acting)
        return private_json({"removed": True, "left": [settled_view(one) for one in done]})


def _left(routes: APIRouter, identity: Identity, leaving: Leaving) -> None:
    @routes.get("/{org_id}/left")
    async def left(org_id: UUID, acting: Acting, person: UUID | None = None) -> Response:
        """What people who are no members any more made and what goes on; of one person, also before they go."""
        writable(acting, org_id)
        return private_json({"data": await leaving.of(org_id, person)})

    @routes.post("/{org_id}/left/{kind}/{left_id}")
    async def settle(org_id: UUID, kind: LeftKind, left_id: UUID, body: forms.FateBody, acting: Acting) -> Response:
        """Take one over or end it; the secret of what one takes is in this answer and nowhere else."""
        writable(acting, org_id)
        if body.fate is Fate.TAKE:
            await names(identity, acting, org_id)
        done = await leaving.settle(org_id, kind, left_id, body.fate, grace_s=body.grace_s, by=acting)
        return private_json(settled_view(done))
