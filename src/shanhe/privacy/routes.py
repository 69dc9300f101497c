"""HTTP of privacy: what the city does with data is public; one's own data for oneself; requests for operators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import AUTOMATED, Actor, Identity, person_actor, person_of, require
from shanhe.kernel.documents import render, save_headers
from shanhe.kernel.http import language, private_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body
from shanhe.privacy.model import GROUNDS, Conclusion, NewAssessment, RequestKind
from shanhe.privacy.model import Request as PersonRequest
from shanhe.privacy.paper import Word, copy_json, copy_paper
from shanhe.privacy.service import ASSESSMENT_CHARS, TEXT_CHARS, Privacy

Me = Annotated[Actor, Depends(person_actor)]
Clerk = Annotated[Actor, Depends(require("people"))]
Long = Annotated[str, Field(min_length=1, max_length=ASSESSMENT_CHARS)]


class AskBody(Body):
    id: UUID
    kind: RequestKind
    text: str = Field(min_length=1, max_length=TEXT_CHARS)


class AnswerBody(Body):
    done: bool
    answer: str = Field(min_length=1, max_length=TEXT_CHARS)


class ChildBody(Body):
    purpose: str = Field(max_length=200)
    notice_version: str = Field(max_length=100)
    apart: bool = False


class AssessmentBody(Body):
    id: UUID | None = None
    purpose: str = Field(max_length=200)
    grounds: list[str] = Field(min_length=1, max_length=len(GROUNDS))
    necessity: Long
    impact: Long
    safeguards: Long
    conclusion: Conclusion


def router(privacy: Privacy, identity: Identity, city_name: str, word: Word) -> APIRouter:
    """Everything under /api/privacy. Consents themselves are under /api/identity/me/consents."""
    routes = APIRouter(prefix="/api/privacy", tags=["privacy"])
    _public(routes, privacy)
    _mine(routes, privacy, identity)
    _copies(routes, privacy, city_name, word)
    _desk(routes, privacy)
    return routes


def _public(routes: APIRouter, privacy: Privacy) -> None:
    @routes.get("/purposes")
    async def purposes() -> Response:
        """Everything personal data is used for: notice in force, ground, whether it may be refused; public."""
        return private_json({"data": [asdict(one) for one in await privacy.standings(None)]})


def _mine(routes: APIRouter, privacy: Privacy, identity: Identity) -> None:
    @routes.get("/me")
    async def standing(actor: Me) -> Response:
        """How I stand to every purpose, what I asked, and whether a person decides about me."""
        return private_json(
            {
                "purposes": [asdict(one) for one in await privacy.standings(person_of(actor))],
                "by_people": await identity.consents.refused(person_of(actor), AUTOMATED),
                "requests": [asdict(one) for one in await privacy.requests(person_id=person_of(actor))],
            }
        )

    @routes.get("/me/readings")
    async def readings(
        actor: Me, before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """Who read my facts, for what, on what ground; newest first."""
        page = await privacy.readings(person_of(actor), before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return private_json({"data": [asdict(one) for one in page], "next": following})

    @routes.put("/me/refusals/{purpose}")
    async def refuse(purpose: str, actor: Me) -> Response:
        """Refuse what may be refused, like decisions by rules alone: from now on a person decides."""
        await identity.consents.refuse(person_of(actor), purpose)
        return private_json({"purpose": purpose, "refused": True})

    @routes.delete("/me/refusals/{purpose}")
    async def accept(purpose: str, actor: Me) -> Response:
        await identity.consents.accept(person_of(actor), purpose)
        return private_json({"purpose": purpose, "refused": False})

    @routes.post("/me/requests", status_code=201)
    async def ask(body: AskBody, actor: Me) -> Response:
        """Ask for a correction, an explanation or a restriction; idempotent by `id`."""
        return private_json(asdict(await privacy.ask(person_of(actor), body.kind, body.text, request_id=body.id)), 201)

    @routes.post("/children/{child}/consents", status_code=201)
    async def for_child(child: UUID, body: ChildBody, actor: Me) -> Response:
        """Consent for a child whose registered guardian I am."""
        given = await privacy.consent_for_child(
            child, body.purpose, notice_version=body.notice_version, apart=body.apart, guardian=person_of(actor)
        )
        return private_json(asdict(given), 201)


def _copies(routes: APIRouter, privacy: Privacy, city_name: str, word: Word) -> None:
    @routes.get("/me/copy.json")
    async def machine(actor: Me) -> Response:
        """Everything the city has about me, for machines."""
        made = await privacy.copy(person_of(actor))
        return Response(
            copy_json(made),
            media_type="application/json",
            headers={"content-disposition": 'attachment; filename="my-data.json"', "cache-control": "no-store"},
        )

    @routes.get("/me/copy.pdf")
    async def readable(request: Request, actor: Me) -> Response:
        """The same, to read."""
        made = await privacy.copy(person_of(actor))
        paper = copy_paper(made, city_name=city_name, word=word, language=language(request))
        return Response(await render(paper, "pdf"), headers=save_headers("my-data", "pdf"))


def _desk(routes: APIRouter, privacy: Privacy) -> None:
    @routes.get("/requests")
    async def requests(_: Clerk, open_only: bool = True) -> Response:
        """What people asked, the most urgent first; for those whom the city trusts with people."""
        return private_json({"data": [_plain(one) for one in await privacy.requests(open_only=open_only)]})

    @routes.post("/requests/{request_id}/answer")
    async def answer(request_id: UUID, body: AnswerBody, actor: Clerk) -> Response:
        """Answer a request; the person is told."""
        return private_json(_plain(await privacy.decide(request_id, done=body.done, answer=body.answer, by=actor.ref)))

    @routes.get("/assessments")
    async def assessments(_: Clerk) -> Response:
        """Impact assessments, newest first, and the purposes that still lack one."""
        found = await privacy.assessments()
        return private_json({"data": [asdict(one) for one in found], "missing": await privacy.unassessed()})

    @routes.post("/assessments", status_code=201)
    async def assess(body: AssessmentBody, actor: Clerk) -> Response:
        """Record an impact assessment; it can't be changed, only succeeded, and is kept as long as the law says."""
        new = NewAssessment(
            body.id or new_id(), body.purpose, tuple(body.grounds), body.necessity, body.impact, body.safeguards,
            body.conclusion,
        )  # fmt: skip
        return private_json(asdict(await privacy.assess(new, by=actor.ref)), 201)


def _plain(request: PersonRequest) -> dict[str, Any]:
    return asdict(request)
