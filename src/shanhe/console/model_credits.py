"""What the pages of credits show: what was bought, and tables as data, so that one macro sets them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Col:
    """`key` titles the column; `kind` says how a cell is set: text, credits, yuan, day, minute, short, note (small,
    under what stands before), link (text and address), or a word family (`word:provenance`, `state:refund_state`)."""

    key: str
    kind: str = "text"


@dataclass(frozen=True)
class Row:
    """One line: its cells, what it is, and which actions it offers."""

    id: UUID | str
    cells: tuple[Any, ...]
    acts: tuple[str, ...] = ()


QUEUE_ROWS = 50
"""A page of an operators' list."""


@dataclass(frozen=True)
class Queue:
    """The part of an operators' list that is asked for: what waits, oldest first, or everything, newest first; beyond
    `past`, the last row that was seen."""

    everything: bool = False
    past: UUID | None = None


@dataclass(frozen=True)
class Sheet:
    """A table. `key` titles it; `empty` is shown when there is no row; `more`: rows may follow the last one."""

    key: str
    columns: tuple[Col, ...]
    rows: Sequence[Row]
    empty: str
    total: tuple[Any, ...] | None = None
    more: bool = False


@dataclass(frozen=True)
class StatementPage:
    """A month by lot, what moved it, and what will lapse."""

    month: date
    months: Sequence[date]
    complete: bool
    opening_micro: int
    closing_micro: int
    opening_cost_fen: int
    added_cost_fen: int
    taken_cost_fen: int
    cost_fen: int
    value_fen: int
    lots: Sheet
    moves: Sheet
    lapses: Sheet
    quarters: int
    fee_bps: int
    queue_weight: int


@dataclass(frozen=True)
class File:
    """A download."""

    content: bytes
    media: str
    headers: dict[str, str]


@dataclass(frozen=True)
class OfferView:
    """What a refund would give and take."""

    purchase_id: UUID
    paid_fen: int
    refund_fen: int
    consumed_micro: int
    taken_micro: int
    cancelled_micro: int
    restored_fen: int
    trace: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class QuoteView:
    id: UUID
    value_fen: int
    paid_fen: int
    benefit_fen: int
    benefit_left_fen: int
    purchased_micro: int
    subsidy_micro: int
    category: str
    trace: Mapping[str, Any]
    expires_at: datetime


@dataclass(frozen=True)
class PurchaseRow:
    id: UUID
    at: datetime
    source: str
    method: str
    paid_fen: int
    benefit_fen: int
    quantity_micro: int
    state: str
    redirect_url: str | None
    ref: str = ""


@dataclass(frozen=True)
class AutoRow:
    threshold_micro: int
    value_fen: int
    monthly_cap_fen: int
    enabled: bool
    state: str
    url: str | None
