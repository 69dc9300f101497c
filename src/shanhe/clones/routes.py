"""`/api/clones`: makers ask, people decide and take back, users correct, makers review and train the next version."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.clones.api import PURPOSES, Clones, Feedback, FeedbackState, Mandate, Teaching
from shanhe.clones.model import CALLED_MAX_CHARS, TEXT_MAX_CHARS
from shanhe.identity.api import Actor, org_of, person_actor, person_of, require
from shanhe.kernel.http import private_json
from shanhe.kernel.routing import APIRouter, Body

NAME_MAX = 40
CODE_MAX = 64
Maker = Annotated[Actor, Depends(require("publish"))]
Me = Annotated[Actor, Depends(person_actor)]
Words = Annotated[list[str], Field(min_length=1, max_length=len(PURPOSES))]


class AskBody(Body):
    id: UUID | None = None
    name: str = Field(max_length=NAME_MAX)
    purposes: Words
    until: date


class GrantBody(Body):
    called: str = Field(min_length=1, max_length=CALLED_MAX_CHARS)
    purposes: Words
    until: date
    notice_version: str = Field(max_length=100)


class FeedbackBody(Body):
    id: UUID | None = None
    run_id: UUID
    good: bool
    question: str = Field(min_length=1, max_length=TEXT_MAX_CHARS)
    answer: str = Field(min_length=1, max_length=TEXT_MAX_CHARS)
    label: dict[str, Any]
    correction: str = Field("", max_length=TEXT_MAX_CHARS)


class ReviewBody(Body):
    accept: bool


class TrainBody(Body):
    version: UUID
    recipe: dict[str, Any] = Field(default_factory=dict)


class NextBody(Body):
    number: int = Field(ge=1)


def router(clones: Clones, teaching: Teaching) -> APIRouter:
    """Consents, feedback, and the next version."""
    routes = APIRouter(prefix="/api/clones", tags=["clones"])
    _makers(routes, clones)
    _people(routes, clones)
    _users(routes, teaching)
    _teachers(routes, teaching)
    return routes


def _users(routes: APIRouter, teaching: Teaching) -> None:
    @routes.post("/feedback", status_code=201)
    async def say(body: FeedbackBody, actor: Me) -> Response:
        """Rate and correct an answer you got, with its `AIGC` label; needs your consent to `clone_training`."""
        label = body.label.get("AIGC", body.label)
        found = await teaching.say(
            person_of(actor), org_of(actor), body.run_id, good=body.good, question=body.question, answer=body.answer,
            label=label if isinstance(label, dict) else {}, correction=body.correction, feedback_id=body.id,
        )  # fmt: skip
        return private_json(feedback_view(found), 201)

    @routes.get("/feedback")
    async def said(actor: Me) -> Response:
        """What you said of answers."""
        return private_json({"data": [feedback_view(one) for one in await teaching.said(person_of(actor))]})


def _teachers(routes: APIRouter, teaching: Teaching) -> None:
    @routes.get("/{slug}/feedback")
    async def queue(slug: str, actor: Maker, state: FeedbackState | None = None) -> Response:
        """What users said of your clone's answers, newest first; not who they are."""
        found = await teaching.queue(f"clone/{slug}", org_of(actor), state)
        return private_json({"data": [feedback_view(one) for one in found]})

    @routes.put("/feedback/{feedback_id}")
    async def decide(feedback_id: UUID, body: ReviewBody, actor: Maker) -> Response:
        """Accept or reject one piece; only what is accepted may teach."""
        found = await teaching.decide(feedback_id, org_of(actor), accept=body.accept, by=actor.ref)
        return private_json(feedback_view(found))

    @routes.post("/{slug}/lessons", status_code=201)
    async def collect(slug: str, actor: Maker) -> Response:
        """Accepted feedback as the next version of the clone's data set."""
        version, lessons = await teaching.collect(f"clone/{slug}", org_of(actor), by=actor.ref)
        return private_json({"version": version, "lessons": lessons}, 201)

    @routes.post("/{slug}/train", status_code=201)
    async def train(slug: str, body: TrainBody, actor: Maker) -> Response:
        """Train an adapter on a version; the studio's job, whose budget is held."""
        job = await teaching.train(f"clone/{slug}", org_of(actor), body.version, body.recipe, by=actor.ref)
        return private_json({"job": job}, 201)

    @routes.get("/{slug}/versions")
    async def versions(slug: str, actor: Maker) -> Response:
        """What was trained, its scores, and whether it may be offered (T2)."""
        return private_json({"data": [asdict(one) for one in await teaching.gates(f"clone/{slug}", org_of(actor))]})

    @routes.post("/{slug}/next", status_code=201)
    async def offer(slug: str, body: NextBody, actor: Maker) -> Response:
        """Hand in the listing's next version with this adapter, if its evaluation passes the gate."""
        n = await teaching.offer(f"clone/{slug}", org_of(actor), body.number, by=actor.ref)
        return private_json({"version": n}, 201)


