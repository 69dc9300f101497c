"""`/api/studio`: estimates, jobs with their curves, models, deploying and rolling back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from shanhe.identity.api import Actor, org_or_all, org_with
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.studio.model import Job, Made, Recipe
from shanhe.studio.service import PAGE_MAX, WHOLE_BPS, Studio
from shanhe.studio.trades import templates

plainly = partial(as_json, enc_hook=str)
reader = partial(org_or_all, everything="models")
"""None for operators, who see everything; else the organisation."""
EVENTS_EVERY_S: Final = 1.0
EVENTS_MOST: Final = 3_600
"""Events of one stream; a client that wants more asks again."""
Asking = Annotated[Actor, Depends(actor_of)]
Once = Annotated[str | None, Header(alias="idempotency-key", max_length=200)]


class RecipeBody(Body):
    version: UUID
    recipe: dict[str, Any]


class OrderBody(RecipeBody):
    name: str = Field(min_length=2, max_length=40)
    budget_micro: int | None = Field(None, ge=1, le=10**15)


class DeployBody(Body):
    number: int | None = Field(None, ge=1)
    share_bps: int = Field(WHOLE_BPS, ge=1, le=WHOLE_BPS)


def router(studio: Studio) -> APIRouter:
    """Everything under /api/studio."""
    routes = APIRouter(prefix="/api/studio", tags=["studio"])
    _jobs(routes, studio)
    _models(routes, studio)
    return routes


def _jobs(routes: APIRouter, studio: Studio) -> None:
    @routes.get("/templates")
    async def trades(actor: Asking) -> Response:
        """What to begin with: samples and recipes of trades."""
        return plainly({name: msgspec.to_builtins(one) for name, one in templates().items()})

    @routes.post("/estimate")
    async def estimate(body: RecipeBody, actor: Asking) -> Response:
        """Steps, processor time, price, and the budget that would be held."""
        return plainly(await studio.estimate(reader(actor), body.version, recipe_of(body.recipe)))

    @routes.post("/jobs", status_code=201)
    async def order(body: OrderBody, actor: Asking, once: Once = None) -> Response:
        """Queue a job and hold its budget."""
        job = await studio.order(
            org_with(actor, "keys", "models"), body.name, body.version, recipe_of(body.recipe), by=actor.ref,
            budget_micro=body.budget_micro, request_key=once,
        )  # fmt: skip
        return plainly(job_view(job), 201)

    @routes.get("/jobs")
    async def jobs(actor: Asking, limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50) -> Response:
        """Jobs of one's organisation, the newest first; operators see all."""
        return plainly([job_view(one) for one in await studio.jobs(reader(actor), limit)])

    @routes.get("/jobs/{job_id}")
    async def job(job_id: UUID, actor: Asking) -> Response:
        """A job with its steps, curves and last words."""
        return plainly(await job_page(studio, await studio.job(job_id, reader(actor))))

    @routes.get("/jobs/{job_id}/events")
    async def events(job_id: UUID, actor: Asking) -> StreamingResponse:
        """The same again and again while it runs, as server-sent events."""
        job = await studio.job(job_id, reader(actor))
        return StreamingResponse(_events(studio, job), media_type="text/event-stream")

    @routes.post("/jobs/{job_id}/cancel")
    async def cancel(job_id: UUID, actor: Asking) -> Response:
        """End a job; what it used until then is charged."""
        org_with(actor, "keys", "models")
        return plainly(job_view(await studio.cancel(job_id, reader(actor))))

    @routes.post("/jobs/{job_id}/resume", status_code=201)
    async def resume(job_id: UUID, actor: Asking) -> Response:
        """Order a failed or cancelled job again; it goes on where it ended."""
        org_with(actor, "keys", "models")
        return plainly(job_view(await studio.resume(job_id, reader(actor), by=actor.ref)), 201)

    @routes.get("/jobs/{job_id}/answers")
    async def answers(job_id: UUID, actor: Asking) -> Response:
        """What the base and the model answered, side by side."""
        return plainly(await studio.compare(job_id, reader(actor)))


def _models(routes: APIRouter, studio: Studio) -> None:
    @routes.get("/models")
    async def models(actor: Asking) -> Response:
        """What came out of the studio."""
        return plainly([made_view(one) for one in await studio.models(reader(actor))])

    @routes.post("/models/{name}/deploy")
    async def deploy(name: str, body: DeployBody, actor: Asking) -> Response:
        """Let a model answer under its name; without a number the newest."""
        org_with(actor, "keys", "models")
        return plainly(
            made_view(await studio.deploy(name, reader(actor), body.number, by=actor.ref, share_bps=body.share_bps))
        )

    @routes.post("/models/{name}/rollback")
    async def rollback(name: str, actor: Asking) -> Response:
        """Let the model answer that did before."""
        org_with(actor, "keys", "models")
        return plainly(made_view(await studio.roll_back(name, reader(actor), by=actor.ref)))


async def _events(studio: Studio, job: Job) -> AsyncIterator[bytes]:
    last = b""
    for _ in range(EVENTS_MOST):
        job = await studio.job(job.id, None)
        page = msgspec.json.encode(await job_page(studio, job), enc_hook=str)
        if page != last:
            last = page
            yield b"data: " + page + b"\n\n"
        if job.ended_at is not None:
            return
        await asyncio.sleep(EVENTS_EVERY_S)


def recipe_of(fields: dict[str, Any]) -> Recipe:
    try:
        return msgspec.convert(fields, Recipe)
    except msgspec.ValidationError as error:
        raise Invalid("bad_recipe", f"The recipe can't be read: {error}.", message_zh="配方无法读取。") from error


def job_view(one: Job) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    for kept in ("hold_id", "rubric"):
        fields.pop(kept)
    return fields


async def job_page(studio: Studio, one: Job) -> dict[str, Any]:
    """A job with everything; `eta_s` of the step that runs, where its curve tells."""
    steps = [
        msgspec.to_builtins(step) | {"hash": step.hash.hex() if step.hash else None} for step in await studio.steps(one)
    ]
    points: dict[int, list[Any]] = {}
    for point in await studio.points(one):
        points.setdefault(point.at, []).append([point.n, point.of, round(point.loss, 4)])
    running = next((step for step in await studio.steps(one) if step.state == "running"), None)
    eta_s = None
    if running is not None and running.started_at is not None and (curve := points.get(running.at)):
        done, of, _ = curve[-1]
        took_s = (studio.clock.now() - running.started_at).total_seconds()
        eta_s = round(took_s / max(1, done) * (of - done))
    recipe = msgspec.to_builtins(await studio.recipe_of(one))
    return job_view(one) | {
        "recipe": recipe, "steps": steps, "curves": points, "eta_s": eta_s, "log": await studio.log(one),
    }  # fmt: skip


def made_view(one: Made) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    return fields | {"sha256": one.sha256.hex(), "step_hash": one.step_hash.hex()}
