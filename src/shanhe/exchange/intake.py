"""Acceptance by group commit: who waits is answered when the order, its escrow and its event are durable together.

One batch, one transaction: lock the market's head (which gives events their order), set aside lots and money, write
orders and events. What the book makes of them is the engine's business, later and repeatable.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.exchange import store
from shanhe.exchange.clearing import cash_of, more_cash
from shanhe.exchange.errors import (
    ExchangeBusy,
    ExchangeUnavailable,
    MarketChanged,
    MarketPaused,
    NotEnoughCash,
    NothingToSell,
    OrderConflict,
    OrderEnded,
    OutsideCorridor,
    SelfTrade,
    TooManyOrders,
    UnknownOrder,
)
from shanhe.exchange.journal import encode, instant, micros
from shanhe.exchange.model import (
    BUY,
    SELL,
    Amend,
    AnyEvent,
    Cancel,
    Corridor,
    Market,
    Mode,
    NewOrder,
    OrderView,
    Place,
    Reason,
    Trader,
    Validity,
)
from shanhe.exchange.policy import Day, end_of_day
from shanhe.exchange.settlement import still_needed
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError
from shanhe.ledger.api import EscrowRequest, Ledger

log = structlog.get_logger(__name__)

BATCH_MAX: Final = 500
WAITING_MAX: Final = 20_000
OPEN_ORDERS_MAX: Final = 1_000
"""Of one organisation in a market."""
COUNTED_MAX: Final = 100_000
"""Organisations whose open orders are kept count of."""
LOOKED_AT_ONCE: Final = 5_000
"""Open orders that are looked up together with what is set aside for them."""
LEASE_WAITS_S: Final = (0.05, 0.1, 0.15)
"""How long workers get to give back what they borrow of a wallet that is asked for."""


class Leased(Exception):
    """Refused while workers borrow part of the wallet."""

    def __init__(self, refusal: ShanheError) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(eq=False)
class Wanted:
    """A queued request. `event` is made when its place in the sequence is known."""

    future: asyncio.Future[Any]
    order_id: UUID
    new: NewOrder | None = None
    trader: Trader | None = None
    discount_bps: int = 0
    credit_account: UUID | None = None
    cash_account: UUID | None = None
    actor: str = ""
    org_id: UUID | None = None
    reason: Reason = Reason.CANCELLED
    amend: tuple[int, int] | None = None
    amend_id: UUID | None = None
    need: int = 0
    expiry: datetime | None = None


@dataclass
class Batch:
    """One transaction under way."""

    head: dict[str, Any]
    now: datetime
    day: Day
    events: list[AnyEvent] = field(default_factory=list)
    orders: list[tuple[Any, ...]] = field(default_factory=list)

    def next(self) -> dict[str, int]:
        """Sequence number and time of one more event."""
        self.head["seq"] += 1
        return {"seq": self.head["seq"], "at_us": self.head["at_us"]}


class Intake:
    """One market's queue in this process."""

    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, market: Market, *,
        day: Callable[[Any], Day], active: Callable[[], Awaitable[Market]],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._market = market
        self._day = day
        self._active = active
        self._queue: list[Wanted] = []
        self._task: asyncio.Task[None] | None = None
        self._untold: list[tuple[Wanted, Any]] = []
        self._open: dict[UUID, int] = {}
        self._backed = False
        self._looking = asyncio.Lock()
        self._left_at = -1  # the sequence number at which what `_open` says holds

    async def submit(self, make: Callable[[asyncio.Future[Any]], Wanted]) -> Any:
        """Durable on return. `ExchangeBusy` when too many wait, `ExchangeUnavailable` when the outcome is unknown."""
        for wait_s in (*LEASE_WAITS_S, None):
            if len(self._queue) >= WAITING_MAX:
                raise ExchangeBusy()
            wanted = make(asyncio.get_running_loop().create_future())
            self._queue.append(wanted)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run())
            try:
                return await wanted.future
            except Leased as refused:
                if wait_s is None:
                    raise refused.refusal from None
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the last wait is None")

    async def stop(self) -> None:
        """Finish what waits."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
            answers: list[tuple[Wanted, Any]] = []
            try:
                answers = await self._flush(batch)
            except FAILURES as error:
                log.warning("orders could not be accepted", market=self._market, error=str(error)[:200])
            except Exception:  # one batch that can't be booked must not hold up those that wait behind it
                log.exception("orders could not be accepted", market=self._market)
            finally:
                self._tell()
                answered = {id(one) for one, _ in answers}
                self._untold = answers + [(one, ExchangeUnavailable()) for one in batch if id(one) not in answered]
                if not (answers and self._queue):
                    self._tell()

    def _tell(self) -> None:
        """Answer those whose batch is durable. With more to do that waits until the database is at work on the next
        batch: what they do with their answers is then done in its time."""
        untold, self._untold = self._untold, []
        for one, answer in untold:
            if not one.future.done():
                (one.future.set_exception if isinstance(answer, Exception) else one.future.set_result)(answer)

    async def _flush(self, wanted: list[Wanted]) -> list[tuple[Wanted, Any]]:
        """Book a batch; whom to answer what, now that it is durable."""
        first: dict[UUID, Wanted] = {}
        again = [one for one in wanted if one.new is not None and first.setdefault(one.order_id, one) is not one]
        wanted = [one for one in wanted if one not in again] if again else wanted
        active = await self._active()
        outcome: list[tuple[Wanted, Any]] = []
        async with self._db.transaction() as conn:
            batch = await self.begin(conn)
            known = await store.known_orders(conn, [one.order_id for one in wanted])
            places = self._sift(batch, wanted, known, active, outcome)
            changes = [one for one in wanted if one.new is None]
            await self._lock(conn, places, changes, known)
            await self._escrow(conn, batch, places, outcome)
            for one in changes:
                await self._change(conn, batch, one, known.get(one.order_id), active, outcome)
            await self.finish(conn, batch)
        return outcome + (await self._flush(again) if again else [])

    # -- a batch ------------------------------------------------------------------------------------------------------

    async def begin(self, conn: Any, at: datetime | None = None) -> Batch:
        """Lock the head; the rules of the day become events when they have changed. Time never goes back here."""
        head = dict(await store.head(conn, self._market, lock=True))
        if head["seq"] != self._left_at or len(self._open) > COUNTED_MAX:
            self._open = {}  # somebody else has accepted orders, or what we accepted was not committed
        head["at_us"] = max(head["at_us"], micros(at or self._clock.now()))
        now = instant(head["at_us"])
        day = self._day(city_date(now))
        batch = Batch(head, now, day)
        if (head["floor"], head["ceiling"]) != (day.floor_ticks, day.ceiling_ticks):
            head["floor"], head["ceiling"] = day.floor_ticks, day.ceiling_ticks
            batch.events.append(Corridor(**batch.next(), floor=day.floor_ticks, ceiling=day.ceiling_ticks))
        if head["continuous"] != day.continuous:
            head["continuous"] = day.continuous
            batch.events.append(Mode(**batch.next(), continuous=day.continuous))
        return batch

    async def finish(self, conn: Any, batch: Batch) -> None:
        if not batch.events:
            return
        if batch.orders:
            await store.insert_orders(conn, batch.orders)
        await store.insert_events(conn, ((self._market, event.seq, encode(event)) for event in batch.events))
        await store.move_head(conn, self._market, batch.head)
        self._left_at = batch.head["seq"]

    def _sift(
        self, batch: Batch, wanted: list[Wanted], known: dict[UUID, Any], active: Market,
        outcome: list[tuple[Wanted, Any]],
    ) -> list[Wanted]:  # fmt: skip
        """New orders that deserve escrow; the others get their answer."""
        places = []
        for one in wanted:
            new = one.new
            if new is None:
                continue
            found = known.get(one.order_id)
            if found is not None:
                outcome.append((one, None if _same(new, found, self._market) else OrderConflict()))
            elif active is not self._market:
                outcome.append((one, MarketChanged()))
            elif batch.head["paused"]:
                outcome.append((one, MarketPaused(batch.head["reason"])))
            elif not batch.head["floor"] <= new.ticks <= batch.head["ceiling"]:
                outcome.append((one, OutsideCorridor(new.ticks, batch.head["floor"], batch.head["ceiling"])))
            else:
                one.need = new.quantity_micro if new.side == SELL else cash_of(new.quantity_micro * new.ticks)
                places.append(one)
        return places

    async def _lock(self, conn: Any, places: list[Wanted], changes: list[Wanted], known: dict[UUID, Any]) -> None:
        """An amendment takes from its account by itself: those of a batch that does so are had all at once, before."""
        amended = {_of(known[one.order_id]) for one in changes if one.amend is not None and one.order_id in known}
        if amended:
            await self._ledger.escrow.lock(conn, amended | {_pays_from(one) for one in places})

    async def _escrow(self, conn: Any, batch: Batch, places: list[Wanted], outcome: list[tuple[Wanted, Any]]) -> None:
        if not places:
            return
        counts = await self._counts(conn, places)
        fitting = []
        for one in places:
            assert one.org_id is not None
            counts[one.org_id] += 1
            if counts[one.org_id] > OPEN_ORDERS_MAX:
                outcome.append((one, TooManyOrders(OPEN_ORDERS_MAX)))
            else:
                fitting.append(one)
        own = [
            (n, party, one.new.side, one.new.ticks)
            for n, one in enumerate(fitting)
            if one.new is not None and one.trader is not None
            for party in (one.trader.party, *one.trader.related)
        ]
        meeting = await store.meeting_own(conn, self._market, own)
        outcome += [(one, SelfTrade()) for n, one in enumerate(fitting) if n in meeting]
        fitting = [one for n, one in enumerate(fitting) if n not in meeting]
        requests = [EscrowRequest(one.order_id, _pays_from(one), one.need) for one in fitting]
        asyncio.get_running_loop().call_soon(self._tell)  # once the next line has handed its work to the database
        for one, verdict in zip(fitting, await self._ledger.escrow.hold(conn, requests), strict=True):
            if verdict.verdict in ("conflict", "known"):
                outcome.append((one, OrderConflict()))
            elif verdict.verdict == "short":
                assert one.new is not None
                outcome.append((one, self._short(one, one.new.side, verdict)))
            else:
                one.expiry = verdict.expiry
                outcome.append((one, self._place(batch, one)))

    async def _counts(self, conn: Any, places: list[Wanted]) -> dict[UUID, int]:
        """Bounds on how many orders each organisation has open here: what was counted once and placed since.

        Orders that ended meanwhile are only noticed, by a fresh count, where the bound would refuse somebody.
        """
        asked = Counter([one.org_id for one in places if one.org_id is not None])
        counts = self._open
        unsure = [org for org, more in asked.items() if counts.get(org, OPEN_ORDERS_MAX) + more > OPEN_ORDERS_MAX]
        if unsure:
            counts |= dict.fromkeys(unsure, 0) | await store.open_counts(conn, self._market, unsure)
        return counts

    def _place(self, batch: Batch, one: Wanted) -> OrderView:
        new, trader = one.new, one.trader
        assert new is not None
        assert trader is not None
        ends = [end_of_day(batch.now)] if new.validity is Validity.DAY else []
        if one.expiry is not None:
            ends.append(one.expiry)
        until_us = micros(min(ends)) if ends else None
        event = Place(
            **batch.next(), order=new.id, party=trader.party, side=new.side, ticks=new.ticks,
            quantity=new.quantity_micro, until_us=until_us, related=trader.related,
        )  # fmt: skip
        batch.events.append(event)
        batch.orders.append((
            new.id, self._market, event.seq, new.org_id, trader.party, list(trader.related), new.side, new.ticks,
            new.quantity_micro, one.discount_bps, new.validity, until_us, event.seq, new.ticks, new.quantity_micro,
            one.credit_account, one.cash_account, batch.day.on, batch.now, one.actor,
        ))  # fmt: skip
        return OrderView(
            new.id, self._market, new.org_id, new.side, new.ticks, new.quantity_micro, 0, 0, 0, new.validity, "open",
            batch.now, None, None if until_us is None else instant(until_us), one.actor,
        )  # fmt: skip

    def _short(self, one: Wanted, side: int, verdict: Any) -> Exception:
        refusal: ShanheError
        if side == SELL:
            refusal = NothingToSell(verdict.available, one.need)
        else:
            refusal = NotEnoughCash(verdict.available, one.need, play=self._market is Market.PLAY)
        return Leased(refusal) if verdict.leased else refusal

    # -- what an old fault left ---------------------------------------------------------------------------------------

    async def end_unbacked(self) -> None:
        """End open orders that have less set aside than they may still take, before they meet anybody's.

        Nothing that is accepted now comes without: all are looked through once in the life of a process, and once more
        after a settlement that met one.
        """
        async with self._looking:  # whoever comes meanwhile meets nobody's before it is done
            if self._backed:
                return
            self._backed = True
            try:
                if found := await self._unbacked():
                    await self._end(found)
            except BaseException:
                self._backed = False
                raise

    async def _end(self, lacking: Sequence[UUID]) -> None:
        log.error("orders without enough behind them", market=self._market, orders=sorted(map(str, lacking)))
        async with self._db.transaction() as conn:
            batch = await self.begin(conn)
            batch.events += [
                Cancel(**batch.next(), order=one, reason=Reason.UNBACKED, actor="exchange") for one in lacking
            ]
            await self.finish(conn, batch)

    async def _unbacked(self) -> list[UUID]:
        found, after = list[UUID](), UUID(int=0)
        async with self._db.snapshot() as conn:
            while rows := await store.needs(conn, self._market, after, LOOKED_AT_ONCE):
                after = rows[-1]["id"]
                found += await self._ledger.escrow.lacking(conn, {row["id"]: still_needed(row) for row in rows})
        return found

    def doubt(self) -> None:
        """Look through the open orders again."""
        self._backed = False

    # -- changes ------------------------------------------------------------------------------------------------------

    async def _change(
        self, conn: Any, batch: Batch, one: Wanted, found: Any, active: Market, outcome: list[tuple[Wanted, Any]]
    ) -> None:
        if found is None or found["market"] != self._market or (one.org_id and found["org_id"] != one.org_id):
            outcome.append((one, UnknownOrder()))
        elif found["state"] != "open":
            outcome.append((one, OrderEnded(found["state"])))
        elif one.amend is None:
            batch.events.append(Cancel(**batch.next(), order=one.order_id, reason=one.reason, actor=one.actor))
            outcome.append((one, None))
        elif active is not self._market:
            outcome.append((one, MarketChanged()))
        else:
            outcome.append((one, await self._amend(conn, batch, one, found)))

    async def _amend(self, conn: Any, batch: Batch, one: Wanted, found: Any) -> Exception | None:
        assert one.amend is not None
        assert one.amend_id is not None
        ticks, quantity = one.amend
        if batch.head["paused"]:
            return MarketPaused(batch.head["reason"])
        if not batch.head["floor"] <= ticks <= batch.head["ceiling"]:
            return OutsideCorridor(ticks, batch.head["floor"], batch.head["ceiling"])
        if await store.meeting_own(
            conn, self._market, [(0, party, found["side"], ticks) for party in _own(one, found)]
        ):
            return SelfTrade()
        account = _of(found)
        if found["side"] == SELL:
            extra = quantity - found["quantity"]
        else:  # fills at the old price may still happen before this takes effect: provide for the dearer way
            left = found["quantity"] - found["filled"]
            dearest = max(ticks, found["ticks"]) * max(quantity - found["filled"], left)
            extra = more_cash(found["value"], found["ticks"] * left, dearest)
        if extra > 0:
            one.need = extra
            (verdict,) = await self._ledger.escrow.hold(conn, [EscrowRequest(one.amend_id, account, extra)])
            if verdict.verdict == "short":
                return self._short(one, found["side"], verdict)
            if verdict.verdict != "held":
                return OrderConflict()
            if not await self._ledger.escrow.merge(conn, one.order_id, one.amend_id):  # it ended since we looked
                await self._ledger.escrow.trim(conn, {one.amend_id: 0})
                return OrderEnded((await store.known_orders(conn, [one.order_id]))[one.order_id]["state"])
            one.expiry = verdict.expiry
        until_us = None if one.expiry is None else micros(one.expiry)
        batch.events.append(
            Amend(
                **batch.next(), order=one.order_id, ticks=ticks, quantity=quantity, until_us=until_us, actor=one.actor
            )
        )
        return None


def _pays_from(one: Wanted) -> UUID:
    assert one.new is not None
    account = one.cash_account if one.new.side == BUY else one.credit_account
    assert account is not None
    return account


def _of(found: Any) -> UUID:
    """The account that a known order pays from."""
    account: UUID = found["credit_account" if found["side"] == SELL else "cash_account"]
    return account


def _own(one: Wanted, found: Any) -> set[UUID]:
    """Whom an order must not meet: those known when it was placed and those known now."""
    now = set() if one.trader is None else {one.trader.party, *one.trader.related}
    return {found["party"], *found["related"]} | now


def _same(new: NewOrder, row: Any, market: Market) -> bool:
    """Whether an order that exists is the one asked for again."""
    names = ("org_id", "side", "asked_ticks", "asked_quantity", "validity", "market")
    asked = (new.org_id, new.side, new.ticks, new.quantity_micro, new.validity, market)
    return tuple(row[name] for name in names) == asked
