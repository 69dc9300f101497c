"""List prices from costs, by the pricing rule that is handed in; no amount is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from shanhe.compute.errors import NoPrice
from shanhe.compute.model import BUCKETS, EngineModel, Prices, Rates
from shanhe.kernel.clock import city_date


class Decision(Protocol):
    """What the pricing rule answers: `outputs` with list price and flags, a `trace`, and the rule's `version`."""

    @property
    def outputs(self) -> Mapping[str, Any]: ...
    @property
    def trace(self) -> Mapping[str, Any]: ...
    @property
    def version(self) -> str: ...


PriceRule = Callable[[Mapping[str, object], date], Decision]
"""Facts (`cost`, µ per million tokens; `model_class`; `bucket`) and a date in, a decision out (outputs `list`, `thin`,
`loss`)."""


@dataclass(frozen=True, slots=True)
class Computed:
    """Prices by the rule, not yet published."""

    rule_version: str
    parts: tuple[dict[str, Any], ...]

    def amounts(self) -> dict[str, int]:
        return {part["bucket"]: part["list_micro"] for part in self.parts}


def cost_of(served: Iterable[EngineModel]) -> Rates:
    """The cost that a model's price has to cover: the dearest of its engines, bucket by bucket.

    A call may land on any of them, so a cheaper basis would sell some calls at a loss.
    """
    costs = [one.cost for one in served]
    found = costs[0]
    for cost in costs[1:]:
        found = found.most(cost)
    return found


def compute(rule: PriceRule, cost: Rates, price_class: str, on: date) -> Computed:
    """Ask the rule for each bucket on a date; what costs as much as input to write to a cache is priced as input."""
    parts: list[dict[str, Any]] = []
    version = ""
    for bucket in BUCKETS:
        like = "input" if bucket == "cache_write" and cost.cache_write == cost.input else bucket
        facts: dict[str, object] = {"cost": getattr(cost, bucket), "model_class": price_class, "bucket": like}
        decision = rule(facts, on)
        version = decision.version
        parts.append(
            {
                "bucket": bucket,
                "cost_micro": getattr(cost, bucket),
                "list_micro": int(decision.outputs["list"]),
                "thin": bool(decision.outputs["thin"]),
                "loss": bool(decision.outputs["loss"]),
                "facts": facts,
                "outputs": {name: _plain(value) for name, value in decision.outputs.items()},
                "trace": dict(decision.trace),
            }
        )
    return Computed(version, tuple(parts))


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str) or value is None else str(value)


class PriceBook:
    """Published prices in memory; a new reading makes a new book."""

    def __init__(self, prices: Sequence[Prices]) -> None:
        self._versions = [one.version for one in prices]
        self._by_model: dict[str, list[Prices]] = {}
        for one in prices:  # newest validity first, then newest announcement
            self._by_model.setdefault(one.model, []).append(one)

    def versions(self) -> list[str]:
        """Ids of all versions, in the order they were read."""
        return self._versions

    def in_force(self, model: str, on: date) -> Prices:
        """The version with the latest validity up to `on`, the latest announced of those; NoPrice without one."""
        for one in self._by_model.get(model, ()):
            if one.valid_from <= on:
                return one
        raise NoPrice(model)

    def known(self, model: str, on: date, at: datetime) -> Prices:
        """As `in_force`, with what had been announced at an instant: for looking back."""
        for one in self._by_model.get(model, ()):
            if one.valid_from <= on and one.announced_at <= at:
                return one
        raise NoPrice(model)

    def history(self, model: str) -> list[Prices]:
        """All versions, the newest validity first."""
        return list(self._by_model.get(model, ()))

    def coming(self, model: str, after: datetime) -> list[Prices]:
        """Announced versions that are not yet in force."""
        today = city_date(after)
        return [one for one in self._by_model.get(model, ()) if one.valid_from > today]
