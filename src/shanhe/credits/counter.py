"""HTTP of refunds and redeem codes."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.credits import codes
from shanhe.credits.paper import file
from shanhe.credits.service import Credits
from shanhe.credits.views import Asks, batch_view, end_of, refund_view
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Payer = Annotated[Actor, Depends(require("topup"))]
Operator = Annotated[Actor, Depends(require("accounts"))]
Reference = Annotated[str, Field(min_length=1, max_length=120)]
Amount = Annotated[int, Field(gt=0, lt=2**53, strict=True)]
Limit = Annotated[int, Query(ge=1, le=100)]


class RefundBody(Body):
    client_ref: Reference
    reason: str = Field(min_length=1, max_length=200)


class PayoutBody(Body):
    reference: Reference
    method: str = Field("bank_transfer", max_length=32)


class FundBody(Body):
    posting_id: UUID
    amount_micro: Amount
    reason: str = Field(min_length=1, max_length=200)


class BatchBody(Body):
    client_ref: Reference
    name: Reference
    budget: Reference
    codes: int = Field(ge=1, le=codes.CODES_MAX)
    value_micro: Amount
    provenance: str = Field("subsidy", max_length=16)
    valid_through: date
    earmark: dict[str, Any] | None = None


class ReasonBody(Body):
    reason: str = Field(min_length=1, max_length=120)


class CodeBody(Body):
    code: str = Field(min_length=1, max_length=64)


def add(routes: APIRouter, credits: Credits, asks: Asks, pay: AskSecond) -> None:
    """Add refunds, codes and budgets to the router of credits."""
    _refunds(routes, credits)
    _refunds_by_operators(routes, credits, pay)
    _codes(routes, credits)
    _batches(routes, credits, asks)


def _refunds(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/purchases/{purchase_id}/refund")
    async def offer(purchase_id: UUID, actor: Payer) -> Response:
        """What a refund would give and take now (rule R3), with its trace; nothing changes."""
        found = await credits.refunds.offer(org_of(actor), purchase_id)
        decision = found.decision
        said = {"rule_version": decision.version, "trace": decision.trace}
        return as_json({"refund_fen": found.refund_fen, **decision.outputs, **said})

    @routes.post("/purchases/{purchase_id}/refund", status_code=201)
    async def refund(purchase_id: UUID, body: RefundBody, actor: Payer) -> Response:
        """Take back what is left of the purchase and return its money."""
        made = await credits.refunds.refund(
            org_of(actor), purchase_id, client_ref=body.client_ref, reason=body.reason, actor=actor.ref
        )
        return as_json(refund_view(made), 201)

    @routes.get("/refunds")
    async def refunds(actor: Payer, before: UUID | None = None, limit: Limit = 50) -> Response:
        """The organisation's refunds, newest first."""
        page = await credits.refunds.list(org_of(actor), before=before, limit=limit)
        return as_json({"data": [refund_view(one) for one in page]})


def _refunds_by_operators(routes: APIRouter, credits: Credits, pay: AskSecond) -> None:
    @routes.get("/refunds/all")
    async def everyones(
        actor: Operator, waiting: bool = False, before: UUID | None = None, limit: Limit = 50
    ) -> Response:
        """Every organisation's refunds; for operators. `waiting`: only those that are stuck, oldest first."""
        page = await credits.refunds.list(None, waiting=waiting, before=before, limit=limit)
        return as_json({"data": [refund_view(one) for one in page]})

    @routes.post("/refunds/{refund_id}/retry")
    async def retry(refund_id: UUID, actor: Operator) -> Response:
        """Ask the provider once more after it failed."""
        return as_json(refund_view(await credits.refunds.retry(refund_id, by=actor.ref)))

    @routes.post("/refunds/{refund_id}/payout")
    async def payout(refund_id: UUID, body: PayoutBody, actor: Operator) -> Response:
        """Say that the money went back by bank transfer or at the cash desk; above a sum another operator agrees (202),
        then it is so."""
        asked = await pay(refund_id, body.reference, by=actor.ref, method=body.method)
        if asked is not None:
            return as_json(asked_view(asked), 202)
        return as_json(refund_view(await credits.refunds.any(refund_id)))


def _codes(routes: APIRouter, credits: Credits) -> None:
    @routes.post("/redeem", status_code=201)
    async def redeem(body: CodeBody, actor: Payer) -> Response:
        """Redeem a code for the caller's organisation."""
        batch = await credits.codes.redeem(org_of(actor), body.code, actor=actor.ref)
        return as_json({"name": batch.name, "value_micro": batch.value_micro, "provenance": batch.provenance}, 201)

    @routes.get("/redeemed")
    async def redeemed(actor: Payer) -> Response:
        """What the organisation redeemed."""
        return as_json({"data": await credits.codes.redeemed(org_of(actor))})


def _batches(routes: APIRouter, credits: Credits, asks: Asks) -> None:
    @routes.post("/budgets/{name}/fund", status_code=202)
    async def fund(name: str, body: FundBody, actor: Operator) -> Response:
        """Ask for credits into a named budget; another operator agrees, then they are issued."""
        asked = await asks.ask_budget(name, body.amount_micro, body.reason, posting_id=body.posting_id, by=actor.ref)
        return as_json(asked_view(asked), 202)

    @routes.get("/code-batches")
    async def batches(actor: Operator, before: UUID | None = None, limit: Limit = 50) -> Response:
        return as_json({"data": [batch_view(one) for one in await credits.codes.batches(before=before, limit=limit)]})

    @routes.post("/code-batches", status_code=201)
    async def create(body: BatchBody, actor: Operator) -> Response:
        """Set the value of a batch aside; its codes are made by the export."""
        fields = body.model_dump(exclude={"valid_through"})
        made = await credits.codes.create(**fields, expires_at=end_of(body.valid_through), actor=actor.ref)
        return as_json(batch_view(made), 201)

    @routes.post("/code-batches/{batch_id}/export")
    async def export(batch_id: UUID, actor: Operator) -> Response:
        """The batch's codes as CSV, once; only their hashes are kept."""
        batch, made = await credits.codes.export(batch_id, by=actor.ref)
        return await file(codes.sheet(batch, made), f"codes-{batch.name}", "csv")

    @routes.post("/code-batches/{batch_id}/fund")
    async def set_aside(batch_id: UUID, actor: Operator) -> Response:
        """Set a draft's value aside that its budget did not hold before."""
        return as_json(batch_view(await credits.codes.set_aside(batch_id, by=actor.ref)))

    @routes.post("/code-batches/{batch_id}/revoke")
    async def revoke(batch_id: UUID, body: ReasonBody, actor: Operator) -> Response:
        """End a batch; what nobody redeemed returns to its budget."""
        return as_json(batch_view(await credits.codes.revoke(batch_id, by=actor.ref, reason=body.reason)))
