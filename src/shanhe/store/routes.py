"""`/api/store`: the shop window for everybody, a maker's own listings, the reviewers' queue."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body
from shanhe.store.api import (
    LEAF_ROWS,
    Card,
    Case,
    Kind,
    Listing,
    NewListing,
    Order,
    Rating,
    Store,
    Terms,
    Version,
    Words,
    mark_of,
    period,
)
from shanhe.store.contest_routes import contest_view, entry_view
from shanhe.store.terms import model_of

__all__ = ["card_view", "contest_view", "entry_view", "listing_view", "period", "router", "version_view"]
SLUG_MAX = 63
TEXT_MAX = 1_000
NOTE_MAX = 500
FIND_MAX = 80
PARTIES_MAX = 32
FIRST_MAX = 1_000_000

Maker = Annotated[Actor, Depends(require("publish"))]
User = Annotated[Actor, Depends(require("chat"))]
Reviewer = Annotated[Actor, Depends(require("store"))]
Overseer = Annotated[Actor, Depends(require("store", "audit"))]
First = Annotated[int, Query(ge=0, le=FIRST_MAX)]
Most = Annotated[int, Query(ge=1, le=LEAF_ROWS)]
Slug = Annotated[str, Field(min_length=2, max_length=SLUG_MAX)]
Note = Annotated[str, Field(max_length=NOTE_MAX)]
Right = Annotated[str, Field(pattern=r"^ip/[0-9]{6,12}$")]


class WordsBody(Body):
    title_zh: str = Field(min_length=1, max_length=60)
    title_en: str = Field(min_length=1, max_length=60)
    summary_zh: str = Field("", max_length=TEXT_MAX)
    summary_en: str = Field("", max_length=TEXT_MAX)
    category: str = Field("general", max_length=32)


class ListingBody(WordsBody):
    id: UUID | None = None
    kind: Kind
    slug: Slug
    content: dict[str, Any] | None = None


class PartyBody(Body):
    party: UUID
    ppm: int = Field(ge=0, le=1_000_000)


class DraftBody(Body):
    id: UUID | None = None
    base: str | None = Field(None, max_length=64)
    content: dict[str, Any]
    markup_bps: int = Field(ge=0, le=1_000_000)
    fee_micro: int = Field(0, ge=0, le=1_000_000_000_000)
    makers: list[PartyBody] = Field(default_factory=list, max_length=PARTIES_MAX)
    holders: list[PartyBody] = Field(default_factory=list, max_length=PARTIES_MAX)
    rights: list[Right] = Field(default_factory=list, max_length=PARTIES_MAX)
    notes: Note = ""


class ReviewBody(Body):
    approve: bool
    note: str = Field(min_length=1, max_length=NOTE_MAX)


class ReasonBody(Body):
    note: str = Field(min_length=1, max_length=NOTE_MAX)


class RatingBody(Body):
    stars: int = Field(ge=1, le=100)
    text: Note = ""


class ReplyBody(Body):
    text: str = Field(min_length=1, max_length=NOTE_MAX)


class JuryBody(Body):
    points: int = Field(ge=0, le=100)
    note: str = Field(min_length=1, max_length=NOTE_MAX)


def router(store: Store) -> APIRouter:
    """Everything under /api/store."""
    routes = APIRouter(prefix="/api/store", tags=["store"])
    _window(routes, store)
    _making(routes, store)
    _drafts(routes, store)
    _deciding(routes, store)
    return routes


def _window(routes: APIRouter, store: Store) -> None:
    @routes.get("/listings")
    async def listings(
        kind: Kind | None = None,
        category: Annotated[str | None, Query(max_length=32)] = None,
        find: Annotated[str | None, Query(max_length=FIND_MAX)] = None,
        order: Order = Order.RANK,
        first: First = 0,
        most: Most = LEAF_ROWS,
    ) -> Response:
        """What is offered, best ranked first (P7) unless you order it otherwise: `most` of `count`; public."""
        found = await store.leaf(kind, category, find, order, first=first, most=most)
        return as_json({"data": [card_view(card) for card in found.cards], "count": found.count})

    @routes.get("/listings/{kind}/{slug}")
    async def listing(kind: Kind, slug: str) -> Response:
        """One listing with its terms, its rank and what users said; public."""
        name = f"{kind}/{slug}"
        offer = await store.offer(name)
        said = [rating_view(one) for one in await store.ratings(name)]
        honours, coming = await store.honours(name), await store.coming(name)
        return as_json(
            {
                **card_view(await store.card(name)),
                "terms": offer.version.terms,
                "ratings": said,
                "honours": honours,
                "coming": None if coming is None else coming_view(coming),
            }
        )

    @routes.put("/listings/{kind}/{slug}/rating")
    async def rate(kind: Kind, slug: str, body: RatingBody, actor: User) -> Response:
        """Your organisation's voice: only after a paid call, one voice each."""
        await store.rate(f"{kind}/{slug}", org_id=org_of(actor), stars=body.stars, text=body.text, actor=actor.ref)
        return as_json(card_view(await store.card(f"{kind}/{slug}")))

    @routes.put("/ratings/{rating}/reply")
    async def reply(rating: UUID, body: ReplyBody, actor: Maker) -> Response:
        """Your one public answer to what was said of a listing of yours; another takes its place."""
        await store.reply(rating, owner=org_of(actor), text=body.text, actor=actor.ref)
        return as_json({"rating": rating})


