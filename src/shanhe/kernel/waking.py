"""Working on a queue in the database: at once when it says that something waits, now and then in any case."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

import asyncpg
import structlog

log = structlog.get_logger(__name__)


async def keep_working(
    work_once: Callable[[], Awaitable[bool]], wake: asyncio.Event, *, poll_s: float, what: str
) -> NoReturn:
    """Take one piece of work after the other until cancelled; `work_once` says False when there is none.

    `wake` is set by whoever hears of new work. A database that is away is waited for; so is a mistake of ours, after it
    was logged: a queue that nobody works on is worse.
    """
    while True:
        wake.clear()
        try:
            if await work_once():
                continue
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning(f"{what} waits for the database", error=type(error).__name__)
        except Exception:
            log.exception(f"{what} could not go on; trying again")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(poll_s):
                await wake.wait()
