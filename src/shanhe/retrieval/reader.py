"""Runs the reading process on one file, and stops it at its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shanhe.kernel.process import child, harmless
from shanhe.retrieval.errors import Unreadable
from shanhe.retrieval.model import Block

COMMAND: Final = (sys.executable, "-m", "shanhe.retrieval.work")
WALL_MAX_S: Final = 1_800.0
SILENT_MAX_S: Final = 120.0
"""A page takes seconds; a reader that says nothing for so long is lost."""
LINE_MAX_BYTES: Final = 256 * 1024
QUIET: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
Progress = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Read:
    """A file as blocks."""

    format: str
    pages: int
    blocks: list[Block]


async def read(
    name: str, data: bytes, progress: Progress | None = None, *, environment: Mapping[str, str] | None = None,
    command: Sequence[str] = COMMAND, silent_max_s: float = SILENT_MAX_S, wall_max_s: float = WALL_MAX_S,
) -> Read:  # fmt: skip
    """Blocks of a file; Unreadable when it can't be read within bounds. The reader gets no secret and ends with us."""
    needed = harmless(environment or {}) | QUIET
    with tempfile.TemporaryDirectory(prefix="shanhe-read-") as folder, nameless(data) as file:
        whole = (*command, name[-100:], "--parent", str(os.getpid()))
        try:
            async with (
                child(*whole, environment=needed, line_max_bytes=LINE_MAX_BYTES, cwd=folder, stdin=file) as (
                    process,
                    said,
                ),
                asyncio.timeout(wall_max_s),
            ):
                return await _heard(process, said, progress, silent_max_s)
        except TimeoutError as error:
            raise Unreadable("reading it takes too long", "读取超时", "document_bomb") from error


@contextlib.contextmanager
def nameless(data: bytes) -> Iterator[int]:
    """A file in memory, read from its start: it has no name under which a process that is killed could leave somebody's
    document behind in plain."""
    descriptor = os.memfd_create("document")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


async def _heard(
    process: asyncio.subprocess.Process, lines: asyncio.StreamReader, progress: Progress | None, silent_max_s: float
) -> Read:
    blocks: list[Block] = []
    kind = ""
    while True:
        try:
            async with asyncio.timeout(silent_max_s):
                line = await lines.readline()
        except ValueError as error:
            raise Unreadable("its reader said too much at once", "读取过程异常") from error
        if not line:
            code = await process.wait()
            raise Unreadable(
                f"its reader was ended (it used too much memory or time, or broke: {code})",
                "读取过程被终止（内存或时间超限，或文件异常）", "document_bomb",
            )  # fmt: skip
        said: dict[str, Any] = msgspec.json.decode(line)
        if "block" in said:
            blocks.append(msgspec.convert(said["block"], Block))
        elif "page" in said:
            if progress is not None:
                await progress(int(said["page"]), int(said["of"]))
        elif "format" in said:
            kind = said["format"]
        elif "error" in said:
            refused = said["error"]
            raise Unreadable(refused["why"], refused["why_zh"], refused["code"])
        elif "end" in said:
            return Read(kind, int(said["end"]), blocks)