def _making(routes: APIRouter, store: Store) -> None:
    @routes.get("/mine")
    async def mine(actor: Maker) -> Response:
        """Your organisation's listings with their versions."""
        found = await store.mine(org_of(actor))
        return as_json(
            {"data": [
                {**listing_view(one), "mark": mark_of(one, next(iter(made), None)),
                 "versions": [version_view(v) for v in made]}
                for one, made in found
            ]}
        )  # fmt: skip

    @routes.post("/listings", status_code=201)
    async def open_listing(body: ListingBody, actor: Maker) -> Response:
        """A new listing, not offered yet, with `content` as its first draft. Send an `id` of your own to be able to
        repeat the request."""
        values = body.model_dump(exclude={"content"})
        new = NewListing(**values | {"id": body.id or new_id()})
        made = await store.open(new, owner=org_of(actor), actor=actor.ref, content=body.content)
        return as_json(listing_view(made), 201)

    @routes.patch("/listings/{kind}/{slug}")
    async def describe(kind: Kind, slug: str, body: WordsBody, actor: Maker) -> Response:
        """Titles, summaries and category: at once before it was ever offered, else once the draft is approved."""
        words = Words(**body.model_dump())
        done = await store.describe(f"{kind}/{slug}", words, owner=org_of(actor), actor=actor.ref)
        return as_json(listing_view(done))

    @routes.post("/listings/{kind}/{slug}/deprecate")
    async def deprecate(kind: Kind, slug: str, actor: Maker) -> Response:
        """Show it no more; whoever knows it may go on calling it."""
        done = await store.deprecate(f"{kind}/{slug}", owner=org_of(actor), actor=actor.ref)
        return as_json(listing_view(done))

    @routes.post("/listings/{kind}/{slug}/relist")
    async def relist(kind: Kind, slug: str, actor: Maker) -> Response:
        """Show it again."""
        return as_json(listing_view(await store.relist(f"{kind}/{slug}", owner=org_of(actor), actor=actor.ref)))

    @routes.post("/listings/{kind}/{slug}/withdraw")
    async def withdraw(kind: Kind, slug: str, actor: Maker) -> Response:
        """Sell it no more."""
        done = await store.withdraw(f"{kind}/{slug}", owner=org_of(actor), actor=actor.ref)
        return as_json(listing_view(done))


def _drafts(routes: APIRouter, store: Store) -> None:
    @routes.put("/listings/{kind}/{slug}/draft")
    async def draft(kind: Kind, slug: str, body: DraftBody, actor: Maker) -> Response:
        """Change the draft, or begin the next version."""
        terms = Terms(
            body.markup_bps, body.fee_micro, tuple((one.party, one.ppm) for one in body.makers),
            tuple((one.party, one.ppm) for one in body.holders), tuple(dict.fromkeys(body.rights)),
        )  # fmt: skip
        made = await store.draft(
            f"{kind}/{slug}", body.content, terms, owner=org_of(actor), actor=actor.ref, notes=body.notes,
            version_id=body.id, base=body.base,
        )  # fmt: skip
        return as_json(version_view(made))

    @routes.post("/listings/{kind}/{slug}/submit")
    async def submit(kind: Kind, slug: str, actor: Maker) -> Response:
        """Run the automatic checks and hand the draft in for review."""
        return as_json(version_view(await store.submit(f"{kind}/{slug}", owner=org_of(actor))))

    @routes.post("/listings/{kind}/{slug}/recall")
    async def recall(kind: Kind, slug: str, actor: Maker) -> Response:
        """Take a submitted version back."""
        return as_json(version_view(await store.recall(f"{kind}/{slug}", owner=org_of(actor))))


