"""The jobs process: `python -m shanhe.background`. Runs what repeats, delivers events, sends notices."""

from __future__ import annotations

import argparse
import asyncio
import os

import uvloop

from shanhe.kernel import logs
from shanhe.kernel.process import collect_seldom, die_with_parent, when_asked_to_end
from shanhe.settings import Settings

NICENESS = 10
"""What repeats yields to calls: where CPUs are short it gets a tenth of one, and catches up when they are not."""


async def work(settings: Settings) -> None:
    """Run jobs and the outbox until SIGTERM."""
    from shanhe.app import open_services
    from shanhe.timetable import register_jobs

    stop = asyncio.Event()
    when_asked_to_end(stop.set)
    async with open_services(settings, "jobs") as services:
        register_jobs(services)
        collect_seldom()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(services.jobs.run(stop))
            tasks.create_task(services.outbox.run(stop))
            tasks.create_task(services.workshop.foreman.run(stop))


def main() -> None:
    collect_seldom()
    parser = argparse.ArgumentParser(prog="shanhe.background")
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    os.nice(NICENESS)
    settings = Settings.from_environment()
    logs.configure(settings.log_level, as_json=settings.log_json, worker=settings.worker)
    uvloop.run(work(settings))


if __name__ == "__main__":
    main()
