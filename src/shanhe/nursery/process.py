"""The nursery itself: imports, then forks. One thread, no loop, no connection, so that a fork copies no surprise."""

from __future__ import annotations

import importlib
import io
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from shanhe.kernel.process import collect_seldom, die_with_parent, entitle, threads
from shanhe.nursery.orders import Order, Report, receive, send
from shanhe.settings import take_on

STDOUT: Final = 1
STDERR: Final = 2
FAILED: Final = 1
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""numpy's libraries start threads while they are imported, unless they are told not to. Children have an environment of
their own, but what was imported keeps to one thread, which suits processes that share a machine's CPUs."""
SEVERAL_THREADS: Final = "several threads"


def nurse(channel: socket.socket, parent: int, program: str) -> None:
    """Make `program` ready, then fork whatever is ordered until the keeper's end is closed.

    Returns when the nursery ends; a child never returns from here."""
    os.setsid()  # Ctrl-C in the terminal reaches the keeper only, which stops in order
    # A signal to the whole service (systemd sends one) is the keeper's to answer, in order; when the keeper ends, the
    # channel says so.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    die_with_parent(parent)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    entitle("shanhe nursery")
    take_on(ONE_THREAD, instead=False)
    importlib.import_module(program).ready()
    collect_seldom()
    Nursery(channel).tend()


class Nursery:
    """Forks what is ordered and says what became of it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._poll = select.poll()
        self._living: dict[int, tuple[int, int]] = {}
        """pid and number of the order, by pidfd."""

    def tend(self) -> None:
        self._poll.register(self._channel, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._channel.fileno():
                    self._bury(descriptor)
                    continue
                received = receive(self._channel, Order)
                if received is None:
                    return
                try:
                    self._fork(*received)
                except BrokenPipeError:  # the keeper is gone; so is the child, which waits for a word
                    return

    def _fork(self, order: Order, descriptors: list[int]) -> None:
        """A child does nothing before its keeper was told of it: no worker runs that nobody knows."""
        if threads() > 1:
            send(self._channel, Report(order.number, refused=SEVERAL_THREADS))
            _close(descriptors)
            return
        nursery, (gate, opener) = os.getpid(), os.pipe()
        pid = os.fork()
        if pid == 0:
            leave(lambda: self._grow(order, descriptors, nursery, gate, opener))
        os.close(gate)
        _close(descriptors)
        watched = os.pidfd_open(pid)
        self._living[watched] = pid, order.number
        self._poll.register(watched, select.POLLIN)
        try:
            send(self._channel, Report(order.number, pid), [watched])
            os.write(opener, b".")
        finally:
            os.close(opener)

    def _bury(self, watched: int) -> None:
        pid, number = self._living.pop(watched)
        self._poll.unregister(watched)
        os.close(watched)
        _, status = os.waitpid(pid, 0)
        try:
            send(self._channel, Report(number, pid, os.waitstatus_to_exitcode(status)))
        except BrokenPipeError:
            return  # nobody is left to hear it: the channel says so next

    def _grow(self, order: Order, descriptors: list[int], nursery: int, gate: int, opener: int) -> None:
        """The life of a child."""
        os.close(opener)
        told = os.read(gate, 1)
        _close([gate, *self._living])
        self._channel.close()
        if told:
            become(order, descriptors, nursery)


def become(order: Order, descriptors: list[int], nursery: int) -> None:
    """What `python -m MODULE ARGUMENTS` does after its imports."""
    os.setsid()
    die_with_parent(nursery)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # one that came meanwhile is heeded now
    take_on(order.environment)
    if order.folder:
        os.chdir(order.folder)
    entitle(order.title)
    given = list(order.arguments)
    if order.parent:
        given += ["--parent", str(nursery)]
    if order.stdio:
        _take_over(descriptors[:3])
        descriptors = descriptors[3:]
    for descriptor in descriptors:
        given += ["--fd", str(descriptor)]
    module = sys.modules["__main__"] = importlib.import_module(order.module)
    sys.argv = [str(module.__file__), *given]
    module.main()


def leave(work: Callable[[], None]) -> NoReturn:
    """Do the work and end with the status that an interpreter would end with, without taking the program apart."""
    status = FAILED
    try:
        work()
        status = 0
    except SystemExit as end:
        status = _status(end)
    except BaseException:  # noqa: BLE001 - said as an interpreter says it
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(status)


def _status(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return FAILED


def _take_over(descriptors: Sequence[int]) -> None:
    """Make these the standard streams, opened as an interpreter opens them."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout, sys.stderr = _writer(STDOUT, "strict"), _writer(STDERR, "backslashreplace")


def _writer(number: int, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w", closefd=False)
    lines = number == STDERR or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=lines)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
