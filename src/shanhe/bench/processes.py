"""Child processes of a bench run: started in order, waited for by port, ended by their own ids."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shanhe.bench.errors import BenchError
from shanhe.bench.load import BODY
from shanhe.bench.model import Endpoint

CALL_LIMIT_S = 5.0
POLL_S = 0.2
STOP_S = 20
PORT_MIN = 10_000
PORT_TRIES = 50
ANY_PORT = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Process(Protocol):
    """What is used of a `subprocess.Popen`."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


class Program(Protocol):
    """The command `shanhe`, however it is started."""

    def start(self, name: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> Child:
        """Begin it in `folder`, its output going to `folder/name.log`; it ends with whoever began it."""
        ...

    def run(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run it in `folder` to its end; subprocess.TimeoutExpired when that takes too long."""
        ...


@dataclass
class Child:
    """A started process with its log file. It leads its own group, so that its children end with it."""

    name: str
    process: Process
    log: Path

    def tail(self, lines: int = 15) -> str:
        """Last lines of its log, for an error message."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Ask politely, then insist; only ever this process group."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_S)


def free_port() -> int:
    """A loopback port that was free a moment ago, below those that are handed out to whoever asks for any: of these one
    may be gone before its server has started."""
    below = range(PORT_MIN, _any_port_min())
    for port in (*random.SystemRandom().sample(below, min(len(below), PORT_TRIES)), 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise BenchError("No loopback port is free.")


def _any_port_min() -> int:
    """The first port that this system hands out by itself."""
    with contextlib.suppress(OSError):
        return int(ANY_PORT.read_text().split()[0])
    return PORT_MIN


def spawn(name: str, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Child:
    """Start `command`, its output going to `folder/name.log`; `env` is added through env(1).

    It ends with the thread that started it, so that a killed run leaves no city behind (where setpriv(1) is there)."""
    log = folder / f"{name}.log"
    prefix = ["setpriv", "--pdeathsig=TERM"] if shutil.which("setpriv") else []
    prefix += ["/usr/bin/env", *(f"{key}={value}" for key, value in env.items())] if env else []
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*prefix, *command], stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
    return Child(name, process, log)


class Interpreter:
    """An interpreter of its own for each start: what an operator has."""

    def start(self, name: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> Child:
        return spawn(name, [sys.executable, "-m", "shanhe", *arguments], folder, env)

    def run(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        extra = [f"{key}={value}" for key, value in env.items()]
        return subprocess.run(
            ["/usr/bin/env", *extra, sys.executable, "-m", "shanhe", *arguments],
            capture_output=True, text=True, check=False, timeout=timeout_s, cwd=folder,
        )  # fmt: skip


@contextlib.contextmanager
def running(children: list[Child]) -> Iterator[list[Child]]:
    """Whatever is in the list when the block ends is stopped, last started first."""
    try:
        yield children
    finally:
        for child in reversed(children):
            child.stop()


def call_once(endpoint: Endpoint) -> tuple[int, bytes]:
    """One call with the common body; status and bytes, whatever the status is."""
    request = urllib.request.Request(
        endpoint.url, BODY.encode(), {"Content-Type": "application/json", **endpoint.headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=CALL_LIMIT_S) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_until_answers(child: Child | None, name: str, endpoint: Endpoint, within_s: float) -> None:
    """Poll until the contender answers the bench call with 200.

    Raises BenchError with the last answer or the log's end."""
    until = time.monotonic() + within_s
    last = "nothing listened"
    while time.monotonic() < until:
        if child is not None and child.process.poll() is not None:
            raise BenchError(f"{name} ended with status {child.process.returncode}:\n{child.tail()}")
        try:
            status, body = call_once(endpoint)
        except OSError as error:
            last = str(error)
        else:
            if status == 200 and b'"choices"' in body:
                return
            last = f"{status} {body[:300]!r}"
        time.sleep(POLL_S)
    raise BenchError(f"{name} did not answer within {within_s:.0f} s: {last}\n{child.tail() if child else ''}")


def resident_kib(pid: int) -> int:
    """Resident set of a process, KiB (Linux: VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} has no resident memory figure; is it gone?")


def descendants(pid: int) -> list[tuple[int, str]]:
    """Process ids and command lines of everything below `pid` (Linux), parents before children."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = stat.read_text(encoding="utf-8", errors="replace")
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found: list[tuple[int, str]] = []
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(0), []):
            waiting.append(child)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((child, line.strip()))
    return found
