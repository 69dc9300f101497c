"""HTTP of filings: everybody reads the register and monthly figures, residents complain, operators keep and decide."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.filings.model import AlgorithmKind, Decision, Filing, Grievance, NewAlgorithm, NewComplaint
from shanhe.filings.service import Filings
from shanhe.filings.views import algorithm_view, complaint_view, event_view, month_view, months_csv
from shanhe.identity.api import Actor, actor, org_of, person_actor, person_of, require
from shanhe.kernel.clock import Clock
from shanhe.kernel.documents import BOM
from shanhe.kernel.errors import Forbidden
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Me = Annotated[Actor, Depends(actor)]
Person = Annotated[Actor, Depends(person_actor)]
Desk = Annotated[Actor, Depends(require("store"))]


class AlgorithmBody(Body):
    id: UUID
    subject: str = Field(min_length=1, max_length=140)
    name_zh: str = Field(min_length=1, max_length=120)
    name_en: str = Field(min_length=1, max_length=120)
    operator: str = Field(min_length=1, max_length=120)
    kind: AlgorithmKind = AlgorithmKind.GENERATION
    purpose_zh: str = Field(min_length=1, max_length=1_000)
    purpose_en: str = Field(min_length=1, max_length=1_000)
    sources_zh: str = Field("", max_length=1_000)
    sources_en: str = Field("", max_length=1_000)
    responsible: UUID | None = None
    assessed_on: date | None = None


class MoveBody(Body):
    state: Filing
    number: str = Field("", max_length=80)
    filed_on: date | None = None
    reason: str = Field("", max_length=500)


class DocumentBody(Body):
    id: UUID
    kind: str = Field(max_length=32)
    title: str = Field(min_length=1, max_length=120)
    sha256: str = Field(min_length=64, max_length=64)


class ComplaintBody(Body):
    id: UUID
    receipt_id: UUID | None = None
    listing: str = Field("", max_length=80)
    category: Grievance
    text: str = Field(min_length=1, max_length=2_000)


class TextBody(Body):
    text: str = Field(min_length=1, max_length=2_000)


class DecideBody(Body):
    uphold: bool
    state: str | None = Field(None, max_length=20)
    answer: str = Field(min_length=1, max_length=2_000)


def router(filings: Filings, clock: Clock) -> APIRouter:
    """Everything under /api/algorithms, /api/moderation and /api/complaints."""
    routes = APIRouter(tags=["filings"])
    _register(routes, filings)
    _moderation(routes, filings)
    _complaints(routes, filings, clock)
    return routes


def _register(routes: APIRouter, filings: Filings) -> None:
    register = filings.register

    @routes.get("/api/algorithms")
    async def algorithms() -> Response:
        """The register of algorithms that generate for the public, with their filing numbers; public."""
        return as_json({"data": [algorithm_view(one) for one in await register.list()]})

    @routes.get("/api/algorithms/{algorithm_id}")
    async def algorithm(algorithm_id: UUID) -> Response:
        """One record with its documents' hashes and its history; public."""
        return as_json(algorithm_view(await register.get(algorithm_id)))

    @routes.post("/api/algorithms", status_code=201)
    async def add(body: AlgorithmBody, who: Desk) -> Response:
        """A new record, in preparation. Idempotent by `id`."""
        made = await register.add(NewAlgorithm(**body.model_dump()), by=who.ref)
        return as_json(algorithm_view(made, whole=True), 201)

    @routes.put("/api/algorithms/{algorithm_id}")
    async def describe(algorithm_id: UUID, body: AlgorithmBody, who: Desk) -> Response:
        """Other words; what was filed counts as changed then."""
        new = NewAlgorithm(**body.model_dump() | {"id": algorithm_id})
        return as_json(algorithm_view(await register.describe(new, by=who.ref), whole=True))

    @routes.post("/api/algorithms/{algorithm_id}/state")
    async def move(algorithm_id: UUID, body: MoveBody, who: Desk) -> Response:
        """How the filing stands: not_needed, preparing, filed (number and day), changed, withdrawn."""
        done = await register.move(
            algorithm_id, body.state, by=who.ref, number=body.number, filed_on=body.filed_on, reason=body.reason
        )
        return as_json(algorithm_view(done, whole=True))

    @routes.post("/api/algorithms/{algorithm_id}/documents", status_code=201)
    async def attach(algorithm_id: UUID, body: DocumentBody, who: Desk) -> Response:
        """A document by its hash."""
        done = await register.attach(algorithm_id, body.kind, body.title, body.sha256, by=who.ref, document_id=body.id)
        return as_json(algorithm_view(done, whole=True), 201)


def _moderation(routes: APIRouter, filings: Filings) -> None:
    moderation = filings.moderation

    @routes.get("/api/moderation/months")
    async def months() -> Response:
        """Interventions by month, category and decision; public, small counts left out."""
        return as_json({"data": [month_view(one) for one in await moderation.public_months()]})

    @routes.get("/api/moderation/months.csv")
    async def table(_: Desk) -> Response:
        """The same with surfaces and every count, as CSV."""
        headers = {"content-disposition": 'attachment; filename="moderation.csv"', "cache-control": "no-store"}
        text = BOM + months_csv(await moderation.months())
        return Response(text.encode(), media_type="text/csv; charset=utf-8", headers=headers)

    @routes.get("/api/moderation/events")
    async def events(
        who: Me, decision: Decision | None = None, before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:  # fmt: skip
        """What guardrails did: to one's own organisation's calls, or (operators) to all."""
        own = None if "store" in who.permissions else org_of(who)
        found = await moderation.events(org_id=own, decision=decision, before=before, limit=limit)
        following = str(found[-1].id) if len(found) == limit else None
        return as_json({"data": [event_view(one) for one in found], "next": following})


def _complaints(routes: APIRouter, filings: Filings, clock: Clock) -> None:
    complaints = filings.complaints

    @routes.post("/api/complaints", status_code=201)
    async def make(body: ComplaintBody, who: Me) -> Response:
        """Report an output by its receipt. Idempotent by `id`."""
        made = await complaints.make(NewComplaint(**body.model_dump()), org_id=org_of(who), by=who.ref)
        return as_json(complaint_view(made, clock.now()), 201)

    @routes.get("/api/complaints")
    async def listed(who: Me, everybody: bool = False, waiting: bool = False) -> Response:
        """One's own complaints, or (operators, `everybody`) all."""
        if everybody and "store" not in who.permissions:
            raise Forbidden("not_permitted", "Your role does not allow this.", message_zh="您的角色没有此权限。")
        found = await complaints.list(org_id=None if everybody else org_of(who), waiting=waiting)
        return as_json({"data": [complaint_view(one, clock.now()) for one in found]})

    @routes.post("/api/complaints/{complaint_id}/appeal")
    async def appeal(complaint_id: UUID, body: TextBody, who: Me) -> Response:
        """Appeal a rejection, once and in time."""
        done = await complaints.appeal(complaint_id, body.text, org_id=org_of(who))
        return as_json(complaint_view(done, clock.now()))

    @routes.post("/api/complaints/{complaint_id}/decide")
    async def decide(complaint_id: UUID, body: DecideBody, who: Person, _: Desk) -> Response:
        """Uphold or reject with reasons; an appeal is somebody else's to decide. `state`: as it was read; 409 where an
        appeal came since."""
        done = await complaints.decide(
            complaint_id, uphold=body.uphold, answer=body.answer, person_id=person_of(who), state=body.state
        )
        return as_json(complaint_view(done, clock.now()))
