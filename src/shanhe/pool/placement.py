"""Which node serves which models: a pure function of what models need, what is asked for, and what nodes can.

Order: the warm floor of public services, interactive demand, then what may wait. Each need goes where it adds the
least: the expected time to the first token for people who wait, the cost of tokens for batches. A model that is
loaded already is preferred over one that must be moved; several models share a node as long as memory and time are
there. Batches take what is left: at night, when interactive demand is low, that is nearly everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from shanhe.compute.api import Speed

INTERACTIVE_SHARE: Final = 0.7
"""Share of a node's time that people who wait may fill: beyond it queues grow quickly."""
BATCH_SHARE: Final = 0.95
MOVE_PENALTY_MS: Final = 2_000.0
NODES_MAX_PER_MODEL: Final = 64
HOUR_MS: Final = 3_600_000.0


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """A model and what is asked of it in the coming hour. `warm` = replicas that are always there."""

    model: str
    memory_mb: int
    prompt_tokens: float
    output_tokens: float
    calls: float
    latency: Literal["interactive", "batch"] = "interactive"
    local_only: bool = False
    warm: int = 0


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node: what it has room for, how fast it is by model that it can serve, what a million tokens cost there."""

    name: str
    memory_mb: int
    slots: int
    speeds: Mapping[str, Speed]
    cost: Mapping[str, float]
    loaded: frozenset[str] = frozenset()
    movable: frozenset[str] = frozenset()
    local: bool = False
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """Load or unload a model on a node."""

    node: str
    model: str
    load: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Models by node, the moves that lead there (unloads first), and calls an hour for which there is no room."""

    placed: Mapping[str, tuple[str, ...]]
    moves: tuple[Move, ...]
    unmet: Mapping[str, float]


@dataclass(slots=True)
class _Room:
    """A node while a plan is made."""

    node: NodeState
    memory_mb: int
    busy: float = 0.0
    models: set[str] = field(default_factory=set)

    def call_ms(self, need: ModelNeed) -> float:
        speed = self.node.speeds[need.model]
        return speed.base_ms + 1000 * (need.prompt_tokens / speed.prefill_tps + need.output_tokens / speed.decode_tps)

    def can(self, need: ModelNeed) -> bool:
        node = self.node
        if not node.healthy or need.model not in node.speeds or (need.local_only and not node.local):
            return False
        if need.model in self.models:
            return True
        there = need.model in node.loaded or need.model in node.movable
        return there and need.memory_mb <= self.memory_mb

    def burden(self, need: ModelNeed) -> float:
        """What one more call costs here: ms to the first token for who waits, money for who does not."""
        speed = self.node.speeds[need.model]
        moved = 0.0 if need.model in self.node.loaded or need.model in self.models else MOVE_PENALTY_MS
        if need.latency == "batch":
            return self.node.cost.get(need.model, 0.0) * (1 + moved / HOUR_MS)
        queue = self.call_ms(need) * self.busy / max(0.05, 1 - self.busy) / self.node.slots
        return speed.base_ms + 1000 * need.prompt_tokens / speed.prefill_tps + queue + moved

    def put(self, need: ModelNeed) -> None:
        if need.model not in self.models:
            self.models.add(need.model)
            self.memory_mb -= need.memory_mb

    def fill(self, need: ModelNeed, calls: float) -> float:
        """Take as many calls an hour as there is time for; how many."""
        share = INTERACTIVE_SHARE if need.latency == "interactive" else BATCH_SHARE
        room = max(0.0, share - self.busy) * HOUR_MS * self.node.slots / self.call_ms(need)
        taken = min(calls, room)
        self.busy += taken * self.call_ms(need) / (HOUR_MS * self.node.slots)
        return taken


def plan(needs: Sequence[ModelNeed], nodes: Sequence[NodeState]) -> Plan:
    """The plan for the coming hour. Deterministic: equal nodes in the order of their names."""
    rooms = [_Room(node, node.memory_mb) for node in sorted(nodes, key=lambda node: node.name)]
    _leave_fixed(needs, rooms)
    ordered = sorted(needs, key=lambda need: (need.latency == "batch", -need.warm, -need.calls, need.model))
    for need in ordered:
        _keep_warm(need, rooms)
    unmet = {need.model: left for need in ordered if (left := _serve(need, rooms)) > 1e-9}
    _keep_loaded(needs, rooms)
    moves = [
        Move(room.node.name, model, load)
        for load in (False, True)
        for room in rooms
        for model in sorted((room.models - room.node.loaded) if load else (room.node.loaded - room.models))
        if room.node.healthy and model in room.node.movable
    ]
    return Plan({room.node.name: tuple(sorted(room.models)) for room in rooms}, tuple(moves), unmet)


def _leave_fixed(needs: Sequence[ModelNeed], rooms: list[_Room]) -> None:
    """What is loaded and can't be moved is there whatever the plan says, and its memory is taken."""
    for room in rooms:
        for need in needs:
            if need.model in room.node.loaded - room.node.movable:
                room.put(need)


def _keep_warm(need: ModelNeed, rooms: list[_Room]) -> None:
    there = sum(need.model in room.models and room.can(need) for room in rooms)
    for _ in range(need.warm - there):
        fit = [room for room in rooms if room.can(need) and need.model not in room.models]
        if not fit:
            return
        min(fit, key=lambda room: room.burden(need)).put(need)


def _serve(need: ModelNeed, rooms: list[_Room]) -> float:
    """Find time for a need, on as many nodes as it takes; calls that found none."""
    left = need.calls
    for _ in range(NODES_MAX_PER_MODEL):
        if left <= 1e-9:
            return 0.0
        share = INTERACTIVE_SHARE if need.latency == "interactive" else BATCH_SHARE
        fit = [room for room in rooms if room.can(need) and room.busy < share - 1e-9]
        if not fit:
            return left
        best = min(fit, key=lambda room: room.burden(need))
        best.put(need)
        left -= best.fill(need, left)
    return left


def _keep_loaded(needs: Sequence[ModelNeed], rooms: list[_Room]) -> None:
    """What is loaded stays while there is memory for it: idle machines are lent, and moving costs time."""
    sizes = {need.model: need for need in needs}
    for room in rooms:
        for model in sorted(room.node.loaded - room.models):
            need = sizes.get(model)
            if need is not None and need.memory_mb <= room.memory_mb:
                room.put(need)
