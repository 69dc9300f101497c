"""Matching: folds accepted events into orders and trades, in any process, one at a time for each market.

The book in memory is a cache of the tables: it is brought up to date from the journal, and thrown away when a
transaction did not commit. Nothing here moves money; a trade recorded here is settled by `settlement`, now or after a
crash.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from shanhe.exchange import store
from shanhe.exchange.book import Book, Effects, Order
from shanhe.exchange.journal import decode, instant, trade_id
from shanhe.exchange.model import AnyEvent, Auction, Market, Reason
from shanhe.exchange.policy import Policy
from shanhe.kernel.db import Database

EVENTS_MAX: Final = 5_000
"""Folded in one transaction."""
REPLAY_PAGE: Final = 5_000


@dataclass(frozen=True)
class Advance:
    """What one call folded in."""

    events: int = 0
    trades: int = 0
    ended: int = 0

    def __add__(self, other: Advance) -> Advance:
        return Advance(self.events + other.events, self.trades + other.trades, self.ended + other.ended)


@dataclass(frozen=True)
class Replay:
    """A book made from the journal alone beside the tables: equal digests and no wrong trade mean the same history."""

    market: Market
    seq: int
    digest: str
    kept_digest: str
    trades: int
    wrong_trades: int

    @property
    def same(self) -> bool:
        return self.digest == self.kept_digest and not self.wrong_trades


class Engine:
    """One market's matching in this process."""

    def __init__(self, db: Database, market: Market, policy: Policy) -> None:
        self._db = db
        self._market = market
        self._policy = policy
        self._book: Book | None = None
        self._turn = asyncio.Lock()

    async def advance(self) -> Advance:
        """Fold in everything accepted so far."""
        total = Advance()
        async with self._turn:
            while True:
                done, more = await self._step()
                total += done
                if not more:
                    return total

    async def _step(self) -> tuple[Advance, bool]:
        async with self._db.transaction() as conn:
            row = await store.matcher(conn, self._market, lock=True)
            through = (await store.head(conn, self._market))["seq"]
            if through == row["seq"]:
                return Advance(), False
            book, self._book = await self._at(conn, row), None
            bodies = await store.events(conn, self._market, row["seq"], through, EVENTS_MAX)
            done = await self._fold(conn, book, [decode(body) for body in bodies])
        self._book = book  # only what was committed is kept
        return done, book.seq < through

    async def _at(self, conn: Any, row: Any) -> Book:
        """The book as of the matcher's row: ours, brought up to date, or a fresh one from the tables."""
        book = self._book
        if book is not None and book.seq < row["seq"] <= book.seq + EVENTS_MAX:
            for body in await store.events(conn, self._market, book.seq, row["seq"], EVENTS_MAX):
                book.apply(decode(body))
        if book is None or book.seq != row["seq"]:
            book = restored(row, await store.open_orders(conn, self._market, row["seq"]))
        return book

    async def _fold(self, conn: Any, book: Book, events: list[AnyEvent]) -> Advance:
        touched: dict[UUID, Order] = {}
        ended: dict[UUID, tuple[Order, Reason, int]] = {}
        amended: set[UUID] = set()
        made: list[tuple[AnyEvent, Effects]] = []
        for event in events:
            effects = book.apply(event)
            for trade in effects.trades:
                touched[trade.buy.id] = trade.buy
                touched[trade.sell.id] = trade.sell
            for order, _ in effects.amended:
                touched[order.id] = order
                amended.add(order.id)
            for gone in effects.ended:
                touched[gone.order.id] = gone.order
                ended[gone.order.id] = (gone.order, gone.reason, event.at_us)
            if effects.trades or isinstance(event, Auction):
                made.append((event, effects))
        fees = await self._record_trades(conn, made)
        await store.update_orders(conn, _rows(book, touched, ended, amended, fees))
        state = (book.seq, book.floor, book.ceiling, book.continuous, book.paused, book.last_ticks)
        await store.move_matcher(conn, self._market, state)
        return Advance(len(events), sum(len(effects.trades) for _, effects in made), len(ended))

    async def _record_trades(self, conn: Any, made: list[tuple[AnyEvent, Effects]]) -> dict[UUID, int]:
        """Write trades with their fees; what each seller owes more. Fees are due on an order's proceeds so far (C8).

        What is due and more than a trade brings in falls on those that follow; what was charged is not given back.
        """
        sellers = list({trade.sell.id for _, effects in made for trade in effects.trades})
        bases = await store.fee_bases(conn, sellers)
        added: dict[UUID, int] = dict.fromkeys(sellers, 0)
        so_far = {seller: base[0] for seller, base in bases.items()}
        records = []
        for event, effects in made:
            at = instant(event.at_us)
            for n, trade in enumerate(effects.trades):
                seller = trade.sell.id
                _, charged, discount_bps, ordered_on = bases[seller]
                so_far[seller] += trade.cash_fen
                due = self._policy.fee_fen(so_far[seller], discount_bps, ordered_on)
                fee = min(max(due - charged - added[seller], 0), trade.cash_fen)
                added[seller] += fee
                records.append((
                    trade_id(self._market, event.at_us, event.seq, n), self._market, event.seq, n, at, trade.buy.id,
                    seller, trade.quantity, trade.ticks, trade.cash_fen, fee,
                ))  # fmt: skip
            if isinstance(event, Auction):
                volume = sum(trade.quantity for trade in effects.trades)
                ticks = effects.trades[0].ticks if effects.trades else None
                await store.finish_auction(conn, self._market, event.seq, ticks, volume, len(effects.trades))
        if records:
            await store.insert_trades(conn, records)
        return added

    # -- replay -------------------------------------------------------------------------------------------------------

    async def replay(self) -> Replay:
        """Fold the whole journal again, from its first event, and compare book and trades with what is kept."""
        async with self._db.snapshot() as conn:
            row = await store.matcher(conn, self._market)
            kept = restored(row, await store.open_orders(conn, self._market, row["seq"]))
            book, count, wrong = Book(), 0, 0
            while book.seq < row["seq"]:
                bodies = await store.events(conn, self._market, book.seq, row["seq"], REPLAY_PAGE)
                if not bodies:
                    break
                made = []
                for event in map(decode, bodies):
                    for n, trade in enumerate(book.apply(event).trades):
                        identifier = trade_id(self._market, event.at_us, event.seq, n)
                        made.append(
                            (identifier, trade.buy.id, trade.sell.id, trade.quantity, trade.ticks, trade.cash_fen)
                        )
                count += len(made)
                wrong += len(made) - await store.count_same_trades(conn, made)
            wrong += abs(await store.count_trades(conn, self._market) - count)
            return Replay(self._market, book.seq, book.digest(), kept.digest(), count, wrong)


def restored(row: Any, orders: list[Order]) -> Book:
    """A book as the tables know it."""
    book = Book()
    book.seq, book.floor, book.ceiling = row["seq"], row["floor"], row["ceiling"]
    book.continuous, book.paused, book.last_ticks = row["continuous"], row["paused"], row["last_ticks"]
    book.restore(orders)
    return book


def _rows(
    book: Book, touched: dict[UUID, Order], ended: dict[UUID, tuple[Order, Reason, int]], amended: set[UUID],
    fees: dict[UUID, int],
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Orders as they stand after the events, for the tables."""
    rows = []
    for identifier, order in touched.items():
        state, ended_at = "open", None
        if identifier in ended:
            order, reason, at_us = ended[identifier]
            state, ended_at = str(reason), instant(at_us)
        else:
            order = book.orders[identifier.int]
        rows.append((
            identifier, order.ticks, order.quantity, order.quantity - order.left, order.value, order.cash,
            fees.get(identifier, 0), order.rank, state, ended_at, identifier in amended, order.until_us,
        ))  # fmt: skip
    return rows
