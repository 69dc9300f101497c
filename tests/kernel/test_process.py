"""A child is gone when nobody needs it any more, whatever it was saying."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from shanhe.kernel.process import LATE, child, end

SOON_S = 30.0
"""Far longer than it takes: what never ends fails here."""
STUCK = """
import asyncio
from shanhe.kernel import process

async def work():
    stop = asyncio.Event()
    process.END_WITHIN_S = 0.05
    process.when_asked_to_end(stop.set)
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


DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


TITLED = """
import os
from pathlib import Path
from shanhe.kernel.process import entitle

entitle("shanhe test brood")
print(Path("/proc/self/comm").read_text().strip(), flush=True)
if os.fork() == 0:
    os._exit(0)
os.wait()
"""


class TestEntitle:
    def test_a_process_that_has_a_title_and_one_thread_forks_without_a_warning(self) -> None:
        """Python counts threads in /proc/self/stat, whose fields a space in the name would shift."""
        done = subprocess.run([sys.executable, "-W", "error", "-c", TITLED], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("shanhe-test-bro\n", "")


class TestEnd:
    async def test_kills_what_does_not_listen_also_when_its_caller_was_cancelled(self) -> None:
        """As when a start fails, or Ctrl-C comes, while a model loads: what is left would keep its memory for ever."""
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", DEAF, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
        said: list[bool] = []

        async def hold() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                said.append(await end(process, 0.1))

        holding = asyncio.create_task(hold())
        await asyncio.sleep(0)
        holding.cancel()
        await asyncio.wait((holding,), timeout=SOON_S)
        assert said == [False]
        assert process.returncode == -signal.SIGKILL


class TestChild:
    async def test_that_goes_on_talking_is_ended(self) -> None:
        """More than a pipe and a reader hold is on its way when the block is left."""
        async with asyncio.timeout(SOON_S):
            async with child("yes", environment=dict(os.environ), line_max_bytes=1024) as (process, lines):
                assert await lines.readline() == b"y\n"
                while len(lines._buffer) < 2048:  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(0)
        assert process.returncode is not None
