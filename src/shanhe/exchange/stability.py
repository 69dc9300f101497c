"""The stability fund: an ordinary participant with limits (F8), whose every intervention and its reason are public."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.exchange import fund_store as store
from shanhe.exchange.cash import CREDIT_KIND, Cash
from shanhe.exchange.clearing import VALUE_PER_FEN, cash_of
from shanhe.exchange.model import BUY, SELL, BookView, NewOrder, Validity
from shanhe.exchange.policy import Policy
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Ledger

FUND: Final = UUID("f8f8f8f8-0000-5000-8000-000000000008")
"""The fund as an organisation: its accounts, its orders."""
ACTOR: Final = "stability fund"
PAGE_ROWS: Final = 100


@dataclass(frozen=True)
class Intervention:
    """An order of the fund; `trace` is the decision behind it."""

    id: UUID
    at: datetime
    side: int
    ticks: int
    quantity: int
    trace: Any


class Stability:
    def __init__(self, db: Database, clock: Clock, ledger: Ledger, cash: Cash, policy: Policy) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._cash = cash
        self._policy = policy

    async def decide(self, book: BookView) -> tuple[NewOrder, Any] | None:
        """The order the rule allows now, with the decision's trace; None when there is nothing to do."""
        market, today = book.status.market, self._clock.today()
        price = book.indicative_ticks or book.status.last_ticks
        since = self._clock.now() - timedelta(days=self._policy.window_days(today))
        facts = {
            "average_ticks": await store.average(self._db, market, since),
            "price_ticks": price or 0,
            "float_micro": await store.float_micro(self._db, CREDIT_KIND[market], self._clock.now()),
            "used_micro": await store.used_today(self._db, FUND, market, today),
        }
        decision = self._policy.stability(facts, today)
        out = decision.outputs
        if book.status.paused or not (out["may_buy"] or out["may_sell"]) or out["left_micro"] <= 0:
            return None
        side, status = BUY if out["may_buy"] else SELL, book.status
        if side == BUY:
            ticks = min(out["buy_below_ticks"], status.ceiling_ticks)
        else:
            ticks = max(out["sell_above_ticks"], status.floor_ticks)
        if not status.floor_ticks <= ticks <= status.ceiling_ticks:
            return None  # no price of the corridor is on its side of the line
        purse = await self._cash.purse(FUND, market)
        means = purse.cash_available_fen * VALUE_PER_FEN // ticks if side == BUY else purse.tradeable_micro
        quantity = min(out["left_micro"], means)
        if cash_of(quantity * ticks) < self._policy.day(today).min_order_fen:
            return None
        return NewOrder(new_id(), FUND, side, ticks, quantity, Validity.DAY), decision.trace

    async def record(self, order: NewOrder, trace: Any) -> None:
        await store.insert_intervention(
            self._db, order.id, self._clock.now(), order.side, order.ticks, order.quantity_micro, trace
        )

    async def forget(self, order: NewOrder) -> None:
        """It was refused."""
        await store.delete_intervention(self._db, order.id)

    async def interventions(self) -> Sequence[Intervention]:
        """Newest first, a bounded page; public."""
        return [Intervention(**dict(row)) for row in await store.interventions(self._db, PAGE_ROWS)]
