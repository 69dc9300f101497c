"""Random histories against a pure oracle: who has how much, what may still be spent, and clean books at the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Account, InsufficientCredit, Ledger, Posting, Provenance, Transfer, split_exact
from stage.draws import draws

from .conftest import TERMS, Books, open_books

FIRST = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
WALLETS = 3
AMOUNT = st.integers(1, 5000)
WALLET = st.integers(0, WALLETS - 1)
STEP = st.one_of(
    st.tuples(st.just("fund"), WALLET, AMOUNT, st.sampled_from(list(Provenance)), st.integers(1, 60)),
    st.tuples(st.just("call"), WALLET, AMOUNT, st.integers(0, 100)),
    st.tuples(st.just("hold"), WALLET, AMOUNT),
    st.tuples(st.just("capture"), st.integers(0, 9), st.integers(0, 100)),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("move"), WALLET, WALLET, AMOUNT),
    st.tuples(st.just("reverse"), st.integers(0, 9)),
    st.tuples(st.just("crash")),
)


@dataclass
class Oracle:
    """Balances and open holds, nothing else: the rest must follow."""

    balances: list[int] = field(default_factory=lambda: [0] * WALLETS)
    holds: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    receipts: list[tuple[UUID, int, int]] = field(default_factory=list)

    def free(self, wallet: int) -> int:
        return self.balances[wallet] - sum(amount for owner, amount in self.holds.values() if owner == wallet)


class History:
    """Runs steps on the real ledger and on the oracle, and compares every answer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FixedClock(FIRST)
        self.oracle = Oracle()
        self.lives = 0

    async def run(self, steps: list[tuple[Any, ...]]) -> None:
        self.books = await self.begin()
        self.wallets: list[Account] = [await self.books.wallet() for _ in range(WALLETS)]
        for name, *args in steps:
            await getattr(self, name)(*args)
            for wallet, expected in zip(self.wallets, self.oracle.balances, strict=True):
                assert (await self.books.ledger.balance(wallet.id)).balance == expected
        await self.books.ledger.stop()
        assert await self.books.clean()
        held = await self.database.fetchval("SELECT coalesce(sum(held), 0)::bigint FROM ledger.account")
        assert held == sum(amount for _, amount in self.oracle.holds.values())
        for hold in list(self.oracle.holds):
            await self.books.ledger.void(hold)

    async def begin(self) -> Books:
        self.lives += 1
        ledger = Ledger(self.database, self.clock, worker=f"life {self.lives}", workers=2, terms=lambda _: TERMS)
        await ledger.start()
        return await open_books(ledger)

    async def fund(self, wallet: int, amount: int, provenance: Provenance, days: int) -> None:
        await self.books.fund(self.wallets[wallet], amount, provenance, self.clock.now() + timedelta(days=days))
        self.oracle.balances[wallet] += amount

    async def call(self, wallet: int, amount: int, percent: int) -> None:
        charged, receipt = amount * percent // 100, new_id()
        fits = amount <= self.oracle.free(wallet)
        try:
            reservation = await self.books.ledger.admit(self.wallets[wallet].id, amount, receipt_id=receipt)
        except InsufficientCredit:
            assert not fits
            return
        assert fits
        await self.books.ledger.settle(reservation, self.books.charge(charged))
        self.oracle.balances[wallet] -= charged
        if charged:
            self.oracle.receipts.append((receipt, wallet, charged))

    async def hold(self, wallet: int, amount: int) -> None:
        fits, hold = amount <= self.oracle.free(wallet), new_id()
        try:
            await self.books.ledger.hold(
                self.wallets[wallet].id,
                amount,
                hold_id=hold,
                purpose="escrow",
                expires_at=self.clock.now() + timedelta(days=300),
            )
        except InsufficientCredit:
            assert not fits
            return
        assert fits
        self.oracle.holds[hold] = (wallet, amount)

    async def capture(self, index: int, percent: int) -> None:
        if index >= len(self.oracle.holds):
            return
        hold = list(self.oracle.holds)[index]
        wallet, amount = self.oracle.holds.pop(hold)
        captured = amount * percent // 100
        await self.books.ledger.capture(hold, self.books.charge(captured))
        self.oracle.balances[wallet] -= captured

    async def void(self, index: int) -> None:
        if index < len(self.oracle.holds):
            hold = list(self.oracle.holds)[index]
            del self.oracle.holds[hold]
            await self.books.ledger.void(hold)

    async def move(self, source: int, target: int, amount: int) -> None:
        if source == target:
            return
        fits = amount <= self.oracle.free(source)
        transfer = Transfer(new_id(), self.wallets[source].id, self.wallets[target].id, amount)
        try:
            await self.books.ledger.post(Posting(id=new_id(), kind="move", transfers=(transfer,)))
        except InsufficientCredit:
            assert not fits
            return
        assert fits
        self.oracle.balances[source] -= amount
        self.oracle.balances[target] += amount

    async def reverse(self, index: int) -> None:
        if index < len(self.oracle.receipts):
            receipt, wallet, charged = self.oracle.receipts.pop(index)
            await self.books.ledger.reverse(receipt, actor="auditor", reason="random")
            self.oracle.balances[wallet] += charged

    async def crash(self) -> None:
        """The worker vanishes with its leases; they lapse and someone sweeps."""
        dead = self.books.ledger
        assert dead._keeper is not None
        dead._keeper.cancel()
        for line in dead._lines:
            line._drop()
        self.clock.advance(seconds=31)
        self.books = await self.begin()
        await self.books.ledger.sweep()


class TestHistory:
    @pytest.fixture
    def place(self, dsn: str) -> str:
        return dsn

    @settings(max_examples=draws(40), deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(STEP, min_size=5, max_size=40))
    def test_agrees_with_the_oracle(self, place: str, steps: list[tuple[Any, ...]]) -> None:
        async def run() -> None:
            database = await Database.open(place, size=2)
            try:
                await database.execute("DELETE FROM ledger.hold WHERE state <> 'open'")
                await History(database).run(steps)
            finally:
                await database.close()

        asyncio.run(run())


class TestSplit:
    @given(
        shares=st.lists(st.fractions(0, 10**6, max_denominator=10**6), min_size=1, max_size=8), seed=st.uuids(version=4)
    )
    def test_sums_exactly_and_is_off_by_less_than_one(self, shares: list[Fraction], seed: UUID) -> None:
        rest = -sum(shares) % 1
        parts = split_exact([*shares, rest], seed)
        assert sum(parts) == sum(shares) + rest
        assert all(abs(part - share) < 1 for part, share in zip(parts, [*shares, rest], strict=True))

    def test_pays_every_party_its_due_on_average(self) -> None:
        shares = [Fraction(1, 3), Fraction(1, 7), Fraction(11, 21)]
        calls = 4000
        totals = [0, 0, 0]
        for _ in range(calls):
            for index, part in enumerate(split_exact(shares, new_id())):
                totals[index] += part
        for total, share in zip(totals, shares, strict=True):
            assert abs(total / calls - share) < 0.04
