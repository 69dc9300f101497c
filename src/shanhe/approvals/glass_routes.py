"""HTTP of break-glass: opening, looking, ending, reviewing. For people who are signed in; never for keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.approvals.api import BreakGlass, FollowUp, NewGlass, Proof, Undoing, glass_view
from shanhe.approvals.errors import GlassRefused
from shanhe.kernel.clock import Clock
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body

CLASS_CHARS, OBJECT_CHARS, REASON_CHARS, CODE_CHARS = 64, 80, 1_000, 16
PAGE_ROWS = 50
Audit = Callable[[str], Awaitable[Any]]
"""The audit of one object, newest first."""
Challenge = Callable[[UUID], Awaitable[Any]]
"""What a browser needs to answer with a passkey: `id` and `options`."""


class PasskeyBody(Body):
    ceremony: UUID
    answer: dict[str, Any]


class OpenBody(Body):
    id: UUID
    kind: str = Field(alias="class", min_length=1, max_length=CLASS_CHARS)
    object: str = Field(min_length=1, max_length=OBJECT_CHARS)
    reason: str = Field(min_length=1, max_length=REASON_CHARS)
    limit_fen: int | None = Field(None, ge=0, le=10**15)
    code: str = Field("", max_length=CODE_CHARS)
    passkey: PasskeyBody | None = None


class ReviewBody(Body):
    justified: bool
    findings: str = Field(min_length=1, max_length=REASON_CHARS)
    follow_up: FollowUp = FollowUp.NONE


def router(
    glass: BreakGlass, undoing: Undoing, clock: Clock, require: Callable[[str], Any], *, audit: Audit,
    challenge: Challenge,
) -> APIRouter:  # fmt: skip
    """Everything under /api/break-glass. `require(permission)` guards."""
    routes = APIRouter(prefix="/api/break-glass", tags=["break-glass"])
    read, write = Depends(require("ledger")), Depends(require("accounts"))
    _opening(routes, glass, clock, write, challenge)
    _looking(routes, glass, clock, read, write, audit)
    _reviewing(routes, glass, undoing, clock, read)
    return routes


def _opening(routes: APIRouter, glass: BreakGlass, clock: Clock, write: Any, challenge: Challenge) -> None:
    @routes.post("", status_code=201)
    async def open_(body: OpenBody, actor: Any = write) -> Response:
        """Open it: recorded and told at once. `code` of an authenticator, or `passkey`. Idempotent by `id`."""
        passkey = body.passkey
        proof = Proof(body.code) if passkey is None else Proof("", passkey.ceremony, passkey.answer)
        new = NewGlass(body.id, body.kind, body.object, body.reason, body.limit_fen)
        return as_json(glass_view(await glass.open(new, person_of(actor), proof), clock.now()), 201)

    @routes.post("/passkey")
    async def passkey(actor: Any = write) -> Response:
        """Options for `navigator.credentials.get`, for the passkey that opens it."""
        made = await challenge(person_of(actor))
        return as_json({"ceremony": made.id, "options": made.options})

    @routes.post("/{glass_id}/end")
    async def end(glass_id: UUID, actor: Any = write) -> Response:
        """Who opened it ends it early."""
        return as_json(glass_view(await glass.close(glass_id, person_of(actor)), clock.now()))


def _looking(routes: APIRouter, glass: BreakGlass, clock: Clock, read: Any, write: Any, audit: Audit) -> None:
    @routes.get("/terms", dependencies=[read])
    async def terms() -> Response:
        """Classes, minutes, cap, openings a month and days of a review, as the rulebook has them today."""
        return as_json(glass.terms())

    @routes.get("", dependencies=[read])
    async def openings(waiting: bool = False, limit: Annotated[int, Query(ge=1, le=200)] = PAGE_ROWS) -> Response:
        """Openings, newest first; `waiting`: those that nobody reviewed yet."""
        found = await glass.list(waiting=waiting, limit=limit)
        return as_json({"data": [glass_view(one, clock.now()) for one in found]})

    @routes.get("/{glass_id}", dependencies=[read])
    async def one(glass_id: UUID) -> Response:
        return as_json(glass_view(await glass.get(glass_id), clock.now()))

    @routes.post("/{glass_id}/read")
    async def read_audit(glass_id: UUID, actor: Any = write) -> Response:
        """The audit of the opening's object, for who opened it; the reading is an act and written down first."""
        object_ = await glass.read(glass_id, person_of(actor), new_id())
        return as_json({"object": object_, "data": await audit(object_)})


def _reviewing(routes: APIRouter, glass: BreakGlass, undoing: Undoing, clock: Clock, read: Any) -> None:
    @routes.post("/{glass_id}/review")
    async def review(glass_id: UUID, body: ReviewBody, actor: Any = read) -> Response:
        """Judge it, once, after its end; never who opened it. With `follow_up: reversal` undoing is asked for."""
        by = person_of(actor)
        done = await glass.review(
            glass_id, by, justified=body.justified, findings=body.findings, follow_up=body.follow_up
        )
        if body.follow_up is FollowUp.REVERSAL:
            await undoing.ask(glass_id, by)
            done = await glass.get(glass_id)
        return as_json(glass_view(done, clock.now()))


def person_of(actor: Any) -> UUID:
    """The person who acts; a key opens nothing and judges nothing."""
    if actor.person_id is None:
        raise GlassRefused(
            "it is for people, not for keys", "仅限本人登录办理，不得使用密钥",
            "Sign in and do it yourself.", "请登录后本人办理。",
        )  # fmt: skip
    found: UUID = actor.person_id
    return found
