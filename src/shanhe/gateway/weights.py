"""How much an organisation's calls weigh at a full engine (rule C10), known without waiting.

What is not known yet counts as the least, and is asked for beside the call; so no call waits for a weight.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

KEPT_S: Final = 600.0
"""A standing changes with a quarter; this is how late the queue may learn of it."""
ORGS_MAX: Final = 10_000
ASKING_MAX: Final = 4
LEAST: Final = 1

WeightOf = Callable[[UUID], Awaitable[int]]
log = structlog.get_logger(__name__)


class Weights:
    """Weights of organisations; without `ask` everybody weighs the same."""

    def __init__(self, ask: WeightOf | None = None) -> None:
        self._ask = ask
        self._known: OrderedDict[UUID, tuple[int, float]] = OrderedDict()
        self._asking: dict[UUID, asyncio.Task[None]] = {}

    def of(self, org_id: UUID) -> int:
        """The weight as last known; asks anew beside the call when that was long ago."""
        weight, until = self._known.get(org_id, (LEAST, 0.0))
        stale = until < time.monotonic() and org_id not in self._asking
        if self._ask is not None and stale and len(self._asking) < ASKING_MAX:
            self._asking[org_id] = asyncio.get_running_loop().create_task(self._learn(self._ask, org_id))
        return weight

    async def _learn(self, ask: WeightOf, org_id: UUID) -> None:
        try:
            self._known[org_id] = max(LEAST, await ask(org_id)), time.monotonic() + KEPT_S
            self._known.move_to_end(org_id)
            while len(self._known) > ORGS_MAX:
                self._known.popitem(last=False)
        except Exception:  # a weight is a courtesy: a call never fails for it
            log.warning("a queue weight could not be read", org=str(org_id), exc_info=True)
        finally:
            del self._asking[org_id]

    async def stop(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
