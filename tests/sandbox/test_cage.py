"""What code in the cage can't do, and that it can compute; that nothing runs where a layer is missing."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from shanhe.sandbox.api import CageMissing, CodeRaised, CodeStopped, Limits, Sandbox
from stage.namespaces import needs_namespaces

pytestmark = needs_namespaces

TIGHT = Limits(memory_mb=128, cpu_s=1, wall_s=4.0, threads=4, tmp_mb=2)


async def run(code: str, limits: Limits = TIGHT, **arguments: object) -> object:
    return await Sandbox().run(code, "tool", arguments, limits)


class TestCode:
    async def test_computes_with_the_library(self) -> None:
        code = "import json, decimal, hashlib, threading\ndef tool(a, b):\n  print('noise')\n  return {'和': a + b}"
        assert await run(code, a=1, b=2) == {"和": 3}

    async def test_has_a_small_place_of_its_own_and_sees_nothing_else(self) -> None:
        code = (
            "import os\ndef tool():\n  open('/tmp/a', 'w').write('x')\n"
            "  return [sorted(os.listdir('/tmp')), os.getuid(), sorted(os.listdir('/'))]"
        )
        files, user, root = await run(code)  # type: ignore[misc]
        assert files == ["a"]
        assert user != 0
        assert not {"etc", "home", "proc", "dev", "var", "work"} & set(root)
        assert (await run(code))[0] == ["a"]  # type: ignore[index]

    @pytest.mark.parametrize(
        "body",
        ["open('/etc/passwd').read()", f"open({str(Path(__file__))!r}).read()", "open('/lib/x', 'w')",
         "__import__('os').fork()", "__import__('os').execv('/bin/sh', ['sh'])", "__import__('os').kill(1, 9)",
         "__import__('socket').create_connection(('127.0.0.1', 22))",
         "__import__('socket').socket(__import__('socket').AF_UNIX)",
         "__import__('subprocess').run(['true'])", "__import__('os').mount('a', 'b')",
         "open('/tmp/big', 'wb').write(b'x' * 9_000_000)"],
    )  # fmt: skip
    async def test_is_refused_what_lies_outside(self, body: str) -> None:
        with pytest.raises((CodeRaised, CodeStopped)):
            await run(f"def tool():\n  return {body}")

    async def test_cannot_call_the_kernel_around_the_library(self) -> None:
        numbers = {"socket": 41, "clone3": 435, "ptrace": 101, "unshare": 272, "io_uring": 425, "bpf": 321}
        code = (
            "import ctypes\ndef tool(numbers):\n  c = ctypes.CDLL(None)\n"
            "  return {name: c.syscall(n, 2, 1, 0, 0, 0, 0) for name, n in numbers.items()}"
        )
        assert await run(code, numbers=numbers) == dict.fromkeys(numbers, -1)


class TestBomb:
    async def test_of_processes_does_not_begin(self) -> None:
        before = len([name for name in os.listdir("/proc") if name.isdigit()])
        with pytest.raises(CodeRaised, match="PermissionError"):
            await run("import os\ndef tool():\n  while True: os.fork()")
        assert len([name for name in os.listdir("/proc") if name.isdigit()]) < before + 20

    async def test_of_threads_ends_at_its_bound(self) -> None:
        code = (
            "import threading, time\ndef tool():\n  while True: threading.Thread(target=time.sleep, args=(9,)).start()"
        )
        with pytest.raises(CodeRaised, match="thread"):
            await run(code)

    async def test_of_memory_ends_at_its_bound(self) -> None:
        with pytest.raises(CodeStopped) as stopped:
            await run("def tool():\n  kept = []\n  while True: kept.append(bytearray(1 << 20))")
        assert stopped.value.code == "code_memory"

    @pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(100)"])
    async def test_of_time_ends_at_its_bound(self, body: str) -> None:
        began = time.monotonic()
        with pytest.raises(CodeStopped) as stopped:
            await run(f"def tool():\n  {body}", Limits(memory_mb=128, cpu_s=1, wall_s=1.0))
        assert stopped.value.code == "code_time"
        assert time.monotonic() - began < 60

    async def test_of_words_ends_at_its_bound(self) -> None:
        for body in ("return 'x' * 900_000", "import os\n  while True: os.write(3, b'x' * 4096)"):
            with pytest.raises((CodeStopped, CodeRaised)):
                await run(f"def tool():\n  {body}")


class TestCage:
    async def test_runs_nothing_where_namespaces_are_missing(self) -> None:
        if shutil.which("unshare") is None:
            pytest.skip("needs unshare(1)")
        without = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
        sandbox = Sandbox(("/usr/bin/env", "PATH=/usr/bin:/bin", "unshare", "-U", "-r", "sh", "-c", without, "sh"))
        with pytest.raises(CageMissing, match="namespaces"):
            await sandbox.run("def tool():\n  return 1", "tool", {}, TIGHT)
