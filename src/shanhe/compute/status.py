"""What is said about engines: to operators in full, to the public by model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shanhe.compute.breaker import Circuit
from shanhe.compute.model import Engine, EngineStatus, Health, ModelInfo
from shanhe.compute.target import EngineState, Target
from shanhe.compute.trouble import Why

PROBE_S: Final = 10.0
"""An engine that nobody has asked for this long is probed."""
NOT_RUNNING: Final = Why(
    "its process is not there: it is starting, or its file in the data folder's `logs` says why it can't",
    "模型进程未运行：正在启动，或无法启动（原因见数据目录 logs 中该模型的日志）",
)
GOOD: Final = frozenset({Health.UP, Health.ASLEEP, Health.UNKNOWN})


def is_due(state: EngineState, now: float) -> bool:
    """Engines that just answered a caller, or were just probed, need no probe."""
    if state.down or state.breaker.circuit is not Circuit.CLOSED:
        return True
    latest = max(state.last_ok, state.checked_at or 0.0)
    return latest == 0.0 or now - latest >= PROBE_S


def status_of(engine: Engine, state: EngineState, *, runs: bool, now: datetime) -> EngineStatus:
    """Everything that this process knows about an engine. `runs`: False for a local engine without its socket."""
    moment = time.monotonic()
    health = state.health() if engine.enabled else Health.DISABLED
    trouble = state.key_missing or state.last_error or Why("", "")
    if not runs and health in (Health.UP, Health.UNKNOWN):
        health = Health.ASLEEP if engine.lazy else Health.DOWN
        trouble = trouble if engine.lazy else NOT_RUNNING
    return EngineStatus(
        id=engine.id,
        name=engine.name,
        kind=engine.kind.value,
        health=health,
        circuit=state.breaker.circuit.value,
        in_flight=state.in_flight,
        waiting=state.waiting,
        slots=state.slots,
        error_rate_bps=state.breaker.failure_rate_bps(moment),
        ttft_ms=state.ttft_ms,
        last_error=trouble.en,
        last_error_zh=trouble.zh,
        checked_at=None if state.checked_at is None else now - timedelta(seconds=moment - state.checked_at),
        requests=state.requests,
        failures=state.failures,
    )


def public_status(models: Sequence[ModelInfo], statuses: Sequence[EngineStatus], now: datetime) -> dict[str, Any]:
    """Each model's standing, and the worst of them; no engine names."""
    by_name = {status.name: status.health for status in statuses}
    shown = [
        {
            "id": info.id,
            "title_zh": info.title_zh,
            "title_en": info.title_en,
            "kind": info.kind,
            "status": _standing({by_name.get(name, Health.UNKNOWN) for name in info.engines}),
        }
        for info in models
    ]
    found = {model["status"] for model in shown}
    overall = "operational" if found <= {"operational"} else "outage" if found == {"outage"} else "degraded"
    return {"status": overall, "models": shown, "at": now.astimezone(UTC).isoformat()}


def _standing(healths: set[Health]) -> str:
    if healths <= GOOD:
        return "operational"
    return "degraded" if healths & (GOOD | {Health.DEGRADED}) else "outage"


def info_of(row: Mapping[str, Any], targets: Sequence[Target]) -> ModelInfo:
    """A model as callers see it, from its row and the engines that serve it."""
    return ModelInfo(
        id=row["id"],
        kind=row["kind"],
        title_zh=row["title_zh"],
        title_en=row["title_en"],
        context_tokens=min(target.context_tokens for target in targets),
        licence=row["licence"],
        owner=row["made_by"],
        created_at=row["created_at"],
        engines=tuple(target.engine_name for target in targets),
        features=frozenset.union(*(target.features for target in targets)),
        price_class=row["price_class"],
        local=all(target.local for target in targets),
    )
