"""The city's money told a second time: plain Python, no database, no rulebook, nothing of the product imported.

Every number here is typed from the rules' text on purpose, so that a mistake in a rule file does not repeat itself.
Amounts are micro-credits and fen, prices ticks of CNY 0.0001.
"""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

CITY = timezone(timedelta(hours=8))
FAR = datetime(9999, 1, 1, tzinfo=UTC)
MICRO_PER_FEN_AT_LIST = 10_000
CAP_FEN = 100_000_000
FLOOR_TICKS, CEILING_TICKS = 3_000, 10_000
LOCK_MONTHS = 3
LIFE_MONTHS = {"subsidy": 12, "reward": 24}
BURN_RANK = {"subsidy": 0, "reward": 1, "purchased": 2, "exchange": 2}
SMALLEST_ORDER_FEN = 1_000
Shape = Counter[tuple[str, datetime | None, datetime | None, str]]
"""Remaining and held micro-credits by (provenance, expiry, end of the lock, which of the two)."""


class Refused(Exception):
    """What the city must refuse."""


def half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


def add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def city_day(at: datetime) -> date:
    return at.astimezone(CITY).date()


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), CITY)


@dataclass(eq=False)
class Lot:
    provenance: str
    issued: int
    remaining: int
    issued_at: datetime
    number: int
    expires_at: datetime | None = None
    unlock_at: datetime | None = None
    held: int = 0
    lapsed: int = 0

    @property
    def free(self) -> int:
        return self.remaining - self.held

    def burns(self) -> tuple[datetime, int, datetime, int]:
        """C12: earliest expiry, then subsidy, reward, purchased (exchange counts as purchased), then oldest."""
        return (self.expires_at or FAR, BURN_RANK[self.provenance], self.issued_at, self.number)

    def spendable(self, now: datetime) -> bool:
        return self.free > 0 and (self.expires_at is None or self.expires_at > now)

    def tradeable(self, now: datetime) -> bool:
        """C6."""
        return (
            self.spendable(now) and self.provenance != "subsidy" and (self.unlock_at is None or self.unlock_at <= now)
        )


@dataclass(eq=False)
class Hold:
    owner: str
    pieces: list[tuple[Lot, int]]
    expires_at: datetime


@dataclass(eq=False)
class Order:
    name: str
    owner: str
    selling: bool
    ticks: int
    quantity: int
    left: int
    rank: int
    until: datetime | None
    escrow: list[tuple[Lot, int]] = field(default_factory=list)
    cash_held: int = 0
    value: int = 0
    cash: int = 0
    fee: int = 0


@dataclass(eq=False)
class Purchase:
    owner: str
    value_fen: int
    benefit_fen: int
    year: int
    lots: list[Lot]

    @property
    def paid_fen(self) -> int:
        return self.value_fen - self.benefit_fen


