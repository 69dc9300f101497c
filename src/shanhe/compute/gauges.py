"""Engines as Prometheus sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric

from shanhe.compute.model import EngineStatus, Health

SERVING: Final = {Health.UP: 1, Health.DEGRADED: 1, Health.ASLEEP: 1, Health.DOWN: 0}
"""Of one that is switched off, or was never asked, nothing is said."""


class EngineGauges:
    """A collector of what this process knows about each engine, read when somebody looks."""

    def __init__(self, statuses: Callable[[], Sequence[EngineStatus]], registry: CollectorRegistry) -> None:
        self._statuses = statuses
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing is known before the engines are."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Families as they stand now."""
        serving = GaugeMetricFamily(
            "shanhe_engine_serving", "1 while an engine answers, 0 while not.", labels=["engine"]
        )
        waiting = GaugeMetricFamily("shanhe_engine_waiting", "Calls that wait for an engine here.", labels=["engine"])
        for status in self._statuses():
            if (value := SERVING.get(status.health)) is not None:
                serving.add_metric([status.name], value)
                waiting.add_metric([status.name], status.waiting)
        yield from (serving, waiting)
