"""Figures of a node for people: tokens a second, utilisation, first token, what power costs a million tokens. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from shanhe.compute.api import Rates
from shanhe.pool.model import Hour, Node

HOUR_MS = 3_600_000
MILLION = 1_000_000


class Figures(msgspec.Struct, frozen=True):
    """Sums over hours. `power_fen_per_mtok` None where the node names no power price or served nothing."""

    hours: int
    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    tokens_per_s: float
    utilisation_bps: int
    ttft_ms: float
    power_fen_per_mtok: int | None
    cost_micro_per_mtok: int | None
    """Reference cost of a million of the tokens that it served, as they were mixed."""


def figures(node: Node, hours: Sequence[Hour], costs: Mapping[str, Rates]) -> Figures:
    """Figures of the hours that a node worked in; tokens a second are those of its busy time. `costs` by model."""
    span = len({one.hour for one in hours})
    calls, failed = sum(one.calls for one in hours), sum(one.failed for one in hours)
    prompt, completion = sum(one.prompt_tokens for one in hours), sum(one.completion_tokens for one in hours)
    busy_ms = sum(one.busy_ms for one in hours)
    capacity_ms = span * HOUR_MS * node.report.slots
    answered = max(1, calls - failed)
    return Figures(
        hours=span,
        calls=calls,
        failed=failed,
        prompt_tokens=prompt,
        completion_tokens=completion,
        tokens_per_s=round(completion * 1000 / busy_ms, 1) if busy_ms else 0.0,
        utilisation_bps=min(10_000, 10_000 * busy_ms // capacity_ms) if capacity_ms else 0,
        ttft_ms=round(sum(one.ttft_ms for one in hours) / answered, 1),
        power_fen_per_mtok=_power(node, busy_ms, prompt + completion),
        cost_micro_per_mtok=_cost(hours, costs),
    )


def _cost(hours: Sequence[Hour], costs: Mapping[str, Rates]) -> int | None:
    known = [hour for hour in hours if hour.model in costs]
    tokens = sum(hour.prompt_tokens + hour.completion_tokens for hour in known)
    spent = sum(
        hour.prompt_tokens * costs[hour.model].input + hour.completion_tokens * costs[hour.model].output
        for hour in known
    )
    return round(Fraction(spent, tokens)) if tokens else None


def _power(node: Node, busy_ms: int, tokens: int) -> int | None:
    report = node.report
    if not tokens or not report.power_watts or not report.power_fen_kwh:
        return None
    busy_hours = Fraction(busy_ms, HOUR_MS * report.slots)
    fen = busy_hours * Fraction(report.power_watts, 1000) * report.power_fen_kwh
    return round(fen * MILLION / tokens)
