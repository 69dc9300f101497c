"""Child processes that are started again when they fall, and stopped in order when the city stops."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from shanhe.kernel.process import Process, end
from shanhe.nursery.api import Nursery, possible

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 15.0
HEALTHY_AFTER_S = 30.0
STOP_LIMIT_S = 25.0
PROGRAM: Final = "shanhe.program"
"""What the children of a city run, by name: the nursery imports it, this process need not."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """What a child does: a module of ours with its arguments, its environment, and descriptors it gets as `--fd N`."""

    name: str
    module: str
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()
    fds: Sequence[int] = ()

    @property
    def title(self) -> str:
        """What `ps` shows: `shanhe worker w0`."""
        kind = self.module.rpartition(".")[2]
        return f"shanhe {kind}" if kind == self.name else f"shanhe {kind} {self.name}"


def open_nursery() -> Nursery | None:
    """A nursery of the program, importing from now on; to be asked for before any loop runs. None where impossible."""
    return Nursery.fork(PROGRAM) if possible() else None


async def start(work: Work, nursery: Nursery | None) -> Process:
    """Start it in a session of its own, so that Ctrl-C reaches only its parent; out of the nursery where that can."""
    if nursery is not None:
        grown = await nursery.grow(work.title, work.module, work.arguments, work.environment, work.fds)
        if grown is not None:
            return grown
    described = [part for fd in work.fds for part in ("--fd", str(fd))]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", work.module, *work.arguments, "--parent", str(os.getpid()), *described,
        env=dict(work.environment), pass_fds=tuple(work.fds), stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


async def stop(process: Process, name: str) -> None:
    """SIGTERM, then SIGKILL after a bounded wait; returns when it is gone."""
    if not await end(process, STOP_LIMIT_S):
        log.warning("child did not stop in time; it was ended", child=name)


class Child:
    """One supervised process of our own package."""

    def __init__(self, work: Work, nursery: Nursery | None = None) -> None:
        self.name = work.name
        self.restarts = 0
        self._work = work
        self._nursery = nursery
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process and watch over it."""
        self._process = await start(self._work, self._nursery)
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it and return when it is gone."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None:
            await stop(self._process, self.name)

    async def _keep(self) -> None:
        wait_s = BACKOFF_FIRST_S
        while True:
            assert self._process is not None
            began = time.monotonic()
            status = await self._process.wait()
            if self._stopping:
                return
            if time.monotonic() - began > HEALTHY_AFTER_S:
                wait_s = BACKOFF_FIRST_S
            log.warning("child ended; starting it again", child=self.name, status=status, wait_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(BACKOFF_MAX_S, wait_s * 2)
            self.restarts += 1
            self._process = await start(self._work, self._nursery)
