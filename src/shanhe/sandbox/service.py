"""Starts the cage for one run and understands what it says. See `cage` for what it is made of."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from shanhe.kernel.errors import Invalid
from shanhe.kernel.process import child
from shanhe.sandbox.errors import CageMissing, CodeRaised, CodeStopped
from shanhe.sandbox.model import ANSWER_MAX_BYTES, CODE_MAX_BYTES, Limits

AT_ONCE: Final = 4
"""Runs at a time in one process; the rest wait, up to `WAITING_MAX` of them."""
WAITING_MAX: Final = 64
START_LIMIT_S: Final = 10.0
"""What starting the interpreter and building the cage may take on a busy machine."""
CAGE: Final = Path(__file__).with_name("cage.py")
PLAIN: Final = Limits()


class Sandbox:
    """Runs code, for one process."""

    def __init__(self, command: tuple[str, ...] = ()) -> None:
        """`command` is put in front of the interpreter."""
        self._command = (*command, sys.executable, "-I", "-S", "-B", str(CAGE))
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def run(self, code: str, function: str, arguments: Mapping[str, Any], limits: Limits = PLAIN) -> Any:
        """What `function(**arguments)` of the code returns, as JSON has it.

        CodeRaised, CodeStopped, CageMissing; Invalid for code that is too long, or when too many runs wait.
        """
        if len(code.encode("utf-8", "replace")) > CODE_MAX_BYTES:
            raise Invalid("code_too_long", f"At most {CODE_MAX_BYTES} bytes of code.",
                          message_zh=f"代码最多 {CODE_MAX_BYTES} 字节。")  # fmt: skip
        if self._waiting >= WAITING_MAX:
            raise CodeStopped("time")
        job = msgspec.json.encode(
            {
                "code": code, "function": function, "arguments": arguments, "memory_bytes": limits.memory_mb << 20,
                "cpu_s": limits.cpu_s, "wall_s": limits.wall_s, "threads": limits.threads,
                "tmp_bytes": limits.tmp_mb << 20, "answer_bytes": ANSWER_MAX_BYTES,
            }
        )  # fmt: skip
        self._waiting += 1
        try:
            async with self._room:
                return _understood(await self._caged(job, limits.wall_s + START_LIMIT_S))
        finally:
            self._waiting -= 1

    async def _caged(self, job: bytes, limit_s: float) -> bytes:
        """The cage's one line; it is ended in any case."""
        try:
            async with (
                child(
                    *self._command, environment={}, line_max_bytes=ANSWER_MAX_BYTES + 1024, cwd="/",
                    stdin=asyncio.subprocess.PIPE,
                ) as (process, lines),
                asyncio.timeout(limit_s),
            ):  # fmt: skip
                assert process.stdin is not None
                with contextlib.suppress(ConnectionError):
                    process.stdin.write(job + b"\n")
                    await process.stdin.drain()
                    process.stdin.close()
                return await lines.readline()
        except ValueError as error:  # a line beyond the limit
            raise CodeStopped("too_large") from error
        except TimeoutError as error:
            raise CodeStopped("time") from error


def _understood(line: bytes) -> Any:
    try:
        told = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise CodeStopped("crashed") from error
    if "missing" in told:
        raise CageMissing(str(told["missing"]))
    if told.get("failed") == "raised":
        raise CodeRaised(str(told.get("message", "")))
    if "failed" in told:
        raise CodeStopped(str(told["failed"]))
    return told.get("result")
