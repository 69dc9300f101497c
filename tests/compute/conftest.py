from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shanhe.compute.api import Compute, NewEngine, Rates
from shanhe.compute.synthetic import Behaviour, Upstream
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database

COST = Rates.of({"input": 100_000, "output": 400_000})


@dataclass
class Verdict:
    outputs: dict[str, Any]
    trace: dict[str, Any]
    version: str


@dataclass
class PriceRule:
    """List = min(cost + margin, reference), as the city's rule has it; the tests move margin and reference."""

    margin_bps: int = 1_500
    reference: int = 10**9
    asked: list[Mapping[str, object]] = field(default_factory=list)

    def __call__(self, facts: Mapping[str, object], on: date) -> Verdict:
        self.asked.append(facts)
        cost = facts["cost"]
        assert isinstance(cost, int)
        wanted = cost * (10_000 + self.margin_bps) // 10_000
        outputs = {
            "list": min(wanted, self.reference),
            "thin": self.reference < wanted,
            "loss": cost > self.reference,
        }
        return Verdict(outputs, {"margin_bps": self.margin_bps, "on": on.isoformat()}, f"rule-{self.margin_bps}")


@dataclass
class Bureau:
    """A compute module with everything around it that a test moves."""

    compute: Compute
    clock: FixedClock
    rule: PriceRule
    keys: dict[str, str]
    notices: list[tuple[str, str, Mapping[str, Any]]]
    upstream: Upstream
    url: str

    async def add(self, name: str = "up", **changes: Any) -> Any:
        settings: dict[str, Any] = {"url": self.url, "models": {"m": "m"}, "cost": COST, **changes}
        return await self.compute.add_engine(NewEngine(name=name, **settings), actor="person:1")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream(Behaviour("stream", 3), keep=True)
    yield server
    await server.stop()


@pytest.fixture
async def bureau(database: Database, clock: FixedClock, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Bureau]:
    url = await upstream.start()
    rule = PriceRule()
    keys: dict[str, str] = {}
    notices: list[tuple[str, str, Mapping[str, Any]]] = []

    async def announce(connection: Any, topic: str, key: str, payload: Mapping[str, Any]) -> None:
        assert connection.is_in_transaction()
        notices.append((topic, key, payload))

    compute = Compute(
        database,
        clock,
        data=tmp_path,
        price_rule=rule,
        upstream_key=keys.get,
        announce=announce,
        cache=tmp_path / "cache",
        sources=(),
    )
    await compute.start(probe=False)
    yield Bureau(compute, clock, rule, keys, notices, upstream, url)
    await compute.stop()


async def until(check: Callable[[], Awaitable[bool]], limit_s: float = 60.0) -> None:
    """Wait for something that other processes or connections bring about."""
    async with asyncio.timeout(limit_s):
        while not await check():  # noqa: ASYNC110 - what is waited for has no event of ours
            await asyncio.sleep(0.02)
