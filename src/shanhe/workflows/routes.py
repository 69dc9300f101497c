"""HTTP of workflows: writing, publishing, running, deciding, and what starts runs by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, Role, org_of, person_actor, require
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.http import as_json, private_json
from shanhe.kernel.marks import mark_of
from shanhe.kernel.routing import APIRouter, Body
from shanhe.workflows.errors import NotYourApproval
from shanhe.workflows.model import Run, Step, Version
from shanhe.workflows.service import Workflows

Asking = Annotated[Actor, Depends(actor_of)]
Maker = Annotated[Actor, Depends(require("publish"))]
Payer = Annotated[Actor, Depends(require("usage"))]
Person = Annotated[Actor, Depends(person_actor)]


class NewBody(Body):
    id: UUID | None = None
    slug: str
    title: str


class TitleBody(Body):
    title: str


class DefinitionBody(Body):
    definition: dict[str, Any]


class DraftBody(DefinitionBody):
    base: str | None = None


class PublishBody(Body):
    n: int | None = None


class RunBody(Body):
    ref: str
    input: dict[str, Any] = Field(default_factory=dict)
    draft: bool = False


class TrialBody(Body):
    ref: str
    variables: dict[str, Any] = Field(default_factory=dict)


class WordBody(Body):
    approve: bool
    note: str = ""


class ScheduleBody(Body):
    schedule: dict[str, Any]
    input: dict[str, Any] = Field(default_factory=dict)


class HookBody(Body):
    id: UUID | None = None


def router(workflows: Workflows, url: str) -> APIRouter:
    """Everything under /api/workflows, and the addresses webhooks are sent to."""
    routes = APIRouter(tags=["workflows"])
    _approvals(routes, workflows)
    _runs(routes, workflows)
    _definitions(routes, workflows)
    _starts(routes, workflows)
    _triggers(routes, workflows, url)
    return routes


def roles_of(actor: Actor) -> list[str]:
    """As whom somebody may decide in their organisation: an owner also what any member may."""
    if Role.OWNER in actor.roles:
        return ["owner", "member"]
    return ["member"] if Role.MEMBER in actor.roles else []


def run_view(run: Run, steps: list[Step] | None = None) -> dict[str, Any]:
    """A run as it is shown: where it stands, what it returned, what it cost."""
    found: dict[str, Any] = msgspec.to_builtins(run, enc_hook=str)
    found["at"] = found.pop("course")["at"]
    if steps is not None:
        found["step_list"] = [_but(msgspec.to_builtins(step, enc_hook=str), "answer", "run") for step in steps]
    return found


def marked(version: Version) -> dict[str, Any]:
    """A version as it is shown, with what its definition is recognised by."""
    found: dict[str, Any] = msgspec.to_builtins(version, enc_hook=str)
    return found | {"mark": mark_of(version.definition)}


def _but(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in names}


def _listed(rows: Any, then: Callable[[Any], Any] = lambda row: row) -> Response:
    return as_json({"data": [then(msgspec.to_builtins(row, enc_hook=str)) for row in rows]})


def _approvals(routes: APIRouter, workflows: Workflows) -> None:
    @routes.get("/api/workflows/approvals")
    async def inbox(actor: Person) -> Response:
        """What waits for your word."""
        if actor.org_id is None or actor.person_id is None:
            return as_json({"data": []})
        return _listed(await workflows.inbox(actor.org_id, actor.person_id, roles_of(actor)))

    @routes.post("/api/workflows/approvals/{approval}")
    async def decide(approval: UUID, body: WordBody, actor: Person) -> Response:
        """Say yes or no; the run goes on."""
        if actor.person_id is None:
            raise NotYourApproval()
        return as_json(await workflows.decide(
            approval, org_id=org_of(actor), person=actor.person_id, roles=roles_of(actor), approve=body.approve,
            note=body.note,
        ))  # fmt: skip


def _runs(routes: APIRouter, workflows: Workflows) -> None:
    @routes.get("/api/workflows/runs")
    async def runs(actor: Maker, slug: str | None = None, before: UUID | None = None) -> Response:
        """Your organisation's runs, newest first."""
        return as_json({"data": [run_view(run) for run in await workflows.runs(org_of(actor), slug, before)]})

    @routes.get("/api/workflows/costs")
    async def costs(
        actor: Payer, first: Annotated[date, Query(alias="from")], last: Annotated[date, Query(alias="to")]
    ) -> Response:  # fmt: skip
        """What your organisation paid for workflows by day, workflow and key, from the receipts of their runs."""
        return _listed(await workflows.costs(org_of(actor), first, last))

    @routes.get("/api/workflows/runs/{run_id}")
    async def run(run_id: UUID, actor: Maker) -> Response:
        """A run with each step, what it cost, and the receipts."""
        parts = await workflows.parts(run_id, org_of(actor))
        shown = [{"n": one.parent_n, "run": str(one.id), "slug": one.slug, "state": one.state} for one in parts]
        return as_json(run_view(*await workflows.trace(run_id, org_of(actor))) | {"parts": shown})

    @routes.post("/api/workflows/runs/{run_id}/cancel")
    async def cancel(run_id: UUID, actor: Maker) -> Response:
        """Do nothing more of it."""
        return as_json(run_view(await workflows.cancel(run_id, org_of(actor))))


