"""Sums of what nodes did, in memory between writes: hours for pages and forecasts, speeds for routing, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shanhe.compute.api import Compute, Rates, Speed, UnknownEngine
from shanhe.kernel.clock import Clock
from shanhe.pool.answers import Answer, Seen, answer_of, asked_of, guess_tokens
from shanhe.pool.model import Node

WEIGHT: Final = 0.1
"""Weight of the newest call in a speed's moving average."""
PROMPT_MIN_TOKENS: Final = 32
DECODE_MIN_TOKENS: Final = 8
SPEED_MIN: Final = 0.1
SPEED_MAX: Final = 1_000_000.0
SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Tally:
    """Counts calls of the nodes whose tunnels this process holds."""

    def __init__(self, clock: Clock, registry: CollectorRegistry) -> None:
        self._clock = clock
        self._hours: dict[tuple[UUID, datetime, str], list[int]] = {}
        self._speeds: dict[tuple[UUID, str], Speed] = {}
        self._news: set[tuple[UUID, str]] = set()
        labels = ("node", "model")
        self._calls = Counter("shanhe_node_calls", "Calls by node.", (*labels, "outcome"), registry=registry)
        self._tokens = Counter(
            "shanhe_node_tokens", "Tokens by node, as claimed.", (*labels, "kind"), registry=registry
        )
        self._busy = Counter("shanhe_node_busy_seconds", "Seconds that calls took.", labels, registry=registry)
        self._ttft = Histogram(
            "shanhe_node_first_token_seconds", "Time to the first token.", labels, buckets=SECONDS, registry=registry
        )
        self._running = Gauge("shanhe_node_running", "Calls a node works on.", ("node",), registry=registry)
        self._use = Gauge("shanhe_node_utilisation", "Share of a node's slots in use.", ("node",), registry=registry)
        self._waiting = Gauge("shanhe_node_waiting", "Calls that wait for a node here.", ("node",), registry=registry)
        self._speed = Gauge(
            "shanhe_node_tokens_per_second", "Speed as the city measures it.", (*labels, "phase"), registry=registry
        )
        self._cost = Gauge(
            "shanhe_node_cost_micro_per_mtok", "Reference cost of a million tokens.", (*labels, "kind"),
            registry=registry,
        )  # fmt: skip

    def measured(self, node_id: UUID, model: str, speed: Speed) -> None:
        """A measurement starts the moving average anew."""
        self._speeds[node_id, model] = speed

    def count(self, node: Node, seen: Seen, running: int) -> Answer | None:
        """Note one exchange; what its answer says, where it can be read."""
        answer = answer_of(bytes(seen.answer)) if seen.status == 200 and not seen.lost else None
        asked = asked_of(seen.request)
        model = asked.model if asked is not None else ""
        self._running.labels(node.name).set(running - 1)
        self._use.labels(node.name).set((running - 1) / node.report.slots)
        if seen.probe:
            return answer
        failed = seen.lost or seen.status >= 500 or seen.status == 0
        prompt, completion = claimed(seen, answer) if answer is not None else (0, 0)
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        sums = self._hours.setdefault((node.id, hour, model), [0] * 6)
        ttft_ms = round(seen.first_ms)
        changes = (1, int(failed), prompt, completion, round(seen.done_ms), ttft_ms)
        for at, change in enumerate(changes):
            sums[at] += change
        labels = (node.name, model)
        self._calls.labels(*labels, "failed" if failed else "left" if seen.left else "done").inc()
        self._tokens.labels(*labels, "prompt").inc(prompt)
        self._tokens.labels(*labels, "completion").inc(completion)
        self._busy.labels(*labels).inc(seen.done_ms / 1000)
        if seen.first_ms:
            self._ttft.labels(*labels).observe(seen.first_ms / 1000)
        if answer is not None and asked is not None and seen.done_ms and not seen.left:
            self._learn(node, model, seen, answer, guess_tokens(asked.prompt_bytes), running)
        return answer

    def _learn(self, node: Node, model: str, seen: Seen, answer: Answer, prompt: int, running: int) -> None:
        known = self._speeds.get((node.id, model))
        if known is None:
            return
        prefill, decode = known.prefill_tps, known.decode_tps
        if prompt >= PROMPT_MIN_TOKENS and running <= node.report.slots and answer.chunks > 1:
            prefill += WEIGHT * (1000 * prompt / max(1.0, seen.first_ms - known.base_ms) - prefill)
        if answer.chunks >= DECODE_MIN_TOKENS:
            decode += WEIGHT * (1000 * (answer.chunks - 1) / max(1.0, seen.done_ms - seen.first_ms) - decode)
        call_ms = known.call_ms + WEIGHT * (seen.done_ms - known.call_ms)
        bounded = (min(SPEED_MAX, max(SPEED_MIN, prefill)), min(SPEED_MAX, max(SPEED_MIN, decode)))
        self._speeds[node.id, model] = Speed(*bounded, known.base_ms, max(1.0, call_ms))
        self._news.add((node.id, model))

    def tell(self, nodes: Sequence[Node], compute: Compute) -> None:
        """Bring the gauges of connected nodes up to date: what waits, how fast, at which cost."""
        waiting = {status.name: status.waiting for status in compute.statuses()}
        for node in nodes:
            self._waiting.labels(node.name).set(waiting.get(node.engine, 0))
            for offer in node.report.offers:
                speed, cost = self._speeds.get((node.id, offer.model)), cost_of(compute, node, offer.model)
                if speed is not None:
                    self._speed.labels(node.name, offer.model, "prefill").set(round(speed.prefill_tps, 1))
                    self._speed.labels(node.name, offer.model, "decode").set(round(speed.decode_tps, 1))
                if cost is not None:
                    self._cost.labels(node.name, offer.model, "prompt").set(cost.input)
                    self._cost.labels(node.name, offer.model, "completion").set(cost.output)

    def take_speeds(self) -> Mapping[tuple[UUID, str], Speed]:
        """Speeds that changed since the last time."""
        news, self._news = self._news, set()
        return {key: self._speeds[key] for key in news}

    def take_hours(self) -> Mapping[tuple[UUID, datetime, str], list[int]]:
        """Sums since the last time."""
        hours, self._hours = self._hours, {}
        return hours

    def give_back(self, sums: Mapping[tuple[UUID, datetime, str], list[int]]) -> None:
        """Sums that could not be written."""
        for key, values in sums.items():
            known = self._hours.setdefault(key, [0] * 6)
            for at, value in enumerate(values):
                known[at] += value


def claimed(seen: Seen, answer: Answer) -> tuple[int, int]:
    """Prompt and completion tokens that a node claims, no more than there were bytes: no token is less than one."""
    prompt, completion = max(0, answer.prompt_tokens), max(0, answer.completion_tokens)
    return min(prompt, len(seen.request)), min(completion, seen.size)


def cost_of(compute: Compute, node: Node, model: str) -> Rates | None:
    """Reference cost of a model on a node, µ per million tokens; None where the city does not know it there."""
    try:
        engine = compute.engine(node.engine)
    except UnknownEngine:
        return None
    return next((one.cost for one in engine.models if one.model == model), None)
