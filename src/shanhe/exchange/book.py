"""The order book: pure and deterministic. Events go in, trades and ended orders come out; no clock, no I/O.

Prices are ticks (CNY 0.0001), quantities micro-credits, cash fen. The same book matches continuously (price, then time,
at the resting order's price) and by call auction (one price for all: the largest volume, then the nearest to the
reference). Filling the best buys from the best sells until they no longer cross gives the largest volume V; every price
between the last sell and the last buy so filled clears V, no other does, so "nearest to the reference" is a clamp.

Prevention of self-trades happens on entry: an order that would cross an open order of its own party or of a related one
is refused, hence no pair of a later match can be related.
"""

from __future__ import annotations

import hashlib
import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Final
from uuid import UUID

import msgspec

from shanhe.exchange.clearing import cash_of, fill, uniform_price
from shanhe.exchange.model import (
    BUY,
    Amend,
    Auction,
    Cancel,
    Corridor,
    Ended,
    Event,
    Expire,
    Level,
    Mode,
    Pause,
    Place,
    Reason,
    Resume,
    Trade,
)

TIDIED_AT_ONCE: Final = 16
"""Parties looked through with one event."""
LEVEL_SLACK: Final = 64
"""Dead entries a level may keep before it is compacted."""
NEVER_US: Final = 2**62


class Order:
    """An open order. `rank` is the sequence number that gave it its place in the queue; `left` 0 means dead."""

    __slots__ = (
        "cash", "id", "key", "left", "party", "quantity", "rank", "related", "side", "ticks", "until_us", "value",
    )  # fmt: skip

    def __init__(
        self, identifier: UUID, party: UUID, side: int, ticks: int, quantity: int, left: int, rank: int,
        until_us: int | None = None, value: int = 0, cash: int = 0, related: tuple[UUID, ...] = (),
    ) -> None:  # fmt: skip
        self.id = identifier
        self.key = identifier.int  # integers hash in a tenth of the time that UUIDs take
        self.party = party
        self.side = side
        self.ticks = ticks
        self.quantity = quantity
        self.left = left
        self.rank = rank
        self.until_us = until_us
        self.value = value
        self.cash = cash
        self.related = related


class _Level:
    """Orders of one price, oldest first; dead ones are skipped and compacted. `total`: what the living have left."""

    __slots__ = ("alive", "queue", "total")

    def __init__(self) -> None:
        self.queue: deque[Order] = deque()
        self.alive = 0
        self.total = 0

    def living(self) -> Iterable[Order]:
        return self.queue if self.alive == len(self.queue) else [order for order in self.queue if order.left]

    def head(self) -> Order:
        queue = self.queue
        while not queue[0].left:
            queue.popleft()
        return queue[0]


class _Side:
    """One side's levels; `ticks` is sorted upwards."""

    __slots__ = ("buy", "levels", "ticks")

    def __init__(self, buy: bool) -> None:
        self.buy = buy
        self.levels: dict[int, _Level] = {}
        self.ticks: list[int] = []

    def add(self, order: Order) -> None:
        level = self.levels.get(order.ticks)
        if level is None:
            level = self.levels[order.ticks] = _Level()
            insort(self.ticks, order.ticks)
        level.queue.append(order)
        level.alive += 1
        level.total += order.left

    def gone(self, ticks: int, left: int) -> None:
        """An order of this price has died, with so much left."""
        level = self.levels[ticks]
        level.alive -= 1
        level.total -= left
        if not level.alive:
            del self.levels[ticks]
            del self.ticks[bisect_left(self.ticks, ticks)]
        elif len(level.queue) > 2 * level.alive + LEVEL_SLACK:
            level.queue = deque(level.living())

    def best_first(self, floor: int, ceiling: int) -> Iterator[int]:
        """Prices inside the corridor, best first."""
        low, high = bisect_left(self.ticks, floor), bisect_left(self.ticks, ceiling + 1)
        return iter(self.ticks[low:high][::-1] if self.buy else self.ticks[low:high])

    def depth(self, floor: int, ceiling: int) -> list[tuple[int, int]]:
        """(price, quantity) inside these bounds, best first."""
        return [(ticks, self.levels[ticks].total) for ticks in self.best_first(floor, ceiling)]

    def first(self, volume: int, floor: int, ceiling: int) -> list[Order]:
        """The orders that the first `volume` falls on, by price, then time."""
        found: list[Order] = []
        for ticks in self.best_first(floor, ceiling):
            level = self.levels[ticks]
            if level.total <= volume:
                found += level.living()
                volume -= level.total
                continue
            for order in level.queue:
                if volume <= 0:
                    break
                if order.left:
                    found.append(order)
                    volume -= order.left
            break
        return found

    def bury(self, last: Order, floor: int, ceiling: int) -> None:
        """Forget the dead after `first` has reached up to this order: every level before its own, and part of that."""
        for ticks in self.best_first(floor, ceiling):
            if ticks == last.ticks:
                break
            del self.levels[ticks]
        level = self.levels[last.ticks]
        level.queue = deque([order for order in level.queue if order.left])
        level.alive, level.total = len(level.queue), sum([order.left for order in level.queue])
        if not level.alive:
            del self.levels[last.ticks]
        self.ticks = [ticks for ticks in self.ticks if ticks in self.levels]

    def best(self, floor: int, ceiling: int) -> int | None:
        if self.buy:
            at = bisect_left(self.ticks, ceiling + 1) - 1
            return self.ticks[at] if at >= 0 and self.ticks[at] >= floor else None
        at = bisect_left(self.ticks, floor)
        return self.ticks[at] if at < len(self.ticks) and self.ticks[at] <= ceiling else None


