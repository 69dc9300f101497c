"""HTTP of programmes: everybody reads them, members apply, reviewers decide, operators fund and assign."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, actor, org_of, person_actor, person_of, require
from shanhe.kernel.http import as_json, sheet
from shanhe.kernel.routing import APIRouter, Body
from shanhe.programmes import views
from shanhe.programmes.cases import Application, File, State, Verdict
from shanhe.programmes.errors import UnknownApplication
from shanhe.programmes.guarantees import Guarantee
from shanhe.programmes.reviewing import OFFSET_MAX
from shanhe.programmes.service import Programmes
from shanhe.programmes.sheet import applications_csv

TEXT_MAX_CHARS = 1_000
FIELDS_MAX = 64

Answers = Annotated[dict[str, Any], Field(default_factory=dict, max_length=FIELDS_MAX)]
Reference = Annotated[str, Field(min_length=1, max_length=128)]
Member = Annotated[Actor, Depends(require("apply"))]
Operator = Annotated[Actor, Depends(require("programmes"))]
Someone = Annotated[Actor, Depends(actor)]
Reviewer = Annotated[Actor, Depends(person_actor)]


class ApplyBody(Body):
    programme: str = Field(max_length=64)
    client_ref: Reference
    answers: Answers
    evidence: Answers


class CheckBody(Body):
    programme: str = Field(max_length=64)
    answers: Answers
    evidence: Answers


class SupplementBody(Body):
    answers: Answers
    evidence: Answers


class ConvertBody(Body):
    id: UUID


class AppealBody(Body):
    why: str = Field(min_length=1, max_length=TEXT_MAX_CHARS)


class VerdictBody(Body):
    verdict: Verdict
    reason: str = Field("", max_length=TEXT_MAX_CHARS)
    assessed: Answers
    turn: int | None = Field(None, ge=0)


class MetBody(Body):
    on: date


class NoteBody(Body):
    note: str = Field(min_length=1, max_length=TEXT_MAX_CHARS)


class ClawbackBody(NoteBody):
    id: UUID


class CallBody(Body):
    id: UUID
    lost_fen: int = Field(gt=0, le=10**12, strict=True)
    past_due: int = Field(ge=0, le=100_000, strict=True)


class RecoveryBody(Body):
    id: UUID
    amount_fen: int = Field(gt=0, le=10**12, strict=True)


class RejectBody(Body):
    reason: str = Field(min_length=1, max_length=200)


class FundBody(Body):
    id: UUID
    amount: int = Field(gt=0, lt=2**53, strict=True)
    reason: str = Field(min_length=1, max_length=200)


class ReviewerBody(Body):
    person_id: UUID
    department: str = Field(max_length=64)


def router(programmes: Programmes) -> APIRouter:
    """Everything under /api/programmes."""
    routes = APIRouter(prefix="/api/programmes", tags=["programmes"])
    _money(routes, programmes)
    _operators(routes, programmes)
    _guarantees(routes, programmes)
    _sites(routes, programmes)
    _entitled(routes, programmes)
    _applications(routes, programmes)
    _reviewers(routes, programmes)
    _public(routes, programmes)
    return routes


def _public(routes: APIRouter, programmes: Programmes) -> None:
    @routes.get("")
    async def catalogue() -> Response:
        """Every programme: what it gives, to whom, by which rule, decided by whom within which time."""
        known = programmes.catalogue
        return as_json({"data": [views.programme_view(item, known) for item in known.programmes.values()]})

    @routes.get("/funds")
    async def funds() -> Response:
        """The city's public accounts: what each holds, has promised and paid, and its newest movements."""
        found = await programmes.budgets.public()
        return as_json({"data": [views.fund_view(*one, programmes.catalogue) for one in found]})

    @routes.get("/{programme}")
    async def one(programme: str) -> Response:
        return as_json(views.programme_view(programmes.programme(programme), programmes.catalogue))


