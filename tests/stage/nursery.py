"""One nursery for all pytest processes of a run: `shanhe …` without the seconds that each start takes to import it.

`python -m stage.nursery --listener FD --parent PID` is the process that imports; each pytest process that wants
something connects to it (an abstract socket, so no file is left) and gets a nursery of its own, forked off. What is
started here is what `python -m shanhe` would be but for the import; tests/platform starts cities the long way, and so
does everybody when that process has ended: then each start says itself what went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Final

from shanhe.bench.processes import Child, Interpreter, Program
from shanhe.kernel.process import collect_seldom, die_with_parent, entitle
from shanhe.nursery.api import possible
from shanhe.nursery.orders import Order, Report, receive, send
from shanhe.nursery.process import ONE_THREAD, Nursery, leave

VARIABLE: Final = "SHANHE_TEST_NURSERY"
"""Names the socket for the pytest processes of a run."""
CONNECT_WITHIN_S: Final = 300.0
FILES: Final = 4_096
"""A thousand sockets need more than some machines' soft limit; what is started here inherits it."""
BACKLOG: Final = 64
READY: Final = b"."
COMMANDS: Final = ("shanhe.__main__", "shanhe.supervisor", "shanhe.cli.ledger", "shanhe.cli.log", "shanhe.cli.card")


def allow_files() -> None:
    """Raise this process's soft limit, as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))


def begin() -> None:
    """Start importing, for this process and those that inherit its environment."""
    if possible() and VARIABLE not in os.environ:
        name = f"shanhe-tests-{os.getpid()}-{secrets.token_hex(8)}"
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(Path(__file__).parents[1])}
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"\0{name}")
            listener.listen(BACKLOG)
            given = ["--listener", str(listener.fileno()), "--parent", str(os.getpid())]
            subprocess.Popen(
                [sys.executable, "-m", "stage.nursery", *given], env=environment, pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        os.environ[VARIABLE] = name


@cache
def program() -> Program:
    """The command `shanhe`, forked; an interpreter for each start where that is impossible."""
    begin()
    channel = _connected(os.environ[VARIABLE]) if VARIABLE in os.environ else None
    return Interpreter() if channel is None else Forked(channel)


def _connected(name: str) -> socket.socket | None:
    """The channel to a nursery that has imported; None when it ended before."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.settimeout(CONNECT_WITHIN_S)
    try:
        channel.connect(f"\0{name}")
        if channel.recv(len(READY)):
            channel.settimeout(None)
            return channel
    except ConnectionError:
        pass
    channel.close()
    return None


class Forked:
    """The command `shanhe` out of the nursery."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._number = 0
        self._reports: dict[int, tuple[Report, list[int]]] = {}
        self._ended: dict[int, int] = {}

    def start(self, name: str, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> Child:
        log = folder / f"{name}.log"
        with log.open("wb") as sink:
            return Child(name, self._bear(arguments, folder, env, sink, sink), log)

    def run(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self._bear(arguments, folder, env, out, err)
            try:
                status = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            out.seek(0)
            err.seek(0)
            said = out.read().decode(), err.read().decode()
        return subprocess.CompletedProcess([*arguments], status, *said)

    def status(self, number: int) -> int:
        """How an ended process ended; waits for the word of it."""
        with self._lock:
            while number not in self._ended:
                self._hear()
            return self._ended.pop(number)

    def _bear(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], out: IO[bytes], err: IO[bytes]
    ) -> Nursling:
        with self._lock, Path(os.devnull).open("rb") as nothing:
            self._number += 1
            number = self._number
            order = Order(
                number, f"shanhe {' '.join(arguments)}", "shanhe.__main__", tuple(arguments), {**os.environ, **env},
                folder=str(folder.absolute()), stdio=True, parent=False,
            )  # fmt: skip
            send(self._channel, order, [nothing.fileno(), out.fileno(), err.fileno()])
            while number not in self._reports:
                self._hear()
            report, descriptors = self._reports.pop(number)
        assert not report.refused, report.refused
        return Nursling(self, number, report.pid, descriptors[0], [*arguments])

    def _hear(self) -> None:
        received = receive(self._channel, Report)
        assert received is not None, "the nursery has ended"
        report, descriptors = received
        if report.status is not None:
            self._ended[report.number] = report.status
        else:
            self._reports[report.number] = report, descriptors


class Nursling:
    """A forked process, with what is used of a `subprocess.Popen`."""

    def __init__(self, forked: Forked, number: int, pid: int, watched: int, args: list[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._forked, self._number, self._watched = forked, number, watched

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._watched, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = self._forked.status(self._number)
            os.close(self._watched)
        return self.returncode

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._watched, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="stage.nursery")
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    os.setsid()
    die_with_parent(given.parent)
    entitle("shanhe test nursery")
    listener = socket.socket(fileno=given.listener)
    allow_files()
    for name in COMMANDS:
        import_module(name)
    import_module("shanhe.program").ready()
    collect_seldom()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a nursery that ended is nobody's business
    parent = os.getpid()
    while True:
        channel, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent(parent)
            channel.sendall(READY)
            leave(Nursery(channel).tend)
        channel.close()


if __name__ == "__main__":
    main()
