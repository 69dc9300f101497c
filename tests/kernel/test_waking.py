"""A queue is worked on at once when it is told of, and whatever happened to the work before."""

from __future__ import annotations

import asyncio

import pytest

from shanhe.kernel.waking import keep_working

NEVER_S = 3_600.0
LIMIT_S = 10.0


class Queue:
    """Pieces of work, each what it does; `done` is how many were taken."""

    def __init__(self, *work: Exception | None) -> None:
        self.work = list(work)
        self.done = 0
        self.wake = asyncio.Event()
        self.empty = asyncio.Event()

    async def work_once(self) -> bool:
        if not self.work:
            self.empty.set()
            return False
        self.done += 1
        if (mistake := self.work.pop(0)) is not None:
            raise mistake
        return True

    async def until_empty(self) -> None:
        self.empty.clear()
        async with asyncio.timeout(LIMIT_S):
            await self.empty.wait()


class TestQueue:
    async def test_is_emptied_and_looked_at_again_when_it_says_so(self) -> None:
        queue = Queue(None, None)
        working = asyncio.create_task(keep_working(queue.work_once, queue.wake, poll_s=NEVER_S, what="it"))
        await queue.until_empty()
        queue.work.append(None)
        queue.wake.set()
        await queue.until_empty()
        assert queue.done == 3
        working.cancel()

    @pytest.mark.parametrize("mistake", [OSError("away"), RuntimeError("ours")])
    async def test_is_worked_on_after_a_mistake(self, mistake: Exception) -> None:
        queue = Queue(mistake, None)
        working = asyncio.create_task(keep_working(queue.work_once, queue.wake, poll_s=0.01, what="it"))
        await queue.until_empty()
        assert queue.done == 2
        working.cancel()
