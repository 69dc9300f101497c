"""How fast the book alone matches: no database, no clock."""

from __future__ import annotations

import gc
import random
import time
from typing import Any
from uuid import UUID

from shanhe.exchange.book import Book
from shanhe.exchange.model import Auction, Corridor, Mode, Place
from shanhe.kernel.process import collect_seldom

FLOOR, CEILING = 3_000, 10_000
MICRO = 1_000_000


def bench_book(orders: int, traders: int, low: int, high: int, seed: int) -> dict[str, Any]:
    """Orders a second: entering them, clearing them in one call auction, and matching them continuously."""
    chance = random.Random(seed)
    events = [
        Place(
            seq=number + 3, at_us=number, order=UUID(int=(number << 64) + 1), party=UUID(int=number % traders + 1),
            side=number % 2, ticks=chance.randrange(low, high), quantity=chance.randrange(20, 200) * MICRO,
        )
        for number in range(orders)
    ]  # fmt: skip
    collect_seldom()
    call, entering_s = _fold(events, continuous=False)
    begin = time.perf_counter()
    effects = call.apply(Auction(seq=orders + 3, at_us=orders, slot_us=0, reference=(low + high) // 2))
    auction_s = time.perf_counter() - begin
    gc.collect()
    _, continuous_s = _fold(events, continuous=True)
    return {
        "entered_per_s": round(orders / entering_s),
        "auction_orders_per_s": round(orders / auction_s),
        "auction_trades": len(effects.trades),
        "continuous_orders_per_s": round(orders / continuous_s),
    }


def _fold(events: list[Place], *, continuous: bool) -> tuple[Book, float]:
    book = Book()
    book.apply(Corridor(seq=1, at_us=0, floor=FLOOR, ceiling=CEILING))
    book.apply(Mode(seq=2, at_us=0, continuous=continuous))
    begin = time.perf_counter()
    for event in events:
        book.apply(event)
    return book, time.perf_counter() - begin
