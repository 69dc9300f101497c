"""HTTP of expiry, loyalty, framework agreements, invoices, disputes, inheritance and dissolution."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.credits import invoices
from shanhe.credits.estate_model import DOCUMENTS_MAX, SUCCESSORS_MAX, WHOLE_BPS, EstateDocument, Successor
from shanhe.credits.paper import file
from shanhe.credits.service import Credits
from shanhe.credits.views import Asks
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body

Payer = Annotated[Actor, Depends(require("topup"))]
Operator = Annotated[Actor, Depends(require("accounts"))]
Short = Annotated[str, Field(min_length=1, max_length=120)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[int, Field(gt=0, lt=2**53, strict=True)]
Limit = Annotated[int, Query(ge=1, le=100)]
Days = Annotated[int, Query(ge=1, le=800)]


class AgreementBody(Body):
    org_id: UUID
    year: int = Field(ge=2020, le=2200)
    reference: Short


class InstalmentBody(Body):
    method: str = Field("sandbox", max_length=32)


class BankBody(Body):
    reference: Short


class InvoiceBody(Body):
    client_ref: Short
    kind: Literal["ordinary", "special"] = "ordinary"
    title: Short
    tax_number: str = Field("", max_length=20)
    amount_fen: Amount
    email: str = Field("", max_length=120)


class IssueBody(Body):
    number: Short


class SheetBody(Body):
    sheet: Short


class RejectBody(Body):
    reason: Short


class DisputeBody(Body):
    receipt_id: UUID
    reason: Text
    evidence: str = Field("", max_length=4_000)


class AnswerBody(Body):
    answer: Text


class SuccessorBody(Body):
    org_id: UUID
    share_bps: int = Field(WHOLE_BPS, ge=1, le=WHOLE_BPS, strict=True)


class DocumentBody(Body):
    proves: Literal["end", "right", "other"]
    reference: Short
    sha256: str = Field("", max_length=64)


class EstateBody(Body):
    id: UUID | None = None
    org_id: UUID
    kind: Literal["inheritance", "dissolution"]
    successors: list[SuccessorBody] = Field(min_length=1, max_length=SUCCESSORS_MAX)
    documents: list[DocumentBody] = Field(min_length=2, max_length=DOCUMENTS_MAX)
    reason: Text


def add(routes: APIRouter, credits: Credits, asks: Asks, grant: AskSecond) -> None:
    """Add them to the router of credits."""
    _time(routes, credits)
    _agreements(routes, credits, asks)
    _invoices(routes, credits)
    _invoices_by_operators(routes, credits)
    _red_letters(routes, credits)
    _disputes(routes, credits, grant)
    _estates(routes, credits)


def _time(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/expiry")
    async def expiry(actor: Payer, days: Days = 366) -> Response:
        """What the organisation's credits will lose when (rule C11)."""
        return as_json({"data": await credits.lapses.of(org_of(actor), days=days)})

    @routes.get("/expiry/calendar")
    async def calendar(actor: Operator, days: Days = 90) -> Response:
        """The city's breakage to come, by day; for operators."""
        return as_json({"data": await credits.lapses.calendar(days=days)})

    @routes.get("/loyalty")
    async def loyalty(actor: Payer) -> Response:
        """The organisation's consecutive active quarters, its fee and weight (rule C10)."""
        return as_json(await credits.loyalty.standing(org_of(actor)))

    @routes.get("/loyalty/{org_id}")
    async def loyalty_of(org_id: UUID, actor: Operator) -> Response:
        """The same of any organisation; for operators."""
        return as_json(await credits.loyalty.standing(org_id))


