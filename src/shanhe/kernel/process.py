"""A process's life and its children's: it ends with its parent, holds its folder, collects seldom, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Protocol, Self

from shanhe.kernel.errors import Conflict

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
ARGUMENTS_BEGIN, ARGUMENTS_END = 45, 46
"""Where /proc/PID/stat says that the command line lies, counted behind the name."""
BACKLOG = 4096
"""Connections that may wait to be accepted."""
HARMLESS: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")
UNHEARD_BYTES: Final = 64 * 1024
GC_THRESHOLDS: Final = (50_000, 50, 100)
END_WITHIN_S: Final = 40.0
"""Longer than a supervisor waits before it kills a child."""
LATE: Final = 75
"""Status of a process that did not end in time (EX_TEMPFAIL)."""


def die_with_parent(parent_pid: int | None = None) -> None:
    """Ask the kernel for SIGTERM when the parent ends (Linux); ends at once if it has ended already."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent_pid is not None and os.getppid() != parent_pid:
        raise SystemExit("the supervisor has ended")


def when_asked_to_end(stop: Callable[[], None]) -> None:
    """Call `stop` once this process is asked to end (SIGTERM, SIGINT), from its event loop, and end it for good when it
    is still there END_WITHIN_S later: the database it waits for may be gone, and the supervisor who would kill it, too.
    """
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop()
        late = threading.Timer(END_WITHIN_S, os._exit, (LATE,))
        late.daemon = True
        late.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)


def threads() -> int:
    """Threads of this process; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def entitle(title: str) -> None:
    """What `ps` and `top` call this process from now on: written over its command line (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    begin, end = int(fields[ARGUMENTS_BEGIN]), int(fields[ARGUMENTS_END])
    if 0 < begin < end:
        text = title.encode()[: end - begin - 1]
        ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)
    # with a space in it, Python 3.12 miscounts the fields of /proc/self/stat, and warns of threads at a fork
    name = title.replace(" ", "-")
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def harmless(environment: Mapping[str, str], *more: str) -> dict[str, str]:
    """What a child that handles strangers' files may know of an environment: where things lie, no secret."""
    return {name: environment[name] for name in (*HARMLESS, *more) if name in environment}


class Process(Protocol):
    """A started process, whoever started it."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...

    async def wait(self) -> int: ...


async def end(process: Process, within_s: float) -> bool:
    """Ask a child to end; SIGKILL when it takes longer. Returns when it is gone: whether it did as it was asked.

    Often done by a task that was cancelled itself: there `asyncio.timeout` ends in `CancelledError` before Python 3.12.
    """
    if process.returncode is not None:
        return True
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    gone = asyncio.ensure_future(process.wait())
    try:
        in_time, _ = await asyncio.wait((gone,), timeout=within_s)
    finally:
        if not gone.done():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    await gone
    return bool(in_time)


@contextlib.asynccontextmanager
async def child(
    *command: str, environment: Mapping[str, str], line_max_bytes: int, end_within_s: float = 0.0,
    cwd: str | None = None, stdin: int = asyncio.subprocess.DEVNULL,
    stderr: int | IO[bytes] = asyncio.subprocess.DEVNULL,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:  # fmt: skip
    """A child for the length of a block, and the lines it says; gone afterwards with whoever it started.

    It knows of `environment` only. Asked to end and given `end_within_s` to do so, where that is above zero.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=cwd, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=stderr,
        limit=line_max_bytes, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        rest = asyncio.create_task(unheard(process.stdout))
        try:
            if end_within_s > 0:
                await end(process, end_within_s)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()
                with contextlib.suppress(ConnectionError):  # it ended before it had heard everything
                    await process.stdin.wait_closed()
        finally:
            rest.cancel()


async def unheard(lines: asyncio.StreamReader) -> None:
    """Read what nobody listens to any more: asyncio's own loop never sees that a process with a full pipe is gone."""
    with contextlib.suppress(ConnectionError):
        while await lines.read(UNHEARD_BYTES):
            pass


class Held:
    """A lock on a data folder that the kernel gives back whatever happens to its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise Conflict(
                "already_running",
                f"A city runs on {self._path.parent} already.",
                message_zh=f"{self._path.parent} 上已有一座城在运行。",
                hint="Stop it first, or give this one another folder with DATA=… (and another PORT).",
                hint_zh="请先停止它，或用 DATA=… 指定另一个目录（并换一个 PORT）。",
            ) from None
        with contextlib.suppress(OSError):  # the number is for people; on a full disk the lock holds without it
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(path: Path) -> bool:
    """Whether another process holds the lock at `path`."""
    try:
        with Held(path):
            return False
    except Conflict:
        return True


def bind(host: str, port: int) -> socket.socket:
    """A socket that several processes can share, ready to listen; OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener


def collect_seldom() -> None:
    """What every process of a city does first, and again once it is open: what it holds now is not looked at again,
    and fewer passes follow. Its work makes almost no cycles, a full pass costs milliseconds of everybody's latency, and
    half of a start would go into looking for garbage where there is none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
