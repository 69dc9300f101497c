"""A child is gone when nobody needs it any more, whatever it was saying."""

from __future__ import annotations

import asyncio
import os
import sys

from shanhe.kernel.process import LATE, child

SOON_S = 30.0
"""Far longer than it takes: what never ends fails here."""
STUCK = """
import asyncio
from shanhe.kernel.process import when_asked_to_end

async def work():
    stop = asyncio.Event()
    when_asked_to_end(stop.set, 0.05)
    print("ready", flush=True)
    await stop.wait()
    print("asked", flush=True)
    await asyncio.Event().wait()

asyncio.run(work())
"""


class TestWhenAskedToEnd:
    async def test_a_process_that_waits_for_what_never_comes_ends_all_the_same(self) -> None:
        async with asyncio.timeout(SOON_S):
            command = (sys.executable, "-c", STUCK)
            async with child(*command, environment=dict(os.environ), line_max_bytes=1024) as (process, lines):
                assert await lines.readline() == b"ready\n"
                process.terminate()
                assert await lines.readline() == b"asked\n"
                assert await process.wait() == LATE


class TestChild:
    async def test_that_goes_on_talking_is_ended(self) -> None:
        """More than a pipe and a reader hold is on its way when the block is left."""
        async with asyncio.timeout(SOON_S):
            async with child("yes", environment=dict(os.environ), line_max_bytes=1024) as (process, lines):
                assert await lines.readline() == b"y\n"
                while len(lines._buffer) < 2048:  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(0)
        assert process.returncode is not None
