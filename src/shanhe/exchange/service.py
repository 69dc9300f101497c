"""The exchange of one process: orders in, auctions, settlement, what the market looks like."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.approvals.api import Approvals, Gate, Scope
from shanhe.exchange import store, timing
from shanhe.exchange.cash import Cash
from shanhe.exchange.clearing import cash_of, uniform_price
from shanhe.exchange.disputes import Dispute, Disputes
from shanhe.exchange.engine import Advance, Engine, Replay
from shanhe.exchange.errors import (
    BadPrice,
    BadQuantity,
    BelowFilled,
    ExchangeUnavailable,
    OrderEnded,
    OrderTooSmall,
    TraderFrozen,
    UnknownOrder,
)
from shanhe.exchange.fund import Fund
from shanhe.exchange.intake import Intake, Wanted
from shanhe.exchange.journal import instant, micros
from shanhe.exchange.model import (
    BUY,
    QUANTITY_MAX_MICRO,
    SELL,
    TICKS_MAX,
    Auction,
    AuctionView,
    BookView,
    Cancel,
    Candle,
    Expire,
    FeeDiscount,
    Market,
    NewOrder,
    OrderView,
    Pause,
    Ran,
    Reason,
    Resume,
    Status,
    Trader,
    TraderOf,
    TradeView,
)
from shanhe.exchange.policy import Day, Policy
from shanhe.exchange.remedy import Remedies
from shanhe.exchange.settlement import Settlement
from shanhe.exchange.stability import ACTOR as STABILITY_ACTOR
from shanhe.exchange.stability import FUND, Stability
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import check_line
from shanhe.ledger.api import Ledger
from shanhe.payments.api import Payments
from shanhe.rulebook.api import Rulebook

DEPTH: Final = 20
PAGE_ROWS: Final = 100
GATE_KEPT_S: Final = 0.5
"""An approval that was revoked shuts the exchange within this time; acceptance asks again for every batch."""
SWEEP_ROWS: Final = 1_000
CANDLES_MAX: Final = 500
CHANNEL: Final = "exchange_market"
OTHER: Final = {Market.REAL: Market.PLAY, Market.PLAY: Market.REAL}
TICKS_SHOWN_MAX: Final = 10_000
"""Levels looked at for an indicative price."""
VALUE_MAX: Final = 2**62
"""Bound of an order's ticks × micro-credits."""


