"""Metrics of several processes appear in one answer, each with its worker's name."""

from __future__ import annotations

from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.metrics import STALE_S, Metrics


def worker(name: str, calls: int) -> Metrics:
    metrics = Metrics(name)
    Counter("shanhe_calls", "Calls.", ["model"], registry=metrics.registry).labels("tiny").inc(calls)
    return metrics


async def calls_by_worker(metrics: Metrics, database: Database, clock: FixedClock) -> dict[str, float]:
    text = (await metrics.text(database, clock)).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {s.labels["worker"]: s.value for s in families["shanhe_calls"].samples if s.name == "shanhe_calls_total"}


class TestMetrics:
    async def test_of_every_worker_are_in_one_answer(self, database: Database, clock: FixedClock) -> None:
        first, second = worker("w0", 3), worker("w1", 4)
        await second.snapshot(database, clock)
        assert await calls_by_worker(first, database, clock) == {"w0": 3.0, "w1": 4.0}

    async def test_of_a_worker_that_is_gone_disappear(self, database: Database, clock: FixedClock) -> None:
        first, second = worker("w0", 3), worker("w1", 4)
        await second.snapshot(database, clock)
        clock.advance(seconds=STALE_S + 1)
        assert await calls_by_worker(first, database, clock) == {"w0": 3.0}

    async def test_are_answered_without_a_database_too(self, database: Database, clock: FixedClock) -> None:
        await database.close()
        assert await calls_by_worker(worker("w0", 3), database, clock) == {"w0": 3.0}