def _entitled(routes: APIRouter, programmes: Programmes) -> None:
    @routes.get("/entitlements")
    async def entitlements(who: Member) -> Response:
        """What the caller is entitled to today and why; what stands against the rest, and what would change it."""
        found = await programmes.applying.entitlements(org_of(who))
        known = programmes.catalogue
        return as_json(
            {"data": [views.entitlement_view(known.programmes[item.programme], item, known) for item in found]}
        )

    @routes.get("/points")
    async def points(who: Member) -> Response:
        """The caller's contribution points: level (T5), reputation with its half-life (T6), what converts, and why."""
        return as_json(asdict(await programmes.points.standing(org_of(who))))

    @routes.post("/points/convert", status_code=201)
    async def convert(body: ConvertBody, who: Member) -> Response:
        """Turn whole blocks of points into credits; idempotent by `id`."""
        given = await programmes.points.convert(org_of(who), conversion_id=body.id, actor=who.ref)
        return as_json({"id": body.id, "credit_micro": given}, 201)

    @routes.get("/index")
    async def index(who: Member) -> Response:
        """The caller's value index (T13) by quarter and why, what the present quarter points to, what it opens."""
        org_id = org_of(who)
        so_far = await programmes.standings.so_far(org_id)
        benefits = await programmes.standings.benefits(org_id)
        return as_json({
            "data": [views.index_view(one) for one in await programmes.standings.of(org_id)],
            "so_far": views.index_view(so_far) if so_far else None,
            "benefits": {"outputs": benefits.outputs, "version": benefits.version, "trace": benefits.trace},
        })  # fmt: skip


def _applications(routes: APIRouter, programmes: Programmes) -> None:
    def view(app: Application) -> dict[str, Any]:
        return views.application_view(app, programmes.programme(app.programme), programmes.catalogue)

    @routes.post("/applications", status_code=201)
    async def apply(body: ApplyBody, who: Member) -> Response:
        """Apply; idempotent by `client_ref`."""
        made = await programmes.applying.apply(
            body.programme, org_of(who), answers=body.answers, evidence=body.evidence, client_ref=body.client_ref,
            actor=who.ref,
        )  # fmt: skip
        return as_json(view(made), 201)

    @routes.post("/check")
    async def check(body: CheckBody, who: Member) -> Response:
        """Look a form over without sending it: what is missing, what stands against it, what it would give."""
        found = await programmes.checking.check(
            body.programme, org_of(who), answers=body.answers, evidence=body.evidence
        )
        return as_json(views.checked_view(found, programmes.catalogue))

    @routes.get("/applications")
    async def mine(
        who: Member, before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
    ) -> Response:
        """The caller's applications, newest first."""
        page = await programmes.applications(org_id=org_of(who), before=before, limit=limit)
        return as_json({"data": [view(app) for app in page], "next": str(page[-1].id) if len(page) == limit else None})

    @routes.get("/applications/{application}")
    async def one(application: UUID, who: Someone) -> Response:
        """An application with its decisions and traces: for its applicant, its reviewers, operators and auditors."""
        file = await _seen(programmes, application, who)
        return as_json(views.file_view(file, programmes.programme(file.application.programme), programmes.catalogue))

    @routes.post("/applications/{application}/supplement")
    async def supplement(application: UUID, body: SupplementBody, who: Member) -> Response:
        """Add what a returned application lacked."""
        done = await programmes.applying.supplement(
            application, org_of(who), answers=body.answers, evidence=body.evidence, actor=who.ref
        )
        return as_json(view(done))

    @routes.post("/applications/{application}/appeal")
    async def appeal(application: UUID, body: AppealBody, who: Member) -> Response:
        """Have a refusal looked at again by other people; once."""
        return as_json(view(await programmes.applying.appeal(application, org_of(who), why=body.why, actor=who.ref)))

    @routes.post("/applications/{application}/withdraw")
    async def withdraw(application: UUID, who: Member) -> Response:
        return as_json(view(await programmes.applying.withdraw(application, org_of(who), actor=who.ref)))


