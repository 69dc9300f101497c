"""Counters of the gateway: plain integers on the hot path, turned into Prometheus families when somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from shanhe.gateway.meter import BUCKETS

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.dispatch import Exchange
    from shanhe.gateway.settlement import Outcome
    from shanhe.gateway.traces import Traces

FIRST_TOKEN_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
"""Upper bounds of the buckets of the time to first token."""
FAULTS: Final = ("disk_full", "identity_unavailable", "internal_error", "ledger_busy", "ledger_unavailable")
"""Refusals that wake somebody. They are told as 0 from the start: Prometheus sees an increase between two values only,
so what appears as 1 would be the one that nobody is told of."""


class ModelCounts:
    """What was counted for one model."""

    __slots__ = ("first_token_ms", "first_tokens", "statuses", "tokens")

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.tokens = [0] * len(BUCKETS)
        self.first_tokens = [0] * (len(FIRST_TOKEN_MS) + 1)
        self.first_token_ms = 0.0


class Metrics:
    """A Prometheus collector. Labels come from closed sets or from models that exist, never from requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models: dict[str, ModelCounts] = {}
        self._refused: dict[str, int] = dict.fromkeys(FAULTS, 0)
        self.clients_gone = 0
        self.traces: Traces | None = None
        registry.register(self)

    def refused(self, code: str) -> None:
        self._refused[code] = self._refused.get(code, 0) + 1

    def answered(self, call: Call, exchange: Exchange, outcome: Outcome) -> None:
        """Count a settled call."""
        if self.traces is not None:
            self.traces.answered(call, exchange, outcome)
        counts = self._models.get(call.parsed.model)
        if counts is None:
            counts = self._models[call.parsed.model] = ModelCounts()
        counts.statuses[outcome.status] = counts.statuses.get(outcome.status, 0) + 1
        tokens = counts.tokens
        for at, amount in enumerate(outcome.metered.buckets.as_tuple()):
            tokens[at] += amount
        first_ms = outcome.timings.first_token_ms
        counts.first_tokens[bisect_left(FIRST_TOKEN_MS, first_ms)] += 1
        counts.first_token_ms += first_ms

    def collect(self) -> Iterator[Metric]:
        """Families as they stand now."""
        calls = CounterMetricFamily("shanhe_calls", "Calls settled.", labels=["model", "status"])
        tokens = CounterMetricFamily("shanhe_tokens", "Tokens charged.", labels=["model", "bucket"])
        first = HistogramMetricFamily("shanhe_first_token_seconds", "Time to first token.", labels=["model"])
        for model, counts in self._models.items():
            for status, number in counts.statuses.items():
                calls.add_metric([model, status], number)
            for bucket, number in zip(BUCKETS, counts.tokens, strict=True):
                tokens.add_metric([model, bucket], number)
            bounds = [*(str(limit / 1000) for limit in FIRST_TOKEN_MS), "+Inf"]
            running, buckets = 0, []
            for bound, number in zip(bounds, counts.first_tokens, strict=True):
                running += number
                buckets.append((bound, running))
            first.add_metric([model], buckets, sum_value=counts.first_token_ms / 1000)
        refused = CounterMetricFamily("shanhe_calls_refused", "Calls refused, by code.", labels=["code"])
        for code, number in self._refused.items():
            refused.add_metric([code], number)
        gone = CounterMetricFamily("shanhe_clients_gone", "Clients that left before their request was complete.")
        gone.add_metric([], self.clients_gone)
        yield from (calls, tokens, first, refused, gone)
