"""Choosing an engine: a pure choice over what is known in this process, without waiting."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from shanhe.compute.breaker import Circuit
from shanhe.compute.errors import DataClassRefused, FeatureUnsupported, NoEngine, PictureAddressed, UnknownModel
from shanhe.compute.model import ADDRESSED, GENERAL, ModelInfo, Speed
from shanhe.compute.target import Target
from shanhe.kernel.errors import Invalid

LOAD_STEPS: Final = 4
"""Loads are compared in quarters of an engine's slots, so that small differences don't override the price."""
EXPECTED: Final = "expected"
POLICIES: Final = (EXPECTED, "round_robin", "least_connections")
"""How calls choose among engines whose speed is measured; the last two are there to be compared with."""
WHOLE_BPS: Final = 10_000
TTFT_STEP: Final = math.log(1.15)
"""Expected times to the first token within 15 % count as equal, and the price decides."""
NOTHING: Final[frozenset[str]] = frozenset()
NOBODY: Final[frozenset[UUID]] = frozenset()


def checked_policy(word: str) -> str:
    """One of POLICIES; Invalid otherwise."""
    if word not in POLICIES:
        raise Invalid(
            "bad_routing", f"{word!r} is no way to route; there are {', '.join(POLICIES)}.",
            message_zh=f"路由方式 {word!r} 不存在，可用：{', '.join(POLICIES)}。",
            hint="Set SHANHE_ROUTING to one of them.", hint_zh="请修改 SHANHE_ROUTING。",
        )  # fmt: skip
    return word


class RoutingTable:
    """Targets by model, as of one reading of the registry. Never changed; a new reading makes a new table."""

    def __init__(
        self, models: Sequence[ModelInfo], targets: Mapping[str, tuple[Target, ...]], policy: str = EXPECTED,
        aliases: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._policy = policy
        self._turn = 0
        self._due: dict[str, int] = {}
        self.models = tuple(models)
        own = {model.id: model for model in models}
        further = {name: own[model] for name, model in (aliases or {}).items() if model in own}
        self.by_id = further | own
        self.targets = dict(targets)

    def learn_speed(self, engine: str, model: str, speed: Speed) -> None:
        """Note how fast an engine serves a model; kept by the engine's state, so it outlives this table."""
        for target in self.targets.get(model, ()):
            if target.engine_name == engine:
                target.state.speeds[model] = speed

    def choose(
        self,
        model: str,
        *,
        data_class: str = GENERAL,
        exclude: frozenset[UUID] = NOBODY,
        sticky: str = "",
        needs: frozenset[str] = NOTHING,
        prompt_tokens: int = 0,
        now: float | None = None,
    ) -> Target | None:
        """The best engine for a call, None when all that could serve it were excluded.

        Order: not saturated and not cooling down, circuit closed, cheapest, least loaded (in quarters), `sticky`
        (the same value prefers the same engine, for its prompt cache), fastest to the first token. Where the speed of
        all of them is measured, the least expected time to the first token comes first, and price breaks ties.
        An engine on trial gets its share of the calls.
        UnknownModel, FeatureUnsupported, PictureAddressed and DataClassRefused are lasting; NoEngine passes.
        """
        all_targets = self.targets.get(model)
        if not all_targets:
            raise UnknownModel(model)
        if len(all_targets) == 1:  # the common case, without building lists
            only = all_targets[0]
            if only.engine_id in exclude:
                return None
            if needs <= only.features and data_class in only.data_classes:
                if only.state.usable(now if now is not None else time.monotonic()):
                    return only
                raise NoEngine(model)
        fitting = _fitting(model, all_targets, data_class, needs)
        left = [target for target in fitting if target.engine_id not in exclude]
        if not left:
            return None
        moment = now if now is not None else time.monotonic()
        usable = [target for target in left if target.state.usable(moment)]
        if not usable:
            if exclude:
                return None
            raise NoEngine(model)
        if any(target.share_bps < WHOLE_BPS for target in usable):
            usable = self._tried(model, usable)
        expected = [target.expected_ttft_ms(prompt_tokens) for target in usable]
        known = [(wait_ms, target) for wait_ms, target in zip(expected, usable, strict=True) if wait_ms is not None]
        if len(known) == len(usable) > 1 and self._policy != EXPECTED:
            return self._simple(usable)
        if len(known) == len(usable) > 1:
            return min(known, key=lambda pair: _quickest(pair[1], pair[0], moment))[1]
        return min(usable, key=lambda target: _order(target, sticky, moment))

    def _tried(self, model: str, usable: list[Target]) -> list[Target]:
        """The engine on trial when its share is due, the others else; whoever is left when there is but one side."""
        trial = [target for target in usable if target.share_bps < WHOLE_BPS]
        others = [target for target in usable if target.share_bps == WHOLE_BPS]
        if not others:
            return trial
        due = self._due.get(model, 0) + trial[0].share_bps
        self._due[model] = due % WHOLE_BPS
        return trial if due >= WHOLE_BPS else others

    def spare(self, model: str, kept_bps: int) -> int:
        """Slots that work may take which can wait: what is free beyond the share kept for people.

        An engine whose slots are all kept takes one such call while it has nothing else to do.
        """
        now, free = time.monotonic(), 0
        for target in self.targets.get(model, ()):
            state = target.state
            if not state.usable(now) or now < state.busy_until:
                continue
            busy = state.in_flight + state.waiting
            kept = -(-state.slots * kept_bps // WHOLE_BPS)
            free += max(0, state.slots - kept - busy) or (1 if busy == 0 else 0)
        return free

    def _simple(self, usable: list[Target]) -> Target:
        """In turn, or where the fewest calls are."""
        if self._policy == "least_connections":
            return min(usable, key=lambda target: target.state.in_flight + target.state.waiting)
        self._turn += 1
        return usable[self._turn % len(usable)]


def _fitting(model: str, targets: tuple[Target, ...], data_class: str, needs: frozenset[str]) -> list[Target]:
    allowed = [target for target in targets if data_class in target.data_classes]
    if not allowed:
        raise DataClassRefused(model, data_class)
    fitting = [target for target in allowed if needs <= target.features]
    if not fitting:
        if any(needs - target.features == {ADDRESSED} for target in allowed):
            raise PictureAddressed(model)
        missing = needs - {ADDRESSED} - frozenset.union(*(target.features for target in allowed))
        raise FeatureUnsupported(model, ", ".join(sorted(missing or needs)))
    return fitting


def _order(target: Target, sticky: str, now: float) -> tuple[bool, bool, int, int, int, float]:
    state = target.state
    cost = target.cost_basis
    return (
        state.load >= 1 or now < state.busy_until,
        state.breaker.circuit is not Circuit.CLOSED,
        cost.input + cost.output,
        int(state.load * LOAD_STEPS),
        _rank(target.engine_id, sticky) if sticky else 0,
        state.ttft_ms or 0.0,
    )


def _quickest(target: Target, expected_ms: float, now: float) -> tuple[bool, bool, int, int, float]:
    state = target.state
    cost = target.cost_basis
    return (
        now < state.busy_until,
        state.breaker.circuit is not Circuit.CLOSED,
        round(math.log(max(expected_ms, 1.0)) / TTFT_STEP),
        cost.input + cost.output,
        state.load,
    )


def _rank(engine: UUID, sticky: str) -> int:
    """Rendezvous hashing: an engine that leaves moves only the calls it had."""
    return int.from_bytes(hashlib.blake2b(engine.bytes + sticky.encode(), digest_size=8).digest())
