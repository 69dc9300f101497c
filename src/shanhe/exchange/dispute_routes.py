"""HTTP of disputes on orders and of the reversals that upheld ones lead to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.exchange.remedy import TRADES_MAX
from shanhe.exchange.service import Exchange
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

TEXT_LIMIT_CHARS = 200
DISPUTE_LIMIT_CHARS = 1000
Member = Annotated[Actor, Depends(require("topup"))]
Operator = Annotated[Actor, Depends(require("accounts"))]
Reader = Annotated[Actor, Depends(require("ledger"))]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT_CHARS)]
LongText = Annotated[str, Field(min_length=1, max_length=DISPUTE_LIMIT_CHARS)]


class DisputeBody(Body):
    id: UUID
    text: LongText


class AnswerBody(Body):
    upheld: bool
    answer: LongText


class ReversalBody(Body):
    id: UUID | None = None
    reason: Text
    trades: list[UUID] = Field(default=[], max_length=TRADES_MAX)


class RejectBody(Body):
    reason: Text


def add(routes: APIRouter, exchange: Exchange) -> None:
    """Add them to the router of the exchange."""
    _disputes(routes, exchange)
    _reversals(routes, exchange)


def _disputes(routes: APIRouter, exchange: Exchange) -> None:
    @routes.post("/orders/{order_id}/disputes", status_code=201)
    async def dispute(order_id: UUID, body: DisputeBody, actor: Member) -> Response:
        """Say what is wrong with an order."""
        made = await exchange.dispute(order_id, org_of(actor), body.text, dispute_id=body.id, actor=actor.ref)
        return as_json(asdict(made), 201)

    @routes.get("/disputes")
    async def disputes(actor: Member) -> Response:
        """The organisation's disputes, newest first."""
        return as_json({"data": [asdict(one) for one in await exchange.disputes.list(org_of(actor))]})

    @routes.get("/all-disputes")
    async def all_disputes(_: Reader, open: bool = True) -> Response:
        return as_json({"data": [asdict(one) for one in await exchange.disputes.list(None, open_only=open)]})

    @routes.post("/disputes/{dispute_id}/decide")
    async def answer(dispute_id: UUID, body: AnswerBody, actor: Operator) -> Response:
        done = await exchange.disputes.decide(dispute_id, upheld=body.upheld, answer=body.answer, actor=actor.ref)
        return as_json(asdict(done))


def _reversals(routes: APIRouter, exchange: Exchange) -> None:
    remedies = exchange.remedies

    @routes.post("/disputes/{dispute_id}/reversal", status_code=201)
    async def ask(dispute_id: UUID, body: ReversalBody, actor: Operator) -> Response:
        """Ask to undo trades of an upheld dispute's order; a second person decides."""
        made = await remedies.ask(dispute_id, body.reason, by=actor.ref, trades=body.trades, remedy_id=body.id)
        return as_json(asdict(made), 201)

    @routes.get("/reversals")
    async def mine(actor: Member) -> Response:
        """What the organisation's upheld disputes led to, newest first."""
        return as_json({"data": [asdict(one) for one in await remedies.list(org_of(actor))]})

    @routes.get("/all-reversals")
    async def everyones(_: Reader, open: bool = True) -> Response:
        return as_json({"data": [asdict(one) for one in await remedies.list(open_only=open)]})

    @routes.post("/reversals/{remedy_id}/approve")
    async def approve(remedy_id: UUID, actor: Operator) -> Response:
        """The second person's word; the reversals are booked."""
        return as_json(asdict(await remedies.approve(remedy_id, by=actor.ref)))

    @routes.post("/reversals/{remedy_id}/reject")
    async def reject(remedy_id: UUID, body: RejectBody, actor: Operator) -> Response:
        return as_json(asdict(await remedies.reject(remedy_id, by=actor.ref, reason=body.reason)))
