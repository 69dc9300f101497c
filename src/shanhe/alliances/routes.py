"""HTTP of alliances: companies found, invite, accept, leave, share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.alliances.service import Alliances
from shanhe.alliances.views import alliance_view
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Member = Annotated[Actor, Depends(require("apply"))]
Find = Callable[[str], Awaitable[UUID]]


class FoundBody(Body):
    id: UUID
    name: str = Field(min_length=1, max_length=100)
    purpose: str = Field(min_length=1, max_length=1_000)


class InviteBody(Body):
    company: str = Field(min_length=1, max_length=100)


class AnswerBody(Body):
    accept: bool


class ShareBody(Body):
    kind: str = Field(max_length=20)
    ref: str = Field(min_length=1, max_length=200)


def router(alliances: Alliances, find: Find) -> APIRouter:
    """Everything under /api/alliances. `find` tells an organisation by registration number or id."""
    routes = APIRouter(prefix="/api/alliances", tags=["alliances"])

    async def shown(alliance: UUID, who: Actor, status: int = 200) -> Response:
        return as_json(alliance_view(await alliances.get(alliance, org_of(who))), status)

    @routes.get("")
    async def mine(who: Member) -> Response:
        """The caller's alliance and invitations, with members, discount and what is shared."""
        return as_json({"data": [alliance_view(one) for one in await alliances.of(org_of(who))]})

    @routes.post("", status_code=201)
    async def found(body: FoundBody, who: Member) -> Response:
        """Found an alliance; idempotent by `id`."""
        await alliances.found(org_of(who), alliance_id=body.id, name=body.name, purpose=body.purpose, actor=who.ref)
        return await shown(body.id, who, 201)

    @routes.post("/{alliance}/invitations", status_code=201)
    async def invite(alliance: UUID, body: InviteBody, who: Member) -> Response:
        """Ask another company, by registration number or id, to join."""
        await alliances.invite(alliance, org_of(who), await find(body.company), actor=who.ref)
        return await shown(alliance, who, 201)

    @routes.post("/{alliance}/answer")
    async def answer(alliance: UUID, body: AnswerBody, who: Member) -> Response:
        """Accept or decline an invitation."""
        await alliances.answer(alliance, org_of(who), accept=body.accept, actor=who.ref)
        return as_json({"alliance": alliance, "accepted": body.accept})

    @routes.post("/{alliance}/leave")
    async def leave(alliance: UUID, who: Member) -> Response:
        """Leave at once; what was shared goes along."""
        await alliances.leave(alliance, org_of(who), actor=who.ref)
        return as_json({"alliance": alliance, "left": True})

    @routes.post("/{alliance}/shared", status_code=201)
    async def share(alliance: UUID, body: ShareBody, who: Member) -> Response:
        """Share a data set (by id) or a model (by name) of one's own."""
        await alliances.share(alliance, org_of(who), body.kind, body.ref, actor=who.ref)
        return await shown(alliance, who, 201)

    @routes.delete("/{alliance}/shared/{kind}/{ref:path}")
    async def unshare(alliance: UUID, kind: str, ref: str, who: Member) -> Response:
        """Stop sharing something."""
        await alliances.unshare(alliance, org_of(who), kind, ref)
        return await shown(alliance, who)

    return routes