def feedback_view(one: Feedback) -> dict[str, Any]:
    """Feedback in JSON, without who gave it."""
    return {name: value for name, value in asdict(one).items() if name not in ("person_id", "org_id")}


def _makers(routes: APIRouter, clones: Clones) -> None:
    @routes.post("/requests", status_code=201)
    async def ask(body: AskBody, actor: Maker) -> Response:
        """Ask a person for their consent: hand them the `code`, which is shown once."""
        made, code = await clones.ask(
            org_of(actor), body.name, body.purposes, body.until, by=actor.ref, mandate_id=body.id
        )
        return private_json({**view(made), "code": code}, 201)

    @routes.get("/requests")
    async def requests(actor: Maker) -> Response:
        """What your organisation asked for, newest first."""
        return private_json({"data": [view(one) for one in await clones.mandates(org_id=org_of(actor))]})

    @routes.delete("/requests/{mandate_id}")
    async def drop(mandate_id: UUID, actor: Maker) -> Response:
        """Take a request or a clone back; what was made of the person is deleted."""
        return private_json(view(await clones.drop(mandate_id, org_of(actor))))


def _people(routes: APIRouter, clones: Clones) -> None:
    @routes.get("/consents")
    async def mine(actor: Me) -> Response:
        """The clones of you: who made them, for what, until when."""
        return private_json({"data": [view(one) for one in await clones.mandates(person_id=person_of(actor))]})

    @routes.get("/consents/{code}")
    async def asked(code: str, actor: Me) -> Response:
        """What a link asks of you, and the notice you would consent to."""
        return private_json({**view(await clones.asked(code[:CODE_MAX], actor.person_id)), "notice": clones.notice()})

    @routes.post("/consents/{code}")
    async def grant(code: str, body: GrantBody, actor: Me) -> Response:
        """Consent to a clone of you: for these purposes, until this day; never more than was asked."""
        found = await clones.grant(
            code[:CODE_MAX], person_of(actor), called=body.called, wanted=body.purposes, until=body.until,
            notice_version=body.notice_version,
        )  # fmt: skip
        return private_json(view(found))

    @routes.post("/consents/{code}/decline")
    async def decline(code: str, actor: Me) -> Response:
        """Say no."""
        return private_json(view(await clones.decline(code[:CODE_MAX], person_of(actor))))

    @routes.delete("/consents/{mandate_id}")
    async def revoke(mandate_id: UUID, actor: Me) -> Response:
        """Take your consent back: the clone stops at once and everything made for it is deleted."""
        return private_json(view(await clones.revoke(mandate_id, person_of(actor))))


def view(found: Mandate) -> dict[str, Any]:
    """A mandate in JSON; whose account decided stays between that person and the city."""
    return {name: value for name, value in asdict(found).items() if name not in ("person_id", "consent_id")}
