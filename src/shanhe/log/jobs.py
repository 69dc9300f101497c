"""Sealing again and again, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry, Gauge

from shanhe.log.errors import NotLeader
from shanhe.log.service import Log


class LogGauges:
    """How big the log is and how far behind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.entries = Gauge("shanhe_log_entries", "Entries under the newest signed checkpoint.", registry=registry)
        self.waiting = Gauge("shanhe_log_waiting", "Entries that wait for a signature.", registry=registry)
        self.signed_at = Gauge(
            "shanhe_log_signed_timestamp_seconds", "When the newest checkpoint was signed.", registry=registry
        )
        self.refused = Gauge("shanhe_log_refused", "1 while sealing is refused (see `shanhe log status`).",
                             registry=registry)  # fmt: skip


async def tick(log: Log, gauges: LogGauges) -> int:
    """Seal once; how many entries were added. A refusal is raised after the figures show it."""
    try:
        return await log.seal()
    except NotLeader:
        return 0
    finally:
        status = await log.status()
        gauges.entries.set(status.signed)
        gauges.waiting.set(status.waiting)
        gauges.signed_at.set(status.signed_at.timestamp() if status.signed_at else 0)
        gauges.refused.set(status.state == "refused")


async def forget(log: Log, person: str, payload: Mapping[str, Any]) -> None:
    """A person was erased: forget them, and their organisation of one. Raises, to be told again, while it can't."""
    own = payload["org_id"]
    await log.forget([UUID(person), *([UUID(own)] if own else [])])