def _agreements(routes: APIRouter, credits: Credits, asks: Asks) -> None:
    @routes.get("/agreements")
    async def agreements(actor: Payer) -> Response:
        """The organisation's framework agreements with their instalments (rule P2)."""
        return as_json({"data": await credits.agreements.list(org_of(actor))})

    @routes.get("/agreements/all")
    async def everyones(actor: Operator) -> Response:
        return as_json({"data": await credits.agreements.list()})

    @routes.post("/agreements", status_code=201)
    async def sign(body: AgreementBody, actor: Operator) -> Response:
        """Record a government body's agreement for a year; for operators."""
        made = await credits.agreements.sign(body.org_id, body.year, reference=body.reference, actor=actor.ref)
        return as_json(made, 201)

    @routes.post("/agreements/{agreement_id}/instalments/{number}/pay", status_code=201)
    async def pay(agreement_id: UUID, number: int, body: InstalmentBody, actor: Payer) -> Response:
        """Order an instalment; send the payer to `redirect_url`."""
        made = await credits.agreements.pay(org_of(actor), agreement_id, number, method=body.method, actor=actor.ref)
        return as_json({"purchase_id": made.id, "state": made.state, "redirect_url": made.redirect_url}, 201)

    @routes.post("/agreements/{agreement_id}/instalments/{number}/book", status_code=202)
    async def book(agreement_id: UUID, number: int, body: BankBody, actor: Operator) -> Response:
        """Ask to post an instalment that was found at the bank; another operator agrees."""
        asked = await asks.ask_instalment(agreement_id, number, reference=body.reference, by=actor.ref)
        return as_json(asked_view(asked), 202)


