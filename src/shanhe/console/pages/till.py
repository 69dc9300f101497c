"""Buying credits: quote with its reasons, payment, and the balance that moves; alerts and automatic top-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import chart
from shanhe.console import model as m
from shanhe.console.pages.base import Room, one_of, optional_int
from shanhe.console.pages.settings import settings_of
from shanhe.console.render import go, local_path
from shanhe.kernel.errors import Invalid, ShanheError, Unreadable
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_credits, parse_yuan
from shanhe.kernel.routing import APIRouter

PRESETS_YUAN = (100, 500, 1000, 5000)
PURCHASE_CHOSEN = "100"
ALERT_NAME_CHARS_MAX = 60
WHOLE_PERCENT = 100
WAITING_ACTIONS = ("use", "back")


class TillRoom(Room):
    """`/topup`, `/topup/{id}`, and the money part of `/settings`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/topup", self.page, methods=["GET"])
        add("/topup", self.buy, methods=["POST"])
        add("/topup/quote", self.quote, methods=["GET"])
        add("/topup/{purchase_id}", self.purchase, methods=["GET"])
        add("/topup/waiting/{item}/{action}", self.waiting, methods=["POST"])
        add("/settings/alerts", self.alert_add, methods=["POST"])
        add("/settings/alerts/{alert_id}/remove", self.alert_remove, methods=["POST"])
        add("/settings/auto", self.auto_save, methods=["POST"])
        add("/settings/auto/stop", self.auto_stop, methods=["POST"])
        return routes

    async def page(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        paid = request.query_params.get("paid", "")
        for row in await self.desk.till.purchases(who) if paid else ():
            if row.ref == paid:
                return go(f"/topup/{row.id}")
        return await self._page(request, who)

    async def _page(self, request: Request, who: m.Who, **values: Any) -> Response:
        wallet = await self.desk.member.wallet(who)
        shown = {
            "wallet": wallet,
            "strip": chart.strip(wallet.by_provenance),
            "purchases": await self.desk.till.purchases(who),
            "waiting": await self.desk.treasury.waiting(who),
            "presets": PRESETS_YUAN,
            "yuan": PURCHASE_CHOSEN,
            "quote": None,
            "methods": self.desk.till.methods(),
            "client_ref": str(new_id()),
            **values,
        }
        return self.show(request, "topup.html", who, **shown)

    async def quote(self, request: Request) -> Response:
        """The price of a purchase with the rule's trace; a fragment for htmx, the whole page otherwise."""
        who = await self.allowed(request, "topup")
        yuan = request.query_params.get("yuan", "")[:16]
        values: dict[str, Any] = {
            "yuan": yuan, "quote": None, "methods": self.desk.till.methods(),
            "chosen": request.query_params.get("method", ""),
        }  # fmt: skip
        try:
            values["quote"] = await self.desk.till.quote(who, parse_yuan(yuan))
        except (ShanheError, ValueError) as error:
            values["mistake"] = self.view.mistake(request, error)
        if "hx-request" in request.headers:
            return self.show(request, "parts/quote.html", who, client_ref=str(new_id()), **values)
        return await self._page(request, who, **values)

    async def buy(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            quote_id = UUID(fields.get("quote", ""))
            reference, method = fields.get("client_ref", "") or str(quote_id), fields.get("method", "")
            purchase = await self.desk.till.purchase(who, quote_id, reference, method)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            kept = {"chosen": fields.get("method", ""), "yuan": fields.get("asked", "")[:16] or PURCHASE_CHOSEN}
            return await self._page(request, who, mistake=self.view.mistake(request, error), status=status, **kept)
        target = local_path(purchase.redirect_url) if purchase.redirect_url else f"/topup/{purchase.id}"
        return go(target)

    async def purchase(self, request: Request, purchase_id: UUID) -> Response:
        """One purchase; asks again by itself until the payment is decided."""
        who = await self.allowed(request, "topup")
        purchase = await self.desk.till.purchase_get(who, purchase_id)
        wallet = await self.desk.member.wallet(who)
        template = "parts/purchase.html" if "hx-request" in request.headers else "purchase.html"
        return self.show(request, template, who, purchase=purchase, wallet=wallet)

    async def waiting(self, request: Request, item: UUID, action: str) -> Response:
        """Money that no order took: an own order is paid with it, or it is asked back."""
        who, fields = await self.posted(request, "topup")
        try:
            order = UUID(fields.get("order", "")) if one_of(action, WAITING_ACTIONS) == "use" else None
            await self.desk.treasury.waiting_decide(who, item, order)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            return await self._page(request, who, mistake=self.view.mistake(request, error), status=status)
        return go("/topup#waiting", "wanted_back" if order is None else "waiting_used")

    async def alert_add(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        name = fields.get("name", "")[:ALERT_NAME_CHARS_MAX]
        try:
            amount, percent = parse_amount(fields.get("amount", "")), optional_int(fields, "percent") or WHOLE_PERCENT
            await self.desk.till.alert_add(who, name, fields.get("window", "month"), amount, percent)
        except (ShanheError, ValueError) as error:
            return await self._settings(request, who, error, "alert", fields)
        return go("/settings", "alert_added")

    async def _settings(
        self, request: Request, who: m.Who, error: Exception, part: str, fields: Mapping[str, str]
    ) -> Response:
        """The settings once more, the form in question with what was typed."""
        shown = await settings_of(self.desk, who) | {"typed": fields, "mistake_in": part}
        return self.again(request, "settings.html", who, error, **shown)

    async def alert_remove(self, request: Request, alert_id: UUID) -> Response:
        who, _ = await self.posted(request, "topup")
        await self.desk.till.alert_remove(who, alert_id)
        return go("/settings", "alert_removed")

    async def auto_save(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            rule = await self.desk.till.auto_save(
                who,
                parse_amount(fields.get("threshold", "")),
                parse_amount(fields.get("value", ""), yuan=True),
                parse_amount(fields.get("cap", ""), yuan=True),
            )
        except ShanheError as error:
            return await self._settings(request, who, error, "auto", fields)
        return go(local_path(rule.url)) if rule.url else go("/settings", "auto_saved")

    async def auto_stop(self, request: Request) -> Response:
        who, _ = await self.posted(request, "topup")
        await self.desk.till.auto_stop(who)
        return go("/settings", "auto_stopped")


def parse_amount(text: str, *, yuan: bool = False) -> int:
    """An amount of a form; `Invalid` says how to write one."""
    try:
        return parse_yuan(text) if yuan else parse_credits(text)
    except Unreadable as error:
        raise Invalid("bad_amount", f"{error.en}.", message_zh=error.zh) from error
