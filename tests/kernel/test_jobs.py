"""The queue: a job runs once, is retried when it fails, and waits only once for one key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.jobs import Jobs, Periodic, set_back

LIMIT_S = 60


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
    async def test_that_fails_is_counted_where_an_alarm_can_see_it(self, database: Database) -> None:
        counted = CollectorRegistry()
        jobs = Jobs(database, counted)

        async def done() -> int:
            return 1

        async def broken() -> int:
            raise RuntimeError("the bank is away")

        for run in (done, broken, broken):
            await jobs.run_periodic(Periodic("bank.look", "* * * * *", run))
        runs = [counted.get_sample_value("shanhe_job_runs_total", {"task": "bank.look", "outcome": said})
                for said in ("done", "failed")]  # fmt: skip
        assert runs == [1, 2]
        assert counted.get_sample_value("shanhe_job_done_timestamp_seconds", {"task": "bank.look"})

    async def test_is_told_of_before_it_first_ran(self, database: Database) -> None:
        """What hangs in its first run has an age, and what fails for the first time has a count that rises."""
        registry, hangs, begun = CollectorRegistry(), asyncio.Event(), asyncio.Event()
        jobs = Jobs(database, registry)

        async def hang() -> None:
            begun.set()
            await hangs.wait()

        jobs.every("reconcile.nightly", "* * * * * */1", hang)
        stop = asyncio.Event()
        worker = asyncio.create_task(jobs.run(stop))
        async with asyncio.timeout(LIMIT_S):
            await begun.wait()
        labels = {"task": "reconcile.nightly"}
        assert registry.get_sample_value("shanhe_job_runs_total", labels | {"outcome": "failed"}) == 0
        assert registry.get_sample_value("shanhe_job_done_timestamp_seconds", labels) > 0
        hangs.set()
        stop.set()
        async with asyncio.timeout(LIMIT_S):
            await worker

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


class TestSetBack:
    async def test_is_told_for_a_jump_back_and_for_nothing_else(self) -> None:
        clock = FixedClock(datetime(2026, 11, 27, tzinfo=UTC))
        told = asyncio.create_task(set_back(clock, 0.001))
        await asyncio.sleep(0.01)
        clock.advance(hours=3)  # ahead, or a little behind: nothing would wait
        await asyncio.sleep(0.01)
        clock.advance(seconds=-2)
        await asyncio.sleep(0.01)
        assert not told.done()
        clock.advance(hours=-1)
        await asyncio.wait_for(told, 5)