class City:
    """Everybody's lots, cash and orders. Methods raise `Refused` where the city must say no."""

    def __init__(self, names: Iterable[str]) -> None:
        self.lots: dict[str, list[Lot]] = {name: [] for name in names}
        self.cash: dict[str, int] = dict.fromkeys(self.lots, 0)
        self.holds: dict[str, Hold] = {}
        self.orders: dict[str, Order] = {}
        self.purchases: dict[str, Purchase] = {}
        self.benefit: Counter[tuple[str, int]] = Counter()
        self.breakage = self.spent = self.fund = self.counter = 0
        self.market_time = datetime(1970, 1, 1, tzinfo=UTC)
        self.last_ticks: int | None = None

    # -- lots ---------------------------------------------------------------------------------------------------------

    def _mint(
        self, owner: str, provenance: str, amount: int, now: datetime, expires: datetime | None, unlock: datetime | None
    ) -> Lot:
        self.counter += 1
        lot = Lot(provenance, amount, amount, now, self.counter, expires, unlock)
        self.lots[owner].append(lot)
        return lot

    def terms(self, provenance: str, day: date) -> tuple[datetime | None, datetime | None]:
        """C11 and C6: when a lot minted on a day expires and when it unlocks."""
        months = LIFE_MONTHS.get(provenance)
        expires = midnight(add_months(day, months)) if months else None
        unlock = None if provenance == "subsidy" else midnight(add_months(day, LOCK_MONTHS))
        return expires, unlock

    def grant(self, owner: str, provenance: str, amount: int, now: datetime) -> None:
        self._mint(owner, provenance, amount, now, *self.terms(provenance, city_day(now)))

    def _take(self, owner: str, amount: int, usable: Callable[[Lot], bool]) -> list[tuple[Lot, int]]:
        """Concrete lots for an amount, in burn order; they are set aside."""
        lots = sorted((lot for lot in self.lots[owner] if usable(lot)), key=Lot.burns)
        if sum(lot.free for lot in lots) < amount:
            raise Refused("short")
        pieces = []
        for lot in lots:
            part = min(lot.free, amount)
            if part:
                lot.held += part
                pieces.append((lot, part))
                amount -= part
        return pieces

    def hold(self, name: str, owner: str, amount: int, now: datetime, until: datetime) -> None:
        self.holds[name] = Hold(owner, self._take(owner, amount, lambda lot: lot.spendable(now)), until)

    def capture(self, name: str, amount: int) -> None:
        """Burn part of a hold, give the rest back."""
        hold = self.holds.pop(name)
        self.spent += amount
        for lot, part in hold.pieces:
            burned = min(part, amount)
            lot.held -= part
            lot.remaining -= burned
            amount -= burned

    def void(self, name: str) -> None:
        for lot, part in self.holds.pop(name).pieces:
            lot.held -= part

    def sweep(self, now: datetime) -> None:
        """Holds whose time is over end; then what has expired and is not held goes to breakage."""
        for name in [name for name, hold in self.holds.items() if hold.expires_at <= now]:
            self.void(name)
        for lots in self.lots.values():
            for lot in lots:
                if lot.expires_at is not None and lot.expires_at <= now:
                    self.breakage += lot.free
                    lot.lapsed += lot.free
                    lot.remaining = lot.held

    # -- purchases ----------------------------------------------------------------------------------------------------

    def buy(self, name: str, owner: str, value_fen: int, now: datetime) -> Purchase:
        """P1 for a resident: 30 % off until CNY 1,000,000 of benefit a year; the discounted share is subsidy."""
        year = city_day(now).year
        benefit = min(half_even(value_fen * 3, 10), CAP_FEN - self.benefit[owner, year])
        self.benefit[owner, year] += benefit
        lots = []
        for provenance, fen in (("purchased", value_fen - benefit), ("subsidy", benefit)):
            if fen:
                terms = self.terms(provenance, city_day(now))
                lots.append(self._mint(owner, provenance, fen * MICRO_PER_FEN_AT_LIST, now, *terms))
        self.purchases[name] = Purchase(owner, value_fen, benefit, year, lots)
        return self.purchases[name]

    def refund(self, name: str) -> int:
        """R3: what was paid less what was used at list price; what is left goes, and the cap of its subsidy returns."""
        purchase = self.purchases[name]
        if any(lot.held for lot in purchase.lots):
            raise Refused("held")
        used = sum(lot.issued - lot.remaining - lot.lapsed for lot in purchase.lots)
        refund = purchase.paid_fen - -(-used // MICRO_PER_FEN_AT_LIST)
        if refund <= 0:
            raise Refused("nothing left")
        subsidy = [lot for lot in purchase.lots if lot.provenance == "subsidy"]
        left = sum(lot.remaining for lot in subsidy)
        if left:
            restored = purchase.benefit_fen * left // sum(lot.issued for lot in subsidy)
            self.benefit[purchase.owner, purchase.year] -= restored
        for lot in purchase.lots:
            lot.remaining = 0
        return refund

    # -- the exchange -------------------------------------------------------------------------------------------------

    def deposit(self, owner: str, amount_fen: int) -> None:
        self.cash[owner] += amount_fen

    def cash_free(self, owner: str) -> int:
        return self.cash[owner] - sum(order.cash_held for order in self.orders.values() if order.owner == owner)

    def look(self, now: datetime) -> bool:
        """Somebody looks after the market; that is an event only when an order's time is over."""
        time_now = max(self.market_time, now)
        over = any(order.until is not None and order.until <= time_now for order in self.orders.values())
        if over:
            self.tell_time(now)
        return over

    def tell_time(self, now: datetime) -> None:
        """An accepted event: the market's time never goes back, and orders whose time is over leave first."""
        self.market_time = max(self.market_time, now)
        for order in [o for o in self.orders.values() if o.until is not None and o.until <= self.market_time]:
            self._end(order)

    def place(
        self, name: str, owner: str, selling: bool, ticks: int, quantity: int, now: datetime, day_order: bool
    ) -> None:
        """Accept an order with its escrow, or say why not."""
        cost = half_even(ticks * quantity, 10**8)
        if cost < SMALLEST_ORDER_FEN:
            raise Refused("too small")
        if not FLOOR_TICKS <= ticks <= CEILING_TICKS:
            raise Refused("outside the corridor")
        for other in self.orders.values():
            if other.owner == owner and other.selling != selling:
                buy, sell = (other.ticks, ticks) if selling else (ticks, other.ticks)
                if buy >= sell:
                    raise Refused("self-trade")
        time_now = max(self.market_time, now)
        ends = [midnight(city_day(time_now) + timedelta(days=1))] if day_order else []
        order = Order(name, owner, selling, ticks, quantity, quantity, self._next(), None)
        if selling:
            order.escrow = self._take(owner, quantity, lambda lot: lot.tradeable(now))
            ends += [lot.expires_at for lot, _ in order.escrow if lot.expires_at is not None]
        elif self.cash_free(owner) < cost:
            raise Refused("no cash")
        else:
            order.cash_held = cost
        order.until = min(ends, default=None)
        self.tell_time(now)
        self.orders[name] = order
        if order.until is not None and order.until <= self.market_time:
            self._end(order)

    def cancel(self, name: str, now: datetime) -> None:
        if name not in self.orders:
            raise Refused("ended")
        self.tell_time(now)
        if name in self.orders:
            self._end(self.orders[name])

    def _next(self) -> int:
        self.counter += 1
        return self.counter

    def _end(self, order: Order) -> None:
        for lot, part in order.escrow:
            lot.held -= part
        del self.orders[order.name]

    def auction(self, now: datetime) -> tuple[int, int, int]:
        """One price for all: the largest volume, then the nearest to the reference. (paid, received, fee) in fen."""
        self.tell_time(now)
        before = self.last_ticks
        reference = (FLOOR_TICKS + CEILING_TICKS) // 2 if before is None else before
        reference = min(max(reference, FLOOR_TICKS), CEILING_TICKS)
        buys = sorted((o for o in self.orders.values() if not o.selling), key=lambda o: (-o.ticks, o.rank))
        sells = sorted((o for o in self.orders.values() if o.selling), key=lambda o: (o.ticks, o.rank))

        def volume(price: int) -> int:
            return min(sum(o.left for o in buys if o.ticks >= price), sum(o.left for o in sells if o.ticks <= price))

        prices = {o.ticks for o in self.orders.values()} | {reference}
        if not prices or (most := max(map(volume, prices))) == 0:
            return 0, 0, 0
        price = min((p for p in prices if volume(p) == most), key=lambda p: (abs(p - reference), p))
        self.last_ticks = price
        paid = received = fees = 0
        buys, sells = [o for o in buys if o.ticks >= price], [o for o in sells if o.ticks <= price]
        while most:
            buy, sell = buys[0], sells[0]
            quantity = min(buy.left, sell.left, most)
            cash, fee = self._trade(buy, sell, quantity, price, now)
            paid, received, fees, most = paid + cash, received + cash - fee, fees + fee, most - quantity
            buys, sells = [o for o in buys if o.left], [o for o in sells if o.left]
        for order in [o for o in self.orders.values() if not o.left]:
            self._end(order)
        return paid, received, fees

    def _trade(self, buy: Order, sell: Order, quantity: int, price: int, now: datetime) -> tuple[int, int]:
        """Settle: cash is rounded on what the buyer's order has cost, the fee (C8) on what the seller's has brought."""
        for order in (buy, sell):
            order.left -= quantity
        buy.value += quantity * price
        cash = half_even(buy.value, 10**8) - buy.cash
        buy.cash += cash
        sell.cash += cash
        fee = half_even(sell.cash, 10) - sell.fee
        sell.fee += fee
        self.cash[buy.owner] -= cash
        self.cash[sell.owner] += cash - fee
        self.fund += fee
        buy.cash_held -= cash
        unlock = midnight(add_months(city_day(now), LOCK_MONTHS))
        rest = []
        for lot, part in sell.escrow:
            sold = min(part, quantity)
            quantity -= sold
            lot.held -= sold
            lot.remaining -= sold
            if sold:
                self._mint(buy.owner, "exchange", sold, now, lot.expires_at, unlock)
            if part > sold:
                rest.append((lot, part - sold))
        sell.escrow = rest
        return cash, fee

    # -- what to compare ----------------------------------------------------------------------------------------------

    def shape(self, owner: str) -> Shape:
        """What an owner has, by provenance, expiry and lock: remaining and held."""
        found: Shape = Counter()
        for lot in self.lots[owner]:
            found[lot.provenance, lot.expires_at, lot.unlock_at, "remaining"] += lot.remaining
            found[lot.provenance, lot.expires_at, lot.unlock_at, "held"] += lot.held
        return +found
