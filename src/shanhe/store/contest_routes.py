"""`/api/store/contests`: calls and winners for everybody, makers' entries, the jury's view, the operators' desk."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.errors import Forbidden
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body
from shanhe.store.api import Contest, Contests, Entry, NewContest, Ranks

TITLE_MAX = 60
CALL_MAX = 2_000
WORK_MAX = 4_000
NOTE_MAX = 500
NAME_MAX = 80

Asking = Annotated[Actor, Depends(actor_of)]
Maker = Annotated[Actor, Depends(require("publish"))]
Operator = Annotated[Actor, Depends(require("store"))]


class ContestBody(Body):
    id: UUID | None = None
    title_zh: str = Field(min_length=1, max_length=TITLE_MAX)
    title_en: str = Field(min_length=1, max_length=TITLE_MAX)
    call_zh: str = Field(min_length=1, max_length=CALL_MAX)
    call_en: str = Field(min_length=1, max_length=CALL_MAX)
    pool_fen: int = Field(ge=0)
    opens_on: date
    entries_until: date
    judged_until: date


class EntryBody(Body):
    id: UUID | None = None
    listing: str = Field(max_length=NAME_MAX)
    work: str = Field(min_length=1, max_length=WORK_MAX)


class ScoreBody(Body):
    points: int = Field(ge=0, le=100)
    note: str = Field(min_length=1, max_length=NOTE_MAX)


def router(contests: Contests) -> APIRouter:
    """Everything under /api/store/contests."""
    routes = APIRouter(prefix="/api/store/contests", tags=["contests"])
    _public(routes, contests)
    _entering(routes, contests)
    _judging(routes, contests)
    _desk(routes, contests)
    return routes


def _public(routes: APIRouter, contests: Contests) -> None:
    @routes.get("")
    async def listed() -> Response:
        """All contests, newest first; public."""
        return as_json({"data": [contest_view(contests, one) for one in await contests.contests()]})

    @routes.get("/{contest}")
    async def one(contest: UUID) -> Response:
        """A contest with the prizes of its first places and, once it is decided, its winners; public."""
        found = await contests.contest(contest)
        winners = [asdict(one) for one in await contests.winners(contest)]
        return as_json({**contest_view(contests, found), "winners": winners})


def ranks_router(ranks: Ranks) -> APIRouter:
    """Months' rankings and what they were rewarded; public."""
    routes = APIRouter(prefix="/api/store/ranks", tags=["store"])

    @routes.get("")
    async def months() -> Response:
        """Months whose ranking is fixed, newest first."""
        return as_json({"data": await ranks.months()})

    @routes.get("/{month}")
    async def month(month: date) -> Response:
        """A month's places by kind (P7); name its first day."""
        return as_json(
            {
                "data": [
                    {**asdict(one), "name": one.name, "reward_micro": ranks.due_micro(one)}
                    for one in await ranks.of(month)
                ]
            }
        )

    return routes


def _entering(routes: APIRouter, contests: Contests) -> None:
    @routes.get("/{contest}/entry")
    async def own(contest: UUID, actor: Maker) -> Response:
        """Your organisation's entry; null without one."""
        found = await contests.entry(contest, org_of(actor))
        return as_json(None if found is None else entry_view(found))

    @routes.put("/{contest}/entry")
    async def enter(contest: UUID, body: EntryBody, actor: Maker) -> Response:
        """Enter one of your offered listings, or change the entry; the text must not say whose it is."""
        found = await contests.enter(
            contest, owner=org_of(actor), listing=body.listing, work=body.work, actor=actor.ref, entry_id=body.id
        )
        return as_json(entry_view(found))

    @routes.delete("/{contest}/entry")
    async def withdraw(contest: UUID, actor: Maker) -> Response:
        """Take your entry back, until the decision."""
        await contests.withdraw(contest, owner=org_of(actor))
        return as_json({"withdrawn": True})


def _judging(routes: APIRouter, contests: Contests) -> None:
    @routes.get("/{contest}/jury")
    async def to_judge(contest: UUID, actor: Asking) -> Response:
        """A juror's entries by number, without names; none of one's own or of related parties."""
        return as_json({"data": [asdict(one) for one in await contests.to_judge(contest, _person(actor))]})

    @routes.put("/{contest}/jury/{n}")
    async def score(contest: UUID, n: int, body: ScoreBody, actor: Asking) -> Response:
        """A juror's points for an entry; the latest word counts."""
        await contests.score(contest, n, person=_person(actor), score_bps=body.points * 100, note=body.note)
        return as_json({"n": n, "points": body.points})


def _desk(routes: APIRouter, contests: Contests) -> None:
    @routes.post("", status_code=201)
    async def call(body: ContestBody, actor: Operator) -> Response:
        """Announce a contest; idempotent by `id`."""
        _person(actor)
        new = NewContest(**(body.model_dump() | {"id": body.id or new_id()}))
        return as_json(contest_view(contests, await contests.call(new, actor=actor.ref)), 201)

    @routes.get("/{contest}/jurors")
    async def jurors(contest: UUID, actor: Operator) -> Response:
        """Who judges, and how many have spoken on each entry."""
        standing = [{"n": n, "jurors": heard} for n, heard in (await contests.standing([contest]))[contest]]
        return as_json({"data": await contests.jurors(contest), "entries": standing})

    @routes.put("/{contest}/jurors/{person}")
    async def name_juror(contest: UUID, person: UUID, actor: Operator) -> Response:
        """Let a person judge."""
        _person(actor)
        await contests.name_juror(contest, person, actor=actor.ref)
        return as_json({"juror": person})

    @routes.delete("/{contest}/jurors/{person}")
    async def dismiss_juror(contest: UUID, person: UUID, actor: Operator) -> Response:
        """End a person's part in the jury; their points do not count."""
        _person(actor)
        await contests.dismiss_juror(contest, person, actor=actor.ref)
        return as_json({"dismissed": person})

    @routes.post("/{contest}/decision")
    async def decide(contest: UUID, actor: Operator) -> Response:
        """Give the places by the jury's points, and apply for the prizes; idempotent. Not for who called the contest or
        chose its jury, nor for relatives of an entrant."""
        found = await contests.decide(contest, actor=actor.ref, person=_person(actor))
        winners = [asdict(one) for one in await contests.winners(contest)]
        return as_json({**contest_view(contests, found), "winners": winners})


def contest_view(contests: Contests, found: Contest) -> dict[str, Any]:
    """A contest with its phase, and what its first places are given (P8)."""
    prizes = [prize for place in (1, 2, 3) if (prize := contests.prize_fen(found, place))]
    return {**asdict(found), "phase": contests.phase(found), "prizes_fen": prizes}


def entry_view(found: Entry) -> dict[str, Any]:
    return asdict(found)


def _person(actor: Actor) -> UUID:
    if actor.person_id is None:
        raise Forbidden(
            "people_only", "Contests are called, judged and decided by people; keys can't.",
            message_zh="发起、评审和揭晓赛事须由本人登录，不能使用密钥。",
            hint="Sign in and do it on the contest's page.", hint_zh="请登录后在赛事页面操作。",
        )  # fmt: skip
    return actor.person_id
