"""From what the pool knows to a plan, and from a plan to commands for agents. The plan itself is `placement.plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shanhe.compute.api import Compute, Speed
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.pool import placement, store
from shanhe.pool.errors import NotMovable
from shanhe.pool.forecast import Expected, forecast
from shanhe.pool.model import Demand, Node, NodeState

HISTORY: Final = timedelta(days=28)
PROMPT_GUESS: Final = 200.0
OUTPUT_GUESS: Final = 100.0
WORDS: Final = frozenset({"load", "unload", "restart"})
"""What a node may be told."""
SYSTEM: Final = "pool"


class Planner:
    """Reads nodes, speeds and hours; `warm` says how many replicas of a model are always kept (P10_node_audit)."""

    def __init__(self, db: Database, clock: Clock, compute: Compute, warm: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock
        self._compute = compute
        self._warm = warm

    async def demand(self) -> dict[str, list[Expected]]:
        """Calls expected by model and hour of a day, with error bars."""
        last = self._clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        found = await store.demand(self._db, last - HISTORY)
        return {model: forecast(series(found, model, last), last) for model in sorted({h.model for h in found})}

    async def plan(self) -> placement.Plan:
        """Where models should be in the coming hour, for the demand that nine hours of ten stay below."""
        nodes = [node for node in await store.nodes(self._db) if node.state is not NodeState.GONE]
        return placement.plan(await self._needs(nodes), await self._states(nodes))

    async def apply(self, *, actor: str = SYSTEM) -> int:
        """Tell agents to move what the plan moves; how many moves there are."""
        moves = (await self.plan()).moves
        for move in moves:
            node = await store.node_called(self._db, move.node)
            if node is not None:
                await self.move(node, move.model, load=move.load, actor=actor)
        return len(moves)

    async def move(self, node: Node, model: str, *, load: bool, actor: str) -> None:
        """Tell a node to load or unload a model that it can move; it reports when that is done."""
        if not any(offer.model == model and offer.movable for offer in node.report.offers):
            raise NotMovable(node.name, model)
        async with self._db.transaction() as conn:
            await store.add_event(conn, node.id, "load" if load else "unload", actor, self._clock.now(), model)
            await store.command(conn, node.id, "load" if load else "unload", model)

    async def _needs(self, nodes: list[Node]) -> list[placement.ModelNeed]:
        last = self._clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        hours = await store.demand(self._db, last - HISTORY)
        needs = []
        for model in sorted({offer.model for node in nodes for offer in node.report.offers if offer.kind == "chat"}):
            mine = [hour for hour in hours if hour.model == model]
            calls = sum(hour.calls for hour in mine)
            sizes = [offer.memory_mb for node in nodes for offer in node.report.offers if offer.model == model]
            needs.append(
                placement.ModelNeed(
                    model,
                    max(sizes),
                    sum(hour.prompt_tokens for hour in mine) / calls if calls else PROMPT_GUESS,
                    sum(hour.completion_tokens for hour in mine) / calls if calls else OUTPUT_GUESS,
                    forecast(series(hours, model, last), last, 1)[0].high if mine else 0.0,
                    warm=self._warm(),
                )
            )
        return needs

    async def _states(self, nodes: list[Node]) -> list[placement.NodeState]:
        speeds = await store.speeds(self._db)
        costs = {engine.name: {one.model: float(one.cost.output) for one in engine.models}
                 for engine in self._compute.engines()}  # fmt: skip
        return [
            state_of(node, {model: speed for (node_id, model), speed in speeds.items() if node_id == node.id},
                     costs.get(node.engine, {}))
            for node in nodes
        ]  # fmt: skip


def state_of(node: Node, speeds: Mapping[str, Speed], costs: Mapping[str, float]) -> placement.NodeState:
    """A node as a plan sees it: the plan is about chat models, and leaves others and the memory they take alone."""
    chat = [offer for offer in node.report.offers if offer.kind == "chat"]
    others_mb = sum(offer.memory_mb for offer in node.report.offers if offer.loaded and offer.kind != "chat")
    return placement.NodeState(
        node.name,
        max(0, node.report.memory_mb - others_mb),
        node.report.slots,
        speeds,
        costs,
        frozenset(offer.model for offer in chat if offer.loaded),
        frozenset(offer.model for offer in chat if offer.movable),
        node.local,
        healthy=node.state is NodeState.ACTIVE and node.session is not None,
    )


def series(hours: Sequence[Demand], model: str, last: datetime) -> list[float]:
    """Calls of a model by hour, up to and with `last`; hours without calls are zeros."""
    calls: dict[datetime, int] = {}
    for hour in hours:
        if hour.model == model:
            calls[hour.hour] = calls.get(hour.hour, 0) + hour.calls
    if not calls:
        return []
    size = int((last - min(calls)) / timedelta(hours=1)) + 1
    return [float(calls.get(last - timedelta(hours=size - 1 - at), 0)) for at in range(max(0, size))]


def node_of(payload: str) -> tuple[UUID, str, str] | None:
    """A command's payload: node, word, model; None for what can't be read."""
    words = payload.split(" ", 2)
    try:
        return (UUID(words[0]), words[1], words[2]) if words[1] in WORDS else None
    except (ValueError, IndexError):
        return None
