"""HTTP of approvals. A truth knows no guard: `require(permission)` comes from the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.approvals.model import Gate, NewLicence, RequestState, Scope
from shanhe.approvals.service import NUMBER_LIMIT_CHARS, PAGE_ROWS, TEXT_LIMIT_CHARS, Approvals
from shanhe.kernel.asking import asked_view
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body


class LicenceBody(Body):
    scope: Scope
    authority: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)
    number: str = Field(min_length=1, max_length=NUMBER_LIMIT_CHARS)
    valid_from: date
    valid_to: date
    sample: bool = False


class ReasonBody(Body):
    reason: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class ApproveBody(Body):
    reason: str = Field("", max_length=TEXT_LIMIT_CHARS)


def router(approvals: Approvals, require: Callable[..., Any]) -> APIRouter:
    """Everything under /api/approvals; the gate is public. `require(permission, …)` guards: one of them is needed."""
    routes = APIRouter(prefix="/api/approvals", tags=["approvals"])
    read, write = Depends(require("ledger")), Depends(require("accounts"))
    _licences(routes, approvals, read, write)
    _requests(routes, approvals, read, Depends(require(*approvals.rights())))
    return routes


def _licences(routes: APIRouter, approvals: Approvals, read: Any, write: Any) -> None:
    @routes.get("/gate/{scope}")
    async def gate(scope: Scope, on: date | None = None) -> Response:
        """Whether real cash may move in a scope on a day, and by which approval; public."""
        return as_json(gate_view(await approvals.gate(scope, on)))

    @routes.get("/licences", dependencies=[read])
    async def licences(scope: Scope | None = None) -> Response:
        """Recorded approvals, newest first."""
        return as_json({"data": [asdict(licence) for licence in await approvals.licences(scope)]})

    @routes.post("/licences", status_code=202)
    async def record(body: LicenceBody, actor: Any = write) -> Response:
        """Ask that an authority's approval be recorded, by which real cash moves: another operator agrees."""
        return as_json(asked_view(await approvals.ask_licence(NewLicence(**body.model_dump()), by=actor.ref)), 202)

    @routes.post("/licences/{licence_id}/revoke")
    async def revoke(licence_id: UUID, body: ReasonBody, actor: Any = write) -> Response:
        """End an approval now."""
        return as_json(asdict(await approvals.revoke(licence_id, reason=body.reason, by=actor.ref)))


def _requests(routes: APIRouter, approvals: Approvals, read: Any, decide: Any) -> None:
    @routes.get("/requests", dependencies=[read])
    async def requests(
        kind: Annotated[str | None, Query(max_length=64)] = None, state: RequestState | None = None,
        before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=200)] = PAGE_ROWS,
    ) -> Response:  # fmt: skip
        """Four-eyes requests, newest first."""
        page = await approvals.requests(kind=kind, state=state, before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return as_json({"data": [asdict(item) for item in page], "next": following})

    @routes.get("/requests/{request_id}", dependencies=[read])
    async def request(request_id: UUID) -> Response:
        return as_json(asdict(await approvals.get(request_id)))

    @routes.post("/requests/{request_id}/approve")
    async def approve(request_id: UUID, body: ApproveBody, actor: Any = decide) -> Response:
        """The second person agrees; then it is done. What stands in its way is the answer: `request_state` among the
        details says whether it waits (`approved`) or has ended (`refused`)."""
        rights = actor.permissions
        return as_json(asdict(await approvals.agree(request_id, by=actor.ref, reason=body.reason, rights=rights)))

    @routes.post("/requests/{request_id}/again")
    async def again(request_id: UUID, actor: Any = decide) -> Response:
        """Try once more what was agreed to and is not done; it is done once however often it is tried."""
        return as_json(asdict(await approvals.again(request_id, by=actor.ref, rights=actor.permissions)))

    @routes.post("/requests/{request_id}/reject")
    async def reject(request_id: UUID, body: ReasonBody, actor: Any = decide) -> Response:
        """The second person refuses."""
        rights = actor.permissions
        return as_json(asdict(await approvals.reject(request_id, by=actor.ref, reason=body.reason, rights=rights)))

    @routes.post("/requests/{request_id}/withdraw")
    async def withdraw(request_id: UUID, actor: Any = decide) -> Response:
        """Who asked takes it back."""
        return as_json(asdict(await approvals.withdraw(request_id, by=actor.ref)))


def gate_view(gate: Gate) -> dict[str, Any]:
    """A gate as JSON."""
    return {
        "scope": gate.scope,
        "mode": gate.mode,
        "sample": gate.sample,
        "licence": None if gate.licence is None else asdict(gate.licence),
    }
