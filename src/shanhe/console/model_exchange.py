"""What the exchange's pages show. Prices in ticks (CNY 0.0001)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shanhe.console.model_credits import Sheet


@dataclass(frozen=True)
class DepthRow:
    """One price of the book; `share` = its part of the largest, in hundredths of a percent."""

    ticks: int
    micro: int
    orders: int
    share: int


@dataclass(frozen=True)
class TapeRow:
    at: datetime
    ticks: int
    micro: int


@dataclass(frozen=True)
class AuctionRow:
    slot: datetime
    ticks: int | None
    micro: int
    trades: int


@dataclass(frozen=True)
class CandleMark:
    """A candle drawn: x of its middle, y of its four prices, and what it says."""

    x: float
    high: float
    low: float
    top: float
    height: float
    up: bool
    label: str


@dataclass(frozen=True)
class CandleChart:
    """`kind`: broad or narrow, as the screen is."""

    kind: str
    width: int
    height: int
    left: int
    marks: Sequence[CandleMark]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class MarketPage:
    """`mode`: real, sample (a sample approval), or play. `least_fen`: what an order is worth at least."""

    mode: str
    licence: str
    continuous: bool
    paused: bool
    pause_reason: str
    floor: int
    ceiling: int
    least_fen: int
    last: int | None
    indicative: int | None
    indicative_micro: int
    next_at: datetime | None
    buys: Sequence[DepthRow]
    sells: Sequence[DepthRow]
    tape: Sequence[TapeRow]
    auctions: Sequence[AuctionRow]
    candles: Sequence[CandleChart]


@dataclass(frozen=True)
class MyOrder:
    id: UUID
    at: datetime
    side: str
    ticks: int
    micro: int
    filled_micro: int
    cash_fen: int
    fee_fen: int
    validity: str
    state: str
    until: datetime | None


@dataclass(frozen=True)
class WithdrawalRow:
    id: UUID
    at: datetime
    org: str
    fen: int
    payee: str
    state: str
    reference: str


@dataclass(frozen=True)
class MyMarket:
    """An organisation's money and orders in the open market. `out_fen`: real cash that it may take out, though the open
    market be play."""

    tradeable_micro: int
    cash_fen: int
    cash_available_fen: int
    out_fen: int
    orders: Sequence[MyOrder]
    trades: Sheet
    withdrawals: Sequence[WithdrawalRow]
    disputes: Sheet


@dataclass(frozen=True)
class FundRow:
    id: UUID
    at: datetime
    org: str
    fen: int
    reason: str
    state: str
    asked_by: str


@dataclass(frozen=True)
class InterventionRow:
    at: datetime
    side: str
    ticks: int
    micro: int


@dataclass(frozen=True)
class FundPage:
    mode: str
    licence: str
    balance_fen: int
    fees_fen: int
    paid_fen: int
    stability_fen: int
    trades: int
    payments: Sequence[FundRow]
    interventions: Sequence[InterventionRow]


@dataclass(frozen=True)
class DisputeRow:
    id: UUID
    at: datetime
    org: str
    order_id: UUID
    text: str


@dataclass(frozen=True)
class Operations:
    """What waits for an operator."""

    payments: Sequence[FundRow]
    withdrawals: Sequence[WithdrawalRow]
    disputes: Sequence[DisputeRow]
    upheld: Sequence[DisputeRow]
    reversals: Sheet
    orders: Sheet
