"""HTTP of governance: everybody reads proposals and the scorecard, seats decide, operators record."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.governance import views
from shanhe.governance.model import NewProposal, Vote, duties
from shanhe.governance.service import Governance
from shanhe.identity.api import Actor, person_actor, person_of, require
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Me = Annotated[Actor, Depends(person_actor)]
Reader = Annotated[Actor, Depends(require("ledger"))]
Operator = Annotated[Actor, Depends(require("rules"))]
Seats = Annotated[Actor, Depends(require("accounts"))]


class ProposalBody(Body):
    id: UUID
    matter: str = Field(max_length=40)
    title: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=4_000)
    announced_on: date
    content: dict[str, Any] = Field(default_factory=dict, max_length=32)
    rule_id: str | None = Field(None, max_length=80)
    department: str = Field("", max_length=40)
    effective_on: date | None = None


class CommentBody(Body):
    id: UUID
    text: str = Field(min_length=1, max_length=1_000)


class VoteBody(Body):
    vote: Vote
    reason: str = Field("", max_length=1_000)


class SeatBody(Body):
    person_id: UUID
    department: str = Field(max_length=40)


class FigureBody(Body):
    id: UUID
    name: str = Field(max_length=64)
    value: int = Field(ge=-(10**15), le=10**15, strict=True)
    on: date
    evidence: str = Field(min_length=1, max_length=200)


class ProjectBody(Body):
    id: UUID
    name_zh: str = Field(min_length=1, max_length=200)
    name_en: str = Field(min_length=1, max_length=200)
    department: str = Field(max_length=40)
    started_on: date


class FlowBody(Body):
    id: UUID
    kind: str = Field(max_length=16)
    amount_fen: int = Field(gt=0, le=10**15, strict=True)
    on: date
    evidence: str = Field(min_length=1, max_length=200)


class ReviewBody(Body):
    id: UUID
    rule: str = Field(max_length=80)
    on: date
    finding: str = Field(min_length=1, max_length=4_000)


def router(governance: Governance) -> APIRouter:
    """Everything under /api/governance."""
    routes = APIRouter(prefix="/api/governance", tags=["governance"])
    _public(routes, governance)
    _seats(routes, governance)
    _samples(routes, governance)
    _operators(routes, governance)
    return routes


def _public(routes: APIRouter, governance: Governance) -> None:
    deciding, watching = governance.deciding, governance.watching

    @routes.get("/matters")
    async def matters() -> Response:
        """The duty matrix: departments, and how each matter is decided."""
        return as_json(msgspec.to_builtins(duties()))

    @routes.get("/proposals")
    async def proposals(
        open_only: bool = False, matter: Annotated[str | None, Query(max_length=40)] = None,
        before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Response:  # fmt: skip
        """Proposals, newest first."""
        page = await deciding.proposals(open_only=open_only, matter=matter, before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return as_json({"data": [views.proposal_view(one) for one in page], "next": following})

    @routes.get("/proposals/{proposal}")
    async def proposal(proposal: UUID, past: UUID | None = None) -> Response:
        """A proposal with what it changes in words and numbers, how it was voted, and what was said; `comments_next`:
        `past` of the next page of comments."""
        return as_json(views.file_view(await deciding.file(proposal, past=past)))

    @routes.get("/scorecard")
    async def scorecard() -> Response:
        """Targets of the strategy beside what is reached, and how much of the time has passed."""
        return as_json({"data": [views.score_view(one) for one in await watching.scorecard()]})

    @routes.get("/projects")
    async def projects() -> Response:
        """Projects with what they cost and returned, and whether they are on the watch list (S3)."""
        return as_json({"data": [views.project_view(one) for one in await watching.projects()]})

    @routes.get("/duties")
    async def work(overdue_only: bool = False) -> Response:
        """Work of every department with its day, the most urgent first."""
        return as_json({"data": [views.duty_view(one) for one in await watching.duties(overdue_only=overdue_only)]})

    @routes.get("/profit-lock")
    async def profit_lock() -> Response:
        """Whether the operator may share profit today (P3), with the trace."""
        decision, missing = await watching.profit_lock()
        if decision is None:
            return as_json({"may_share": False, "missing": missing, "trace": None})
        return as_json(dict(decision.outputs) | {"missing": [], "trace": decision.trace})

    @routes.get("/other-platforms/{org_id}")
    async def other_platforms(
        org_id: UUID, body: Annotated[str, Query(max_length=16)] = "government", on: date | None = None
    ) -> Response:
        """Whether a public body may use another platform (P5): by a report that both offices approved."""
        decision = await watching.may_use_other(body, org_id, on)
        return as_json(dict(decision.outputs) | {"trace": decision.trace})


def _seats(routes: APIRouter, governance: Governance) -> None:
    deciding = governance.deciding

    @routes.post("/proposals", status_code=201)
    async def propose(body: ProposalBody, who: Me) -> Response:
        """Propose; a rule's change is proved before it is taken. Idempotent by `id`."""
        made = await deciding.propose(NewProposal(**body.model_dump()), person_id=person_of(who))
        return as_json(views.file_view(await deciding.file(made.id)), 201)

    @routes.post("/proposals/{proposal}/comments", status_code=201)
    async def comment(proposal: UUID, body: CommentBody, who: Me) -> Response:
        """Say something while it is discussed; everybody who signs in may."""
        await deciding.comment(proposal, person_of(who), body.text, comment_id=body.id)
        return as_json({"id": body.id}, 201)

    @routes.post("/proposals/{proposal}/votes", status_code=201)
    async def vote(proposal: UUID, body: VoteBody, who: Me) -> Response:
        """Vote for, against (with a reason), or veto as the big-data group."""
        found = await deciding.vote(proposal, person_of(who), body.vote, reason=body.reason)
        return as_json(views.proposal_view(found), 201)

    @routes.post("/proposals/{proposal}/withdraw")
    async def withdraw(proposal: UUID, who: Me) -> Response:
        return as_json(views.proposal_view(await deciding.withdraw(proposal, person_of(who))))


