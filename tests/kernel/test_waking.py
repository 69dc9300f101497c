"""A queue is worked on at once when it is told of, and whatever happened to the work before."""

from __future__ import annotations

import asyncio

import pytest

from shanhe.kernel.waking import Crew, keep_working

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


class TestCrew:
    async def test_works_side_by_side_within_its_bound_and_fills_up_when_one_ends(self) -> None:
        waiting, at_once, most, done = list(range(5)), 0, 0, asyncio.Event()

        async def piece(number: int) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1
            if number == 4:
                done.set()
            if number == 1:
                raise ValueError("this piece is lost, not the others")

        async def fill() -> int:
            taken = [waiting.pop(0) for _ in range(min(crew.room, len(waiting)))]
            for number in taken:
                crew.begin(piece(number))
            return len(taken)

        async def look() -> None:
            raise AssertionError("nothing is looked at within a minute")

        crew = Crew(fill, look, at_once_max=2, what="the test")
        crew.start()
        try:
            async with asyncio.timeout(LIMIT_S):
                await done.wait()
        finally:
            await crew.stop()
        assert (most, waiting) == (2, [])

    async def test_goes_on_after_trouble_and_leaves_what_runs_when_it_is_stopped(self) -> None:
        tried, cut = asyncio.Event(), asyncio.Event()
        troubles: list[Exception] = [OSError("away"), ValueError("a mistake")]

        async def endless() -> None:
            try:
                await asyncio.sleep(NEVER_S)
            except asyncio.CancelledError:
                cut.set()
                raise

        async def fill() -> int:
            if troubles:
                crew.wake.set()
                raise troubles.pop(0)
            if crew.room:
                crew.begin(endless())
                tried.set()
            return 0

        crew = Crew(fill, fill, at_once_max=1, what="the test")
        crew.start()
        async with asyncio.timeout(LIMIT_S):
            await tried.wait()
            await asyncio.sleep(0)
        await crew.stop()
        assert troubles == []
        assert cut.is_set()

    async def test_drains_what_its_own_loop_is_just_taking(self) -> None:
        waiting, done = ["piece"], []

        async def piece(name: str) -> None:
            await asyncio.sleep(0.01)
            done.append(name)

        async def fill() -> int:
            taken, waiting[:] = waiting[:], []
            await asyncio.sleep(0.01)  # the database answers
            for name in taken:
                crew.begin(piece(name))
            return len(taken)

        crew = Crew(fill, fill, at_once_max=2, what="the test")
        crew.start()
        await asyncio.sleep(0)
        assert (waiting, done) == ([], [])
        async with asyncio.timeout(LIMIT_S):
            await crew.drain()
        await crew.stop()
        assert done == ["piece"]