def _guarantees(routes: APIRouter, programmes: Programmes) -> None:
    async def shown(found: list[Guarantee]) -> list[dict[str, Any]]:
        parties = {party for one in found for party in (one.borrower, one.bank)}
        names = {org_id: (await programmes.party(org_id)).name for org_id in parties}
        return [views.guarantee_view(one, names) for one in found]

    @routes.get("/guarantees")
    async def mine(who: Member) -> Response:
        """The caller's loan guarantees (I8), as borrower or as bank."""
        return as_json({"data": await shown(await programmes.guarantees.of(org_of(who)))})

    @routes.get("/guarantees/all")
    async def everybodys(_: Operator) -> Response:
        """Every loan guarantee."""
        return as_json({"data": await shown(await programmes.guarantees.of())})

    @routes.post("/guarantees/{application}/call", status_code=202)
    async def call(application: UUID, body: CallBody, who: Member) -> Response:
        """As the bank, ask to be paid for a loss; an operator has to agree. Idempotent by `id`."""
        await programmes.guarantees.as_bank(application, org_of(who))
        asked = await programmes.second.call(
            application, lost_fen=body.lost_fen, past_due=body.past_due, by=who.ref, request_id=body.id
        )
        return as_json(views.request_view(asked), 202)

    @routes.post("/guarantees/{application}/recoveries", status_code=201)
    async def recover(application: UUID, body: RecoveryBody, who: Member) -> Response:
        """As the bank, report what was recovered: the fund's part leaves the bank's account. Idempotent by `id`."""
        await programmes.guarantees.as_bank(application, org_of(who))
        found = await programmes.guarantees.recover(application, body.amount_fen, recovery_id=body.id, actor=who.ref)
        return as_json((await shown([found]))[0], 201)


def _sites(routes: APIRouter, programmes: Programmes) -> None:
    @routes.get("/sites")
    async def sites(_: Operator) -> Response:
        """The city's bases elsewhere (I11)."""
        known = programmes.catalogue.sites
        return as_json({"data": [{"id": name, "zh": one.zh, "en": one.en} for name, one in known.items()]})

    @routes.get("/sites/{site}")
    async def report(site: str, _: Operator, first: date, last: date) -> Response:
        """What went through a base's budgets between two days, and whom it supported."""
        return as_json(views.site_view(await programmes.sites.report(site, first, last), programmes.catalogue))


def _reviewers(routes: APIRouter, programmes: Programmes) -> None:
    @routes.get("/queue")
    async def queue(
        who: Reviewer, programme: str | None = None, org_id: UUID | None = None, overdue: bool = False,
        offset: Annotated[int, Query(ge=0, le=OFFSET_MAX)] = 0,
    ) -> Response:  # fmt: skip
        """What waits for the caller's departments, the most urgent first; `waiting` counts all of it by programme."""
        person, orgs = person_of(who), None if org_id is None else (org_id,)
        found = await programmes.reviewing.queue(person, programme=programme, orgs=orgs, overdue=overdue, offset=offset)
        counts = await programmes.reviewing.queued(person, orgs=orgs, overdue=overdue)
        known = programmes.catalogue
        shown = [views.application_view(app, known.programmes[app.programme], known) for app in found]
        return as_json({"data": shown, "waiting": counts})

    @routes.post("/applications/{application}/preview")
    async def preview(application: UUID, body: SupplementBody, who: Reviewer) -> Response:
        """What the rules would say with what the reviewer fills in; nothing is written."""
        app = (await _seen(programmes, application, who)).application
        outcome = await programmes.reviewing.preview(application, body.answers)
        return as_json(views.outcome_view(programmes.programme(app.programme), outcome))

    @routes.post("/applications/{application}/verdicts", status_code=201)
    async def decide(application: UUID, body: VerdictBody, who: Reviewer) -> Response:
        """Pass, refuse or return the present step; refusing and returning need a reason. `turn`: as the application
        said when the reviewer read it; 409 where it was returned and supplemented since."""
        await _seen(programmes, application, who)
        app = await programmes.reviewing.decide(
            application, person_of(who), body.verdict, reason=body.reason, assessed=body.assessed, turn=body.turn
        )
        return as_json(views.application_view(app, programmes.programme(app.programme), programmes.catalogue), 201)

    @routes.post("/applications/{application}/milestones/{n}")
    async def met(application: UUID, n: int, body: MetBody, who: Reviewer) -> Response:
        """Accept the document of a milestone as of a day."""
        await _seen(programmes, application, who)
        app = await programmes.reviewing.met(application, person_of(who), n, on=body.on)
        return as_json(views.application_view(app, programmes.programme(app.programme), programmes.catalogue))


