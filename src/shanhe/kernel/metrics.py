"""Prometheus metrics of a city that runs as several processes.

Each process counts in its own registry and copies it to an unlogged table every few seconds; whichever process is
scraped adds the fresh copies of the others to its own live values. Every sample carries a `worker` label, so that a
restarted process is an ordinary counter reset and sums are left to the reader (`sum without (worker)`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.outage import free_bytes

SNAPSHOT_S = 5.0
STALE_S = 30
WORKER_LABEL = "worker"

log = structlog.get_logger(__name__)
Family = dict[str, Any]


class Metrics:
    """One process's registry, and the way to read everybody's."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        up = Gauge("shanhe_up", "1 while the process lives.", registry=self.registry)
        up.set(1)
        mistakes = Counter(
            "shanhe_mistakes", "Pages and requests of /api that failed by a mistake of the program.",
            registry=self.registry,
        )  # fmt: skip
        self.mistaken: Callable[[], None] = mistakes.inc
        """Count one."""

    def watch_room(self, folder: Path) -> None:
        """Say how much room a folder's disk has: whoever is warned in time never sees it full."""
        free = Gauge("shanhe_disk_free_bytes", "Free bytes on the disk of the data folder.", registry=self.registry)
        free.set_function(lambda: float(free_bytes(folder)))

    def families(self) -> list[Family]:
        """This process's values as JSON: name, type, help and samples (name, labels, value)."""
        found: list[Family] = []
        for metric in self.registry.collect():
            samples = [[s.name, {**s.labels, WORKER_LABEL: self.worker}, s.value] for s in metric.samples]
            found.append({"name": metric.name, "type": metric.type, "help": metric.documentation, "samples": samples})
        return found

    async def text(self, db: Database, clock: Clock) -> bytes:
        """The exposition of the whole city; only this process's values when the database is away."""
        everybody = [self.families()]
        try:
            rows = await db.fetch(
                "SELECT families FROM kernel.metric_snapshot WHERE worker <> $1 AND taken_at > $2 ORDER BY worker",
                self.worker,
                clock.now() - timedelta(seconds=STALE_S),
            )
            everybody += [row["families"] for row in rows]
        except FAILURES as error:
            log.warning("metrics of other processes are out of reach", error=str(error))
        merged = CollectorRegistry(auto_describe=True)
        merged.register(_Merged(everybody))
        return bytes(generate_latest(merged))

    async def snapshot(self, db: Database, clock: Clock) -> None:
        """Copy this process's values to where the others find them."""
        await db.execute(
            "INSERT INTO kernel.metric_snapshot VALUES ($1, $2, $3)"
            " ON CONFLICT (worker) DO UPDATE SET taken_at = excluded.taken_at, families = excluded.families",
            self.worker,
            clock.now(),
            self.families(),
        )

    async def run(self, db: Database, clock: Clock) -> None:
        """Snapshot for ever; cancel to stop."""
        while True:
            try:
                await self.snapshot(db, clock)
            except FAILURES as error:
                log.warning("metrics could not be copied", error=str(error))
            await asyncio.sleep(SNAPSHOT_S)


class _Merged:
    """Families of several processes, grouped by name as the exposition format demands."""

    def __init__(self, everybody: Iterable[list[Family]]) -> None:
        self._everybody = list(everybody)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for families in self._everybody:
            for family in families:
                metric = merged.get(family["name"])
                if metric is None:
                    metric = merged[family["name"]] = Metric(family["name"], family["help"], family["type"])
                for name, labels, value in family["samples"]:
                    metric.add_sample(name, labels, value)
        yield from merged.values()
