"""A city's life at random, told twice: by the product on a real database and by an oracle that shares no line of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.payments.api import Faults

from .city import CREDIT, DIRECT, FIRST, NAMES, REFUSALS, RealCity
from .oracle import City, Refused

SEEDS_QUICK, STEPS_QUICK = 4, 60
SEEDS_PROVED, STEPS_PROVED = 1_000, 100
STEPS_LONG = 3_000
VERIFY_EVERY = 60


class Life:
    """Draws steps, takes each in both cities and compares everything afterwards."""

    def __init__(self, db: Database, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = FixedClock(FIRST)
        self.real = RealCity(db, self.clock, NAMES, workers=DIRECT)
        self.oracle = City(NAMES)
        self.steps = 0
        self.done: list[tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]] = []
        self.taken: dict[str, int] = {}
        self.purchases: dict[str, UUID] = {}
        self.draws = [
            (self.buy, 5), (self.grant, 8), (self.call, 9), (self.hold, 5), (self.finish_hold, 5), (self.deposit, 5),
            (self.refund, 4), (self.place, 22), (self.cancel, 4), (self.auction, 8), (self.sweep, 4), (self.wait, 5),
            (self.leap, 2), (self.clock_back, 1), (self.repeat, 5), (self.crash, 1),
        ]  # fmt: skip

    async def run(self, steps: int) -> None:
        await self.real.begin()
        await self.real.open_exchange()
        self.oracle.tell_time(self.clock.now())
        kinds, weights = zip(*self.draws, strict=True)
        for self.steps in range(1, steps + 1):
            self.clock.advance(seconds=self.rng.randint(1, 900))
            step = self.rng.choices(kinds, weights)[0]
            self.taken[step.__name__] = self.taken.get(step.__name__, 0) + 1
            await self.look()
            await step()
            await self.compare(step.__name__)
            if self.steps % VERIFY_EVERY == 0 or self.steps == steps:
                await self.sweep()
                report = await self.real.ledger.verify()
                assert report.clean, report.findings
        replay = await self.real.exchange.replay()
        assert replay.same, replay
        await self.real.end()

    async def compare(self, step: str) -> None:
        where = f"after step {self.steps}, {step}"
        shapes, cash = await self.real.shapes(), await self.real.cash()
        for name in NAMES:
            assert shapes[name] == self.oracle.shape(name), f"{where}: {name}"
            held = self.oracle.cash[name] - self.oracle.cash_free(name)
            assert cash.get(name, (0, 0)) == (self.oracle.cash[name], held), f"{where}: {name}'s cash"
        assert await self.real.sums() == (self.oracle.breakage, self.oracle.spent, self.oracle.fund), where
        assert await self.real.broken() == {}, where

    async def both(self, real: Awaitable[Any], oracle: Callable[[], Any]) -> bool:
        """Take a step in both; they agree whether it can be taken."""
        try:
            oracle()
            allowed = True
        except Refused:
            allowed = False
        refusal: Exception | None = None
        try:
            await real
        except REFUSALS as error:
            refusal = error
        assert (refusal is None) is allowed, f"step {self.steps}: allowed is {allowed}, the city says {refusal!r}"
        return allowed

    def _name(self) -> str:
        return f"{self.steps}"

    def _owner(self) -> str:
        return self.rng.choice(NAMES)

    def _amount(self) -> int:
        return self.rng.choice((1, 7, CREDIT, 3 * CREDIT + 1, 50 * CREDIT, self.rng.randint(1, 400 * CREDIT)))

    def _remember(self, again: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self.done.append((again, args))

    async def look(self) -> None:
        """What the jobs process does every few seconds, before anything else happens."""
        if self.oracle.look(self.clock.now()):
            await self.real.exchange.sweep()

    # -- steps --------------------------------------------------------------------------------------------------------

    async def buy(self) -> None:
        owner, now = self._owner(), self.clock.now()
        value_fen = self.rng.choice((100, 333, 10_000, 123_457, self.rng.randint(1, 200_000), 250_000_000))
        faults = self.rng.choice((None, Faults(copies=3), Faults(copies=2, reorder=True)))
        self.real.behave(faults)
        expected = self.oracle.buy(self._name(), owner, value_fen, now)
        bought = await self.real.buy(self._name(), owner, value_fen)
        assert (bought.priced.paid_fen, bought.priced.benefit_fen) == (expected.paid_fen, expected.benefit_fen)
        assert bought.state == "posted"
        self.purchases[self._name()] = bought.id
        self._remember(self.real.buy, self._name(), owner, value_fen)

    async def refund(self) -> None:
        if not self.purchases:
            return
        name = self.rng.choice(list(self.purchases)[-6:])
        wanted = (self._name(), self.oracle.purchases[name].owner, self.purchases[name])
        given = dict[str, int]()

        async def real() -> None:
            given["real"] = await self.real.refund(*wanted)

        def expected() -> None:
            given["oracle"] = self.oracle.refund(name)

        if await self.both(real(), expected):
            assert given["real"] == given["oracle"]
            self._remember(self.real.refund, *wanted)

    async def grant(self) -> None:
        owner, provenance, amount = self._owner(), self.rng.choice(("subsidy", "reward")), self._amount()
        self.oracle.grant(owner, provenance, amount, self.clock.now())
        await self.real.grant(self._name(), owner, provenance, amount)

    async def call(self) -> None:
        owner, most, now = self._owner(), max(self._amount(), CREDIT), self.clock.now()
        charged = self.rng.randint(0, most)

        def expected() -> None:
            self.oracle.hold("call", owner, most, now, now)
            self.oracle.capture("call", charged)

        await self.both(self.real.call(self._name(), owner, most, charged), expected)

    async def hold(self) -> None:
        owner, amount, now = self._owner(), self._amount(), self.clock.now()
        until = now + timedelta(days=self.rng.choice((1, 30, 400)))
        await self.both(
            self.real.hold(self._name(), owner, amount, until),
            lambda: self.oracle.hold(self._name(), owner, amount, now, until),
        )

    async def finish_hold(self) -> None:
        if not self.oracle.holds:
            return
        name = self.rng.choice(sorted(self.oracle.holds))
        if self.rng.random() < 0.4:
            self.oracle.void(name)
            await self.real.void(name)
            return
        amount = self.rng.randint(0, sum(part for _, part in self.oracle.holds[name].pieces))
        self.oracle.capture(name, amount)
        await self.real.capture(name, amount)

    async def deposit(self) -> None:
        owner, amount_fen = self._owner(), self.rng.randint(1, 100_000)
        self.oracle.deposit(owner, amount_fen)
        await self.real.deposit(self._name(), owner, amount_fen)
        self._remember(self.real.deposit, self._name(), owner, amount_fen)

    async def place(self) -> None:
        owner, now = self._owner(), self.clock.now()
        selling, day_order = self.rng.random() < 0.5, self.rng.random() < 0.3
        ticks = self.rng.choice((3_000, 10_000, 2_999, 10_001, *(self.rng.randint(5_500, 7_500) for _ in range(12))))
        quantity = self.rng.choice((1, 10 * CREDIT, self.rng.randint(1, 300 * CREDIT), 20 * CREDIT + 333_333))
        wanted = (self._name(), owner, selling, ticks, quantity)
        placed = await self.both(
            self.real.place(*wanted, day_order), lambda: self.oracle.place(*wanted, now, day_order)
        )
        if placed:
            self._remember(self.real.place, *wanted, day_order)

    async def cancel(self) -> None:
        if self.oracle.orders:
            name = self.rng.choice(sorted(self.oracle.orders))
            await self.both(self.real.cancel(name), lambda: self.oracle.cancel(name, self.clock.now()))

    async def auction(self) -> None:
        paid, received, fees = self.oracle.auction(self.clock.now())
        assert paid == received + fees
        assert await self.real.auction(crash=self.rng.random() < 0.2) == (paid, fees)

    async def sweep(self) -> None:
        self.oracle.sweep(self.clock.now())
        await self.real.ledger.sweep()

    async def wait(self) -> None:
        self.clock.advance(hours=self.rng.randint(1, 30))
        await self.look()

    async def leap(self) -> None:
        self.clock.advance(days=self.rng.randint(20, 130))
        await self.look()
        await self.sweep()

    async def clock_back(self) -> None:
        self.clock.advance(hours=-self.rng.randint(1, 3))

    async def repeat(self) -> None:
        """A client, a bank or a queue says something twice."""
        if self.done:
            again, args = self.rng.choice(self.done[-20:])
            await again(*args)

    async def crash(self) -> None:
        await self.real.crash()


async def live(db: Database, seed: int, steps: int) -> dict[str, int]:
    life = Life(db, seed)
    await life.run(steps)
    return life.taken


class TestCity:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_agrees_with_the_oracle_after_every_step(self, database: Database, seed: int) -> None:
        await live(database, seed, STEPS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_QUICK + SEEDS_PROVED))
    async def test_agrees_whatever_happens(self, database: Database, seed: int) -> None:
        await live(database, seed, STEPS_PROVED)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(-3, 0))
    async def test_agrees_over_a_long_life(self, database: Database, seed: int) -> None:
        taken = await live(database, seed, STEPS_LONG)
        assert len(taken) == len(Life(database, 0).draws)


def test_the_oracle_says_no_by_itself() -> None:
    """The oracle is no mirror: its own books already refuse what the rules forbid."""
    oracle, now = City(["a", "b"]), FIRST
    oracle.grant("a", "subsidy", 100 * CREDIT, now)
    with pytest.raises(Refused):
        oracle.place("1", "a", True, 8_000, 20 * CREDIT, now + timedelta(days=200), False)
