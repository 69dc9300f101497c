"""Settlement: every recorded trade becomes one balanced posting, once, whatever crashes between.

A batch of trades, their postings and the mark that they are settled are one transaction; the transparency log seals
postings by itself. Afterwards the escrow of ended orders is released, and that of amended ones cut to what they need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.exchange import store
from shanhe.exchange.book import cash_of
from shanhe.exchange.model import SELL, Market
from shanhe.exchange.policy import Policy
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Delivery, Ledger

KIND: Final = "trade"
TRADES_MAX: Final = 2_000
RELEASE_MAX: Final = 5_000
TICKS_PER_FEN: Final = 100


class Settlement:
    """One market's settlement. `fund(market)` tells where its fees go."""

    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, market: Market, policy: Policy,
        fund: Callable[[Market], Awaitable[UUID]],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._market = market
        self._policy = policy
        self._fund = fund

    async def run(self) -> int:
        """Settle everything recorded so far and release what is no longer needed; how many trades."""
        settled = 0
        while count := await self._batch():
            settled += count
        while await self._release():
            pass
        while await self._trim():
            pass
        return settled

    async def _batch(self) -> int:
        fund = await self._fund(self._market)
        async with self._db.transaction() as conn:
            rows = await store.unsettled(conn, self._market, TRADES_MAX)
            if not rows:
                return 0
            day = self._policy.day(self._clock.today())
            deliveries = [
                Delivery(
                    id=row["id"], source=row["sell"], receiver=row["receiver"], quantity=row["quantity"],
                    payment=row["buy"], payee=row["payee"], price=row["cash_fen"], fee=row["fee_fen"],
                    unit_cost_fen=unit_cost_fen(row["cash_fen"], row["quantity"]),
                    evidence=evidence_of(row, self._market, day.versions),
                )
                for row in rows
            ]  # fmt: skip
            await self._ledger.escrow.deliver(conn, deliveries, kind=KIND, fund=fund, unlock_at=day.unlock_at)
            await store.mark_settled(conn, [row["id"] for row in rows], self._clock.now())
        return len(rows)

    async def _release(self) -> int:
        async with self._db.transaction() as conn:
            ids = [row["id"] for row in await store.to_release(conn, self._market, RELEASE_MAX)]
            await self._ledger.escrow.trim(conn, dict.fromkeys(ids, 0))
            await store.mark_released(conn, ids)
        return len(ids) if len(ids) == RELEASE_MAX else 0

    async def _trim(self) -> int:
        async with self._db.transaction() as conn:
            rows = await store.to_trim(conn, self._market, RELEASE_MAX)
            if not rows:
                return 0
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


def unit_cost_fen(cash_fen: int, quantity: int) -> int:
    """What one whole credit cost, half to even."""
    quotient, rest = divmod(cash_fen * MICRO, quantity)
    return quotient + (2 * rest > quantity or (2 * rest == quantity and quotient % 2 == 1))


def evidence_of(row: Mapping[str, Any], market: Market, versions: Mapping[str, str]) -> bytes:
    """What the posting of a trade rests on: the event, the orders, the amounts, and the rules."""
    return msgspec.json.encode({
        "version": 1, "market": market, "seq": row["seq"], "buy": row["buy"], "sell": row["sell"],
        "quantity_micro": row["quantity"], "price_ticks": row["ticks"], "cash_fen": row["cash_fen"],
        "fee_fen": row["fee_fen"], "fee_discount_bps": row["discount_bps"], "fee_rules_of": row["ordered_on"],
        "rules": versions,
    }, order="sorted")  # fmt: skip
