"""What a step sets aside of its run's budget, and of those of the runs that this one is a step of.

It stands in the database, as steps of one budget are worked on by several processes: see `workflows.hold`.
"""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.kernel.purse import OverBudget
from shanhe.workflows import run_store

LOOK_S: Final = 0.05
LOOK_MAX_S: Final = 1.0
"""How often somebody who waits for what others may give back looks whether they have."""
WAIT_MAX_S: Final = 120.0
"""Then the step is refused: what it hopes for may be set aside by a step whose process is dead."""


class StepPurse:
    """See `kernel.purse.Purse`."""

    def __init__(self, db: Database, run: UUID, n: int) -> None:
        self._db = db
        self._run = run
        self._n = n

    async def hold(self, micro: int) -> None:
        wait_s, waited_s = LOOK_S, 0.0
        while True:
            done, free, hope = await run_store.hold_budget(self._db, self._run, self._n, micro)
            if done:
                return
            if micro > hope or waited_s >= WAIT_MAX_S:
                raise OverBudget(micro, free)
            await asyncio.sleep(wait_s)
            waited_s += wait_s
            wait_s = min(2 * wait_s, LOOK_MAX_S)

    async def settle(self, held_micro: int, paid_micro: int | None) -> None:
        if paid_micro is not None:  # else it is known when the step is booked
            await run_store.settle_budget(self._db, self._run, self._n, held_micro, paid_micro)
