"""Child processes that are started again when they fall, and stopped in order when the city stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 15.0
HEALTHY_AFTER_S = 30.0
STOP_LIMIT_S = 25.0

log = structlog.get_logger(__name__)


class Child:
    """One supervised process of our own package, in a session of its own so that Ctrl-C reaches only its parent."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str], fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.restarts = 0
        self._command = [sys.executable, "-m", module, *arguments, "--parent", str(os.getpid())]
        self._environment = dict(environment)
        self._fds = tuple(fds)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process and watch over it."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after a bounded wait; returns when it is gone."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            log.warning("child did not stop in time; ending it", child=self.name)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            pass_fds=self._fds,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

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
            await self._spawn()
