"""Settlement: every recorded trade becomes one balanced posting, once, whatever crashes between.

A batch of trades, their postings and the mark that they are settled are one transaction; the transparency log seals
postings by itself. Afterwards the escrow of ended orders is released, and that of amended ones cut to what they need.

A trade whose order has too little set aside is void: it must not keep the others from theirs.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.exchange import store
from shanhe.exchange.clearing import cash_of
from shanhe.exchange.model import BUY, SELL, Market
from shanhe.exchange.policy import Day, Policy
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.ledger.api import Delivery, HoldLacks, Ledger

log = structlog.get_logger(__name__)

KIND: Final = "trade"
TRADES_MAX: Final = 2_000
BOOKED_AT_ONCE: Final = 2
RELEASE_MAX: Final = 5_000
REST_TRADES: Final = 100
"""Made ready before others in this process get their turn."""
FIRST: Final = (0, -1)


class Overtaken(Exception):
    """Another process has settled part of a batch."""


class Batch(msgspec.Struct, frozen=True):
    """Trades of one day to book together, the place (seq, n) of the last one, and that day's rules."""

    deliveries: list[Delivery]
    last: tuple[int, int]
    day: Day


class Settlement:
    """One market's settlement. `fund(market)` tells where its fees go, `doubt()` hears of orders that could not pay."""

    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, market: Market, policy: Policy,
        fund: Callable[[Market], Awaitable[UUID]], doubt: Callable[[], None],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._market = market
        self._policy = policy
        self._fund = fund
        self._doubt = doubt

    async def run(self) -> int:
        """Settle everything recorded so far and release what is no longer needed; how many trades."""
        settled = 0
        while booked := await self._settle():
            settled += booked
        async with self._db.transaction() as conn:
            await store.move_settled(conn, self._market)
        # A side's escrows share no account with the other's.
        await asyncio.gather(self._release(BUY), self._release(SELL))
        while await self._trim():
            pass
        return settled

    async def _settle(self) -> int:
        """Book what is unsettled, oldest first; how many trades.

        While a batch is booked the next one is read, sent and marked, and waits for the accounts, so that the database
        always has something to do.
        """
        settled, after = 0, FIRST
        booking: deque[asyncio.Task[int]] = deque()
        try:
            while (batch := await self._read(after)) is not None:
                booking.append(asyncio.create_task(self._book(batch)))
                after = batch.last
                if len(booking) == BOOKED_AT_ONCE:
                    settled += await booking.popleft()
            while booking:
                settled += await booking.popleft()
        finally:
            for task in booking:
                task.cancel()
            await asyncio.gather(*booking, return_exceptions=True)
        return settled

    async def _read(self, after: tuple[int, int]) -> Batch | None:
        """The next trades to settle after a place, made ready."""
        rows = await store.unsettled(self._db, self._market, after, TRADES_MAX)
        if not rows:
            return None
        on = city_date(rows[0]["at"])
        rows = [row for row in rows if city_date(row["at"]) == on]  # those of the next day are the next batch's
        day = self._policy.day(on)
        deliveries: list[Delivery] = []
        for start in range(0, len(rows), REST_TRADES):
            deliveries += [self._delivery(row, day) for row in rows[start : start + REST_TRADES]]
            await asyncio.sleep(0)
        return Batch(deliveries, (rows[-1]["seq"], rows[-1]["n"]), day)

    def _delivery(self, row: Any, day: Day) -> Delivery:
        return Delivery(
            id=row["id"], source=row["sell"], receiver=row["receiver"], quantity=row["quantity"],
            payment=row["buy"], payee=row["payee"], price=row["cash_fen"], fee=row["fee_fen"],
            evidence=evidence_of(row, self._market, day.versions),
        )  # fmt: skip

    async def _book(self, batch: Batch) -> int:
        """One transaction, how many trades; 0, and nothing done, when somebody else has settled some meanwhile. Those
        that cannot be settled are void, and the others are booked without them."""
        fund = await self._fund(self._market)
        try:
            async with self._db.transaction() as conn:
                ids = [one.id for one in batch.deliveries]
                if await store.mark_settled(conn, ids, self._clock.now()) < len(ids):
                    raise Overtaken
                unlock_at = batch.day.unlock_at
                await self._ledger.escrow.deliver(conn, batch.deliveries, kind=KIND, fund=fund, unlock_at=unlock_at)
        except Overtaken:
            return 0
        except HoldLacks:
            rest = await self._void(batch.deliveries)
            if len(rest) == len(batch.deliveries):
                raise
            return await self._book(msgspec.structs.replace(batch, deliveries=rest)) if rest else 0
        return len(batch.deliveries)

    async def _void(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Mark those of which a side has less set aside than they take; returns the others, or none where somebody else
        has been at some meanwhile."""
        async with self._db.transaction() as conn:
            if await store.lock_unsettled(conn, [one.id for one in deliveries]) < len(deliveries):
                return []
            needs: Counter[UUID] = Counter()
            for one in deliveries:
                needs[one.source] += one.quantity
                needs[one.payment] += one.price
            lacking = await self._ledger.escrow.lacking(conn, needs)
            void = [one.id for one in deliveries if not lacking.isdisjoint((one.source, one.payment))]
            await store.mark_void(conn, void, self._clock.now())
        if void:
            log.error("trades are void: too little was set aside", market=self._market, trades=sorted(map(str, void)))
            self._doubt()
        return [one for one in deliveries if one.id not in void]

    async def _release(self, side: int) -> None:
        """Give back what ended orders of a side still hold."""
        found = RELEASE_MAX
        while found == RELEASE_MAX:
            async with self._db.transaction() as conn:
                ids = [row["id"] for row in await store.to_release(conn, self._market, side, RELEASE_MAX)]
                await self._ledger.escrow.trim(conn, dict.fromkeys(ids, 0))
                await store.mark_released(conn, ids)
            found = len(ids)

    async def _trim(self) -> int:
        async with self._db.transaction() as conn:
            rows = await store.to_trim(conn, self._market, RELEASE_MAX)
            if not rows:
                return 0
            await store.head(conn, self._market, lock=True)  # no amendment is accepted between the look and the cut
            applied = (await store.matcher(conn, self._market))["seq"]
            waiting = await store.pending_amends(conn, self._market, applied, [row["id"] for row in rows])
            ready = [row for row in rows if row["id"] not in waiting]
            await self._ledger.escrow.trim(conn, {row["id"]: still_needed(row) for row in ready})
            await store.mark_trimmed(conn, [row["id"] for row in ready])
        return len(ready) if len(rows) == RELEASE_MAX else 0


def still_needed(row: Mapping[str, Any]) -> int:
    """What an open order can still take from its escrow."""
    if row["side"] == SELL:
        return int(row["left"])
    return cash_of(row["value"] + row["ticks"] * row["left"]) - int(row["cash_fen"])


def evidence_of(row: Mapping[str, Any], market: Market, versions: Mapping[str, str]) -> bytes:
    """What the posting of a trade rests on: the event, the orders, the amounts, and the rules."""
    return msgspec.json.encode({
        "version": 1, "market": market, "seq": row["seq"], "buy": row["buy"], "sell": row["sell"],
        "quantity_micro": row["quantity"], "price_ticks": row["ticks"], "cash_fen": row["cash_fen"],
        "fee_fen": row["fee_fen"], "fee_discount_bps": row["discount_bps"], "fee_rules_of": row["ordered_on"],
        "rules": versions,
    }, order="sorted")  # fmt: skip