def _invoices(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/invoices")
    async def mine(actor: Payer, before: UUID | None = None, limit: Limit = 50) -> Response:
        """The organisation's invoice requests, and what can still be invoiced."""
        org_id = org_of(actor)
        page = await credits.invoices.list(org_id, before=before, limit=limit)
        return as_json({"invoiceable_fen": await credits.invoices.invoiceable_fen(org_id), "data": page})

    @routes.post("/invoices", status_code=201)
    async def request(body: InvoiceBody, actor: Payer) -> Response:
        """Ask for an invoice over money that was paid."""
        made = await credits.invoices.request(org_of(actor), **body.model_dump(), actor=actor.ref)
        return as_json(made, 201)

    @routes.get("/invoices/{invoice_id}/paper")
    async def paper(invoice_id: UUID, actor: Payer, language: Literal["zh", "en"] = "zh") -> Response:
        """The request or confirmation as PDF."""
        found = await credits.invoices.get(org_of(actor), invoice_id)
        name = await credits.named(found.org_id)
        made = invoices.paper(found, org_name=name, city_name=credits.city_name, language=language)
        return await file(made, f"{made.title}-{name}", "pdf")


def _invoices_by_operators(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/invoices/all")
    async def everyones(
        actor: Operator, waiting: bool = False, before: UUID | None = None, limit: Limit = 50
    ) -> Response:
        """Newest first; `waiting`: only what has to be decided, oldest first. `before`: the last one seen."""
        return as_json({"data": await credits.invoices.list(waiting=waiting, before=before, limit=limit)})

    @routes.post("/invoices/{invoice_id}/issue")
    async def issue(invoice_id: UUID, body: IssueBody, actor: Operator) -> Response:
        """Say that it was issued under the tax bureau's number."""
        return as_json(await credits.invoices.issue(invoice_id, number=body.number, by=actor.ref))

    @routes.post("/invoices/{invoice_id}/reject")
    async def reject(invoice_id: UUID, body: RejectBody, actor: Operator) -> Response:
        """Give the request back with a reason."""
        return as_json(await credits.invoices.reject(invoice_id, reason=body.reason, by=actor.ref))


def _red_letters(routes: APIRouter, credits: Credits) -> None:
    letters = credits.refunds.red_letters

    @routes.get("/red-letters")
    async def mine(actor: Payer, before: UUID | None = None, limit: Limit = 50) -> Response:
        """Red-letter invoices over what was refunded to the organisation."""
        return as_json({"data": await letters.list(org_of(actor), before=before, limit=limit)})

    @routes.get("/red-letters/all")
    async def everyones(
        actor: Operator, waiting: bool = False, before: UUID | None = None, limit: Limit = 50
    ) -> Response:
        """Newest first; `waiting`: only what is not issued, oldest first. `before`: the last one seen."""
        return as_json({"data": await letters.list(waiting=waiting, before=before, limit=limit)})

    @routes.post("/red-letters/{letter_id}/confirm")
    async def confirm(letter_id: UUID, body: SheetBody, actor: Operator) -> Response:
        """Record the tax bureau's confirmation sheet, to which the buyer agreed."""
        return as_json(await letters.confirm(letter_id, sheet=body.sheet, by=actor.ref))

    @routes.post("/red-letters/{letter_id}/issue")
    async def issue(letter_id: UUID, body: IssueBody, actor: Operator) -> Response:
        """Record the red-letter invoice's number; the refund's money leaves after the last one."""
        return as_json(await letters.issue(letter_id, number=body.number, by=actor.ref))


def _disputes(routes: APIRouter, credits: Credits, give_back: AskSecond) -> None:
    @routes.get("/disputes")
    async def mine(actor: Payer, before: UUID | None = None, limit: Limit = 50) -> Response:
        return as_json({"data": await credits.disputes.list(org_of(actor), before=before, limit=limit)})

    @routes.post("/disputes", status_code=201)
    async def dispute(body: DisputeBody, actor: Payer) -> Response:
        """Say why a receipt's charge is wrong."""
        return as_json(await credits.disputes.open(org_of(actor), **body.model_dump(), actor=actor.ref), 201)

    @routes.post("/disputes/{dispute_id}/withdraw")
    async def withdraw(dispute_id: UUID, actor: Payer) -> Response:
        return as_json(await credits.disputes.withdraw(org_of(actor), dispute_id, by=actor.ref))

    @routes.get("/disputes/all")
    async def everyones(
        actor: Operator, waiting: bool = False, before: UUID | None = None, limit: Limit = 50
    ) -> Response:
        """Newest first; `waiting`: only what has to be decided, oldest first. `before`: the last one seen."""
        return as_json({"data": await credits.disputes.list(waiting=waiting, before=before, limit=limit)})

    @routes.post("/disputes/{dispute_id}/grant")
    async def grant(dispute_id: UUID, body: AnswerBody, actor: Operator) -> Response:
        """Give the charge back: the receipt's posting is reversed. A large one is asked for; another operator agrees,
        then it is done."""
        asked = await give_back(dispute_id, answer=body.answer, by=actor.ref)
        if asked is not None:
            return as_json(asked_view(asked), 202)
        return as_json(await credits.disputes.get(None, dispute_id))

    @routes.post("/disputes/{dispute_id}/refuse")
    async def refuse(dispute_id: UUID, body: AnswerBody, actor: Operator) -> Response:
        """Say why the charge is right."""
        return as_json(await credits.disputes.refuse(dispute_id, answer=body.answer, by=actor.ref))


def _estates(routes: APIRouter, credits: Credits) -> None:
    estates = credits.estates

    @routes.get("/estates")
    async def every(actor: Operator, open: bool = False) -> Response:
        """Handovers of what an organisation left behind, newest first; for operators."""
        return as_json({"data": await estates.list(open_only=open)})

    @routes.get("/estates/offer")
    async def offer(org_id: UUID, actor: Operator) -> Response:
        """What would pass to successors, what would lapse, and why (rule R1_estate)."""
        return as_json({"data": await estates.offer(org_id)})

    @routes.post("/estates", status_code=201)
    async def ask(body: EstateBody, actor: Operator) -> Response:
        """Ask to hand a frozen organisation's credits and cash to its successors; a second person decides."""
        made = await estates.ask(
            body.org_id,
            kind=body.kind,
            successors=[Successor(one.org_id, one.share_bps) for one in body.successors],
            documents=[EstateDocument(one.proves, one.reference, one.sha256) for one in body.documents],
            reason=body.reason,
            by=actor.ref,
            estate_id=body.id,
        )
        return as_json(made, 201)

    @routes.post("/estates/{estate_id}/approve")
    async def approve(estate_id: UUID, actor: Operator) -> Response:
        """The second person's word; the handover is booked."""
        return as_json(await estates.approve(estate_id, by=actor.ref))

    @routes.post("/estates/{estate_id}/reject")
    async def reject(estate_id: UUID, body: RejectBody, actor: Operator) -> Response:
        return as_json(await estates.reject(estate_id, by=actor.ref, reason=body.reason))
