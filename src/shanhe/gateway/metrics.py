"""Counters of the gateway for Prometheus, bound once so that a call costs a few increments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

from shanhe.gateway.meter import BUCKETS

if TYPE_CHECKING:
    from shanhe.gateway.pipeline import Call
    from shanhe.gateway.settlement import Outcome

LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """What the gateway counts. Labels come from closed sets or from models that exist, never from requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter("shanhe_calls", "Calls answered.", ["model", "status"], registry=registry)
        self._tokens = Counter("shanhe_tokens", "Tokens charged.", ["model", "bucket"], registry=registry)
        self._refused = Counter("shanhe_calls_refused", "Calls refused, by code.", ["code"], registry=registry)
        self._first = Histogram(
            "shanhe_first_token_seconds", "Time to first token.", ["model"], buckets=LATENCY_S, registry=registry
        )
        self.gone = Counter("shanhe_clients_gone", "Clients that left before their request.", registry=registry)
        self._bound: dict[str, tuple[Counter, list[Counter], Histogram]] = {}

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def answered(self, call: Call, outcome: Outcome) -> None:
        """Count a settled call."""
        model = call.parsed.model
        bound = self._bound.get(model)
        if bound is None:
            tokens = [self._tokens.labels(model, name) for name in BUCKETS]
            bound = self._bound[model] = (self._calls.labels(model, "completed"), tokens, self._first.labels(model))
        calls, tokens, first = bound
        if outcome.status == "completed":
            calls.inc()
        else:
            self._calls.labels(model, outcome.status).inc()
        for counter, amount in zip(tokens, outcome.metered.buckets.as_tuple(), strict=True):
            if amount:
                counter.inc(amount)
        first.observe(outcome.timings.first_token_ms / 1000)
