"""The exchange's nouns: frozen, pure. Prices in ticks (CNY 0.0001), quantities in micro-credits, cash in fen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

BUY: Final = 0
SELL: Final = 1
SIDES: Final = ("buy", "sell")
TICKS_PER_YUAN: Final = 10_000
QUANTITY_MAX_MICRO: Final = 5 * 10**14
"""500 million credits an order: its value in ticks × micro-credits stays inside 64 bits."""
TICKS_MAX: Final = 10_000_000


class Market(StrEnum):
    """Two books that never meet: with an approval things are real, without one they are play."""

    REAL = "real"
    PLAY = "play"


class Reason(StrEnum):
    """Why an order ended."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SELF_TRADE = "self_trade"
    MARKET_CLOSED = "market_closed"
    STOPPED = "stopped"  # by an operator
    FROZEN = "frozen"  # with its organisation
    UNBACKED = "unbacked"  # less was set aside for it than it may take


class Validity(StrEnum):
    GTC = "gtc"
    DAY = "day"


# -- events of the journal --------------------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event; `at_us` (µs since the epoch) never goes back from one to the next."""

    seq: int
    at_us: int


class Place(Event, frozen=True, kw_only=True, tag="place"):
    order: UUID
    party: UUID
    side: int
    ticks: int
    quantity: int
    until_us: int | None = None
    related: tuple[UUID, ...] = ()


class Cancel(Event, frozen=True, kw_only=True, tag="cancel"):
    order: UUID
    reason: Reason = Reason.CANCELLED
    actor: str = ""


class Amend(Event, frozen=True, kw_only=True, tag="amend"):
    """New limit and new total quantity, filled part included."""

    order: UUID
    ticks: int
    quantity: int
    until_us: int | None = None  # when it adds lots that expire sooner
    actor: str = ""


class Auction(Event, frozen=True, kw_only=True, tag="auction"):
    """`slot_us` names the auction: each is held once."""

    slot_us: int
    reference: int


class Corridor(Event, frozen=True, kw_only=True, tag="corridor"):
    floor: int
    ceiling: int


class Mode(Event, frozen=True, kw_only=True, tag="mode"):
    continuous: bool


class Pause(Event, frozen=True, kw_only=True, tag="pause"):
    reason: str
    actor: str


class Resume(Event, frozen=True, kw_only=True, tag="resume"):
    reason: str
    actor: str


class Expire(Event, frozen=True, kw_only=True, tag="expire"):
    """Time has passed: orders whose time is over leave."""


AnyEvent = Place | Cancel | Amend | Auction | Corridor | Mode | Pause | Resume | Expire


class Trade(msgspec.Struct, frozen=True, gc=False):
    """The buyer pays `cash_fen`; the seller receives it less the fee."""

    buy: Any  # a book.Order
    sell: Any
    quantity: int
    ticks: int
    cash_fen: int


class Ended(msgspec.Struct, frozen=True, gc=False):
    order: Any  # a book.Order, as it was when it ended
    reason: Reason


class Level(NamedTuple):
    ticks: int
    quantity: int
    orders: int


# -- what people see --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trader:
    """Facts about an organisation that orders. The same party, or related ones, never trade with each other (R0)."""

    org_id: UUID
    party: UUID
    frozen: bool = False
    related: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class NewOrder:
    """What is wanted. `id` is the caller's (UUID) and makes it idempotent."""

    id: UUID
    org_id: UUID
    side: int
    ticks: int
    quantity_micro: int
    validity: Validity = Validity.GTC


class OrderView(msgspec.Struct, frozen=True):
    """An order as it stands. `cash_fen`: paid by a buyer, brought in by a seller (before the fee)."""

    id: UUID
    market: Market
    org_id: UUID
    side: int
    ticks: int
    quantity_micro: int
    filled_micro: int
    cash_fen: int
    fee_fen: int
    validity: Validity
    state: str
    placed_at: datetime
    ended_at: datetime | None
    until: datetime | None
    actor: str

    @property
    def left_micro(self) -> int:
        return self.quantity_micro - self.filled_micro


@dataclass(frozen=True)
class TradeView:
    id: UUID
    market: Market
    seq: int
    at: datetime
    buy: UUID
    sell: UUID
    buyer: UUID
    seller: UUID
    quantity_micro: int
    ticks: int
    cash_fen: int
    fee_fen: int
    settled_at: datetime | None
    void_at: datetime | None


@dataclass(frozen=True)
class Status:
    """The market as anybody may see it."""

    market: Market
    sample: bool
    licence: str
    continuous: bool
    paused: bool
    pause_reason: str
    floor_ticks: int
    ceiling_ticks: int
    list_price_fen: int
    last_ticks: int | None
    reference_ticks: int
    next_auction_at: datetime | None
    seq: int


@dataclass(frozen=True)
class BookView:
    """Depth inside the corridor, best first, and what an auction would give now."""

    status: Status
    buys: Sequence[Level]
    sells: Sequence[Level]
    indicative_ticks: int | None
    indicative_micro: int


@dataclass(frozen=True)
class AuctionView:
    slot: datetime
    held_at: datetime
    seq: int
    ticks: int | None
    quantity_micro: int
    trades: int
    forced_by: str | None


@dataclass(frozen=True)
class Candle:
    start: datetime
    open: int
    high: int
    low: int
    close: int
    quantity_micro: int


@dataclass(frozen=True)
class Ran:
    """What `run_auction`, `sweep` or `tick` did."""

    auction: AuctionView | None = None
    trades: int = 0
    settled: int = 0
    ended: int = 0

    def __bool__(self) -> bool:
        return bool(self.auction or self.trades or self.settled or self.ended)

    def __str__(self) -> str:
        """For the log: the auction by its time alone."""
        auction = f"auction={self.auction.slot.isoformat()} " if self.auction else ""
        return f"{auction}trades={self.trades} settled={self.settled} ended={self.ended}"

    def __add__(self, other: Ran) -> Ran:
        return Ran(
            self.auction or other.auction, self.trades + other.trades, self.settled + other.settled,
            self.ended + other.ended,
        )  # fmt: skip


TraderOf = Callable[[UUID], Awaitable[Trader]]
FeeDiscount = Callable[[UUID, date], Awaitable[int]]
