"""Server processes that outlive the connections to them.

A new process of PostgreSQL knows nothing: it starts, reads the catalogue for each table and compiles each function,
five to fifty milliseconds of a core; and most tests need four. So what a test closes is kept (its socket, not asyncpg's
connection, which belongs to the test's event loop), reset, and given to the next one that asks for the same
database with the same settings. Nobody can tell: it is reset as `DISCARD ALL` does, but for the
plans; only one that was idle is kept; and whoever opens a connection to it gets the greeting it gave when it was new.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

KEPT_MAX = 24
ANSWER_LIMIT_S = 5.0
READ_BYTES = 256 * 1024
WRITE_HIGH_BYTES = 64 * 1024
PROTOCOL = 196_608
TERMINATE = b"X\x00\x00\x00\x04"
READY = b"Z\x00\x00\x00\x05I"
RESET = """
SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();
DISCARD TEMP; DISCARD SEQUENCES; SELECT pg_stat_force_next_flush()
"""


class Lost(Exception):
    """The server process is gone, or did not say that it is ready."""


def query(text: str) -> bytes:
    body = text.encode() + b"\x00"
    return b"Q" + struct.pack("!i", len(body) + 4) + body


@dataclass(eq=False)
class Backend:
    """A server process, by its socket; `startup` is what it was asked to be, `greeting` what it answered."""

    startup: bytes
    channel: socket.socket
    greeting: bytes = b""
    pid: int = 0

    def answers(self) -> bytes:
        """All it says until it is ready and idle."""
        said = b""
        try:
            while said[-6:] != READY:
                more = self.channel.recv(READ_BYTES)
                if not more:
                    raise Lost
                said += more
        except OSError as error:
            raise Lost from error
        return said


def messages(said: bytes) -> Iterable[tuple[bytes, bytes]]:
    """The kind and the body of each message of the server."""
    at = 0
    while at + 5 <= len(said):
        (length,) = struct.unpack_from("!i", said, at + 1)
        yield said[at : at + 1], said[at + 5 : at + 1 + length]
        at += 1 + length


class Backends:
    """Those of one server; `keep` says of which database they are kept."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._name = b""
        self._ready: list[Backend] = []
        self._used: list[Backend] = []
        self._thread = threading.get_ident()
        self._connect = asyncio.SelectorEventLoop.create_unix_connection

    def install(self) -> None:
        """From now on whoever connects to the server from this thread is given one that is ready, if there is one."""
        backends, connect = self, self._connect

        async def create(loop: Any, factory: Callable[[], Any], path: Any = None, **options: Any) -> Any:
            ours = isinstance(path, str) and path.startswith(backends._folder)
            if not ours or threading.get_ident() != backends._thread:
                return await connect(loop, factory, path, **options)
            protocol = factory()
            wire = Wire(loop, protocol, backends, path)
            protocol.connection_made(wire)
            return wire, protocol

        asyncio.SelectorEventLoop.create_unix_connection = create  # type: ignore[method-assign]

    def uninstall(self) -> None:
        self.keep("")
        asyncio.SelectorEventLoop.create_unix_connection = self._connect  # type: ignore[method-assign]

    def keep(self, name: str) -> None:
        """Forget what is kept, and keep those of the database `name` from now on."""
        for backend in self._ready + self._used:
            backend.channel.close()
        self._ready, self._used = [], []
        self._name = b"\x00database\x00" + name.encode() + b"\x00" if name else b""

    def pids(self) -> list[int]:
        """Whom to leave alone: they are ours, idle and reset."""
        return [backend.pid for backend in self._ready]

    def settle(self) -> None:
        """Wait until those that were given back are as when new; whoever doesn't manage is ended."""
        used, self._used = self._used, []
        self._ready += [backend for backend in used if self._is_new(backend)]

    def take(self, startup: bytes, path: str) -> Backend:
        """One that was asked for the same, the last one given back first; else a new one. OSError, Lost."""
        for kept, good in ((self._ready, self._answers), (self._used, self._is_new)):
            for backend in reversed(kept.copy()):
                if backend.startup == startup:
                    kept.remove(backend)
                    if good(backend):
                        return backend
        backend = Backend(startup, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        backend.channel.connect(path)
        return backend

    def give_back(self, backend: Backend) -> bool:
        """Whether it is kept; else the caller ends it. What it holds it lets go now, as if it ended."""
        ours = bool(self._name) and self._name in backend.startup and bool(backend.pid)
        if not ours or len(self._ready) + len(self._used) >= KEPT_MAX:
            return False
        backend.channel.settimeout(ANSWER_LIMIT_S)
        try:
            backend.channel.sendall(query(RESET))
        except OSError:
            return False
        self._used.append(backend)
        return True

    @staticmethod
    def _is_new(backend: Backend) -> bool:
        """Whether it has been reset."""
        try:
            if all(kind != b"E" for kind, _ in messages(backend.answers())):
                return True
        except Lost:
            pass
        backend.channel.close()
        return False

    @staticmethod
    def _answers(backend: Backend) -> bool:
        """Whether it is still there: a test may just have ended it."""
        try:
            backend.channel.sendall(query(""))
            backend.answers()
        except (OSError, Lost):
            backend.channel.close()
            return False
        return True


class Wire(asyncio.Transport):
    """A transport over a server process's socket, which may have had other transports before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, backends: Backends, path: str) -> None:
        super().__init__()
        self._loop, self._protocol, self._backends, self._path = loop, protocol, backends, path
        self._backend: Backend | None = None
        self._waiting = bytearray()
        self._idle = self._closing = self._full = False
        self._greeting: bytearray | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._backend.channel if name == "socket" and self._backend is not None else default

    def is_closing(self) -> bool:
        return self._closing

    def get_protocol(self) -> Any:
        return self._protocol

    def pause_reading(self) -> None:
        if self._backend is not None:
            self._loop.remove_reader(self._backend.channel)

    def resume_reading(self) -> None:
        if self._backend is not None and not self._closing:
            self._loop.add_reader(self._backend.channel, self._read)

    def write(self, data: Any) -> None:
        sent = bytes(data)
        if self._closing:
            return
        if self._backend is None:
            self._begin(sent)
        elif sent == TERMINATE and self._idle and not self._waiting and self._backends.give_back(self._backend):
            self._leave(None)
        else:
            self._idle = False
            self._send(sent)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._closing:
            return
        backend = self._backend
        self._leave(None)
        if backend is not None:
            backend.channel.close()

    def _begin(self, startup: bytes) -> None:
        """The first that is written says whether it is for a new connection, or to cancel what another one does."""
        try:
            self._backend = backend = self._backends.take(startup, self._path)
        except (OSError, Lost) as error:
            self._leave(error if isinstance(error, OSError) else ConnectionResetError())
            return
        backend.channel.setblocking(False)
        self._loop.add_reader(backend.channel, self._read)
        if backend.greeting:
            self._idle = True
            self._loop.call_soon(self._greet, backend.greeting)
            return
        if struct.unpack_from("!i", startup, 4) == (PROTOCOL,):
            self._greeting = bytearray()
        self._send(startup)

    def _greet(self, greeting: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(greeting)

    def _send(self, data: bytes) -> None:
        assert self._backend is not None
        if not self._waiting:
            try:
                data = data[self._backend.channel.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._lose(error)
                return
            if data:
                self._loop.add_writer(self._backend.channel, self._flush)
        self._waiting += data
        if len(self._waiting) > WRITE_HIGH_BYTES and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def _flush(self) -> None:
        assert self._backend is not None
        try:
            del self._waiting[: self._backend.channel.send(self._waiting)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if not self._waiting:
            self._loop.remove_writer(self._backend.channel)
            if self._full:
                self._full = False
                self._protocol.resume_writing()

    def _read(self) -> None:
        assert self._backend is not None
        try:
            data = self._backend.channel.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self._lose(None)
            return
        if data[-6:] == READY:
            self._idle = True
        if self._greeting is not None:
            self._hear(data)
        self._protocol.data_received(data)

    def _hear(self, data: bytes) -> None:
        """Keep the greeting: it ends when the server process is ready for the first time."""
        assert self._backend is not None
        assert self._greeting is not None
        self._greeting += data
        if self._greeting[-6:] == READY:
            self._backend.greeting, self._greeting = bytes(self._greeting), None
            for kind, body in messages(self._backend.greeting):
                if kind == b"K":
                    (self._backend.pid,) = struct.unpack("!i", body[:4])

    def _lose(self, error: OSError | None) -> None:
        backend = self._backend
        self._leave(error)
        if backend is not None:
            backend.channel.close()

    def _leave(self, error: BaseException | None) -> None:
        """The end of this connection, not of the server process."""
        self._closing = True
        if self._backend is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._backend.channel)
            self._loop.remove_writer(self._backend.channel)
        if not self._loop.is_closed():
            self._loop.call_soon(self._protocol.connection_lost, error)
