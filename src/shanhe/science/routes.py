"""HTTP of open science: everybody reads and cites, authors deposit and agree, others declare what they reused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, person_actor, person_of, require
from shanhe.kernel.errors import NotFound
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.paging import PLACE_MAX
from shanhe.kernel.routing import APIRouter, Body
from shanhe.science.cite import FILES, FORMATS, cite
from shanhe.science.errors import UnknownReuse
from shanhe.science.model import How, Kind, NewVersion
from shanhe.science.service import Science
from shanhe.science.views import cited, deposit_views, own_view, own_views, reuse_view, reuse_views

FIND_MAX = 80
AUTHORS_MAX = 32
WHOLE_PPM = 1_000_000
Member = Annotated[Actor, Depends(require("apply"))]
Place = Annotated[int | None, Query(ge=1, le=PLACE_MAX)]
Person = Annotated[Actor, Depends(person_actor)]
Find = Callable[[str], Awaitable[UUID]]


class AuthorBody(Body):
    party: str = Field(min_length=1, max_length=100)
    ppm: int = Field(ge=1, le=WHOLE_PPM)


class VersionBody(Body):
    title: str = Field(min_length=1, max_length=200)
    abstract: str = Field("", max_length=4_000)
    licence: str = Field(max_length=40)
    sha256: str = Field("", max_length=64)
    link: str = Field("", max_length=500)
    authors: list[AuthorBody] = Field(default_factory=list, max_length=AUTHORS_MAX)


class DepositBody(VersionBody):
    id: UUID | None = None
    kind: Kind


class AgreeBody(Body):
    digest: str | None = Field(None, max_length=64)


class PublishBody(Body):
    dataset: str = Field("", max_length=40)


class ReasonBody(Body):
    reason: str = Field(min_length=1, max_length=500)


class ReuseBody(Body):
    id: UUID | None = None
    deposit: str = Field(min_length=1, max_length=40)
    how: How
    ref: str = Field(min_length=1, max_length=200)


class VerdictBody(Body):
    confirm: bool
    reason: str = Field("", max_length=500)


def router(science: Science, find: Find, *, url: str, city: str) -> APIRouter:
    """Everything under /api/science. `find` tells an organisation by id, registration number or login."""
    routes = APIRouter(prefix="/api/science", tags=["science"])
    _public(routes, science, url, city)
    _authors(routes, science, find)
    _reuses(routes, science)
    _department(routes, science)
    return routes


def _public(routes: APIRouter, science: Science, url: str, city: str) -> None:
    @routes.get("")
    async def published(
        find: Annotated[str, Query(max_length=FIND_MAX)] = "", kind: Kind | None = None,
        before: Place = None,
    ) -> Response:  # fmt: skip
        """Published outputs, newest first; public. `next`: `before` of the next page, which may have more although few
        were found so far."""
        found = await science.shown(find=find, kind=kind or "", before=before)
        views = await deposit_views(science, found.rows, await science.counts(found.rows))
        return as_json({"data": views, "next": found.following})

    @routes.get("/deposits/{deposit}")
    async def one(deposit: str) -> Response:
        """A published output with its history and who reused it; public. `deposit`: its id."""
        found = await science.get(await science.find(deposit))
        reuses = await science.reuses(found.id, "confirmed")
        past = [{"id": each.id, "event": each.event, "at": each.at} for each in await science.history(found.id)]
        (view,) = await deposit_views(science, [found], await science.counts([found]))
        return as_json({**view, "reuses": await reuse_views(science, reuses), "history": past})

    @routes.get("/deposits/{deposit}/cite/{form}")
    async def citation(deposit: UUID, form: str) -> Response:
        """How to cite it: cff, bibtex or datacite."""
        if form not in FORMATS:
            raise NotFound("unknown_format", f"Formats are {', '.join(FORMATS)}.",
                           message_zh=f"格式为 {'、'.join(FORMATS)}。")  # fmt: skip
        found = await cited(science, await science.get(deposit), url=url, publisher=city)
        headers = {"content-disposition": f'attachment; filename="{FILES[form]}"'}
        return Response(cite(found, form), media_type=FORMATS[form], headers=headers)


def _authors(routes: APIRouter, science: Science, find: Find) -> None:
    async def version_of(body: VersionBody, own: UUID) -> NewVersion:
        authors = tuple([(await find(one.party), one.ppm) for one in body.authors]) or ((own, WHOLE_PPM),)
        return NewVersion(body.title, body.abstract, body.licence, body.sha256, body.link, authors)

    async def shown(deposit: UUID, who: Actor, status: int = 200) -> Response:
        return as_json(await own_view(science, await science.get(deposit, org_of(who)), org_of(who)), status)

    @routes.get("/mine")
    async def mine(who: Member, before: Place = None) -> Response:
        """What the caller's organisation deposited, is an author of, or is asked to be, newest first. `next`: `before`
        of the next page."""
        found = await science.mine(org_of(who), before=before)
        return as_json({"data": await own_views(science, found.rows, org_of(who)), "next": found.following})

    @routes.post("", status_code=201)
    async def deposit(body: DepositBody, who: Member) -> Response:
        """Begin a deposit; other authors are asked whether they are. Idempotent by `id`."""
        number, own = body.id or new_id(), org_of(who)
        await science.deposit(number, body.kind, await version_of(body, own), org_id=own, actor=who.ref)
        return await shown(number, who, 201)

    @routes.put("/deposits/{deposit}/draft")
    async def revise(deposit: UUID, body: VersionBody, who: Member) -> Response:
        """Change the draft, or begin the next version."""
        own = org_of(who)
        await science.revise(deposit, await version_of(body, own), org_id=own, actor=who.ref)
        return await shown(deposit, who)

    @routes.post("/deposits/{deposit}/agree")
    async def agree(deposit: UUID, who: Member, body: AgreeBody | None = None) -> Response:
        """As an author of the draft: one is. `digest`: of the draft that was read; 409 where it was changed since."""
        digest = body.digest if body is not None else None
        await science.agree(deposit, org_id=org_of(who), actor=who.ref, digest=digest)
        return await shown(deposit, who)

    @routes.post("/deposits/{deposit}/publish")
    async def publish(deposit: UUID, body: PublishBody, who: Member) -> Response:
        """Make the draft public, for good."""
        await science.publish(deposit, org_id=org_of(who), actor=who.ref, dataset=body.dataset)
        return await shown(deposit, who)

    @routes.post("/deposits/{deposit}/retract")
    async def retract(deposit: UUID, body: ReasonBody, who: Person) -> Response:
        """Take it back with a reason, as its depositor or as a reviewer of the department."""
        own = None if await science.is_reviewer(person_of(who)) else org_of(who)
        found = await science.retract(deposit, reason=body.reason, org_id=own, actor=who.ref)
        return as_json((await deposit_views(science, [found]))[0])


def _reuses(routes: APIRouter, science: Science) -> None:
    @routes.post("/reuses", status_code=201)
    async def declare(body: ReuseBody, who: Member) -> Response:
        """Say that something of one's own reuses an output. Idempotent by `id`."""
        made = await science.declare(
            body.id or new_id(), await science.find(body.deposit), body.how, body.ref, org_id=org_of(who),
            actor=who.ref,
        )  # fmt: skip
        return as_json(await reuse_view(science, made, whole=True), 201)

    @routes.get("/reuses")
    async def declared(who: Member) -> Response:
        """What the caller declared, and what others declared of the caller's outputs."""
        own = org_of(who)
        of_mine = await science.reuses_of(own)
        return as_json({
            "declared": await reuse_views(science, await science.declared_by(own), whole=True),
            "of_mine": await reuse_views(science, of_mine, whole=True),
        })  # fmt: skip

    @routes.post("/reuses/{reuse}/verdict")
    async def verdict(reuse: UUID, body: VerdictBody, who: Member) -> Response:
        """As an author of what was reused: it was, or it was not."""
        own = org_of(who)
        if body.confirm:
            found = await science.confirm(reuse, org_id=own, actor=who.ref)
        else:
            found = await science.refuse(reuse, reason=body.reason, org_id=own, actor=who.ref)
        return as_json(await reuse_view(science, found, whole=True))


def _department(routes: APIRouter, science: Science) -> None:
    @routes.get("/queue")
    async def queue(who: Person) -> Response:
        """As the department: declared reuses that nobody has decided about."""
        if not await science.is_reviewer(person_of(who)):
            raise UnknownReuse
        return as_json({"data": await reuse_views(science, await science.queue(), whole=True)})

    @routes.post("/reuses/{reuse}/review")
    async def review(reuse: UUID, body: VerdictBody, who: Person) -> Response:
        """The same as a reviewer of the department."""
        found = await science.review(reuse, confirm=body.confirm, reason=body.reason, person_id=person_of(who))
        return as_json(await reuse_view(science, found, whole=True))
