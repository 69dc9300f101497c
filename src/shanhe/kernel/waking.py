"""Working on a queue in the database: at once when it says that something waits, now and then in any case.

One piece after the other (`keep_working`), or a bounded number at once (`Crew`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, NoReturn

import structlog

from shanhe.kernel.db import FAILURES

BUSY_POLL_S: Final = 0.5
IDLE_POLL_S: Final = 30.0
LOOK_EVERY_S: Final = 60.0
ERROR_MAX_CHARS: Final = 300
log = structlog.get_logger(__name__)


@contextlib.contextmanager
def _going_on(what: str) -> Iterator[None]:
    """A database that is away is waited for; so is a mistake of ours, after it was logged: a queue that nobody works on
    is worse."""
    try:
        yield
    except FAILURES as error:
        log.warning(f"{what} waits for the database", error=type(error).__name__)
    except Exception:
        log.exception(f"{what} could not go on; trying again")


async def _woken(wake: asyncio.Event, within_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await wake.wait()


async def keep_working(
    work_once: Callable[[], Awaitable[bool]], wake: asyncio.Event, *, poll_s: float, what: str
) -> NoReturn:
    """Take one piece of work after the other until cancelled; `work_once` says False when there is none.

    `wake` is set by whoever hears of new work. Trouble is waited out: see `_going_on`.
    """
    while True:
        wake.clear()
        with _going_on(what):
            if await work_once():
                continue
        await _woken(wake, poll_s)


async def _nothing_soon() -> bool:
    return False


class Crew:
    """Pieces of work as tasks, at most `at_once_max` of them.

    `fill` takes what waits, as much as there is `room` for, hands each piece to `begin`, and says how many it took.
    `look` is for what ended processes left: it is called now and then. `soon` tells, when nothing runs, whether
    something may come due without a word.
    """

    def __init__(
        self, fill: Callable[[], Awaitable[int]], look: Callable[[], Awaitable[object]], *, at_once_max: int, what: str,
        soon: Callable[[], Awaitable[bool]] = _nothing_soon,
    ) -> None:  # fmt: skip
        self._fill = fill
        self._look = look
        self._soon = soon
        self._at_once_max = at_once_max
        self._what = what
        self._running: set[asyncio.Task[None]] = set()
        self._filling = asyncio.Lock()
        self._loop: asyncio.Task[NoReturn] | None = None
        self.wake = asyncio.Event()
        """Set by whoever hears of new work."""

    @property
    def room(self) -> int:
        return self._at_once_max - len(self._running)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a piece of work beside the others."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def start(self) -> None:
        """Work until `stop`."""
        self._loop = asyncio.create_task(self._forever(), name=self._what)

    async def stop(self) -> None:
        """Leave what runs where it is."""
        tasks = [*self._running, *([self._loop] if self._loop is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self) -> None:
        """Work until nothing waits and nothing runs, whoever took it."""
        while await self._fill_up() or self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _fill_up(self) -> int:
        """`fill`, never twice at once: what one takes would not be seen by the other, nor count in its room."""
        async with self._filling:
            return await self._fill()

    async def _forever(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + LOOK_EVERY_S
        while True:
            self.wake.clear()
            wait_s = BUSY_POLL_S
            with _going_on(self._what):
                if not await self._fill_up() and not self._running:
                    wait_s = BUSY_POLL_S if await self._soon() else IDLE_POLL_S
                if loop.time() >= look_at:
                    look_at = loop.time() + LOOK_EVERY_S
                    await self._look()
            await _woken(self.wake, wait_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(f"{self._what} left a piece of work", error=repr(error)[:ERROR_MAX_CHARS])
