"""Orders, trades and the market as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

import msgspec

from shanhe.exchange.errors import yuan_of
from shanhe.exchange.model import BUY, SIDES, BookView, OrderView, Status, TradeView


def status_view(status: Status) -> dict[str, Any]:
    """The market as JSON."""
    return asdict(status)


def book_view(book: BookView) -> dict[str, Any]:
    """Depth as JSON."""
    return {
        "status": status_view(book.status),
        "buys": [level._asdict() for level in book.buys],
        "sells": [level._asdict() for level in book.sells],
        "indicative_ticks": book.indicative_ticks,
        "indicative_micro": book.indicative_micro,
    }


def order_view(order: OrderView) -> dict[str, Any]:
    """An order as JSON."""
    view = msgspec.structs.asdict(order)
    view |= {"side": SIDES[order.side], "price": yuan_of(order.ticks), "left_micro": order.left_micro}
    del view["org_id"]
    return view


def public_trade(trade: TradeView) -> dict[str, Any]:
    """A trade without names."""
    return {
        "id": trade.id, "at": trade.at, "seq": trade.seq, "price_ticks": trade.ticks, "price": yuan_of(trade.ticks),
        "quantity_micro": trade.quantity_micro, "cash_fen": trade.cash_fen, "settled": trade.settled_at is not None,
        "void": trade.void_at is not None,
    }  # fmt: skip


def own_trade(trade: TradeView, org: UUID) -> dict[str, Any]:
    """A trade as one of its sides sees it: the other side has no name."""
    bought = trade.buyer == org
    return {
        **public_trade(trade), "side": SIDES[BUY if bought else 1 - BUY], "order": trade.buy if bought else trade.sell,
        "fee_fen": 0 if bought else trade.fee_fen,
        "net_fen": -trade.cash_fen if bought else trade.cash_fen - trade.fee_fen,
    }  # fmt: skip
