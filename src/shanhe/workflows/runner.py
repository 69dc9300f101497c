"""Working on runs in one gateway process: takes what is due, and takes up what an ended process left."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.workflows import store
from shanhe.workflows.course import Deeds, Walker, ending
from shanhe.workflows.errors import StepFailed
from shanhe.workflows.model import Run
from shanhe.workflows.service import Workflows

AT_ONCE_MAX: Final = 8
BUSY_POLL_S: Final = 0.5
IDLE_POLL_S: Final = 30.0
LOOK_EVERY_S: Final = 60.0
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
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what a process of this name left behind, then work."""
        now = self._clock.now()
        await store.put_back(self._db, self._worker, now, now)
        self._db.listen(store.CHANNEL, lambda _: self._wake.set(), on_connect=self._wake.set)
        self._loop = asyncio.create_task(self._forever(), name="workflows")

    async def stop(self) -> None:
        """Leave what runs where it is; the next start takes it up."""
        tasks = [*self._running, *([self._loop] if self._loop is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _forever(self) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + LOOK_EVERY_S
        while True:
            self._wake.clear()
            wait_s = BUSY_POLL_S
            try:
                if not await self.fill() and not self._running:
                    wait_s = IDLE_POLL_S
                if loop.time() >= look_at:
                    look_at, now = loop.time() + LOOK_EVERY_S, self._clock.now()
                    await store.put_back(self._db, None, now - LAPSED_AFTER, now)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("workflows wait for the database", error=type(error).__name__)
            except Exception:
                log.exception("workflows could not go on; trying again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def fill(self) -> int:
        """Take and begin as many runs as there is room for; how many."""
        room = AT_ONCE_MAX - len(self._running)
        if room <= 0:
            return 0
        taken = await store.take(self._db, self._worker, room, self._clock.now())
        for run in taken:
            task = asyncio.create_task(self.work(run))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return len(taken)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a run was left", error=repr(error)[:300])

    async def drain(self) -> None:
        """Work until nothing is due."""
        while await self.fill():
            await asyncio.gather(*self._running, return_exceptions=True)

    async def work(self, run: Run) -> None:
        """One run, as far as it goes now."""
        seal = await self._workflows.seal_of(run.org_id)
        try:
            definition = await self._workflows.definition_of(run)
            await Walker(self._db, self._clock, self._deeds, seal, run, definition, self._worker).go()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raise  # the database: what is booked stays, the rest is taken up again
        except Exception:
            log.exception("a run failed on our side", run=str(run.id))
            failure = StepFailed("internal_error", "Something went wrong on our side", "系统内部错误")
            await store.end(self._db, run.id, "failed", ending(seal, {}, failure, self._clock.now()))
