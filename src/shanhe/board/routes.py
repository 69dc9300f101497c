"""`/api/board`: needs and solutions for everybody to read, what fits them and why, and matches of one's own."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.board.api import Board, Kind, Post, Words, fits_view, match_view, post_view, post_views
from shanhe.board.model import (
    ASKS_MAX_CHARS,
    FEN_MAX,
    NOTE_CHARS,
    OFFER_CHARS,
    READINESS_MAX,
    TEXT_CHARS,
    TITLE_CHARS,
    WHY_CHARS,
)
from shanhe.identity.api import Actor, maybe_actor, org_of, require
from shanhe.kernel.http import as_json, private_json
from shanhe.kernel.routing import APIRouter, Body

Member = Annotated[Actor, Depends(require("apply"))]
Operator = Annotated[Actor, Depends(require("store"))]
Anybody = Annotated[Actor | None, Depends(maybe_actor)]
Fen = Annotated[int | None, Field(ge=0, le=FEN_MAX)]


class WordsBody(Body):
    kind: Kind
    title: str = Field(max_length=TITLE_CHARS[1] * 2)
    text: str = Field(max_length=TEXT_CHARS[1] * 2)
    sector: str = Field(max_length=30)
    until: date
    shows_name: bool = True
    by_meaning: bool = True
    readiness: int = Field(0, ge=0, le=READINESS_MAX)
    budget_from_fen: Fen = None
    budget_to_fen: Fen = None
    price_fen: Fen = None
    asks: str = Field("", max_length=ASKS_MAX_CHARS * 2)

    def words(self) -> Words:
        return Words(**{name: getattr(self, name) for name in WordsBody.model_fields})


class PostBody(WordsBody):
    id: UUID
    publish: bool = True


class RemoveBody(Body):
    why: str = Field(max_length=WHY_CHARS[1] * 2)


class InterestBody(Body):
    id: UUID
    need: UUID
    solution: UUID
    note: str = Field(max_length=NOTE_CHARS[1] * 2)


class OfferBody(Body):
    text: str = Field(max_length=OFFER_CHARS[1] * 2)
    fee_fen: Fen = None
    after: int = Field(ge=0)


class AcceptBody(Body):
    round: int = Field(ge=1)


class LeaveBody(Body):
    note: str = Field("", max_length=NOTE_CHARS[1] * 2)


def router(board: Board) -> APIRouter:
    """Everything under /api/board."""
    routes = APIRouter(prefix="/api/board", tags=["board"])
    _public(routes, board)
    _owners(routes, board)
    _matches(routes, board)
    return routes


async def _shown(board: Board, post: Post, org_id: UUID | None) -> dict[str, Any]:
    return (await post_views(board.posts, [post], org_id))[0]


def _org(who: Actor | None) -> UUID | None:
    return None if who is None else who.org_id


def _public(routes: APIRouter, board: Board) -> None:
    @routes.get("/posts")
    async def posts(
        kind: Kind | None = None, sector: Annotated[str | None, Query(max_length=30)] = None,
        q: Annotated[str, Query(max_length=200)] = "", before: UUID | None = None,
    ) -> Response:  # fmt: skip
        """What is on the board, newest first; with `q` what holds its words, best first."""
        if q.strip():
            found = await board.finding.search(kind, q, sector)
        else:
            found = await board.posts.standing(kind, sector, before=before)
        return as_json({"data": await post_views(board.posts, found)})

    @routes.get("/terms")
    async def terms() -> Response:
        """What a match is rewarded with today, by rule T10."""
        return as_json(board.terms())

    @routes.get("/posts/{post}")
    async def post(post: UUID, who: Anybody) -> Response:
        """One need or solution; one's own in any state."""
        return private_json(await _shown(board, await board.posts.get(post, _org(who)), _org(who)))

    @routes.get("/posts/{post}/fits")
    async def fits(post: UUID, who: Anybody, most: Annotated[int, Query(ge=1, le=10)] = 5) -> Response:
        """What fits it best and why: words with their weights, nearness in meaning, reasons."""
        one = await board.posts.get(post, _org(who))
        if one.org_id == _org(who):
            await board.finding.learn(one)  # where that failed before, or the post came another way
        found = await board.finding.of(one, most)
        names = await board.posts.names_of([fit.post for fit in found.found])
        return private_json(fits_view(found, names))