class Exchange:
    """Orders, matching, settlement and market data of both markets; which one is open is the gate's word.

    `trader(org_id)` tells who stands behind an organisation, `fee_discount(org_id, day)` what loyalty takes off the
    fee, `record(conn, kind, public)` hands auctions and pauses to the transparency log.
    """

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, rulebook: Rulebook, approvals: Approvals,
        payments: Payments, secret: bytes, trader: TraderOf, fee_discount: FeeDiscount, record: Record,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._approvals = approvals
        self._secret = secret
        self._trader = trader
        self._fee_discount = fee_discount
        self._record = record
        self.policy = Policy(rulebook)
        self.cash = Cash(db, clock, ledger, payments, approvals, seals)
        self.fund = Fund(db, clock, ledger, approvals, self.cash)
        self.stability = Stability(db, clock, ledger, self.cash, self.policy)
        self.disputes = Disputes(db, clock, approvals, seals)
        self.remedies = Remedies(db, clock, ledger, approvals, self.fund, record, self.disputes, seals)
        self._gate: tuple[float, Gate] | None = None
        self._asking: asyncio.Task[Gate] | None = None
        self._intakes = {
            market: Intake(db, clock, ledger, market, day=self.policy.day, active=self.market) for market in Market
        }
        self._engines = {market: Engine(db, market, self.policy) for market in Market}
        self._settlements = {
            market: Settlement(db, clock, ledger, market, self.policy, self.fund.account, self._intakes[market].doubt)
            for market in Market
        }
        self._turns = {market: asyncio.Lock() for market in Market}
        self._rounds: dict[Market, asyncio.Task[tuple[Advance, int]]] = {}

    async def stop(self) -> None:
        """Finish what waits."""
        for intake in self._intakes.values():
            await intake.stop()
        asking = [] if self._asking is None else [self._asking]
        await asyncio.gather(*self._rounds.values(), *asking, return_exceptions=True)

    # -- which market -------------------------------------------------------------------------------------------------

    async def gate(self) -> Gate:
        """The approval's word, a moment old at most; however many ask at once, one look answers them."""
        kept, today = self._gate, self._clock.today()
        age_s = math.inf if kept is None or not _covers(kept[1], today) else time.monotonic() - kept[0]
        if age_s > GATE_KEPT_S / 2 and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(today))  # ahead of time, so that seldom anybody waits
            self._asking.add_done_callback(_heard)
        if kept is not None and age_s <= GATE_KEPT_S:
            return kept[1]
        assert self._asking is not None
        return await asyncio.shield(self._asking)

    async def _ask(self, today: date) -> Gate:
        asked_s = time.monotonic()
        gate = await self._approvals.gate(Scope.EXCHANGE, today)
        self._gate = (asked_s, gate)
        return gate

    async def market(self) -> Market:
        """The market that is open now: real under an approval, play without one."""
        return Market.REAL if (await self.gate()).real else Market.PLAY

    def day(self) -> Day:
        """Today's rules."""
        return self.policy.day(self._clock.today())

    # -- orders -------------------------------------------------------------------------------------------------------

    async def place(self, new: NewOrder, *, actor: str) -> OrderView:
        """Accept an order with its escrow, durable on return; idempotent by its id.

        Raises BadPrice, BadQuantity, OutsideCorridor, OrderTooSmall, NothingToSell, NotEnoughCash, SelfTrade,
        MarketPaused, TraderFrozen, TooManyOrders, OrderConflict, MarketChanged, ExchangeBusy, ExchangeUnavailable.
        """
        _check(new.side, new.ticks, new.quantity_micro)
        day = self.day()
        value_fen = cash_of(new.ticks * new.quantity_micro)
        if value_fen < day.min_order_fen:
            raise OrderTooSmall(value_fen, day.min_order_fen)
        market, trader = await self.market(), await self._who_trades(new.org_id)
        credit, cash = await self.cash.accounts(new.org_id, market)
        discount_bps = await self._fee_discount(new.org_id, day.on) if new.side == SELL else 0

        def wanted(future: asyncio.Future[Any]) -> Wanted:
            return Wanted(
                future, new.id, new=new, trader=trader, discount_bps=discount_bps, credit_account=credit.id,
                cash_account=cash.id, actor=actor, org_id=new.org_id,
            )  # fmt: skip

        accepted: OrderView | None = await self._intakes[market].submit(wanted)
        if day.continuous:
            await self.work(market)
            accepted = None
        return accepted or await self.order(new.id)

    async def known(self, org_id: UUID) -> None:
        """NotFound for an organisation that is not there: what is booked to it would be nobody's."""
        await self._trader(org_id)

    async def _who_trades(self, org_id: UUID) -> Trader:
        """TraderFrozen when it may not."""
        trader = Trader(FUND, FUND) if org_id == FUND else await self._trader(org_id)
        if trader.frozen:
            raise TraderFrozen()
        return trader

    async def cancel(self, order_id: UUID, *, org_id: UUID | None, actor: str) -> OrderView:
        """End an order; what was filled stays. `org_id` None: an operator's hand. UnknownOrder, OrderEnded."""
        found = await self.order(order_id, org_id=org_id)
        reason = Reason.STOPPED if org_id is None else Reason.CANCELLED
        await self._change(found, Wanted, reason=reason, actor=actor)
        return await self.order(order_id)

    async def end_orders(self, org_id: UUID, *, reason: Reason = Reason.STOPPED, actor: str) -> int:
        """End all that an organisation has open; their escrow is free again. How many."""
        ended, before, touched = 0, None, set[Market]()
        while page := await self.orders(org_id, open_only=True, before=before):
            before = page[-1].id
            touched |= {order.market for order in page}
            answers = await asyncio.gather(
                *(self._submit(order, Wanted, reason=reason, actor=actor) for order in page), return_exceptions=True
            )
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, OrderEnded):
                    raise answer
            ended += sum(answer is None for answer in answers)
        for market in touched:
            await self.work(market)
        return ended

    async def amend(
        self, order_id: UUID, *, org_id: UUID | None, ticks: int, quantity_micro: int, actor: str,
        amend_id: UUID | None = None,
    ) -> OrderView:  # fmt: skip
        """New limit and new total quantity (the filled part included). Less at the same price keeps its place.

        Raises what `place` does of an order, BelowFilled, UnknownOrder, OrderEnded.
        """
        found = await self.order(order_id, org_id=org_id)
        trader = await self._who_trades(found.org_id)
        _check(found.side, ticks, quantity_micro)
        value_fen = cash_of(ticks * quantity_micro)
        if value_fen < self.day().min_order_fen:
            raise OrderTooSmall(value_fen, self.day().min_order_fen)
        if quantity_micro <= found.filled_micro:
            raise BelowFilled(found.filled_micro)
        await self._change(
            found, Wanted, trader=trader, amend=(ticks, quantity_micro), amend_id=amend_id or new_id(), actor=actor
        )
        return await self.order(order_id)

    async def _change(self, found: OrderView, make: Callable[..., Wanted], **rest: Any) -> None:
        await self._submit(found, make, **rest)
        await self.work(found.market)

    async def _submit(self, found: OrderView, make: Callable[..., Wanted], **rest: Any) -> None:
        def wanted(future: asyncio.Future[Any]) -> Wanted:
            return make(future, found.id, org_id=found.org_id, **rest)

        await self._intakes[found.market].submit(wanted)

    async def order(self, order_id: UUID, *, org_id: UUID | None = None) -> OrderView:
        """UnknownOrder when absent or of another organisation."""
        found = await store.order(self._db, order_id, org_id)
        if found is None:
            raise UnknownOrder()
        return found

    async def orders(
        self, org_id: UUID | None, *, open_only: bool = False, before: UUID | None = None, limit: int = PAGE_ROWS
    ) -> Sequence[OrderView]:
        """Newest first, a bounded page; `before` continues."""
        return await store.orders(self._db, org_id, open_only=open_only, before=before, limit=limit)

    # -- matching and settling ----------------------------------------------------------------------------------------

    async def work(self, market: Market) -> tuple[Advance, int]:
        """Fold in and settle what was accepted so far. Callers that wait for the same round share it."""
        waiting = self._rounds.get(market)
        if waiting is None:
            waiting = self._rounds[market] = asyncio.create_task(self._work(market))
        return await asyncio.shield(waiting)

    async def _work(self, market: Market) -> tuple[Advance, int]:
        async with self._turns[market]:
            self._rounds.pop(market, None)  # whoever comes from now on needs another round
            await self._intakes[market].end_unbacked()
            advance = await self._engines[market].advance()
            settled = await self._settlements[market].run()
        if advance.events:
            await self._db.execute("SELECT pg_notify($1, $2)", CHANNEL, str(market))
        return advance, settled

    async def run_auction(self, *, forced_by: str | None = None) -> Ran:
        """Hold the auction that is due, once; `forced_by` holds one at once. Nothing happens while trading is paused.

        Of auctions missed while nobody was there only the latest is held, of those that closed before trading was
        resumed none, and a clock that jumps back repeats none.
        """
        market = await self.market()
        intake = self._intakes[market]
        seq = None
        await intake.end_unbacked()
        async with self._db.transaction() as conn:
            batch = await intake.begin(conn)
            day = batch.day
            last = await self._last_slot(conn, market, batch.head, day)
            if forced_by is not None:
                slot = max(batch.now, last + timedelta(microseconds=1)) if last is not None else batch.now
            else:
                slot = timing.due_slot(batch.now, day.interval, self._secret, day.random_close_s)
            due = forced_by is not None or not (day.continuous or (last is not None and slot <= last))
            if due and not batch.head["paused"]:
                reference = await self._reference(conn, market, day)
                event = Auction(**batch.next(), slot_us=micros(slot), reference=reference)
                if await store.insert_auction(conn, market, slot, event.seq, batch.now, forced_by):
                    batch.events.append(event)
                    seq = event.seq
                    public = {
                        "market": market,
                        "slot": slot.isoformat(),
                        "seq": seq,
                        "reference_ticks": event.reference,
                    }
                    await self._record(conn, "exchange.auction", public)
            await intake.finish(conn, batch)
        if seq is None:
            return Ran()
        advance, settled = await self.work(market)
        held = await store.auction(self._db, market, seq)
        return Ran(held, held.trades if held is not None else 0, settled, advance.ended)

    async def sweep(self, now: datetime | None = None) -> Ran:
        """What must happen without anybody asking: orders whose time is over, a market that closed, trades to settle.

        Idempotent and bounded; call it every few seconds.
        """
        opened = await self.market()
        return await self._sweep(opened, now, open=True) + await self._sweep(OTHER[opened], now, open=False)

    async def _sweep(self, market: Market, now: datetime | None, *, open: bool) -> Ran:
        intake = self._intakes[market]
        async with self._db.transaction() as conn:
            batch = await intake.begin(conn, now)
            if not open:
                for order_id in await store.open_ids(conn, market, SWEEP_ROWS):
                    event = Cancel(**batch.next(), order=order_id, reason=Reason.MARKET_CLOSED, actor="exchange")
                    batch.events.append(event)
            elif await store.due(conn, market, batch.head["at_us"]):
                batch.events.append(Expire(**batch.next()))
            await intake.finish(conn, batch)
        advance, settled = await self.work(market)
        return Ran(None, advance.trades, settled, advance.ended)

    async def tick(self) -> Ran:
        """The market's round: what is due in the one that is open, its auction, then what is left of the other."""
        opened = await self.market()
        ran = await self._sweep(opened, None, open=True) + await self.run_auction()
        return ran + await self._sweep(OTHER[opened], None, open=False)

    async def stabilise(self) -> OrderView | None:
        """Place the order that the stability fund's rule (F8) allows now, if any; its reason is recorded and public."""
        decided = await self.stability.decide(await self.book())
        if decided is None:
            return None
        order, trace = decided
        await self.stability.record(order, trace)  # before it is placed: no order of the fund is without its reason
        try:
            return await self.place(order, actor=STABILITY_ACTOR)
        except ExchangeUnavailable:  # it may be in the market all the same
            return None
        except ShanheError:  # the market moved meanwhile; the next round decides anew
            await self.stability.forget(order)
            return None

    async def endow_stability(self, amount_fen: int, *, posting_id: UUID, actor: str) -> None:
        """Move cash of the ecosystem fund to the stability fund; idempotent by `posting_id`."""
        await self.fund.endow(await self.market(), amount_fen, posting_id=posting_id, actor=actor)

    async def dispute(self, order_id: UUID, org_id: UUID, text: str, *, dispute_id: UUID, actor: str) -> Dispute:
        """Say what is wrong with one's own order; an operator answers. Idempotent by `dispute_id`."""
        await self.order(order_id, org_id=org_id)
        return await self.disputes.open(order_id, org_id, text, dispute_id=dispute_id, actor=actor)

    async def pause(self, reason: str, *, actor: str) -> Status:
        """Stop trading in the open market; orders can still be cancelled. Recorded, public."""
        return await self._switch(True, reason, actor)

    async def resume(self, reason: str, *, actor: str) -> Status:
        """Go on trading."""
        return await self._switch(False, reason, actor)

    async def _switch(self, paused: bool, reason: str, actor: str) -> Status:
        check_line("reason", reason)
        market = await self.market()
        async with self._db.transaction() as conn:
            batch = await self._intakes[market].begin(conn)
            if batch.head["paused"] != paused:
                batch.head |= {"paused": paused, "reason": reason, "actor": actor}
                if not paused:
                    batch.head["resumed_us"] = batch.head["at_us"]
                kind = Pause if paused else Resume
                batch.events.append(kind(**batch.next(), reason=reason, actor=actor))
                public = {"market": market, "seq": batch.head["seq"], "reason": reason}
                await self._record(conn, "exchange.pause" if paused else "exchange.resume", public)
            await self._intakes[market].finish(conn, batch)
        await self.work(market)
        return await self.status()

    async def replay(self, market: Market | None = None) -> Replay:
        """Fold the whole journal again and compare book and trades with what is kept, byte for byte."""
        market = market or await self.market()
        await self.work(market)
        return await self._engines[market].replay()

    # -- what the market looks like -----------------------------------------------------------------------------------

    async def status(self) -> Status:
        gate, market, day = await self.gate(), await self.market(), self.day()
        head = await store.head(self._db, market)
        last_slot = await self._last_slot(self._db, market, head, day)
        licence = "" if gate.licence is None else f"{gate.licence.authority} {gate.licence.number}"
        now = self._clock.now()
        return Status(
            market=market, sample=gate.sample, licence=licence, continuous=day.continuous, paused=head["paused"],
            pause_reason=head["reason"] if head["paused"] else "", floor_ticks=day.floor_ticks,
            ceiling_ticks=day.ceiling_ticks, list_price_fen=day.list_price_fen,
            last_ticks=await store.last_ticks(self._db, market),
            reference_ticks=await self._reference(self._db, market, day),
            next_auction_at=None if day.continuous else timing.next_slot(now, day.interval, last_slot),
            seq=head["seq"],
        )  # fmt: skip

    async def book(self, depth: int = DEPTH) -> BookView:
        """Depth inside the corridor and, while a call gathers, the price and volume it would give now."""
        status = await self.status()
        low, high = status.floor_ticks, status.ceiling_ticks
        buys, sells = [
            await store.levels(self._db, status.market, side, low, high, TICKS_SHOWN_MAX) for side in (BUY, SELL)
        ]
        found = uniform_price(
            [(level.ticks, level.quantity) for level in buys], [(level.ticks, level.quantity) for level in sells],
            status.reference_ticks,
        )  # fmt: skip
        ticks, quantity = found if found is not None else (None, 0)
        return BookView(status, buys[:depth], sells[:depth], ticks, quantity)

    async def trades(
        self, *, org_id: UUID | None = None, before: UUID | None = None, limit: int = PAGE_ROWS
    ) -> Sequence[TradeView]:
        """Trades of the open market, or of one organisation in any, newest first."""
        market = None if org_id is not None else await self.market()
        return await store.trades(self._db, market, org_id=org_id, before=before, limit=limit)

    async def trade(self, trade_id: UUID) -> TradeView | None:
        return await store.trade(self._db, trade_id)

    async def why_fee(self, trade: TradeView) -> dict[str, Any]:
        """The fee of a trade's selling order so far, as the rule decides it, with its trace (C8)."""
        basis = await store.fee_basis(self._db, trade.sell, trade.seq)
        decision = self.policy.fee(basis["proceeds"], basis["discount_bps"], basis["ordered_on"])
        return {
            "order_proceeds_fen": basis["proceeds"], "order_fee_fen": decision.amount,
            "of_this_trade_fen": trade.fee_fen, "version": decision.version, "trace": decision.trace,
        }  # fmt: skip

    async def auctions(self, limit: int = PAGE_ROWS) -> Sequence[AuctionView]:
        return await store.auctions(self._db, await self.market(), limit)

    async def candles(self, *, step_s: int = 3600, days: int = 20) -> Sequence[Candle]:
        """Open, high, low, close by step, oldest first, a bounded number. Steps begin with the city's day."""
        origin, since = midnight(self._clock.today()), self._clock.now() - timedelta(days=days)
        rows = await store.candles(self._db, await self.market(), step_s, origin, since, CANDLES_MAX)
        return [Candle(**dict(row)) for row in rows][::-1]

    async def _last_slot(self, conn: Any, market: Market, head: Mapping[str, Any], day: Day) -> datetime | None:
        """The latest auction that was held, or that closed before trading was resumed."""
        last = await store.last_slot(conn, market)
        if not head["resumed_us"]:
            return last
        missed = timing.due_slot(instant(head["resumed_us"]), day.interval, self._secret, day.random_close_s)
        return missed if last is None else max(last, missed)

    async def _reference(self, conn: Any, market: Market, day: Day) -> int:
        """What an auction's price is nearest to: the last price inside the corridor, its middle before any trade."""
        last = await store.last_ticks(conn, market)
        if last is None:
            return (day.floor_ticks + day.ceiling_ticks) // 2
        return int(min(max(last, day.floor_ticks), day.ceiling_ticks))


def _check(side: int, ticks: object, quantity: object) -> None:
    if side not in (BUY, SELL):
        raise BadPrice(side)
    if not isinstance(ticks, int) or isinstance(ticks, bool) or not 0 < ticks <= TICKS_MAX:
        raise BadPrice(ticks)
    if not isinstance(quantity, int) or isinstance(quantity, bool) or not 0 < quantity <= QUANTITY_MAX_MICRO:
        raise BadQuantity(QUANTITY_MAX_MICRO)
    if ticks * quantity >= VALUE_MAX:
        raise BadQuantity(QUANTITY_MAX_MICRO)


def _heard(asked: asyncio.Task[Gate]) -> None:
    """Of a look ahead of time that failed nobody need hear: whoever needs the answer asks again."""
    if not asked.cancelled():
        asked.exception()


def _covers(gate: Gate, today: date) -> bool:
    """Whether an answer of the gate can still count on a day; a new approval is found when the answer is old."""
    licence = gate.licence
    return licence is None or licence.valid_from <= today <= licence.valid_to