class _Party:
    """A party's open orders by side, and bounds that spare most look-ups: no own buy is above, no own sell below."""

    __slots__ = ("buys", "max_buy", "min_sell", "sells")

    def __init__(self) -> None:
        self.buys: dict[int, Order] = {}
        self.sells: dict[int, Order] = {}
        self.max_buy = 0
        self.min_sell = NEVER_US

    def bury(self) -> None:
        """Forget orders that have nothing left."""
        self.buys = {key: order for key, order in self.buys.items() if order.left}
        self.sells = {key: order for key, order in self.sells.items() if order.left}

    def add(self, order: Order) -> None:
        if order.side == BUY:
            self.buys[order.key] = order
            if order.ticks > self.max_buy:
                self.max_buy = order.ticks
        else:
            self.sells[order.key] = order
            if order.ticks < self.min_sell:
                self.min_sell = order.ticks

    def crosses(self, side: int, ticks: int) -> bool:
        """Whether an order would meet one of this party's, which are on the other side."""
        if side == BUY:
            if ticks < self.min_sell:
                return False
            self.min_sell = min((order.ticks for order in self.sells.values() if order.left), default=NEVER_US)
            return self.min_sell <= ticks
        if ticks > self.max_buy:
            return False
        self.max_buy = max((order.ticks for order in self.buys.values() if order.left), default=0)
        return self.max_buy >= ticks


class Effects:
    """What an event did: trades in order, orders that ended and why, amendments that took or were refused."""

    __slots__ = ("amended", "ended", "trades")

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.ended: list[Ended] = []
        self.amended: list[tuple[Order, bool]] = []


