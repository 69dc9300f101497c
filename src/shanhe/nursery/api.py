"""The keeper's end of a nursery: orders children, signals them, learns how they ended, and survives the nursery."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

import structlog

from shanhe.nursery.orders import Order, Report, pair, receive, send
from shanhe.nursery.process import leave, nurse

UNKNOWN_STATUS: Final = 255
"""Of a child whose nursery ended first: nobody is told how it ended."""
ORPHAN_LIMIT_S: Final = 25.0

log = structlog.get_logger(__name__)


def possible() -> bool:
    """Whether this system has what a nursery is made of; elsewhere every process imports for itself."""
    if not (sys.platform.startswith("linux") and hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")):
        return False
    try:
        watched = os.pidfd_open(os.getpid())
    except OSError:  # the kernel is older than 5.3, or a sandbox does not let it through
        return False
    os.close(watched)
    return True


class Nursling:
    """A child of the nursery, with what an `asyncio.subprocess.Process` offers."""

    def __init__(self, pid: int, watched: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._watched = watched
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send_signal(self, number: int) -> None:
        """ProcessLookupError when it has ended; never another process that got its number."""
        if self.returncode is not None:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._watched, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def end(self, status: int) -> None:
        """It has ended."""
        if self.returncode is not None:
            return
        self.returncode = status
        os.close(self._watched)
        if not self._ended.done():
            self._ended.set_result(status)

    def orphan(self) -> None:
        """The nursery is gone and the kernel has told the child to stop: wait for that, and not for ever."""
        loop = asyncio.get_running_loop()
        late = loop.call_later(ORPHAN_LIMIT_S, self._insist)

        def gone() -> None:
            late.cancel()
            loop.remove_reader(self._watched)
            self.end(UNKNOWN_STATUS)

        loop.add_reader(self._watched, gone)

    def _insist(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()


class Nursery:
    """One nursery at a time: forked off before the loop runs, started anew when it fell.

    `program` names a module whose `ready()` imports and reads whatever its children have in common."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._channel: socket.socket | None = None
        self._reap: Callable[[], object] = lambda: None
        self._pid = 0
        self._heeded = False
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Nursling | None]] = {}
        self._living: dict[int, Nursling] = {}

    @classmethod
    def fork(cls, program: str) -> Self:
        """A nursery out of this process, which must have one thread and no running loop."""
        made = cls(program)
        ours, theirs = pair()
        parent = os.getpid()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            leave(lambda: nurse(theirs, parent, program))
        theirs.close()
        made._adopt(ours, pid, lambda: os.waitpid(pid, 0))
        return made

    @property
    def pid(self) -> int:
        """Of the process that forks; 0 when there is none."""
        return self._pid

    async def grow(
        self, title: str, module: str, arguments: Sequence[str], environment: Mapping[str, str],
        descriptors: Sequence[int] = (),
    ) -> Nursling | None:  # fmt: skip
        """A child that is `python -m MODULE ARGUMENTS --parent PID --fd N …`; None when the nursery cannot."""
        channel = self._channel or self._start()
        if not self._heeded:
            asyncio.get_running_loop().add_reader(channel, self._heard)
            self._heeded = True
        self._number += 1
        order = Order(self._number, title, module, tuple(arguments), dict(environment))
        born: asyncio.Future[Nursling | None] = asyncio.get_running_loop().create_future()
        self._waiting[order.number] = born
        try:
            send(channel, order, descriptors)
            return await born
        except OSError as error:
            log.warning("the nursery takes no order", error=str(error))
            return None
        finally:
            self._waiting.pop(order.number, None)

    def close(self) -> None:
        """End the nursery; whatever it still has ends with it."""
        if self._channel is not None:
            self._let_go()

    def _start(self) -> socket.socket:
        ours, theirs = pair()
        command = [sys.executable, "-m", "shanhe.nursery", "--fd", str(theirs.fileno()), "--parent", str(os.getpid())]
        process = subprocess.Popen([*command, self._program], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
        theirs.close()
        return self._adopt(ours, process.pid, process.wait)

    def _adopt(self, channel: socket.socket, pid: int, reap: Callable[[], object]) -> socket.socket:
        channel.setblocking(False)
        self._channel, self._pid, self._reap, self._heeded = channel, pid, reap, False
        return channel

    def _let_go(self) -> None:
        assert self._channel is not None
        if self._heeded:
            asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._reap()
        self._channel, self._pid = None, 0

    def _heard(self) -> None:
        """A report, or the silence of a nursery that fell."""
        assert self._channel is not None
        try:
            received = receive(self._channel, Report)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._fallen()
            return
        report, descriptors = received
        if report.status is not None:
            if (nursling := self._living.pop(report.number, None)) is not None:
                nursling.end(report.status)
        elif report.refused:
            log.warning("the nursery refuses an order", why=report.refused)
            self._answer(report.number, None)
        else:
            nursling = self._living[report.number] = Nursling(report.pid, descriptors[0])
            self._answer(report.number, nursling)

    def _answer(self, number: int, nursling: Nursling | None) -> None:
        born = self._waiting.get(number)
        if born is not None and not born.done():
            born.set_result(nursling)
        elif nursling is not None:  # whoever ordered it has gone
            nursling.kill()

    def _fallen(self) -> None:
        log.warning("the nursery ended; its children are told to")
        self._let_go()
        for number in list(self._waiting):
            self._answer(number, None)
        for nursling in self._living.values():
            nursling.orphan()
        self._living.clear()
