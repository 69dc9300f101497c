"""Working on runs in one gateway process: takes what is due, and takes up what an ended process left."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.waking import Crew
from shanhe.workflows import run_store
from shanhe.workflows.deeds import Deeds
from shanhe.workflows.model import Run
from shanhe.workflows.service import Workflows
from shanhe.workflows.walker import Walker, ended_by, ending, internal

AT_ONCE_MAX: Final = 8
OF_ONE_MAX: Final = 6
"""Of one organisation at once: the rest is for others, however much one of them begins."""
LAPSED_AFTER: Final = timedelta(seconds=2_520)
"""By then a step's reservation (2,400 s) has lapsed, so what is not booked can't be charged any more."""
log = structlog.get_logger(__name__)


class Runner:
    """Works on runs, a bounded number at once."""

    def __init__(self, db: Database, clock: Clock, workflows: Workflows, deeds: Deeds, *, worker: str) -> None:
        self._db = db
        self._clock = clock
        self._workflows = workflows
        self._deeds = deeds
        self._worker = worker
        self._crew = Crew(self.fill, self._take_up, at_once_max=AT_ONCE_MAX, what="workflows")

    async def start(self) -> None:
        """Take up what a process of this name left behind, then work."""
        now = self._clock.now()
        await run_store.put_back(self._db, self._worker, now, now)
        self._db.wake(run_store.CHANNEL, self._crew.wake)
        self._crew.start()

    async def stop(self) -> None:
        """Leave what runs where it is; the next start takes it up."""
        await self._crew.stop()

    async def drain(self) -> None:
        """Work until nothing is due."""
        await self._crew.drain()

    async def _take_up(self) -> None:
        """What took too long under any name is due again."""
        now = self._clock.now()
        await run_store.put_back(self._db, None, now - LAPSED_AFTER, now)

    async def fill(self) -> int:
        """Take and begin as many runs as there is room for; how many."""
        room = self._crew.room
        if room <= 0:
            return 0
        taken = await run_store.take(self._db, self._worker, room, self._clock.now(), of_one=OF_ONE_MAX)
        for run in taken:
            self._crew.begin(self.work(run))
        return len(taken)

    async def work(self, run: Run) -> None:
        """One run, as far as it goes now."""
        seal = await self._workflows.seal_of(run.org_id)
        try:
            definition = await self._workflows.definition_of(run)
            await Walker(self._db, self._clock, self._deeds, self._workflows, seal, run, definition, self._worker).go()
        except FAILURES:
            raise  # the database: what is booked stays, the rest is taken up again
        except Exception:
            log.exception("a run failed on our side", run=str(run.id))
            over = ended_by("failed", internal())
            async with self._db.transaction() as conn:
                await run_store.end(conn, run.id, "failed", ending(seal, {}, over, self._clock.now()))
