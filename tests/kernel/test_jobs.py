"""The queue: a job runs once, is retried when it fails, and waits only once for one key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from shanhe.kernel.db import Database
from shanhe.kernel.jobs import Jobs

LIMIT_S = 15


async def run_until(jobs: Jobs, done: asyncio.Event) -> None:
    stop = asyncio.Event()
    worker = asyncio.create_task(jobs.run(stop))
    try:
        async with asyncio.timeout(LIMIT_S):
            await done.wait()
    finally:
        stop.set()
        async with asyncio.timeout(LIMIT_S):
            await worker


@pytest.fixture
async def jobs(database: Database) -> Jobs:
    queue = Jobs(database)
    await queue.install()
    return queue


class TestJob:
    async def test_runs_with_its_payload(self, jobs: Jobs) -> None:
        done, got = asyncio.Event(), []

        async def handle(payload: Mapping[str, Any]) -> None:
            got.append(payload)
            done.set()

        jobs.on("greet", handle)
        assert await jobs.enqueue("greet", {"name": "山"})
        await run_until(jobs, done)
        assert got == [{"name": "山"}]

    async def test_is_tried_again_after_a_failure(self, jobs: Jobs) -> None:
        done, tries = asyncio.Event(), []

        async def handle(_: Mapping[str, Any]) -> None:
            tries.append(1)
            if len(tries) < 2:
                raise RuntimeError("not yet")
            done.set()

        jobs.on("flaky", handle)
        await jobs.enqueue("flaky", {})
        await run_until(jobs, done)
        assert len(tries) == 2

    async def test_waits_once_for_one_key(self, jobs: Jobs) -> None:
        assert await jobs.enqueue("greet", {}, key="one")
        assert not await jobs.enqueue("greet", {}, key="one")

    async def test_vanishes_with_the_transaction_that_failed(self, jobs: Jobs, database: Database) -> None:
        with pytest.raises(RuntimeError):
            async with database.transaction() as connection:
                await jobs.enqueue("greet", {}, key="one", connection=connection)
                raise RuntimeError("no")
        assert await jobs.enqueue("greet", {}, key="one")


class TestPeriodic:
    async def test_repeats(self, jobs: Jobs) -> None:
        done, ticks = asyncio.Event(), []

        async def tick() -> None:
            ticks.append(1)
            if len(ticks) == 2:
                done.set()

        jobs.every("tick", "* * * * * *", tick)
        await run_until(jobs, done)
        assert len(ticks) >= 2

    async def test_survives_a_failure(self, jobs: Jobs) -> None:
        done, ticks = asyncio.Event(), []

        async def tick() -> None:
            ticks.append(1)
            if len(ticks) == 2:
                done.set()
            raise RuntimeError("every time")

        jobs.every("tick", "* * * * * *", tick)
        await run_until(jobs, done)
        assert len(ticks) >= 2
