"""The exchange's pages from the exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shanhe.console import chart
from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console import model_exchange as x
from shanhe.console.live.modules import ByHand, Names, actor_of
from shanhe.exchange.api import (
    BUY,
    SIDES,
    Dispute,
    Exchange,
    Level,
    Market,
    NewOrder,
    Reversal,
    Status,
    Validity,
    parse_price,
    yuan_of,
)
from shanhe.identity.api import Identity
from shanhe.kernel.errors import NotFound
from shanhe.kernel.money import parse_credits, parse_yuan

DEPTH = 12
TAPE_ROWS = 20
AUCTION_ROWS = 8
ORDER_ROWS = 50
WHOLE = 10_000
Col = c.Col
TRADES = (Col("calls.at", "minute"), Col("exchange.side", "word:exchange"), Col("exchange.price"),
          Col("exchange.quantity", "credits"), Col("exchange.money", "yuan"), Col("exchange.fee_column", "yuan"),
          Col("exchange.back_micro", "credits"), Col("exchange.back_fen", "yuan"))  # fmt: skip
ORDERS = (Col("calls.at", "minute"), Col("exchange.member"), Col("exchange.side", "word:exchange"),
          Col("exchange.price"), Col("exchange.quantity", "credits"), Col("exchange.filled", "credits"))  # fmt: skip
DISPUTES = (Col("calls.at", "minute"), Col("exchange.order", "short"), Col("exchange.dispute_text"),
            Col("calls.status", "state:order_dispute"), Col("exchange.answer"), Col("exchange.back_micro", "credits"),
            Col("exchange.back_fen", "yuan"), Col("exchange.bound", "word:reversal_bound"))  # fmt: skip
REVERSALS = (Col("calls.at", "minute"), Col("exchange.member"), Col("exchange.order", "short"), Col("exchange.reason"),
             Col("exchange.trades"), Col("exchange.asked_by"))  # fmt: skip


class LiveExchange:
    """See `ports.ExchangeDesk`."""

    def __init__(self, exchange: Exchange, by_hand: ByHand, identity: Identity, names: Names) -> None:
        self._exchange = exchange
        self._by_hand = by_hand
        self._identity = identity
        self._names = names

    async def market(self) -> x.MarketPage:
        exchange = self._exchange
        book = await exchange.book(DEPTH)
        status = book.status
        most = max((level.quantity for level in (*book.buys, *book.sells)), default=1)
        return x.MarketPage(
            mode=_mode(status),
            licence=status.licence,
            continuous=status.continuous,
            paused=status.paused,
            pause_reason=status.pause_reason,
            floor=status.floor_ticks,
            ceiling=status.ceiling_ticks,
            least_fen=exchange.day().min_order_fen,
            last=status.last_ticks,
            indicative=book.indicative_ticks,
            indicative_micro=book.indicative_micro,
            next_at=status.next_auction_at,
            buys=_depth(book.buys, most),
            sells=_depth(book.sells, most),
            tape=[x.TapeRow(t.at, t.ticks, t.quantity_micro) for t in await exchange.trades(limit=TAPE_ROWS)],
            auctions=[
                x.AuctionRow(a.slot, a.ticks, a.quantity_micro, a.trades) for a in await exchange.auctions(AUCTION_ROWS)
            ],
            candles=chart.candles(
                [(c.start, c.open, c.high, c.low, c.close) for c in await exchange.candles()],
                status.floor_ticks,
                status.ceiling_ticks,
            ),
        )

    async def mine(self, who: m.Who) -> x.MyMarket:
        exchange = self._exchange
        purse = await exchange.cash.purse(who.org_id, await exchange.market())
        real = purse if purse.market is Market.REAL else await exchange.cash.purse(who.org_id, Market.REAL)
        orders = await exchange.orders(who.org_id, limit=ORDER_ROWS)
        return x.MyMarket(
            purse.tradeable_micro,
            purse.cash_fen,
            purse.cash_available_fen,
            real.cash_available_fen,
            [
                x.MyOrder(
                    o.id, o.placed_at, SIDES[o.side], o.ticks, o.quantity_micro, o.filled_micro, o.cash_fen, o.fee_fen,
                    str(o.validity), o.state, o.until,
                )
                for o in orders
            ],
            await self._trades(who.org_id),
            await self._withdrawals(who.org_id, open_only=False),
            await self._disputes(who.org_id),
        )  # fmt: skip

    async def _trades(self, org_id: UUID) -> c.Sheet:
        """An organisation's newest trades as its side of them, with what a reversal took back, or that it is void."""
        trades = await self._exchange.trades(org_id=org_id, limit=ORDER_ROWS)
        undone = await self._exchange.remedies.of_trades([trade.id for trade in trades])
        rows = []
        for trade in trades:
            bought, back = trade.buyer == org_id, undone.get(trade.id)
            fee = 0 if bought else trade.fee_fen
            returned: tuple[int | str, int | str] = ("", "")
            if trade.void_at is not None:  # nothing was booked
                returned = trade.quantity_micro, trade.cash_fen - fee
            elif back is not None:
                returned = back.quantity_micro, _given(back, bought=bought)
            rows.append(c.Row(trade.id, (
                trade.at, SIDES[not bought], yuan_of(trade.ticks), trade.quantity_micro, trade.cash_fen, fee or "",
                *returned,
            )))  # fmt: skip
        return c.Sheet("exchange.my_trades", TRADES, rows, "exchange.no_trades")

    async def _disputes(self, org_id: UUID) -> c.Sheet:
        """An organisation's disputes with what their reversals gave back, and what bounded those."""
        back: dict[UUID, list[Reversal]] = {}
        for remedy in await self._exchange.remedies.list(org_id):
            back.setdefault(remedy.dispute_id, []).extend(remedy.reversals)
        rows = []
        for d in await self._exchange.disputes.list(org_id):
            undone = back.get(d.id, [])
            bounds = {one.bound for one in undone if one.bound}
            bound = "several" if len(bounds) > 1 else "".join(bounds)
            sums: tuple[Any, Any] = ("", "")
            if undone:
                bought = (await self._exchange.order(d.order_id)).side == BUY
                sums = sum(one.quantity_micro for one in undone), sum(_given(one, bought=bought) for one in undone)
            rows.append(c.Row(d.id, (d.created_at, d.order_id, d.text, d.state, d.answer, *sums, bound)))
        return c.Sheet("exchange.my_disputes", DISPUTES, rows, "exchange.no_disputes")

    async def place(self, who: m.Who, order_id: UUID, fields: Mapping[str, str]) -> None:
        side = SIDES.index(fields.get("side", ""))
        ticks, micro = parse_price(fields.get("price", "")), parse_credits(fields.get("quantity", ""))
        new = NewOrder(order_id, who.org_id, side, ticks, micro, Validity(fields.get("validity", "gtc")))
        await self._exchange.place(new, actor=actor_of(who).ref)

    async def cancel(self, who: m.Who, order_id: UUID) -> None:
        await self._exchange.cancel(order_id, org_id=who.org_id, actor=actor_of(who).ref)

    async def amend(self, who: m.Who, order_id: UUID, price: str, quantity: str) -> None:
        ticks, micro = parse_price(price), parse_credits(quantity)
        await self._exchange.amend(
            order_id, org_id=who.org_id, ticks=ticks, quantity_micro=micro, actor=actor_of(who).ref
        )

    async def dispute(self, who: m.Who, order_id: UUID, dispute_id: UUID, text: str) -> None:
        await self._exchange.dispute(order_id, who.org_id, text, dispute_id=dispute_id, actor=actor_of(who).ref)

    async def play(self, who: m.Who) -> None:
        exchange = self._exchange
        await exchange.cash.grant_play(who.org_id, await exchange.market(), exchange.day(), actor=actor_of(who).ref)

    async def deposit(self, who: m.Who, yuan: str, ref: str, method: str) -> str:
        made = await self._exchange.cash.deposit(
            who.org_id, await self._exchange.market(), parse_yuan(yuan), client_ref=ref, method=method,
            actor=actor_of(who).ref,
        )  # fmt: skip
        return made.redirect_url or ""

    async def withdraw(self, who: m.Who, withdrawal_id: UUID, yuan: str, payee: str) -> None:
        await self._exchange.cash.withdraw(
            who.org_id, parse_yuan(yuan), withdrawal_id=withdrawal_id, payee=payee, actor=actor_of(who).ref
        )

    async def fund(self) -> x.FundPage:
        exchange = self._exchange
        status, view = await exchange.status(), await exchange.fund.view(await exchange.market())
        called = await self._names.owners(p.org_id for p in view.payments)
        return x.FundPage(
            _mode(status),
            status.licence,
            view.balance_fen,
            view.fees_fen,
            view.paid_fen,
            view.stability_fen,
            view.trades,
            [x.FundRow(p.id, p.asked_at, called[p.org_id], p.amount_fen, p.reason, p.state, "") for p in view.payments],
            [
                x.InterventionRow(i.at, SIDES[i.side], i.ticks, i.quantity)
                for i in await exchange.stability.interventions()
            ],
        )

    async def operations(self, who: m.Who) -> x.Operations:
        exchange = self._exchange
        view = await exchange.fund.view(await exchange.market())
        called = await self._names.owners(p.org_id for p in view.payments)
        return x.Operations(
            [
                x.FundRow(p.id, p.asked_at, called[p.org_id], p.amount_fen, p.reason, p.state, p.asked_by)
                for p in view.payments
                if p.state == "open"
            ],
            await self._withdrawals(None, open_only=True),
            await self._dispute_rows(await exchange.disputes.list(None, open_only=True)),
            await self._dispute_rows(await exchange.remedies.due()),
            await self._reversals(),
            await self._open_orders(),
        )

    async def _dispute_rows(self, found: Sequence[Dispute]) -> Sequence[x.DisputeRow]:
        called = await self._names.owners(d.org_id for d in found)
        return [x.DisputeRow(d.id, d.created_at, called[d.org_id], d.order_id, d.text) for d in found]

    async def _open_orders(self) -> c.Sheet:
        found = await self._exchange.orders(None, open_only=True, limit=ORDER_ROWS)
        called = await self._names.owners(o.org_id for o in found)
        rows = [
            c.Row(o.id, (o.placed_at, called[o.org_id], SIDES[o.side], yuan_of(o.ticks), o.quantity_micro,
                         o.filled_micro))
            for o in found
        ]  # fmt: skip
        return c.Sheet("exchange.open_orders", ORDERS, rows, "exchange.no_open_orders")

    async def stop_order(self, who: m.Who, order_id: UUID) -> None:
        await self._exchange.cancel(order_id, org_id=None, actor=actor_of(who).ref)

    async def _reversals(self) -> c.Sheet:
        found = await self._exchange.remedies.list(open_only=True)
        called = await self._names.owners(r.org_id for r in found)
        rows = [
            c.Row(r.id, (r.asked_at, called[r.org_id], r.order_id, r.reason, len(r.trades), r.asked_by))
            for r in found
        ]  # fmt: skip
        return c.Sheet("exchange.waiting_reversals", REVERSALS, rows, "exchange.nothing_waits")

    async def switch(self, who: m.Who, paused: bool, reason: str) -> None:
        turn = self._exchange.pause if paused else self._exchange.resume
        await turn(reason, actor=actor_of(who).ref)

    async def auction(self, who: m.Who) -> None:
        await self._exchange.run_auction(forced_by=actor_of(who).ref)

    async def pay_out(self, who: m.Who, payment_id: UUID | None, org: str, yuan: str, reason: str) -> None:
        found = [one for one in await self._identity.orgs.list(find=org) if one.name == org] if org else []
        if len(found) != 1:
            raise NotFound(
                "unknown_organisation", f"No single organisation is called {org!r}.",
                message_zh=f"没有唯一名为“{org}”的机构。", hint="Type its full name.", hint_zh="请输入机构全称。",
            )  # fmt: skip
        amount_fen, by = parse_yuan(yuan), actor_of(who).ref
        await self._exchange.fund.request(found[0].id, amount_fen, reason, by=by, request_id=payment_id)

    async def decide_payment(self, who: m.Who, payment_id: UUID, yes: bool, reason: str) -> None:
        fund, by = self._exchange.fund, actor_of(who).ref
        await (fund.approve(payment_id, by=by) if yes else fund.reject(payment_id, by=by, reason=reason))

    async def decide_withdrawal(self, who: m.Who, withdrawal_id: UUID, yes: bool, reason: str) -> bool:
        asked = await self._by_hand.decide_withdrawal(withdrawal_id, reason, paid=yes, by=actor_of(who).ref)
        return asked is not None

    async def decide_dispute(self, who: m.Who, dispute_id: UUID, yes: bool, reason: str) -> None:
        await self._exchange.disputes.decide(dispute_id, upheld=yes, answer=reason, actor=actor_of(who).ref)

    async def ask_reversal(self, who: m.Who, dispute_id: UUID, reason: str) -> None:
        await self._exchange.remedies.ask(dispute_id, reason, by=actor_of(who).ref)

    async def decide_reversal(self, who: m.Who, reversal_id: UUID, yes: bool, reason: str) -> None:
        remedies, by = self._exchange.remedies, actor_of(who).ref
        await (remedies.approve(reversal_id, by=by) if yes else remedies.reject(reversal_id, by=by, reason=reason))

    async def _withdrawals(self, org_id: UUID | None, *, open_only: bool) -> Sequence[x.WithdrawalRow]:
        found = await self._exchange.cash.withdrawals(org_id, open_only=open_only)
        called = await self._names.owners(w.org_id for w in found)
        return [
            x.WithdrawalRow(w.id, w.created_at, called[w.org_id], w.amount_fen, w.payee, w.state, w.reference)
            for w in found
        ]


def _given(reversal: Reversal, *, bought: bool) -> int:
    """Fen that a buyer got back of a trade, or that its seller gave back: the fee comes from the fund."""
    return reversal.cash_fen if bought else reversal.cash_fen - reversal.fee_fen


def _mode(status: Status) -> str:
    return "play" if status.market == "play" else "sample" if status.sample else "real"


def _depth(levels: Sequence[Level], most: int) -> list[x.DepthRow]:
    return [
        x.DepthRow(level.ticks, level.quantity, level.orders, max(1, level.quantity * WHOLE // most))
        for level in levels
    ]
