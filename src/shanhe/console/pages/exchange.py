"""The exchange: the public market and fund, a member's orders, and what operators do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room, uuid_in
from shanhe.console.render import go, local_path
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

SIDES = ("buy", "sell")

EMPTY_ORDER = {"side": "buy", "price": "", "quantity": "", "validity": "gtc"}


class ExchangeRoom(Room):
    """`/exchange`, `/exchange/trade`, `/exchange/fund`, `/city/exchange`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/exchange", self.market, methods=["GET"])
        add("/exchange/fund", self.fund, methods=["GET"])
        add("/exchange/trade", self.trade, methods=["GET"])
        add("/exchange/trade", self.place, methods=["POST"])
        add("/exchange/orders/{order_id}/cancel", self.cancel, methods=["POST"])
        add("/exchange/orders/{order_id}/amend", self.amend, methods=["POST"])
        add("/exchange/orders/{order_id}/dispute", self.dispute, methods=["POST"])
        add("/exchange/play", self.play, methods=["POST"])
        add("/exchange/deposit", self.deposit, methods=["POST"])
        add("/exchange/withdraw", self.withdraw, methods=["POST"])
        add("/city/exchange", self.city, methods=["GET"])
        add("/city/exchange/switch", self.switch, methods=["POST"])
        add("/city/exchange/orders/{order_id}", self.stop_order, methods=["POST"])
        add("/city/exchange/auction", self.auction, methods=["POST"])
        add("/city/exchange/pay-out", self.pay_out, methods=["POST"])
        add("/city/exchange/pay-out/{payment_id}", self.decide_payment, methods=["POST"])
        add("/city/exchange/withdrawals/{withdrawal_id}", self.decide_withdrawal, methods=["POST"])
        add("/city/exchange/disputes/{dispute_id}", self.decide_dispute, methods=["POST"])
        add("/city/exchange/disputes/{dispute_id}/reversal", self.ask_reversal, methods=["POST"])
        add("/city/exchange/reversals/{reversal_id}", self.decide_reversal, methods=["POST"])
        return routes

    async def market(self, request: Request) -> Response:
        """The market for everybody; a fragment when it refreshes itself."""
        who = await self.desk.gate.who(request)
        template = "parts/market.html" if "hx-request" in request.headers else "exchange.html"
        return self.show(request, template, who, page=await self.desk.exchange.market())

    async def fund(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        return self.show(request, "exchange_fund.html", who, page=await self.desk.exchange.fund())

    # -- members ------------------------------------------------------------------------------------------------------

    async def trade(self, request: Request) -> Response:
        who = await self.allowed(request, "topup")
        if "hx-request" in request.headers:
            return self.show(request, "parts/market.html", who, page=await self.desk.exchange.market())
        return await self._trade(request, who)

    async def _trade(self, request: Request, who: m.Who, **values: Any) -> Response:
        shown = {
            "page": await self.desk.exchange.market(),
            "mine": await self.desk.exchange.mine(who),
            "order_id": str(new_id()),
            "methods": self.desk.till.methods(),
            "order_mistake": "",
            "mistake": "",
            "cash_mistake": "",
            "cash_typed": {},
            **values,
        }
        shown["typed"] = EMPTY_ORDER | shown.get("typed", {})
        return self.show(request, "exchange_trade.html", who, **shown)

    async def place(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            order_id = UUID(fields.get("order_id", ""))
            await self.desk.exchange.place(who, order_id, fields)
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._trade(request, who, mistake=mistake, typed=fields, status=status)
        return go("/exchange/trade", "order_placed")

    async def cancel(self, request: Request, order_id: UUID) -> Response:
        who, _ = await self.posted(request, "topup")
        try:
            await self.desk.exchange.cancel(who, order_id)
        except ShanheError as error:  # filled just now, most likely: the page shows how it stands
            mistake = self.view.mistake(request, error)
            return await self._trade(request, who, order_mistake=mistake, status=error.status)
        return go("/exchange/trade", "order_cancelled")

    async def amend(self, request: Request, order_id: UUID) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            await self.desk.exchange.amend(who, order_id, fields.get("price", ""), fields.get("quantity", ""))
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            return await self._trade(request, who, order_mistake=self.view.mistake(request, error), status=status)
        return go("/exchange/trade", "order_amended")

    async def dispute(self, request: Request, order_id: UUID) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            await self.desk.exchange.dispute(who, order_id, UUID(fields.get("id", "")), fields.get("text", ""))
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            return await self._trade(request, who, order_mistake=self.view.mistake(request, error), status=status)
        return go("/exchange/trade", "trade_dispute_opened")

    async def play(self, request: Request) -> Response:
        who, _ = await self.posted(request, "topup")
        await self.desk.exchange.play(who)
        return go("/exchange/trade", "play_granted")

    async def deposit(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            method = fields.get("method", "") or self.desk.till.methods()[0]
            reference = fields.get("ref", "") or str(new_id())
            url = await self.desk.exchange.deposit(who, fields.get("yuan", ""), reference, method)
        except (ShanheError, ValueError, IndexError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._trade(request, who, cash_mistake=mistake, cash_typed=fields, status=status)
        return go(local_path(url) if url else "/exchange/trade")

    async def withdraw(self, request: Request) -> Response:
        who, fields = await self.posted(request, "topup")
        try:
            number = UUID(fields.get("id", ""))  # the form's own: sent twice, it is asked for once
            await self.desk.exchange.withdraw(who, number, fields.get("out", ""), fields.get("payee", ""))
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._trade(request, who, cash_mistake=mistake, cash_typed=fields, status=status)
        return go("/exchange/trade", "withdrawal_asked")

    # -- operators ----------------------------------------------------------------------------------------------------

    async def city(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        return await self._city(request, who)

    async def _city(self, request: Request, who: m.Who, **values: Any) -> Response:
        page, desk = await self.desk.exchange.market(), await self.desk.exchange.operations(who)
        return self.show(
            request,
            "exchange_city.html",
            who,
            page=page,
            desk=desk,
            **{"mistake": "", "fields": {"id": str(new_id())}, **values},
        )

    async def switch(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        paused = fields.get("to") == "pause"
        try:
            await self.desk.exchange.switch(who, paused, fields.get("reason", ""))
        except ShanheError as error:
            return await self._city(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/exchange", "market_paused" if paused else "market_resumed")

    async def stop_order(self, request: Request, order_id: UUID) -> Response:
        who, _ = await self.posted(request, "accounts")
        return await self._decided(request, who, self.desk.exchange.stop_order(who, order_id), "order_stopped")

    async def auction(self, request: Request) -> Response:
        who, _ = await self.posted(request, "accounts")
        await self.desk.exchange.auction(who)
        return go("/city/exchange", "auction_held")

    async def pay_out(self, request: Request) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            await self.desk.exchange.pay_out(
                who, uuid_in(fields, "id"), fields.get("org", ""), fields.get("yuan", ""), fields.get("reason", "")
            )
        except (ShanheError, ValueError) as error:
            status = error.status if isinstance(error, ShanheError) else 422
            mistake = self.view.mistake(request, error)
            return await self._city(request, who, mistake=mistake, status=status, fields=fields)
        return go("/city/exchange", "payment_asked")

    async def decide_payment(self, request: Request, payment_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        return await self._decided(request, who, self.desk.exchange.decide_payment(
            who, payment_id, fields.get("to") == "yes", fields.get("reason", "")))  # fmt: skip

    async def decide_withdrawal(self, request: Request, withdrawal_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        try:
            asked = await self.desk.exchange.decide_withdrawal(
                who, withdrawal_id, fields.get("to") == "yes", fields.get("reason", "")
            )
        except ShanheError as error:
            return await self._city(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/exchange", "payment_asked" if asked else "decided")

    async def decide_dispute(self, request: Request, dispute_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        return await self._decided(request, who, self.desk.exchange.decide_dispute(
            who, dispute_id, fields.get("to") == "yes", fields.get("reason", "")))  # fmt: skip

    async def ask_reversal(self, request: Request, dispute_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        return await self._decided(
            request, who, self.desk.exchange.ask_reversal(who, dispute_id, fields.get("reason", "")), "reversal_asked"
        )

    async def decide_reversal(self, request: Request, reversal_id: UUID) -> Response:
        who, fields = await self.posted(request, "accounts")
        return await self._decided(request, who, self.desk.exchange.decide_reversal(
            who, reversal_id, fields.get("to") == "yes", fields.get("reason", "")))  # fmt: skip

    async def _decided(self, request: Request, who: m.Who, work: Any, done: str = "decided") -> Response:
        try:
            await work
        except ShanheError as error:
            return await self._city(request, who, mistake=self.view.mistake(request, error), status=error.status)
        return go("/city/exchange", done)
