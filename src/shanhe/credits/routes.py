"""HTTP of credits. Amounts are integers with their unit in the name; every write is idempotent by `client_ref`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.credits import casework, counter, paper
from shanhe.credits.model import Alert, AutoTopUp, Purchase, Quote, Wallet, Window
from shanhe.credits.service import Credits
from shanhe.credits.views import Asks
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.http import as_json
from shanhe.kernel.money import format_credits, format_fen
from shanhe.kernel.routing import APIRouter, Body

AMOUNT_LIMIT = 2**53
TEXT_LIMIT_CHARS = 200

Reference = Annotated[str, Field(min_length=1, max_length=128)]
Amount = Annotated[int, Field(gt=0, lt=AMOUNT_LIMIT, strict=True)]


class QuoteBody(Body):
    value_fen: Amount


class PurchaseBody(Body):
    client_ref: Reference
    quote_id: UUID | None = None
    value_fen: Amount | None = None
    method: str = Field("sandbox", max_length=32)
    return_path: str | None = Field(None, max_length=TEXT_LIMIT_CHARS)


class TopUpBody(Body):
    org_id: UUID
    amount_micro: Amount
    reason: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)
    method: str = Field("bank_transfer", max_length=32)
    client_ref: Reference


class AlertBody(Body):
    name: str = Field(min_length=1, max_length=80)
    window: Window
    amount_micro: Amount
    percent: int = Field(100, ge=1, le=100)
    key_id: UUID | None = None


class AlertChange(Body):
    name: str | None = Field(None, min_length=1, max_length=80)
    window: Window | None = None
    amount_micro: Amount | None = None
    percent: int | None = Field(None, ge=1, le=100)
    enabled: bool | None = None


class AutoBody(Body):
    threshold_micro: Amount
    value_fen: Amount
    monthly_cap_fen: Amount
    provider: str = Field("sandbox", max_length=32)
    enabled: bool = True


Payer = Annotated[Actor, Depends(require("topup"))]
Operator = Annotated[Actor, Depends(require("accounts"))]


def router(credits: Credits, asks: Asks, grant: AskSecond, pay: AskSecond) -> APIRouter:
    """Everything under /api/credits. `grant` gives a disputed call back: (dispute, answer, by); `pay` says
    that a refund was paid by hand: (refund, reference, by, method)."""
    routes = APIRouter(prefix="/api/credits", tags=["credits"])
    _purchases(routes, credits, asks)
    _wallet(routes, credits)
    _alerts(routes, credits)
    _auto(routes, credits)
    paper.add(routes, credits)
    counter.add(routes, credits, asks, pay)
    casework.add(routes, credits, asks, grant)
    return routes


def _purchases(routes: APIRouter, credits: Credits, asks: Asks) -> None:
    @routes.post("/quotes", status_code=201)
    async def quote(body: QuoteBody, actor: Payer) -> Response:
        """What credits of a list value cost this organisation now, and why."""
        return as_json(quote_view(await credits.quote(org_of(actor), body.value_fen)), 201)

    @routes.post("/purchases", status_code=201)
    async def purchase(body: PurchaseBody, actor: Payer) -> Response:
        """Order credits; send the payer to `redirect_url`."""
        made = await credits.purchase(
            org_of(actor),
            client_ref=body.client_ref,
            quote_id=body.quote_id,
            value_fen=body.value_fen,
            method=body.method,
            actor=actor.ref,
            return_path=body.return_path,
        )
        return as_json(purchase_view(made), 201)

    @routes.get("/purchases")
    async def purchases(
        actor: Payer, before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
    ) -> Response:
        """The organisation's purchases, newest first."""
        page = await credits.purchases(org_of(actor), before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return as_json({"data": [purchase_view(item) for item in page], "next": following})

    @routes.get("/purchases/{purchase_id}")
    async def receipt(purchase_id: UUID, actor: Payer) -> Response:
        """The document of a top-up: decision with its trace, payment with its history, posting with its lots."""
        found = await credits.receipt(org_of(actor), purchase_id)
        return as_json({**found, "purchase": purchase_view(found["purchase"], trace=True)})

    @routes.post("/purchases/{purchase_id}/cancel")
    async def cancel(purchase_id: UUID, actor: Payer) -> Response:
        """Give up an unpaid purchase."""
        return as_json(purchase_view(await credits.cancel(org_of(actor), purchase_id)))

    @routes.post("/top-ups", status_code=202)
    async def top_up(body: TopUpBody, actor: Operator) -> Response:
        """Ask for credits paid by bank transfer or at the cash desk; another operator agrees, then they are booked."""
        asked = await asks.ask_top_up(
            body.org_id, body.amount_micro, body.reason, method=body.method, client_ref=body.client_ref, by=actor.ref
        )
        return as_json(asked_view(asked), 202)


def _wallet(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/balance")
    async def balance(actor: Payer, before: UUID | None = None) -> Response:
        """Balance and lots of the caller's organisation, in the order in which they are spent; `next` names the lot
        `before` which to ask for the following ones."""
        return as_json(wallet_view(await credits.wallet(org_of(actor), before=before)))

    @routes.get("/balance/{org_id}")
    async def balance_of(org_id: UUID, actor: Operator, before: UUID | None = None) -> Response:
        """Balance and lots of any organisation; for operators."""
        return as_json(wallet_view(await credits.wallet(org_id, before=before)))


def _alerts(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/alerts")
    async def alerts(actor: Payer) -> Response:
        return as_json({"data": [alert_view(alert) for alert in await credits.alerts.of(org_of(actor))]})

    @routes.post("/alerts", status_code=201)
    async def create(body: AlertBody, actor: Payer) -> Response:
        """Tell once per window when spending reaches `percent` of `amount_micro`."""
        made = await credits.alerts.create(org_of(actor), actor=actor.ref, **body.model_dump())
        return as_json(alert_view(made), 201)

    @routes.patch("/alerts/{alert_id}")
    async def change(alert_id: UUID, body: AlertChange, actor: Payer) -> Response:
        changes = {name: value for name, value in body.model_dump().items() if value is not None}
        return as_json(alert_view(await credits.alerts.change(org_of(actor), alert_id, **changes)))

    @routes.delete("/alerts/{alert_id}", status_code=204)
    async def delete(alert_id: Annotated[UUID, Path()], actor: Payer) -> Response:
        await credits.alerts.delete(org_of(actor), alert_id)
        return Response(status_code=204)


def _auto(routes: APIRouter, credits: Credits) -> None:
    @routes.get("/auto-top-up")
    async def show(actor: Payer) -> Response:
        return as_json(auto_view(await credits.auto.get(org_of(actor))))

    @routes.put("/auto-top-up")
    async def save(body: AutoBody, actor: Payer) -> Response:
        """Set threshold, amount and monthly cap; sign the mandate at `mandate_url` when it is pending."""
        rule = await credits.auto.save(org_of(actor), actor=actor.ref, **body.model_dump())
        return as_json(auto_view(rule))

    @routes.delete("/auto-top-up")
    async def disable(actor: Payer) -> Response:
        return as_json(auto_view(await credits.auto.disable(org_of(actor))))


# -- views ------------------------------------------------------------------------------------------------------------


def quote_view(quote: Quote) -> dict[str, Any]:
    """A quote as JSON, with its trace."""
    return {
        "id": quote.id,
        **_priced(quote),
        "benefit_left_fen": quote.benefit_left_fen,
        "year": quote.year,
        "expires_at": quote.expires_at,
        "trace": quote.priced.trace,
    }


def purchase_view(purchase: Purchase, *, trace: bool = False) -> dict[str, Any]:
    """A purchase as JSON."""
    view: dict[str, Any] = {
        "id": purchase.id,
        "client_ref": purchase.client_ref,
        "source": purchase.source,
        "method": purchase.method,
        "actor": purchase.actor,
        "reason": purchase.reason,
        "state": purchase.state,
        "order_state": purchase.order_state,
        "redirect_url": purchase.redirect_url,
        "posting_id": purchase.posting_id,
        **_priced(purchase),
        "created_at": purchase.created_at,
        "decided_at": purchase.decided_at,
    }
    return {**view, "trace": purchase.priced.trace} if trace else view


def _priced(item: Quote | Purchase) -> dict[str, Any]:
    priced = item.priced
    return {
        "value_fen": priced.value_fen,
        "benefit_fen": priced.benefit_fen,
        "paid_fen": priced.paid_fen,
        "paid": format_fen(priced.paid_fen),
        "quantity_micro": priced.quantity_micro,
        "quantity": format_credits(priced.quantity_micro),
        "purchased_micro": priced.purchased_micro,
        "subsidy_micro": priced.subsidy_micro,
        "list_price_fen": priced.list_price_fen,
        "category": priced.category,
        "rule_version": priced.rule_version,
    }


def wallet_view(wallet: Wallet) -> dict[str, Any]:
    """A wallet as JSON."""
    return {**asdict(wallet), "balance": format_credits(wallet.balance_micro)}


def alert_view(alert: Alert) -> dict[str, Any]:
    """A spend alert as JSON."""
    return {**asdict(alert), "threshold_micro": alert.threshold_micro}


def auto_view(rule: AutoTopUp) -> dict[str, Any]:
    """An automatic top-up rule as JSON."""
    view = asdict(rule)
    del view["epoch"]
    return view
