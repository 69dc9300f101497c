"""The market as a stream: a snapshot, then what changed. Bounded: subscribers, and what waits for each of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.exchange.errors import ExchangeBusy
from shanhe.exchange.model import SIDES, BookView, TradeView
from shanhe.exchange.service import CHANNEL, Exchange
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError

SUBSCRIBERS_MAX: Final = 500
WAITING_MAX: Final = 16
"""Messages that may wait for one subscriber; who falls further behind is let go and may connect again."""
DEPTH: Final = 50
TRADES_MAX: Final = 50
LOOK_EVERY_S: Final = 5.0
LOOK_AT_MOST_EVERY_S: Final = 0.2

log = structlog.get_logger(__name__)
Depth = Mapping[tuple[str, int], tuple[int, int]]


class Feed:
    """One process's stream. Looks at the market only while somebody listens."""

    def __init__(self, exchange: Exchange, db: Database) -> None:
        self._exchange = exchange
        self._db = db
        self._queues: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._changed = asyncio.Event()
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._listening = False
        self._depth: Depth = {}
        self._last_trade: UUID | None = None
        self._head: dict[str, Any] = {}

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Queue[dict[str, Any] | None]]:
        """A queue that begins with a snapshot; None in it means that the subscriber was too slow."""
        if len(self._queues) >= SUBSCRIBERS_MAX:
            raise ExchangeBusy()
        if not self._listening:
            self._listening = True
            self._db.wake(CHANNEL, self._changed)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(WAITING_MAX)
        await self._look()
        queue.put_nowait({"type": "snapshot", **self._head, "levels": _levels(self._depth)})
        self._queues.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def _run(self) -> None:
        while self._queues:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._look()
            except (ShanheError, *FAILURES) as error:
                log.warning("the market could not be read", error=str(error))
            await asyncio.sleep(LOOK_AT_MOST_EVERY_S)

    async def _look(self) -> None:
        """Read the market; tell everybody what changed since the last look. One look at a time, and trades before the
        book: a price is never older than the trades it is told with."""
        async with self._looking:
            await self._compare(await self._exchange.trades(limit=TRADES_MAX))

    async def _compare(self, recent: Sequence[TradeView]) -> None:
        book = await self._exchange.book(DEPTH)
        new = [trade for trade in recent if self._last_trade is None or trade.id > self._last_trade]
        first = not self._head
        depth, head = depth_of(book), head_of(book)
        changes = {
            key: depth.get(key, (0, 0)) for key in depth.keys() | self._depth.keys()
            if depth.get(key) != self._depth.get(key)
        }  # fmt: skip
        moved = bool(changes) or head != self._head or bool(new)
        self._depth, self._head = depth, head
        if recent:
            self._last_trade = recent[0].id
        if moved and not first:
            trades = [_trade(trade) for trade in reversed(new)]
            self._tell({"type": "diff", **head, "levels": _levels(changes), "trades": trades})

    def _tell(self, message: dict[str, Any]) -> None:
        for queue in list(self._queues):
            if queue.full():
                self._queues.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)


def depth_of(book: BookView) -> Depth:
    return {
        (side, level.ticks): (level.quantity, level.orders)
        for side, levels in zip(SIDES, (book.buys, book.sells), strict=True)
        for level in levels
    }


def head_of(book: BookView) -> dict[str, Any]:
    status = book.status
    return {
        "market": status.market, "sample": status.sample, "paused": status.paused, "last_ticks": status.last_ticks,
        "floor_ticks": status.floor_ticks, "ceiling_ticks": status.ceiling_ticks,
        "indicative_ticks": book.indicative_ticks, "indicative_micro": book.indicative_micro,
        "next_auction_at": status.next_auction_at,
    }  # fmt: skip


def _levels(depth: Depth) -> list[tuple[str, int, int, int]]:
    """(side, ticks, quantity, orders); quantity 0 = the price has gone."""
    return [(side, ticks, quantity, orders) for (side, ticks), (quantity, orders) in sorted(depth.items())]


def _trade(trade: TradeView) -> dict[str, Any]:
    return {"id": trade.id, "at": trade.at, "price_ticks": trade.ticks, "quantity_micro": trade.quantity_micro}
