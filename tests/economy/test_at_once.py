"""Two processes of one city take orders, payments, refunds and calls at the same moment; it all adds up.

Which of several steps the database takes first, nobody says: here is no oracle, only what must hold whatever happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from shanhe.credits.api import CreditsMoved, RefundConflict
from shanhe.exchange.api import BelowFilled
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.ledger.api import Asset
from shanhe.payments.api import Faults

from .city import CREDIT, FIRST, NAMES, REFUSALS, RealCity

PROCESSES = 2
ROUNDS, STEPS_AT_ONCE = 25, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 100
REFUSED = (*REFUSALS, BelowFilled, CreditsMoved, RefundConflict)

UNCOVERED = """
  SELECT o.id FROM exchange.orders o LEFT JOIN ledger.hold h ON h.id = o.id AND h.state = 'open'
  WHERE o.state = 'open' AND coalesce(h.amount, 0) < CASE o.side WHEN 1 THEN o.quantity - o.filled ELSE 1 END"""
"""Open orders with less behind them than they may still sell."""
UNFINISHED = (
    "SELECT id FROM exchange.trade WHERE settled_at IS NULL",
    "SELECT t.id FROM exchange.trade t LEFT JOIN ledger.posting p ON p.id = t.id WHERE p.id IS NULL",
    "SELECT id FROM exchange.orders WHERE state <> 'open' AND NOT released",
    "SELECT h.id FROM ledger.hold h LEFT JOIN exchange.orders o ON o.id = h.id AND o.state = 'open' "
    "WHERE h.state = 'open' AND h.purpose = 'order' AND o.id IS NULL",
    "SELECT id FROM credits.purchase WHERE state NOT IN ('posted', 'failed', 'expired')",
    "SELECT id FROM credits.refund WHERE state NOT IN ('paid', 'void')",
    "SELECT purchase_id FROM credits.refund WHERE state = 'paid' GROUP BY 1 HAVING count(*) > 1",
)
MONEY = """
  SELECT (SELECT coalesce(sum(amount_fen), 0)::bigint FROM payments.sandbox_payment WHERE state = 'paid') AS taken,
         (SELECT coalesce(sum(amount_fen), 0)::bigint FROM payments.sandbox_refund) AS back"""
"""What the institution took and gave back."""


class Crowd:
    def __init__(self, db: Database, seed: int) -> None:
        self.db = db
        self.rng = random.Random(seed)
        self.clock = FixedClock(FIRST)
        self.cities = [RealCity(db, self.clock, NAMES, workers=PROCESSES) for _ in range(PROCESSES)]
        for number, city in enumerate(self.cities):
            city.lives = number * 1000
        self.purchases: list[tuple[str, UUID]] = []
        self.orders: list[str] = []
        self.number = 0
        self.draws = [
            (self.buy, 5), (self.refund, 5), (self.grant, 4), (self.call, 8), (self.hold, 3), (self.deposit, 5),
            (self.place, 16), (self.amend, 5), (self.cancel, 4), (self.auction, 5), (self.sweep, 4), (self.jobs, 3),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        for city in self.cities:
            await city.begin()
        await self.cities[0].open_exchange()
        for name in NAMES:
            await self.cities[0].grant(f"first {name}", name, "reward", 300 * CREDIT)
        self.clock.advance(days=200)
        kinds, weights = [step for step, _ in self.draws], [weight for _, weight in self.draws]
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 20, 900, 5_000)))
            if self.rng.random() < 0.05:
                self.clock.advance(days=self.rng.randint(1, 40))
            for city in self.cities:
                city.behave(self.rng.choice((None, Faults(copies=3), Faults(copies=2, reorder=True))))
            chosen = self.rng.choices(kinds, weights, k=self.rng.randint(1, STEPS_AT_ONCE))
            await asyncio.gather(*(self.take(step) for step in chosen))
            assert await self.cities[0].broken() == {}
            await self.nothing(UNCOVERED)
        await self.come_to_rest()

    async def take(self, step: Callable[[RealCity], Awaitable[object]]) -> None:
        with contextlib.suppress(*REFUSED):
            await step(self.rng.choice(self.cities))

    def name(self) -> str:
        """A new one, or one that somebody says again."""
        if self.rng.random() < 0.15 and self.number:
            return f"{self.rng.randint(max(1, self.number - 6), self.number)}"
        self.number += 1
        return f"{self.number}"

    def amount(self) -> int:
        return self.rng.choice((7, CREDIT, 3 * CREDIT + 1, 50 * CREDIT, self.rng.randint(1, 200 * CREDIT)))

    async def buy(self, city: RealCity) -> None:
        owner, fen = self.rng.choice(NAMES), self.rng.choice((100, 333, 10_000, self.rng.randint(1, 50_000)))
        name = f"buy {self.number}"
        self.number += 1
        bought = await asyncio.gather(*(one.buy(name, owner, fen) for one in self.cities[: self.rng.randint(1, 2)]))
        assert len({one.id for one in bought}) == 1
        self.purchases.append((owner, bought[0].id))

    async def refund(self, city: RealCity) -> None:
        if self.purchases:
            owner, purchase = self.rng.choice(self.purchases[-4:])
            await city.refund(self.name(), owner, purchase)

    async def grant(self, city: RealCity) -> None:
        name = f"grant {self.number}"
        self.number += 1
        owner, kind, amount = self.rng.choice(NAMES), self.rng.choice(("subsidy", "reward")), self.amount()
        await asyncio.gather(*(one.grant(name, owner, kind, amount) for one in self.cities))

    async def call(self, city: RealCity) -> None:
        self.number += 1
        most = max(self.amount(), CREDIT)
        await city.call(f"{self.number}", self.rng.choice(NAMES), most, self.rng.randint(0, most))

    async def hold(self, city: RealCity) -> None:
        self.number += 1
        name, amount = f"{self.number}", self.amount()
        await city.hold(name, self.rng.choice(NAMES), amount, self.clock.now().replace(year=2027))
        await asyncio.sleep(0)
        await (city.void(name) if self.rng.random() < 0.5 else city.capture(name, self.rng.randint(0, amount)))

    async def deposit(self, city: RealCity) -> None:
        name = f"deposit {self.number}"
        self.number += 1
        owner, fen = self.rng.choice(NAMES), self.rng.randint(1, 50_000)
        await asyncio.gather(*(one.deposit(name, owner, fen) for one in self.cities))

    async def place(self, city: RealCity) -> None:
        self.number += 1
        name, owner = f"{self.number}", self.rng.choice(NAMES)
        selling, day = self.rng.random() < 0.5, self.rng.random() < 0.3
        quantity = self.rng.choice((10 * CREDIT, self.rng.randint(CREDIT, 100 * CREDIT), 20 * CREDIT + 333_333))
        ticks = self.rng.randint(5_500, 7_500)
        self.orders.append(name)
        await city.place(name, owner, selling, ticks, quantity, day)

    async def amend(self, city: RealCity) -> None:
        if self.orders:
            await city.amend(self.rng.choice(self.orders[-12:]), self.rng.randint(5_500, 7_500), self.amount())

    async def cancel(self, city: RealCity) -> None:
        if self.orders:
            await city.cancel(self.rng.choice(self.orders[-12:]))

    async def auction(self, city: RealCity) -> None:
        await city.exchange.run_auction(forced_by="simulation")

    async def sweep(self, city: RealCity) -> None:
        await city.exchange.sweep()
        await city.ledger.sweep()

    async def jobs(self, city: RealCity) -> None:
        await city.deliver()
        await city.exchange.tick()

    async def come_to_rest(self) -> None:
        """Jobs run until nothing is left to do: then nothing waits, and every figure has its other side."""
        self.clock.advance(hours=2)
        for city in (*self.cities, *self.cities):
            city.behave()
            await city.deliver()
            await city.exchange.sweep()
            await city.ledger.sweep()
        for city in self.cities:
            assert (await city.exchange.replay()).same
            await city.end()
        report = await self.cities[0].ledger.verify()
        assert report.findings == ()
        for query in UNFINISHED:
            await self.nothing(query)
        row = await self.db.fetchrow(MONEY)
        ledger = self.cities[0].ledger
        clearing = await ledger.balance((await ledger.system_account("cash", Asset.CNY, "sandbox")).id)
        assert -clearing.balance == row["taken"] - row["back"]

    async def nothing(self, query: str) -> None:
        assert await self.db.fetch(query) == []


class TestCity:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_adds_up_whatever_happens_at_once(self, database: Database, seed: int) -> None:
        await Crowd(database, seed).live(ROUNDS)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_QUICK + SEEDS_PROVED))
    async def test_adds_up_whoever_is_first(self, database: Database, seed: int) -> None:
        await Crowd(database, seed).live(ROUNDS)