class Book:
    """One market's book. Made by folding events with `apply`; `restore` takes it up where a table left it."""

    def __init__(self) -> None:
        self.seq = 0
        self.floor = 0
        self.ceiling = 0
        self.continuous = False
        self.paused = False
        self.last_ticks: int | None = None
        self.orders: dict[int, Order] = {}
        self._sides = (_Side(True), _Side(False))
        self._parties: dict[int, _Party] = {}
        self._untidy: list[int] = []  # parties that may keep filled orders
        self._ends: list[tuple[int, int, int]] = []

    # -- state --------------------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[Order]) -> None:
        """Take up open orders, oldest rank first; the book must be empty."""
        for order in orders:
            self._enter(order)

    def snapshot(self) -> bytes:
        """The whole state in canonical bytes: equal books give equal bytes."""
        orders = sorted(self.orders.values(), key=lambda order: order.rank)
        state = {
            "seq": self.seq, "floor": self.floor, "ceiling": self.ceiling, "continuous": self.continuous,
            "paused": self.paused, "last": self.last_ticks,
            "orders": [
                (o.id.hex, o.party.hex, o.side, o.ticks, o.quantity, o.left, o.rank, o.until_us, str(o.value), o.cash)
                for o in orders
            ],
        }  # fmt: skip
        return msgspec.json.encode(state, order="sorted")

    def digest(self) -> str:
        return hashlib.sha256(self.snapshot()).hexdigest()

    def levels(self, side: int, limit: int) -> list[Level]:
        """Totals of the best prices inside the corridor, best first."""
        found: list[Level] = []
        for ticks in self._sides[side].best_first(self.floor, self.ceiling):
            if len(found) == limit:
                break
            level = self._sides[side].levels[ticks]
            found.append(Level(ticks, level.total, level.alive))
        return found

    # -- events -------------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> Effects:
        """Fold one event in. Events come in sequence, each once."""
        if event.seq <= self.seq:
            raise ValueError(f"event {event.seq} comes after {self.seq}")
        effects = Effects()
        self.seq = event.seq
        if self._untidy:
            self._tidy()
        if self._ends and self._ends[0][0] <= event.at_us:
            self._expire(event.at_us, effects)
        match event:
            case Place():
                self._place(event, effects)
            case Cancel():
                order = self.orders.get(event.order.int)
                if order is not None:
                    self._end(order, event.reason, effects)
            case Amend():
                self._amend(event, effects)
            case Auction():
                if not self.paused:
                    self._clear(event.reference, effects)
            case Corridor():
                self.floor, self.ceiling = event.floor, event.ceiling
                self._uncross(effects)
            case Mode():
                self.continuous = event.continuous
                self._uncross(effects)
            case Pause():
                self.paused = True
            case Resume():
                self.paused = False
                self._uncross(effects)
            case Expire():
                pass
        return effects

    def _place(self, event: Place, effects: Effects) -> None:
        order = Order(
            event.order, event.party, event.side, event.ticks, event.quantity, event.quantity, event.seq,
            event.until_us, related=event.related,
        )  # fmt: skip
        if event.until_us is not None and event.until_us <= event.at_us:
            effects.ended.append(Ended(order, Reason.EXPIRED))
        elif self._meets_own(order, order.ticks):
            effects.ended.append(Ended(order, Reason.SELF_TRADE))
        elif self.continuous and not self.paused and self.floor <= order.ticks <= self.ceiling:
            self._take(order, effects)
        else:
            self._enter(order)

    def _amend(self, event: Amend, effects: Effects) -> None:
        order = self.orders.get(event.order.int)
        if order is None:
            return
        left = event.quantity - (order.quantity - order.left)
        if left <= 0:
            self._end(order, Reason.CANCELLED, effects)
            return
        if self._meets_own(order, event.ticks):
            effects.amended.append((order, False))
            return
        if event.until_us is not None and (order.until_us is None or event.until_us < order.until_us):
            order.until_us = event.until_us
            heapq.heappush(self._ends, (event.until_us, order.rank, order.key))
        if event.ticks == order.ticks and event.quantity <= order.quantity:
            self._sides[order.side].levels[order.ticks].total += left - order.left
            order.quantity, order.left = event.quantity, left  # less of the same keeps its place
            effects.amended.append((order, True))
            return
        moved = Order(
            order.id, order.party, order.side, event.ticks, event.quantity, left, event.seq, order.until_us,
            order.value, order.cash, order.related,
        )  # fmt: skip
        self._leave(order)
        effects.amended.append((moved, True))
        if self.continuous and not self.paused and self.floor <= moved.ticks <= self.ceiling:
            self._take(moved, effects)
        else:
            self._enter(moved)

    def _expire(self, at_us: int, effects: Effects) -> None:
        ends = self._ends
        while ends and ends[0][0] <= at_us:
            _, rank, identifier = heapq.heappop(ends)
            order = self.orders.get(identifier)
            if order is not None and order.rank == rank:
                self._end(order, Reason.EXPIRED, effects)

    def _meets_own(self, order: Order, ticks: int) -> bool:
        parties = self._parties
        own = parties.get(order.party.int)
        if own is not None and own.crosses(order.side, ticks):
            return True
        for other in order.related:
            found = parties.get(other.int)
            if found is not None and found.crosses(order.side, ticks):
                return True
        return False

    # -- entering and leaving -----------------------------------------------------------------------------------------

    def _enter(self, order: Order) -> None:
        self.orders[order.key] = order
        self._sides[order.side].add(order)
        party = self._parties.get(order.party.int)
        if party is None:
            party = self._parties[order.party.int] = _Party()
        party.add(order)
        if order.until_us is not None:
            heapq.heappush(self._ends, (order.until_us, order.rank, order.key))

    def _leave(self, order: Order) -> None:
        """Take an order out of the book; it stays dead in its level until that is compacted."""
        left, order.left = order.left, 0
        del self.orders[order.key]
        self._sides[order.side].gone(order.ticks, left)
        party = self._parties[order.party.int]
        del (party.buys if order.side == BUY else party.sells)[order.key]
        if not party.buys and not party.sells:
            del self._parties[order.party.int]

    def _tidy(self) -> None:
        for key in self._untidy[-TIDIED_AT_ONCE:]:
            party = self._parties.get(key)
            if party is not None:
                party.bury()
                if not party.buys and not party.sells:
                    del self._parties[key]
        del self._untidy[-TIDIED_AT_ONCE:]

    def _end(self, order: Order, reason: Reason, effects: Effects) -> None:
        left = order.left
        self._leave(order)
        order.left = left
        effects.ended.append(Ended(_dead(order), reason))
        order.left = 0

    # -- matching -----------------------------------------------------------------------------------------------------

    def _take(self, order: Order, effects: Effects) -> None:
        """Continuous: trade with the best opposite orders at their prices, rest what is left."""
        opposite = self._sides[1 - order.side]
        buying = order.side == BUY
        while order.left:
            best = opposite.best(self.floor, self.ceiling)
            if best is None or (best > order.ticks if buying else best < order.ticks):
                break
            resting = opposite.levels[best].head()
            buy, sell = (order, resting) if buying else (resting, order)
            quantity = min(order.left, resting.left)
            self._trade(buy, sell, quantity, best, effects)
            opposite.levels[best].total -= quantity
            if not resting.left:
                self._leave(resting)
                effects.ended.append(Ended(resting, Reason.FILLED))
        if order.left:
            self._enter(order)
        else:
            effects.ended.append(Ended(order, Reason.FILLED))

    def _uncross(self, effects: Effects) -> None:
        """What became able to trade at once does so at one price, before continuous matching goes on."""
        if self.continuous and not self.paused:
            self._clear(self.last_ticks or (self.floor + self.ceiling) // 2, effects)

    def _clear(self, reference: int, effects: Effects) -> None:
        """Call auction: the largest volume at one price, filled by price, then time."""
        best_buy = self._sides[0].best(self.floor, self.ceiling)
        best_sell = self._sides[1].best(self.floor, self.ceiling)
        if best_buy is None or best_sell is None or best_buy < best_sell:
            return
        low, high = best_sell, best_buy  # both inside the corridor
        want, have = (side.depth(low, high) for side in self._sides)
        found = uniform_price(want, have, reference)
        if found is None:
            return
        self.last_ticks, volume = found
        buys, sells = (side.first(volume, low, high) for side in self._sides)
        effects.trades = fill(buys, sells, self.last_ticks, volume)
        filled = [order for order in buys + sells if not order.left]
        effects.ended += map(Ended, filled, repeat(Reason.FILLED))
        for order in filled:
            del self.orders[order.key]
        for side, last in zip(self._sides, (buys[-1], sells[-1]), strict=True):
            side.bury(last, low, high)
        self._untidy = list(self._parties)  # what they keep of it is forgotten a few at a time

    def _trade(self, buy: Order, sell: Order, quantity: int, ticks: int, effects: Effects) -> None:
        """The buyer's cash is rounded on what the order has cost so far, so that many small fills cost no less."""
        buy.value += quantity * ticks
        sell.value += quantity * ticks
        cash = cash_of(buy.value) - buy.cash
        buy.cash += cash
        sell.cash += cash
        buy.left -= quantity
        sell.left -= quantity
        self.last_ticks = ticks
        effects.trades.append(Trade(buy, sell, quantity, ticks, cash))


def _dead(order: Order) -> Order:
    """A copy that keeps what was left when it ended."""
    return Order(
        order.id, order.party, order.side, order.ticks, order.quantity, order.left, order.rank, order.until_us,
        order.value, order.cash, order.related,
    )  # fmt: skip