def _money(routes: APIRouter, programmes: Programmes) -> None:
    @routes.get("/budgets")
    async def budgets(_: Operator) -> Response:
        """Every budget: what it holds, has promised and paid."""
        found = await programmes.budgets.list()
        return as_json({"data": [views.budget_view(item, programmes.catalogue) for item in found]})

    @routes.post("/budgets/{name}/fund", status_code=202)
    async def fund(name: str, body: FundBody, who: Operator) -> Response:
        """Ask for money into a budget, in minor units; a second operator has to agree. Idempotent by `id`."""
        asked = await programmes.second.fund(name, body.amount, reason=body.reason, by=who.ref, request_id=body.id)
        return as_json(views.request_view(asked), 202)

    @routes.get("/requests")
    async def requests(_: Operator) -> Response:
        """Money moves that operators asked for, newest first."""
        return as_json({"data": [views.request_view(one) for one in await programmes.second.requests()]})

    @routes.post("/requests/{request_id}/approve")
    async def approve(request_id: UUID, who: Operator) -> Response:
        """Agree as the second operator: it is done at once."""
        return as_json(views.request_view(await programmes.second.approve(request_id, by=who.ref)))

    @routes.post("/requests/{request_id}/reject")
    async def reject(request_id: UUID, body: RejectBody, who: Operator) -> Response:
        """Refuse as the second operator, and say why."""
        return as_json(views.request_view(await programmes.second.reject(request_id, by=who.ref, reason=body.reason)))

    @routes.post("/applications/{application}/clawback", status_code=202)
    async def clawback(application: UUID, body: ClawbackBody, who: Operator) -> Response:
        """Ask for an award to end and to come back; a second operator has to agree. Idempotent by `id`."""
        asked = await programmes.second.claw_back(application, note=body.note, by=who.ref, request_id=body.id)
        return as_json(views.request_view(asked), 202)


def _operators(routes: APIRouter, programmes: Programmes) -> None:
    @routes.get("/all")
    async def everything(
        _: Operator, programme: str | None = None, state: State | None = None, before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Response:  # fmt: skip
        """Applications of everybody, newest first."""
        page = await programmes.applications(programme=programme, state=state, before=before, limit=limit)
        known = programmes.catalogue
        rows = [views.application_view(app, known.programmes[app.programme], known) for app in page]
        return as_json({"data": rows, "next": str(page[-1].id) if len(page) == limit else None})

    @routes.post("/import/{programme}")
    async def imported(
        programme: str, request: Request, who: Operator, batch: Annotated[str, Query(min_length=1, max_length=64)],
        check: bool = False,
    ) -> Response:  # fmt: skip
        """Applications from a CSV (UTF-8 or GBK) or XLSX body, all or none; the report tells what is wrong by row. With
        `check` nothing is recorded: the report tells what each row would become."""
        body = await request.body()
        report = await programmes.importing.run(programme, body, batch=batch, actor=who.ref, check=check)
        return as_json(views.import_view(report), 201 if report.recorded else 200 if report.sound else 422)

    @routes.get("/applications.csv")
    async def everybodys(
        _: Operator,
        programme: Annotated[str | None, Query(max_length=64)] = None,
        state: Annotated[str | None, Query(max_length=40)] = None,
    ) -> Response:
        """Everybody's applications that fit, newest first, as a sheet: where each stands; applicants by id."""
        return sheet(applications_csv(programmes, programme=programme, state=state), "applications")

    @routes.get("/reviewers")
    async def reviewers(_: Operator) -> Response:
        return as_json({"data": await programmes.reviewing.reviewers()})

    @routes.post("/reviewers", status_code=201)
    async def assign(body: ReviewerBody, who: Operator) -> Response:
        """Let a person review for a department."""
        await programmes.reviewing.assign(body.person_id, body.department, actor=who.ref)
        return as_json({"person_id": body.person_id, "department": body.department}, 201)

    @routes.delete("/reviewers/{person_id}/{department}", status_code=204)
    async def dismiss(person_id: UUID, department: str, _: Operator) -> Response:
        await programmes.reviewing.dismiss(person_id, department)
        return Response(status_code=204)

    @routes.post("/applications/{application}/breach")
    async def breach(application: UUID, body: NoteBody, who: Operator) -> Response:
        """Record a breach of exclusivity; the rule decides between warning, freeze and clawback."""
        app = await programmes.awards.breach(application, note=body.note, actor=who.ref)
        return as_json(views.application_view(app, programmes.programme(app.programme), programmes.catalogue))


async def _seen(programmes: Programmes, application: UUID, who: Actor) -> File:
    """An application that the caller may see; UnknownApplication for every other, whatever its state."""
    file = await programmes.file(application)
    app = file.application
    if who.permissions & {"programmes", "audit"} or ("apply" in who.permissions and who.org_id == app.org_id):
        return file
    if who.person_id is None or not await programmes.reviewing.may_see(app.id, who.person_id):
        raise UnknownApplication
    return file
