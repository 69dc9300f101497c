"""Results of steps on disk: one folder a hash, complete when its `result.json` is there; and a step's own process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from shanhe.kernel.process import child, harmless
from shanhe.studio.errors import StepFailed

STOP_LIMIT_S: Final = 20.0
LINE_MAX_BYTES: Final = 64 * 1024
LOG_MAX_BYTES: Final = 2 * 1024 * 1024
TAIL_CHARS: Final = 300
LINES_LEAST_S: Final = 3_600.0
"""A step that says nothing for so long is ended."""
QUIET_S: Final = 2.0
"""After so long without a word whoever listens is asked whether the step may go on."""
FILE: Final = re.compile(r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$")
FOLDER: Final = re.compile(r"^[0-9a-f]{32,64}$")
COMMAND: Final = (sys.executable, "-m", "shanhe.studio.work.main")
QUIET: Final = {
    "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30),
}  # fmt: skip
"""Threads that wait sleep instead of spinning on cores that others use too, and memory is kept for the next round."""
Said = Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Takes what a step says, nothing now and then; False ends it."""


class RunStep(Protocol):
    """The port through which steps are done: `run_step` here, `RayJobs` on a cluster."""

    async def __call__(
        self, folder: Path, said: Said, *, environment: Mapping[str, str], command: Sequence[str] = COMMAND
    ) -> bool: ...


class Result(msgspec.Struct, frozen=True):
    """What a step left: the hashes of its files, what it measured, the processor time it took."""

    files: dict[str, str]
    metrics: dict[str, Any]
    core_ms: int


class Shelf:
    """All results, by hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def find(self, digest: bytes) -> Result | None:
        """The result of a step that was done before, if its files are still there."""
        folder = self.folder(digest)
        try:
            result = msgspec.json.decode((folder / "result.json").read_bytes(), type=Result)
        except (OSError, msgspec.DecodeError):
            return None
        good = all(FILE.match(name) and ".." not in name and (folder / name).is_file() for name in result.files)
        return result if good else None

    def prepare(self, digest: bytes, step: Mapping[str, Any]) -> Path:
        """The folder in which a step is to be done; what an interrupted one left is still there."""
        folder = self.folder(digest)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "step.json").write_bytes(msgspec.json.encode(step))
        return folder

    def drop(self, digest: bytes) -> bool:
        """Throw a folder away, whatever is in it; whether there was one."""
        known = self.folder(digest).is_dir()
        shutil.rmtree(self.folder(digest), ignore_errors=True)
        return known

    def file(self, digest: bytes, name: str) -> Path:
        return self.folder(digest) / name

    def tidy(self, keep: frozenset[bytes], before: float) -> int:
        """Throw away what was last touched before an instant (seconds since 1970) and is not to be kept; how many."""
        gone = 0
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if FOLDER.match(folder.name) and bytes.fromhex(folder.name) not in keep:
                touched = max(one.stat().st_mtime for one in (folder, *folder.iterdir()))
                if touched < before:
                    shutil.rmtree(folder, ignore_errors=True)
                    gone += 1
        return gone


async def run_step(
    folder: Path, said: Said, *, environment: Mapping[str, str], command: Sequence[str] = COMMAND
) -> bool:
    """Do the step in a folder in a process of its own; False when `said` ended it, StepFailed when it failed."""
    needed = harmless(environment, "TMPDIR") | QUIET
    with (folder / "log.txt").open("ab") as log:
        if log.tell() > LOG_MAX_BYTES:
            log.truncate(0)
        error: dict[str, Any] | None = None
        whole = (*command, str(folder), "--parent", str(os.getpid()))
        async with child(
            *whole, environment=needed, line_max_bytes=LINE_MAX_BYTES, end_within_s=STOP_LIMIT_S, stderr=log
        ) as (process, lines):
            async for told in _lines(lines):
                if "error" in told:
                    error = told["error"]
                elif not await said(told):
                    return False
            code = await process.wait()
    if code != 0 or not (folder / "result.json").exists():
        raise failed(folder, error, code)
    return True


def failed(folder: Path, error: Mapping[str, Any] | None, code: int | None) -> StepFailed:
    """The failure of a step: what it said itself, else how it ended."""
    error = error or {"code": "step_died", "reason": f"it ended with {code}: {tail(folder)}"}
    return StepFailed(str(error.get("code", "step_failed")), str(error.get("reason", ""))[:TAIL_CHARS])


async def _lines(stream: asyncio.StreamReader) -> Any:
    """What a step says; an empty word after each while of silence, so that whoever listens may end it."""
    silent_s = 0.0
    while silent_s < LINES_LEAST_S:
        try:
            async with asyncio.timeout(QUIET_S):
                line = await stream.readline()
        except TimeoutError:
            silent_s += QUIET_S
            yield {}
            continue
        except ValueError as error:
            raise StepFailed("step_silent", "it said too much at once") from error
        if not line:
            return
        silent_s = 0.0
        told = spoken(line)
        if told is not None:
            yield told
    raise StepFailed("step_silent", "it said nothing for too long")


def spoken(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it is not a step's."""
    with contextlib.suppress(msgspec.DecodeError):
        told = msgspec.json.decode(line)
        if isinstance(told, dict):
            return told
    return None


def tail(folder: Path) -> str:
    """The last words of a step's log."""
    try:
        lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1][-TAIL_CHARS:] if lines else "it said nothing"
