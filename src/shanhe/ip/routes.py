"""HTTP of the registry: everybody reads what is verified, holders register and consent, the office decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, person_actor, person_of, require
from shanhe.ip.errors import UnknownEntry
from shanhe.ip.model import SHOWN, Kind, NewEntry
from shanhe.ip.service import Rights
from shanhe.ip.views import line_views, own_view, public_view, public_views
from shanhe.kernel.clock import Clock
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import PLACE_MAX
from shanhe.kernel.routing import APIRouter, Body

FIND_MAX = 80
PARTIES_MAX = 32
Member = Annotated[Actor, Depends(require("apply"))]
Place = Annotated[int | None, Query(ge=1, le=PLACE_MAX)]
Officer = Annotated[Actor, Depends(person_actor)]
Find = Callable[[str], Awaitable[UUID]]


class ShareBody(Body):
    party: str = Field(min_length=1, max_length=100)
    ppm: int = Field(ge=1, le=1_000_000)


class TermsBody(Body):
    shares: list[ShareBody] = Field(min_length=1, max_length=PARTIES_MAX)
    rate_ppm: int | None = Field(None, ge=1, le=1_000_000)


class EntryBody(Body):
    id: UUID | None = None
    kind: Kind
    number: str = Field("", max_length=120)
    title: str = Field(min_length=1, max_length=100)
    abstract: str = Field("", max_length=2_000)
    office: str = Field("", max_length=100)
    applied_on: date | None = None
    granted_on: date | None = None
    document_sha256: str = Field("", max_length=64)
    shares: list[ShareBody] = Field(default_factory=list, max_length=PARTIES_MAX)
    rate_ppm: int | None = Field(None, ge=1, le=1_000_000)


class AnswerBody(Body):
    accept: bool
    n: int | None = Field(None, ge=1)


class VerdictBody(Body):
    verify: bool
    reason: str = Field(min_length=1, max_length=500)
    filed_at: AwareDatetime | None = None


class ReasonBody(Body):
    reason: str = Field(min_length=1, max_length=500)


def router(rights: Rights, clock: Clock, find: Find) -> APIRouter:
    """Everything under /api/ip. `find` tells an organisation by id, registration number or login."""
    routes = APIRouter(prefix="/api/ip", tags=["ip"])
    _public(routes, rights)
    _entries(routes, rights, clock, find)
    _holders(routes, rights)
    _office(routes, rights)
    return routes


def _public(routes: APIRouter, rights: Rights) -> None:
    @routes.get("")
    async def verified(
        find: Annotated[str, Query(max_length=FIND_MAX)] = "", kind: Kind | None = None, pooled: bool = False,
        before: Place = None,
    ) -> Response:  # fmt: skip
        """Verified rights, newest first; public. `pooled`: those that calls may use. `next`: `before` of the next page,
        which may have more although few were found so far."""
        found = await rights.shown(find=find, kind=kind or "", pooled=pooled, before=before)
        return as_json({"data": await public_views(rights, found.rows), "next": found.following})

    @routes.get("/entries/{entry}")
    async def one(entry: UUID) -> Response:
        """A verified right with its history; public."""
        found = await rights.get(entry)
        past = [{"id": one.id, "event": one.event, "at": one.at} for one in await rights.history(entry)]
        used = await rights.used_by(found.entry) if found.entry.state in SHOWN else []
        return as_json({**await public_view(rights, found), "history": past, "used_by": used})


def _entries(routes: APIRouter, rights: Rights, clock: Clock, find: Find) -> None:
    async def shares_of(given: list[ShareBody], own: UUID) -> tuple[tuple[UUID, int], ...]:
        """Holders as organisations; none named: whoever registers it, alone."""
        return tuple([(await find(one.party), one.ppm) for one in given]) or ((own, 1_000_000),)

    async def new_of(body: EntryBody, identifier: UUID, own: UUID) -> NewEntry:
        values = body.model_dump(exclude={"id", "shares"})
        return NewEntry(id=identifier, shares=await shares_of(body.shares, own), **values)

    async def shown(entry: UUID, who: Actor, status: int = 200) -> Response:
        officer = await _officer(rights, who)
        found = await rights.get(entry, org_of(who), officer=officer)
        if not officer and not found.touches(org_of(who)):  # whoever else reads what is public of it
            raise UnknownEntry
        return as_json(await own_view(rights, found, org_of(who), clock.today()), status)

    @routes.post("", status_code=201)
    async def draft(body: EntryBody, who: Member) -> Response:
        """Begin an entry; other holders are asked to consent. Idempotent by `id`."""
        own = org_of(who)
        new = await new_of(body, body.id or new_id(), own)
        await rights.draft(new, org_id=own, actor=who.ref)
        return await shown(new.id, who, 201)

    @routes.get("/entries/{entry}/file")
    async def file_of(entry: UUID, who: Member) -> Response:
        """All of an entry, for its parties and the office: terms, consents, what calls paid."""
        return await shown(entry, who)

    @routes.put("/entries/{entry}")
    async def change(entry: UUID, body: EntryBody, who: Member) -> Response:
        """Other content of a draft or a refused entry."""
        await rights.change(await new_of(body, entry, org_of(who)), org_id=org_of(who), actor=who.ref)
        return await shown(entry, who)

    @routes.post("/entries/{entry}/file")
    async def file(entry: UUID, who: Member) -> Response:
        """Hand a draft to the office."""
        await rights.file(entry, org_id=org_of(who), actor=who.ref)
        return await shown(entry, who)

    @routes.post("/entries/{entry}/withdraw")
    async def withdraw(entry: UUID, who: Member) -> Response:
        """Take an entry back."""
        await rights.withdraw(entry, org_id=org_of(who), actor=who.ref)
        return as_json({"entry": entry, "withdrawn": True})

    @routes.post("/entries/{entry}/terms")
    async def propose(entry: UUID, body: TermsBody, who: Member) -> Response:
        """Propose other shares or another rate; in force once every holder consents."""
        wanted = await shares_of(body.shares, org_of(who))
        await rights.propose(entry, wanted, body.rate_ppm, org_id=org_of(who), actor=who.ref)
        return await shown(entry, who)


def _holders(routes: APIRouter, rights: Rights) -> None:
    @routes.get("/mine")
    async def mine(who: Member, before: Place = None) -> Response:
        """What the caller's organisation registered, holds or is asked to hold, newest first. `next`: `before` of the
        next page."""
        found = await rights.mine(org_of(who), before=before)
        return as_json({"data": await line_views(rights, found.rows, org_of(who)), "next": found.following})

    @routes.post("/entries/{entry}/answer")
    async def answer(entry: UUID, body: AnswerBody, who: Member) -> Response:
        """Consent to the open terms, or decline them. `n`: which terms were read; 409 where others are open by now."""
        found = await rights.answer(entry, org_id=org_of(who), accept=body.accept, actor=who.ref, n=body.n)
        return as_json({"entry": entry, "accepted": body.accept, "in_force": found.open is None and body.accept})


def _office(routes: APIRouter, rights: Rights) -> None:
    @routes.get("/queue")
    async def queue(who: Officer) -> Response:
        """What waits for the office, oldest first."""
        found = await rights.queue(person_of(who))
        return as_json({"data": await line_views(rights, found, who.org_id)})

    @routes.post("/entries/{entry}/verdict")
    async def verdict(entry: UUID, body: VerdictBody, who: Officer) -> Response:
        """As the office: verify or refuse. `filed_at`: as the entry said when it was read; 409 where it was handed in
        again since."""
        found = await rights.decide(
            entry, verify=body.verify, reason=body.reason, person_id=person_of(who), filed_at=body.filed_at
        )
        return as_json(asdict(found.entry))

    @routes.post("/entries/{entry}/lapse")
    async def lapse(entry: UUID, body: ReasonBody, who: Officer) -> Response:
        """As the office: the right is one no more."""
        return as_json(asdict((await rights.lapse(entry, reason=body.reason, person_id=person_of(who))).entry))


async def _officer(rights: Rights, who: Actor) -> bool:
    return who.person_id is not None and await rights.is_officer(who.person_id)