def _deciding(routes: APIRouter, store: Store) -> None:
    @routes.get("/queue")
    async def queue(_: Reviewer) -> Response:
        """Versions that wait for a review, oldest first, with what the checks found."""
        found = await store.queue()
        return as_json({"data": [{**listing_view(one), "version": version_view(v)} for one, v in found]})

    @routes.post("/listings/{kind}/{slug}/versions/{n}/review")
    async def review(kind: Kind, slug: str, n: int, body: ReviewBody, actor: Reviewer) -> Response:
        """Approve or reject; nobody decides about what is their own organisation's."""
        done = await store.review(
            f"{kind}/{slug}", n, approve=body.approve, note=body.note, reviewer=actor.ref, reviewer_org=actor.org_id
        )
        return as_json(version_view(done))

    @routes.put("/listings/{kind}/{slug}/jury")
    async def judge(kind: Kind, slug: str, body: JuryBody, actor: Reviewer) -> Response:
        """A juror's points for innovation (P7)."""
        name = f"{kind}/{slug}"
        await store.judge(
            name, score_bps=body.points * 100, note=body.note, juror=actor.ref, juror_org=actor.org_id
        )  # fmt: skip
        return as_json(card_view(await store.card(name)))

    @routes.post("/listings/{kind}/{slug}/remove")
    async def remove(kind: Kind, slug: str, body: ReasonBody, actor: Reviewer) -> Response:
        """The city takes a listing out of the store and says why; its maker and its users are told."""
        name = f"{kind}/{slug}"
        return as_json(listing_view(
            await store.remove(name, reason=body.note, actor=actor.ref, actor_org=actor.org_id)
        ))  # fmt: skip

    @routes.post("/listings/{kind}/{slug}/restore")
    async def restore(kind: Kind, slug: str, body: ReasonBody, actor: Reviewer) -> Response:
        """Put back what the city took out, as it was approved."""
        name = f"{kind}/{slug}"
        return as_json(listing_view(
            await store.restore(name, reason=body.note, actor=actor.ref, actor_org=actor.org_id)
        ))  # fmt: skip

    @routes.get("/cases")
    async def known(
        _: Overseer, find: Annotated[str, Query(max_length=FIND_MAX)] = "", first: First = 0, most: Most = LEAF_ROWS
    ) -> Response:
        """Everything that was ever handed in, whatever became of it, newest first: `most` of `count`."""
        found, count = await store.known(find, first=first, most=most)
        return as_json({"data": [listing_view(one) for one in found], "count": count})

    @routes.get("/cases/{kind}/{slug}")
    async def case(kind: Kind, slug: str, _: Overseer) -> Response:
        """One listing with its versions, who decided about it and why, and what others offer under a like name."""
        return as_json(case_view(await store.case(f"{kind}/{slug}")))


def listing_view(one: Listing) -> dict[str, Any]:
    """A listing as JSON."""
    return {"name": one.name, **asdict(one)}


def version_view(one: Version) -> dict[str, Any]:
    """A version as JSON."""
    return {name: getattr(one, name) for name in one.__slots__}


def rating_view(one: Rating) -> dict[str, Any]:
    """What a user said and what the maker answered, as JSON; who the user is stays out of it."""
    return {
        "id": one.id, "stars": one.stars, "text": one.text, "at": one.rated_at, "struck": one.struck,
        "reply": one.reply, "replied_at": one.replied_at, "reply_struck": one.reply_struck,
    }  # fmt: skip


def coming_view(one: Version) -> dict[str, Any]:
    """What an announced version will cost, and from which day, as JSON."""
    return {"version": one.n, "starts_on": one.starts_on, "model": model_of(one), "markup_bps": one.terms.markup_bps,
            "fee_micro": one.terms.fee_micro}  # fmt: skip


def case_view(one: Case) -> dict[str, Any]:
    """What reviewers and auditors know of a listing, as JSON; organisations by their names."""
    called = one.parties.get
    return {
        "listing": listing_view(one.listing), "maker": called(one.listing.owner, ""),
        "versions": [version_view(version) for version in one.versions], "moves": one.moves,
        "alike": [{"name": other.name, "title_zh": other.title_zh, "title_en": other.title_en,
                   "maker": called(other.owner, "")} for other in one.alike],
    }  # fmt: skip


def card_view(card: Card) -> dict[str, Any]:
    """A listing in the window as JSON; who owns it is a name, not an id."""
    shown = {name: getattr(card, name) for name in card.__slots__ if name != "listing"}
    one = card.listing
    return {
        "name": one.name, "kind": one.kind, "title_zh": one.title_zh, "title_en": one.title_en,
        "summary_zh": one.summary_zh, "summary_en": one.summary_en, "category": one.category, **shown,
    }  # fmt: skip
