"""Registering, and answering invitations, over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from shanhe.identity.api import (
    Actor,
    Identity,
    NewRegistration,
    RegistrationState,
    Unknown,
    client_of,
    own_site,
    person_actor,
    person_of,
    place_of,
    require,
)
from shanhe.identity.routes import forms
from shanhe.identity.routes.orgs import Acting, names, writable
from shanhe.kernel.http import private_json
from shanhe.kernel.routing import APIRouter

Clerk = Annotated[Actor, Depends(require("people"))]
Me = Annotated[Actor, Depends(person_actor)]


def router(identity: Identity) -> APIRouter:
    routes = APIRouter(tags=["identity"])
    _register(routes, identity)
    _registrations(routes, identity)
    _invite(routes, identity)
    _answer(routes, identity)
    return routes


def _register(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/api/identity/registration")
    async def registration() -> Response:
        """Whether residents register here (`on`, `off`, `approval`), and the notice that one agrees to."""
        return private_json({"mode": identity.registrations.mode, "notice": identity.registrations.notice()})

    @routes.post("/api/identity/register", dependencies=[Depends(own_site)])
    async def register(body: forms.RegisterBody, request: Request) -> Response:
        """Open an account: the sign-in name it got, and whether it is open or waits for an officer. Nobody is signed in
        by it. The same request again has the same answer."""
        made = await identity.registrations.register(NewRegistration(**body.model_dump()), client_of(request))
        return private_json({"id": made.id, "login": made.login, "state": made.state}, 201)

    @routes.get("/api/identity/register/{registration_id}")
    async def outcome(registration_id: UUID) -> Response:
        """What became of a registration, for who sent it and has its id: `waiting`, `open`, `declined` (on which
        ground) or `lapsed`."""
        state = await identity.registrations.outcome(registration_id)
        ground = await identity.registrations.ground(registration_id)
        return private_json({"id": registration_id, "state": state, "ground": ground})


def _registrations(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/api/registrations")
    async def registrations(
        acting: Clerk,
        state: RegistrationState | None = None,
        after: Annotated[str | None, Query(max_length=120)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """Who registered, those that wait first, then newest first; `next` is the `after` of the following page.
        Reading them is written down."""
        found = await identity.registrations.list(state=state, after=after, limit=limit)
        await identity.record(acting, "registration.list", "registrations", {"count": len(found)})
        return private_json({"data": found, "next": place_of(found[-1]) if len(found) == limit else None})

    @routes.post("/api/registrations/{registration_id}/approve")
    async def approve(registration_id: UUID, acting: Clerk) -> Response:
        return private_json(await identity.registrations.approve(registration_id, by=acting))

    @routes.post("/api/registrations/{registration_id}/decline")
    async def decline(registration_id: UUID, body: forms.DeclineBody, acting: Clerk) -> Response:
        """Erase a waiting account with all its data, on a ground that its sender reads; again changes nothing."""
        await identity.registrations.decline(registration_id, body.ground, by=acting)
        return private_json({"declined": True})


def _invite(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/api/orgs/{org_id}/invitations")
    async def invite(org_id: UUID, body: forms.InviteBody, acting: Acting) -> Response:
        """Ask somebody to become a member. Until they accept they have no right of the organisation's."""
        writable(acting, org_id)
        await identity.invitations.invites(org_id)  # before names are looked up: an own account would tell them
        await names(identity, acting, org_id)
        person = body.person_id
        if person is None:
            who = acting.ref if acting.person_id is not None else f"org:{org_id}"  # all its keys together
            await identity.attempts.begin([identity.attempts.bucket("member", who)])
            person = await identity.people.by_name(body.login)
        if person is None:
            raise Unknown("person", "人员")
        invited = await identity.invitations.invite(
            body.id, org_id, person, body.role, department_id=body.department_id, called=body.login, by=acting
        )
        return private_json(invited, 201)

    @routes.get("/api/orgs/{org_id}/invitations")
    async def invitations(org_id: UUID, acting: Acting) -> Response:
        """What waits for an answer."""
        writable(acting, org_id)
        return private_json({"data": await identity.invitations.of_org(org_id)})

    @routes.delete("/api/orgs/{org_id}/invitations/{invitation_id}")
    async def withdraw(org_id: UUID, invitation_id: UUID, acting: Acting) -> Response:
        writable(acting, org_id)
        return private_json(await identity.invitations.withdraw(invitation_id, org_id, by=acting))


def _answer(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/api/identity/me/invitations")
    async def mine(actor: Me) -> Response:
        """Organisations that ask me to become a member."""
        return private_json({"data": await identity.invitations.of_person(person_of(actor))})

    @routes.post("/api/identity/me/invitations/{invitation_id}/accept")
    async def accept(invitation_id: UUID, actor: Me) -> Response:
        return private_json(await identity.invitations.accept(invitation_id, person_of(actor), by=actor))

    @routes.post("/api/identity/me/invitations/{invitation_id}/decline")
    async def decline(invitation_id: UUID, actor: Me) -> Response:
        return private_json(await identity.invitations.decline(invitation_id, person_of(actor), by=actor))
