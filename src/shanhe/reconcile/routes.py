"""HTTP of reconciliation, for operators; auditors may read."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, require
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.payments.api import Bills, StatementUnreadable
from shanhe.reconcile.api import Outcome, Reconciliation, Run, plain

BILL_LIMIT_BYTES = 1_000_000
Reader = Annotated[Actor, Depends(require("ledger"))]
Operator = Annotated[Actor, Depends(require("accounts"))]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class RunBody(Body):
    day: date | None = None


class AssignBody(Body):
    owner: Text


class ResolveBody(Body):
    outcome: Outcome
    note: Text


def router(reconciliation: Reconciliation, bills: Bills, ask_write_off: AskSecond) -> APIRouter:
    """Everything under /api/reconcile. `ask_write_off`: (difference, note, by)."""
    routes = APIRouter(prefix="/api/reconcile", tags=["reconcile"])

    @routes.post("/runs", status_code=201)
    async def run(body: RunBody, actor: Operator) -> Response:
        """Compare a day that is over; default yesterday."""
        return as_json(run_view(await reconciliation.run(body.day, by=actor.ref)), 201)

    @routes.get("/runs")
    async def runs(_: Reader) -> Response:
        return as_json({"data": [run_view(one) for one in await reconciliation.runs()]})

    @routes.get("/differences")
    async def differences(_: Reader, day: date | None = None, everything: bool = False) -> Response:
        """Open differences, newest first."""
        found = await reconciliation.differences(day, everything=everything)
        return as_json({"data": [plain(one) for one in found]})

    @routes.get("/differences/{difference_id}")
    async def difference(difference_id: UUID, _: Reader) -> Response:
        return as_json(plain(await reconciliation.get(difference_id)))

    @routes.post("/differences/{difference_id}/assign")
    async def assign(difference_id: UUID, body: AssignBody, actor: Operator) -> Response:
        """Name who looks into it."""
        return as_json(plain(await reconciliation.assign(difference_id, body.owner, by=actor.ref)))

    @routes.post("/differences/{difference_id}/resolve")
    async def resolve(difference_id: UUID, body: ResolveBody, actor: Operator) -> Response:
        """Close it: released where money is concerned, else explained. Writing money off is asked for; another operator
        agrees, then it is closed."""
        if body.outcome is Outcome.WRITTEN_OFF:
            asked = await ask_write_off(difference_id, body.note, by=actor.ref)
            return as_json(asked_view(asked), 202)
        done = await reconciliation.resolve(difference_id, body.outcome, by=actor.ref, note=body.note)
        return as_json(plain(done))

    @routes.post("/bills/{provider}", status_code=201)
    async def bill(
        provider: str, request: Request, actor: Operator, name: Annotated[str, Query(max_length=200)] = "bill.csv"
    ) -> Response:
        """The bytes of an institution's bill (wechat, alipay) as the body."""
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > BILL_LIMIT_BYTES:
                raise StatementUnreadable(f"it is larger than {BILL_LIMIT_BYTES} bytes", "文件过大")
            parts.append(part)
        return as_json(asdict(await bills.upload(provider, b"".join(parts), name=name, actor=actor.ref)), 201)

    @routes.get("/bills")
    async def uploaded(_: Reader) -> Response:
        """The newest bills, with each row that could not be used, and why."""
        return as_json({"data": [asdict(one) for one in await bills.reports()]})

    return routes


def run_view(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    return {**asdict(run), "differences": run.differences}