def _owners(routes: APIRouter, board: Board) -> None:
    @routes.get("/mine")
    async def mine(who: Member) -> Response:
        """Posts of your organisation, drafts and ended ones too."""
        org_id = org_of(who)
        return private_json({"data": await post_views(board.posts, await board.posts.of(org_id), org_id)})

    @routes.post("/posts", status_code=201)
    async def write(body: PostBody, who: Member) -> Response:
        """Post a need or a solution, or keep it as a draft; idempotent by `id`."""
        org_id = org_of(who)
        made = await board.posts.write(body.id, org_id, body.words(), actor=who.ref)
        if body.publish and made.published_at is None:
            made = await board.posts.publish(body.id, org_id)
        await board.finding.learn(made)
        return private_json(await _shown(board, made, org_id), 201)

    @routes.put("/posts/{post}")
    async def change(post: UUID, body: WordsBody, who: Member) -> Response:
        """Change a post that is not settled."""
        made = await board.posts.change(post, org_of(who), body.words())
        await board.finding.learn(made)
        return private_json(await _shown(board, made, org_of(who)))

    @routes.post("/posts/{post}/publish")
    async def publish(post: UUID, who: Member) -> Response:
        """Put a draft on the board, or one that was taken off, again."""
        made = await board.posts.publish(post, org_of(who))
        await board.finding.learn(made)
        return private_json(await _shown(board, made, org_of(who)))

    @routes.post("/posts/{post}/withdraw")
    async def withdraw(post: UUID, who: Member) -> Response:
        """Take a post off the board; its open matches end."""
        return private_json(await _shown(board, await board.posts.withdraw(post, org_of(who)), org_of(who)))

    @routes.post("/posts/{post}/remove")
    async def remove(post: UUID, body: RemoveBody, who: Operator) -> Response:
        """Operators: take a post off the board that does not belong there; its owner reads why."""
        made = await board.posts.remove(post, body.why, actor=who.ref)
        return private_json(post_view(made, await board.posts.name_of(made), own=True))


def _matches(routes: APIRouter, board: Board) -> None:
    @routes.get("/matches")
    async def matches(who: Member) -> Response:
        """Your matches, the last changed first."""
        return private_json({"data": [match_view(one) for one in await board.meetings.of(org_of(who))]})

    @routes.post("/matches", status_code=201)
    async def interest(body: InterestBody, who: Member) -> Response:
        """Show interest with one of your posts in one of the other kind; idempotent by `id`."""
        view = await board.meetings.interest(
            body.id, org_of(who), body.need, body.solution, body.note, actor=who.ref
        )  # fmt: skip
        return private_json(match_view(view), 201)

    @routes.get("/matches/{match}")
    async def match(match: UUID, who: Member) -> Response:
        """One match: what was said, which offer stands, what became of the reward."""
        return private_json(match_view(await board.meetings.get(match, org_of(who))))

    @routes.post("/matches/{match}/offer")
    async def offer(match: UUID, body: OfferBody, who: Member) -> Response:
        """Make an offer, which you thereby accept; `after` is the number of the offer it replaces, 0 for the first."""
        view = await board.meetings.offer(
            match, org_of(who), body.text, body.fee_fen, after=body.after, actor=who.ref
        )  # fmt: skip
        return private_json(match_view(view))

    @routes.post("/matches/{match}/accept")
    async def accept(match: UUID, body: AcceptBody, who: Member) -> Response:
        """Accept the other side's offer of this number; both are then rewarded by rule T10."""
        return private_json(match_view(await board.meetings.accept(match, org_of(who), round_=body.round,
                                                                   actor=who.ref)))  # fmt: skip

    @routes.post("/matches/{match}/leave")
    async def leave(match: UUID, body: LeaveBody, who: Member) -> Response:
        """Withdraw or decline before both accepted."""
        return private_json(match_view(await board.meetings.leave(match, org_of(who), body.note, actor=who.ref)))
