"""HTTP of the exchange. The market is public; orders are an organisation's; pausing and money are for operators.

Prices are ticks of CNY 0.0001 (or a decimal string), quantities micro-credits, cash fen. Writes are idempotent by `id`.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import Depends, Query, WebSocket, WebSocketDisconnect
from pydantic import Field
from starlette.responses import Response

from shanhe.exchange import dispute_routes
from shanhe.exchange.cash import CASH_MAX_FEN
from shanhe.exchange.errors import BadPrice, ExchangeBusy, UnknownItem, yuan_of
from shanhe.exchange.feed import Feed
from shanhe.exchange.model import SIDES, NewOrder, Validity
from shanhe.exchange.service import Exchange
from shanhe.exchange.units import parse_price
from shanhe.exchange.views import book_view, order_view, own_trade, public_trade, status_view
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.documents import BOM, csv_line
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_credits, format_fen
from shanhe.kernel.routing import APIRouter, Body

INT64_MAX = 2**63 - 1
TEXT_LIMIT_CHARS = 200
PAGE_MAX = 500
DEPTH_MAX = 100
STEPS_S = {"minute": 60, "hour": 3600, "day": 86400}
TOO_SLOW, TRY_LATER = 4008, 1013
"""Close codes: the reader fell behind; too many listen."""
ALIVE_EVERY_S = 20.0
CSV_HEAD = ("time", "trade", "price_cny", "quantity_credits", "cash_cny")

Amount = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX, strict=True)]
Fen = Annotated[int, Field(gt=0, le=CASH_MAX_FEN, strict=True)]
Page = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class PriceBody(Body):
    price_ticks: Amount | None = None
    price: str | None = Field(None, max_length=20)
    quantity_micro: Amount

    def ticks(self) -> int:
        if (self.price_ticks is None) == (self.price is None):
            raise BadPrice("neither or both of price and price_ticks")
        return self.price_ticks if self.price_ticks is not None else parse_price(self.price or "")


class OrderBody(PriceBody):
    id: UUID | None = None
    side: Literal["buy", "sell"]
    validity: Validity = Validity.GTC


class AmendBody(PriceBody):
    id: UUID | None = None


class ReasonBody(Body):
    reason: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class DepositBody(Body):
    client_ref: str = Field(min_length=1, max_length=100)
    amount_fen: Fen
    method: str = Field("sandbox", max_length=32)
    return_path: str = Field("/exchange/trade", max_length=TEXT_LIMIT_CHARS)


class ReceiveBody(Body):
    org_id: UUID
    amount_fen: Fen
    reference: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class WithdrawBody(Body):
    id: UUID
    amount_fen: Fen
    payee: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class DecideBody(Body):
    paid: bool
    reference: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class PaymentBody(Body):
    id: UUID | None = None
    org_id: UUID
    amount_fen: Fen
    reason: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class EndowBody(Body):
    id: UUID
    amount_fen: Fen


Member = Annotated[Actor, Depends(require("topup"))]
Operator = Annotated[Actor, Depends(require("accounts"))]
Reader = Annotated[Actor, Depends(require("ledger"))]


def router(exchange: Exchange, feed: Feed, by_hand: AskSecond) -> APIRouter:
    """Everything under /api/exchange. `by_hand`: says that a withdrawal was paid, or asks a second person to
    agree, or refuses it."""
    routes = APIRouter(prefix="/api/exchange", tags=["exchange"])
    _market(routes, exchange)
    _stream(routes, feed)
    _orders(routes, exchange)
    _money(routes, exchange)
    _operators(routes, exchange, by_hand)
    _fund(routes, exchange)
    dispute_routes.add(routes, exchange)
    return routes


def _market(routes: APIRouter, exchange: Exchange) -> None:
    @routes.get("")
    async def status() -> Response:
        """The market now: mode, approval, corridor, next auction; public."""
        return as_json(status_view(await exchange.status()))

    @routes.get("/book")
    async def book(depth: Annotated[int, Query(ge=1, le=DEPTH_MAX)] = 20) -> Response:
        """Depth inside the corridor and the indicative price; public."""
        return as_json(book_view(await exchange.book(depth)))

    @routes.get("/trades")
    async def trades(before: UUID | None = None, limit: Page = 100) -> Response:
        """Trades, newest first, without names; public."""
        page = await exchange.trades(before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return as_json({"data": [public_trade(trade) for trade in page], "next": following})

    @routes.get("/trades.csv")
    async def trades_csv(before: UUID | None = None, limit: Page = PAGE_MAX) -> Response:
        """The same as CSV; public."""
        lines = [csv_line(CSV_HEAD)]
        for trade in await exchange.trades(before=before, limit=limit):
            amounts = (yuan_of(trade.ticks), format_credits(trade.quantity_micro), format_fen(trade.cash_fen))
            lines.append(csv_line((trade.at.isoformat(), str(trade.id), *(one.replace(",", "") for one in amounts))))
        headers = {"content-disposition": 'attachment; filename="trades.csv"'}
        return Response(BOM + "".join(lines), media_type="text/csv; charset=utf-8", headers=headers)

    @routes.get("/candles")
    async def candles(
        step: Literal["minute", "hour", "day"] = "hour", days: Annotated[int, Query(ge=1, le=366)] = 20
    ) -> Response:
        """Open, high, low, close by step, oldest first; public."""
        found = await exchange.candles(step_s=STEPS_S[step], days=days)
        return as_json({"data": [asdict(candle) for candle in found]})

    @routes.get("/auctions")
    async def auctions(limit: Page = 100) -> Response:
        """Auctions held, newest first; public."""
        return as_json({"data": [asdict(auction) for auction in await exchange.auctions(limit)]})


def _stream(routes: APIRouter, feed: Feed) -> None:
    @routes.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        """The market as a WebSocket: a snapshot, then differences; public. What a client sends is ignored."""
        await socket.accept()
        leaving = asyncio.create_task(_left(socket))
        try:
            async with feed.subscribe() as queue:
                while (message := await _next(queue, leaving)) is not None:
                    await socket.send_text(msgspec.json.encode(message).decode())
                await socket.close(TOO_SLOW)
        except ExchangeBusy:
            await socket.close(TRY_LATER)
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            leaving.cancel()


async def _left(socket: WebSocket) -> None:
    """Ends when the client has left."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _next(queue: asyncio.Queue[dict[str, Any] | None], leaving: asyncio.Task[None]) -> dict[str, Any] | None:
    """The next message; a sign of life when there is none for a while. WebSocketDisconnect once the client has left."""
    reading = asyncio.create_task(queue.get())
    done, _ = await asyncio.wait({reading, leaving}, timeout=ALIVE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    if reading in done:
        return reading.result()
    reading.cancel()
    if leaving in done:
        raise WebSocketDisconnect
    return {"type": "alive"}


def _orders(routes: APIRouter, exchange: Exchange) -> None:
    @routes.post("/orders", status_code=201)
    async def place(body: OrderBody, actor: Member) -> Response:
        """Place a limit order; credits or cash are set aside for it at once."""
        new = NewOrder(
            body.id or new_id(), org_of(actor), SIDES.index(body.side), body.ticks(), body.quantity_micro, body.validity
        )
        return as_json(order_view(await exchange.place(new, actor=actor.ref)), 201)

    @routes.get("/orders")
    async def orders(actor: Member, open: bool = False, before: UUID | None = None, limit: Page = 100) -> Response:
        """The organisation's orders, newest first."""
        page = await exchange.orders(org_of(actor), open_only=open, before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return as_json({"data": [order_view(order) for order in page], "next": following})

    @routes.get("/orders/{order_id}")
    async def order(order_id: UUID, actor: Member) -> Response:
        return as_json(order_view(await exchange.order(order_id, org_id=org_of(actor))))

    @routes.post("/orders/{order_id}/cancel")
    async def cancel(order_id: UUID, actor: Member) -> Response:
        """End an order; what was filled stays."""
        return as_json(order_view(await exchange.cancel(order_id, org_id=org_of(actor), actor=actor.ref)))

    @routes.post("/orders/{order_id}/amend")
    async def amend(order_id: UUID, body: AmendBody, actor: Member) -> Response:
        """New price and new total quantity, the filled part included."""
        changed = await exchange.amend(
            order_id, org_id=org_of(actor), ticks=body.ticks(), quantity_micro=body.quantity_micro, amend_id=body.id,
            actor=actor.ref,
        )  # fmt: skip
        return as_json(order_view(changed))

    @routes.get("/my/trades")
    async def my_trades(actor: Member, before: UUID | None = None, limit: Page = 100) -> Response:
        """The organisation's trades with what it paid or received, newest first."""
        org = org_of(actor)
        page = await exchange.trades(org_id=org, before=before, limit=limit)
        following = str(page[-1].id) if len(page) == limit else None
        return as_json({"data": [own_trade(trade, org) for trade in page], "next": following})

    @routes.get("/my/trades/{trade_id}")
    async def my_trade(trade_id: UUID, actor: Member) -> Response:
        """One's own trade with the decision behind its fee."""
        trade, org = await exchange.trade(trade_id), org_of(actor)
        if trade is None or org not in (trade.buyer, trade.seller):
            raise UnknownItem("trade", "成交")
        undone = (await exchange.remedies.of_trades([trade_id])).get(trade_id)
        reversal = None if undone is None else asdict(undone)
        return as_json({**own_trade(trade, org), "fee": await exchange.why_fee(trade), "reversal": reversal})


def _money(routes: APIRouter, exchange: Exchange) -> None:
    @routes.get("/purse")
    async def purse(actor: Member) -> Response:
        """The organisation's credits and cash in the open market."""
        return as_json(asdict(await exchange.cash.purse(org_of(actor), await exchange.market())))

    @routes.post("/play-money", status_code=201)
    async def play_money(actor: Member) -> Response:
        """Play credits and play cash, once; in the sandbox only."""
        market = await exchange.market()
        granted = await exchange.cash.grant_play(org_of(actor), market, exchange.day(), actor=actor.ref)
        return as_json(asdict(granted), 201)

    @routes.post("/deposits", status_code=201)
    async def deposit(body: DepositBody, actor: Member) -> Response:
        """Pay cash into the exchange account; send the payer to `redirect_url`."""
        made = await exchange.cash.deposit(
            org_of(actor), await exchange.market(), body.amount_fen, client_ref=body.client_ref, method=body.method,
            actor=actor.ref, return_path=body.return_path,
        )  # fmt: skip
        return as_json(asdict(made), 201)

    @routes.post("/withdrawals", status_code=201)
    async def withdraw(body: WithdrawBody, actor: Member) -> Response:
        """Ask for cash back; an operator pays it by bank transfer."""
        made = await exchange.cash.withdraw(
            org_of(actor), body.amount_fen, withdrawal_id=body.id, payee=body.payee, actor=actor.ref
        )
        return as_json(asdict(made), 201)

    @routes.get("/withdrawals")
    async def withdrawals(actor: Member) -> Response:
        return as_json({"data": [asdict(one) for one in await exchange.cash.withdrawals(org_of(actor))]})


def _operators(routes: APIRouter, exchange: Exchange, by_hand: AskSecond) -> None:
    @routes.post("/pause")
    async def pause(body: ReasonBody, actor: Operator) -> Response:
        """Stop trading; orders can still be cancelled."""
        return as_json(status_view(await exchange.pause(body.reason, actor=actor.ref)))

    @routes.post("/resume")
    async def resume(body: ReasonBody, actor: Operator) -> Response:
        return as_json(status_view(await exchange.resume(body.reason, actor=actor.ref)))

    @routes.post("/auction")
    async def auction(actor: Operator) -> Response:
        """Hold a call auction now, besides the regular ones."""
        return as_json(asdict(await exchange.run_auction(forced_by=actor.ref)))

    @routes.get("/replay")
    async def replay(_: Reader) -> Response:
        """Fold the whole journal again and compare."""
        found = await exchange.replay()
        return as_json({**asdict(found), "same": found.same})

    @routes.get("/all-orders")
    async def all_orders(_: Reader, open: bool = True, before: UUID | None = None, limit: Page = 100) -> Response:
        """Orders of every organisation, newest first."""
        page = await exchange.orders(None, open_only=open, before=before, limit=limit)
        return as_json({"data": [{**order_view(order), "org_id": order.org_id} for order in page]})

    @routes.post("/all-orders/{order_id}/cancel")
    async def cancel(order_id: UUID, actor: Operator) -> Response:
        """End any order; for operators."""
        return as_json(order_view(await exchange.cancel(order_id, org_id=None, actor=actor.ref)))

    @routes.post("/receipts", status_code=202)
    async def receive(body: ReceiveBody, actor: Operator) -> Response:
        """Ask to book cash that came by bank transfer for an organisation's exchange account; another operator agrees,
        then it is there."""
        await exchange.known(body.org_id)
        asked = await exchange.cash.ask_receipt(body.org_id, body.amount_fen, reference=body.reference, by=actor.ref)
        return as_json(asked_view(asked), 202)

    @routes.get("/all-withdrawals")
    async def all_withdrawals(_: Reader, open: bool = True) -> Response:
        return as_json({"data": [asdict(one) for one in await exchange.cash.withdrawals(None, open_only=open)]})

    @routes.post("/withdrawals/{withdrawal_id}/decide")
    async def decide(withdrawal_id: UUID, body: DecideBody, actor: Operator) -> Response:
        """Say that it was paid (the bank's reference) or is refused (why). From the smallest payout on, of one or of
        what one pays alone in a day, another operator agrees that it was paid (202)."""
        asked = await by_hand(withdrawal_id, body.reference, paid=body.paid, by=actor.ref)
        if asked is not None:
            return as_json(asked_view(asked), 202)
        done = await exchange.cash.decide_withdrawal(
            withdrawal_id, paid=body.paid, reference=body.reference, actor=actor.ref
        )
        return as_json(asdict(done))


def _fund(routes: APIRouter, exchange: Exchange) -> None:
    @routes.get("/fund")
    async def fund() -> Response:
        """The ecosystem fund: fees in, payments out; public."""
        return as_json(asdict(await exchange.fund.view(await exchange.market())))

    @routes.post("/fund/payments", status_code=201)
    async def request(body: PaymentBody, actor: Operator) -> Response:
        """Ask to pay an organisation out of the fund; a second person decides."""
        await exchange.known(body.org_id)
        made = await exchange.fund.request(body.org_id, body.amount_fen, body.reason, by=actor.ref, request_id=body.id)
        return as_json(asdict(made), 201)

    @routes.post("/fund/payments/{payment_id}/approve")
    async def approve(payment_id: UUID, actor: Operator) -> Response:
        """The second person's word."""
        return as_json(asdict(await exchange.fund.approve(payment_id, by=actor.ref)))

    @routes.post("/fund/payments/{payment_id}/reject")
    async def reject(payment_id: UUID, body: ReasonBody, actor: Operator) -> Response:
        return as_json(asdict(await exchange.fund.reject(payment_id, by=actor.ref, reason=body.reason)))

    @routes.post("/stability", status_code=202)
    async def endow(body: EndowBody, actor: Operator) -> Response:
        """Ask to move cash of the ecosystem fund to the stability fund; another operator agrees, then it is there."""
        market = await exchange.market()
        asked = await exchange.fund.ask_endowment(market, body.amount_fen, by=actor.ref, request_id=body.id)
        return as_json(asked_view(asked), 202)

    @routes.get("/stability")
    async def interventions() -> Response:
        """What the stability fund did, and why; public."""
        return as_json({"data": [asdict(one) for one in await exchange.stability.interventions()]})
