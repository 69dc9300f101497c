"""HTTP of the treasury, for operators: bank statements, suspense, and what is to be sent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from shanhe.identity.api import Actor, require
from shanhe.kernel.money import format_fen
from shanhe.payments.bank import FILE_LIMIT_BYTES, BankDesk
from shanhe.payments.bank_model import Report, SuspenseState
from shanhe.payments.errors import StatementUnreadable

TEXT_LIMIT_CHARS = 200
Operator = Annotated[Actor, Depends(require("accounts"))]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT_CHARS)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AssignBody(Body):
    owner: Text


class NoteBody(Body):
    note: Text


class ApplyBody(NoteBody):
    order_id: UUID


def router(bank: BankDesk) -> APIRouter:
    """Everything under /api/bank."""
    routes = APIRouter(prefix="/api/bank", tags=["bank"])

    @routes.post("/statements", status_code=201)
    async def upload(
        request: Request, actor: Operator, name: Annotated[str, Query(max_length=TEXT_LIMIT_CHARS)] = "statement.csv"
    ) -> Response:
        """The bytes of a CSV statement (UTF-8 or GB18030) as the body; the report says what each row did."""
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > FILE_LIMIT_BYTES:
                raise StatementUnreadable(f"it is larger than {FILE_LIMIT_BYTES} bytes", "文件过大")
            chunks.append(chunk)
        report = await bank.upload(b"".join(chunks), name=name, actor=actor.ref)
        return _json(report_view(report), 200 if report.known else 201)

    @routes.get("/statements")
    async def statements(_: Operator) -> Response:
        """Uploaded statements, newest first."""
        return _json({"data": [asdict(file) for file in await bank.files()]})

    @routes.get("/statements/{file_hash}")
    async def statement(file_hash: str, _: Operator) -> Response:
        """What a statement did, row by row."""
        return _json(report_view(await bank.report(file_hash)))

    @routes.get("/outgoing")
    async def outgoing(_: Operator) -> Response:
        """Refunds and payouts that somebody still has to send, with the reference for the remark."""
        return _json({"data": [asdict(item) for item in await bank.outgoing()]})

    _suspense(routes, bank)
    return routes


def _suspense(routes: APIRouter, bank: BankDesk) -> None:
    @routes.get("/suspense")
    async def suspense(_: Operator, state: SuspenseState | None = SuspenseState.OPEN) -> Response:
        """Money that no order accounts for."""
        return _json({"data": [suspense_view(item) for item in await bank.suspense(state)]})

    @routes.post("/suspense/{suspense_id}/assign")
    async def assign(suspense_id: UUID, body: AssignBody, _: Operator) -> Response:
        """Name who looks after an item."""
        return _json(suspense_view(await bank.assign(suspense_id, body.owner)))

    @routes.post("/suspense/{suspense_id}/apply")
    async def apply(suspense_id: UUID, body: ApplyBody, actor: Operator) -> Response:
        """Pay a waiting order with it."""
        done = await bank.apply(suspense_id, body.order_id, actor=actor.ref, note=body.note)
        return _json(suspense_view(done))

    @routes.post("/suspense/{suspense_id}/return")
    async def give_back(suspense_id: UUID, body: NoteBody, actor: Operator) -> Response:
        """Say that it was sent back."""
        return _json(suspense_view(await bank.give_back(suspense_id, actor=actor.ref, note=body.note)))

    @routes.post("/suspense/{suspense_id}/explain")
    async def explain(suspense_id: UUID, body: NoteBody, actor: Operator) -> Response:
        """Say where else in the books it is accounted for."""
        return _json(suspense_view(await bank.explain(suspense_id, actor=actor.ref, note=body.note)))


def report_view(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    return {
        "file": asdict(report.file),
        "known": report.known,
        "counts": report.counts,
        "lines": [asdict(line) for line in report.lines],
    }


def suspense_view(item: Any) -> dict[str, Any]:
    """An item in suspense as JSON, with its two postings."""
    view = {**asdict(item), "amount": format_fen(item.amount_fen), "posting_id": item.posting_id}
    return {**view, "release_id": item.release_id if item.released_at else None}


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status_code, media_type="application/json")
