"""Children that are forked out of a process that imported the program once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shanhe.children import Child, Work, start
from shanhe.nursery.api import UNKNOWN_STATUS, Nursery, Nursling

HERE = str(Path(__file__).parent)
LIMIT_S = 60.0
KEEPER = """
import asyncio, os, sys
from shanhe.nursery.api import Nursery
nursery = Nursery.fork("nestling")
async def keep():
    grown = await nursery.grow("a nestling", "nestling", ["stay", sys.argv[1]], dict(os.environ))
    print(nursery.pid, grown.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(keep())
"""


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a nursery finds its nestlings."""
    monkeypatch.setenv("PYTHONPATH", HERE)


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    """One in an interpreter of its own: this process has threads and a running loop."""
    opened = Nursery("nestling")
    yield opened
    opened.close()


async def told(nursery: Nursery, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a child says of itself."""
    listening, telling = os.pipe()
    child = await nursery.grow("a nestling", "nestling", ("tell", *arguments), environment, (telling,))
    os.close(telling)
    assert child is not None
    with os.fdopen(listening) as pipe:
        said: dict[str, Any] = json.loads(await asyncio.to_thread(pipe.read))
    assert await child.wait() == 0
    assert said["pid"] == child.pid
    return said


async def stays(nursery: Nursery, note: Path) -> Nursling:
    child = await nursery.grow("a nestling", "nestling", ("stay", str(note)), os.environ)
    assert child is not None
    await until(lambda: f"begin {child.pid}" in lines(note))
    return child


def lines(note: Path) -> list[str]:
    return note.read_text().splitlines() if note.exists() else []


async def until(happened: Any) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not happened():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class TestChildren:
    async def test_never_draw_the_same_ids_or_random_values(self, nursery: Nursery) -> None:
        all_of = [await told(nursery) for _ in range(3)]
        for kind in ("ids", "random", "tokens"):
            drawn = [value for one in all_of for value in one[kind]]
            assert len(set(drawn)) == len(drawn) > 100

    async def test_are_what_an_interpreter_of_their_own_would_be(self, nursery: Nursery) -> None:
        one = await told(nursery, "word", WANTED="yes")
        assert one["arguments"][:4] == ["tell", "word", "--parent", str(nursery.pid)]
        assert one["environment"] == {"WANTED": "yes"}, "nothing of the nursery's own"
        assert one["parent"] == nursery.pid
        assert one["session"] == one["group"] == one["pid"]
        assert one["threads"] == 1
        assert one["input"] == os.devnull
        assert one["line"] == "a nestling"

    async def test_hold_nothing_that_is_not_theirs(self, nursery: Nursery, tmp_path: Path) -> None:
        """Neither the nursery's channel nor a sibling's: a closed pipe must be closed."""
        alone = await told(nursery)
        sibling = await stays(nursery, tmp_path / "note")
        assert len((await told(nursery))["open"]) == len(alone["open"])
        sibling.kill()
        assert await sibling.wait() == -signal.SIGKILL

    @pytest.mark.parametrize(("what", "status"), [("fail", 7), ("complain", 1), ("unknown", 1)])
    async def test_end_with_their_status(self, nursery: Nursery, what: str, status: int) -> None:
        child = await nursery.grow("a nestling", "nestling", (what,), os.environ)
        assert child is not None
        assert await child.wait() == child.returncode == status
        with pytest.raises(ProcessLookupError):
            child.kill()


class TestNursery:
    async def test_with_threads_forks_nothing_and_an_interpreter_does_it(self) -> None:
        nursery = Nursery("threaded")
        try:
            assert await nursery.grow("a nestling", "nestling", ("fail",), os.environ) is None
            process = await start(Work("nestling", "nestling", os.environ, ("fail",)), nursery)
            assert not isinstance(process, Nursling)
            assert await process.wait() == 7
        finally:
            nursery.close()

    async def test_that_is_killed_takes_its_children_along_and_is_started_again(
        self, nursery: Nursery, tmp_path: Path
    ) -> None:
        note = tmp_path / "note"
        child, before = await stays(nursery, note), nursery.pid
        os.kill(before, signal.SIGKILL)
        assert await child.wait() == UNKNOWN_STATUS
        assert lines(note) == [f"begin {child.pid}", f"end {child.pid}"], "it was told to end, and ended in order"
        assert (await told(nursery))["parent"] == nursery.pid != before

    async def test_leaves_a_signal_to_all_to_its_keeper(self, nursery: Nursery, tmp_path: Path) -> None:
        note = tmp_path / "note"
        child, before = await stays(nursery, note), nursery.pid
        os.kill(before, signal.SIGTERM)
        assert (await told(nursery))["parent"] == before
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
        assert lines(note) == [f"begin {child.pid}", f"end {child.pid}"]

    async def test_never_has_two_of_one_name(self, nursery: Nursery, tmp_path: Path) -> None:
        """A child whose nursery fell is started again when it has ended, not when the nursery has."""
        note = tmp_path / "note"
        child = Child(Work("w0", "nestling", dict(os.environ), ("stay", str(note))), nursery)
        await child.start()
        try:
            await until(lambda: len(lines(note)) == 1)
            os.kill(nursery.pid, signal.SIGKILL)
            await until(lambda: len(lines(note)) == 3)
        finally:
            await child.stop()
        words = [line.split() for line in lines(note)]
        assert [word for word, _ in words] == ["begin", "end", "begin", "end"]
        assert words[0][1] == words[1][1] != words[2][1]
        assert child.restarts == 1

    async def test_that_is_closed_leaves_nobody(self, nursery: Nursery, tmp_path: Path) -> None:
        child, pid = await stays(nursery, tmp_path / "note"), nursery.pid
        nursery.close()
        await until(lambda: gone(pid) and gone(child.pid))

    def test_ends_with_its_keeper_and_so_do_its_children(self, tmp_path: Path) -> None:
        """The keeper forks it off itself, before its loop, as `shanhe up` does."""
        note = tmp_path / "note"
        with subprocess.Popen([sys.executable, "-c", KEEPER, str(note)], stdout=subprocess.PIPE, text=True) as keeper:
            assert keeper.stdout is not None
            pids = [int(word) for word in keeper.stdout.readline().split()]
            assert len(pids) == 2
            keeper.kill()
        end = time.monotonic() + LIMIT_S
        while not all(gone(pid) for pid in pids):
            assert time.monotonic() < end, "somebody outlived the keeper"
            time.sleep(0.02)