def _definitions(routes: APIRouter, workflows: Workflows) -> None:
    @routes.post("/api/workflows/check")
    async def check(body: DefinitionBody, _: Maker) -> Response:
        """Every reason why a definition can't run, with its node."""
        found = workflows.check(body.definition)
        return as_json({"data": [{"node": n, "code": code, "zh": zh, "en": en} for n, code, zh, en in found]})

    @routes.get("/api/workflows")
    async def mine(actor: Maker) -> Response:
        """Your organisation's workflows."""
        return _listed(await workflows.mine(org_of(actor)))

    @routes.post("/api/workflows", status_code=201)
    async def create(body: NewBody, actor: Maker) -> Response:
        """A new workflow; the same id again is the same."""
        return as_json(
            await workflows.create(body.slug, body.title, org_id=org_of(actor), by=actor.ref, workflow_id=body.id),
            status=201,
        )

    @routes.put("/api/workflows/{slug}/title")
    async def rename(slug: str, body: TitleBody, actor: Maker) -> Response:
        """Another title."""
        return as_json(await workflows.rename(org_of(actor), slug, body.title))

    @routes.get("/api/workflows/{slug}")
    async def one(slug: str, actor: Maker) -> Response:
        """A workflow with its versions, newest first."""
        found = await workflows.one(org_of(actor), slug)
        versions = await workflows.versions(org_of(actor), slug)
        return as_json(msgspec.to_builtins(found, enc_hook=str) | {"versions": [marked(one) for one in versions]})

    @routes.delete("/api/workflows/{slug}")
    async def delete(slug: str, actor: Maker, *, anyway: bool = False) -> Response:
        """Take it away; 409 `workflow_in_use` says what refers to it, unless `anyway`. Its runs stay."""
        await workflows.delete(org_of(actor), slug, by=actor.ref, anyway=anyway)
        return as_json({"slug": slug, "deleted": True})

    @routes.put("/api/workflows/{slug}/draft")
    async def save(slug: str, body: DraftBody, actor: Maker) -> Response:
        """Write the draft; it may still be wrong. With the `mark` that was read as `base`, nobody's changes since are
        written over."""
        saved = await workflows.save(org_of(actor), slug, body.definition, by=actor.ref, base=body.base)
        return as_json(marked(saved))

    @routes.post("/api/workflows/{slug}/publish")
    async def publish(slug: str, body: PublishBody, actor: Maker) -> Response:
        """Make the draft what runs from now on."""
        return as_json(marked(await workflows.publish(org_of(actor), slug, n=body.n)))


def _starts(routes: APIRouter, workflows: Workflows) -> None:
    @routes.post("/api/workflows/{slug}/runs", status_code=202)
    async def start(slug: str, body: RunBody, actor: Maker) -> Response:
        """Start a run; the same `ref` again is the same run. A key pays within its own budgets."""
        run = await workflows.start(
            org_of(actor), slug, body.input, ref=body.ref, key_id=actor.key_id, draft=body.draft
        )  # fmt: skip
        return as_json(run_view(run), status=202)

    @routes.get("/api/workflows/{slug}/nodes/{node}")
    async def wants(slug: str, node: str, actor: Maker) -> Response:
        """Variables that a node of the draft needs to be tried alone, as the newest run left them."""
        return as_json({"variables": await workflows.wants(org_of(actor), slug, node)})

    @routes.post("/api/workflows/{slug}/nodes/{node}/try", status_code=202)
    async def try_node(slug: str, node: str, body: TrialBody, actor: Maker) -> Response:
        """Run one node of the draft alone; the same `ref` again is the same run."""
        run = await workflows.try_node(
            org_of(actor), slug, node, body.variables, ref=body.ref, key_id=actor.key_id
        )  # fmt: skip
        return as_json(run_view(run), status=202)


def _triggers(routes: APIRouter, workflows: Workflows, url: str) -> None:
    @routes.get("/api/workflows/{slug}/schedule")
    async def schedule(slug: str, actor: Maker) -> Response:
        """When it starts by itself."""
        return as_json({"schedule": await workflows.schedule(org_of(actor), slug)})

    @routes.put("/api/workflows/{slug}/schedule")
    async def set_schedule(slug: str, body: ScheduleBody, actor: Maker) -> Response:
        """Start it at times of the city's day."""
        found = await workflows.set_schedule(
            org_of(actor), slug, body.schedule, body.input, by=actor.ref, key_id=actor.key_id
        )
        return as_json({"schedule": found})

    @routes.delete("/api/workflows/{slug}/schedule")
    async def stop(slug: str, actor: Maker) -> Response:
        """Start it no more by itself."""
        await workflows.stop_schedule(org_of(actor), slug)
        return as_json({"schedule": None})

    @routes.get("/api/workflows/{slug}/hooks")
    async def hooks(slug: str, actor: Maker) -> Response:
        """Its webhooks, without their secrets."""
        return _listed(await workflows.hooks(org_of(actor), slug))

    @routes.post("/api/workflows/{slug}/hooks", status_code=201)
    async def add_hook(slug: str, body: HookBody, actor: Maker) -> Response:
        """An address that starts it, and the secret to sign with."""
        hook, secret = await workflows.add_hook(org_of(actor), slug, by=actor.ref, hook_id=body.id, key_id=actor.key_id)
        return private_json({"id": str(hook.id), "url": f"{url}/hooks/{hook.id}", "secret": secret}, status=201)

    @routes.delete("/api/workflows/{slug}/hooks/{hook}")
    async def revoke(slug: str, hook: UUID, actor: Maker) -> Response:
        """Take calls of this address no more."""
        await workflows.revoke_hook(org_of(actor), slug, hook)
        return as_json({"id": str(hook), "revoked": True})

    @routes.post("/hooks/{hook}", status_code=202)
    async def receive(hook: UUID, request: Request) -> Response:
        """A signed call from outside: starts a run."""
        head = request.headers
        run = await workflows.receive(
            hook, head.get("webhook-id", ""), head.get("webhook-timestamp", ""), head.get("webhook-signature", ""),
            await request.body(),
        )  # fmt: skip
        return as_json({"run": str(run.id), "state": run.state}, status=202)
