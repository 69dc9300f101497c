"""HTTP of evaluation sets: `/api/evaluations/{kind}/{slug}`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.trials.model import Report
from shanhe.trials.service import Trials

Maker = Annotated[Actor, Depends(require("publish"))]
Kind = Literal["agent", "clone"]


class CasesBody(Body):
    cases: list[dict[str, Any]]


class ReasonBody(Body):
    reason: str


def report_view(one: Report) -> dict[str, Any]:
    """A report as it is shown."""
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(one, key=b""), enc_hook=str)
    found.pop("key")
    return found | {"worse": one.worse, "passed": one.passed}


def router(trials: Trials) -> APIRouter:
    """A maker's evaluation sets."""
    routes = APIRouter(prefix="/api/evaluations", tags=["evaluations"])

    @routes.get("/{kind}/{slug}")
    async def one(kind: Kind, slug: str, actor: Maker) -> Response:
        """An agent's set and what it measured, newest first."""
        org, agent = org_of(actor), f"{kind}/{slug}"
        return as_json({
            "cases": msgspec.to_builtins(await trials.cases(org, agent)),
            "reports": [report_view(report) for report in await trials.reports(org, agent)],
        })  # fmt: skip

    @routes.put("/{kind}/{slug}")
    async def set_cases(kind: Kind, slug: str, body: CasesBody, actor: Maker) -> Response:
        """Replace the set; an empty one takes the gate away."""
        found = await trials.set_cases(org_of(actor), f"{kind}/{slug}", body.cases, by=actor.ref)
        return as_json({"cases": msgspec.to_builtins(found)})

    @routes.post("/{kind}/{slug}/run")
    async def run(kind: Kind, slug: str, actor: Maker) -> Response:
        """Measure the draft beside the version in use, at list price; the same again is the same report."""
        return as_json(report_view(await trials.run(org_of(actor), f"{kind}/{slug}")))

    @routes.post("/{kind}/{slug}/excuse")
    async def excuse(kind: Kind, slug: str, body: ReasonBody, actor: Maker) -> Response:
        """Say why a worse draft should go on; the log keeps it."""
        return as_json(report_view(await trials.excuse(org_of(actor), f"{kind}/{slug}", body.reason, by=actor.ref)))

    return routes