def _samples(routes: APIRouter, governance: Governance) -> None:
    @routes.get("/proposals/{proposal}/sample")
    async def sample(proposal: UUID) -> Response:
        """By what an experiment (P13) is judged: cases drawn by lot, before and during it; null before it is over."""
        found = await governance.sampling.get((await governance.deciding.get(proposal)).id)
        return as_json({"sample": views.sample_view(found) if found else None})

    @routes.get("/proposals/{proposal}/sample/cases")
    async def cases(proposal: UUID, _: Reader) -> Response:
        """The same with the organisations drawn."""
        found = await governance.sampling.get((await governance.deciding.get(proposal)).id)
        return as_json({"sample": views.sample_view(found, named=True) if found else None})


def _operators(routes: APIRouter, governance: Governance) -> None:
    deciding, watching = governance.deciding, governance.watching

    @routes.get("/seats")
    async def seats(_: Reader) -> Response:
        return as_json({"data": await deciding.seats()})

    @routes.post("/seats", status_code=201)
    async def seat(body: SeatBody, who: Seats) -> Response:
        """Give a person a seat in a department."""
        await deciding.seat(body.person_id, body.department, by=who.ref)
        return as_json(body.model_dump(), 201)

    @routes.delete("/seats/{person_id}/{department}", status_code=204)
    async def unseat(person_id: UUID, department: str, _: Seats) -> Response:
        await deciding.unseat(person_id, department)
        return Response(status_code=204)

    @routes.post("/figures", status_code=201)
    async def figure(body: FigureBody, who: Operator) -> Response:
        """Record a figure that nobody measures, with its evidence."""
        await watching.record(body.name, body.value, on=body.on, evidence=body.evidence, figure_id=body.id, by=who.ref)
        return as_json({"id": body.id}, 201)

    @routes.post("/projects", status_code=201)
    async def project(body: ProjectBody, who: Operator) -> Response:
        """A project that has to repay within the months of S3."""
        made = await watching.add_project(
            body.id, name_zh=body.name_zh, name_en=body.name_en, department=body.department,
            started_on=body.started_on, by=who.ref,
        )  # fmt: skip
        return as_json(views.project_view(made), 201)

    @routes.post("/projects/{project_id}/flows", status_code=201)
    async def flow(project_id: UUID, body: FlowBody, who: Operator) -> Response:
        """Money invested in a project or returned by it."""
        made = await watching.flow(
            project_id, body.kind, body.amount_fen, on=body.on, evidence=body.evidence, flow_id=body.id, by=who.ref
        )
        return as_json(views.project_view(made), 201)

    @routes.post("/reviews", status_code=201)
    async def review(body: ReviewBody, who: Operator) -> Response:
        """Record that a rule was reviewed (P9)."""
        await watching.review(body.rule, on=body.on, finding=body.finding, review_id=body.id, by=who.ref)
        return as_json({"id": body.id}, 201)
