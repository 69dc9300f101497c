"""A small HTTP/1.1 client for engines: pooled connections, bytes passed through, every wait bounded.

The parser is httptools (llhttp); what is ours is the pool and the back-pressure. General clients spend several times
the CPU of the whole remaining pipeline on each call, see docs/adr.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import httptools

from shanhe.gateway.heads import Known, learn
from shanhe.kernel.calling import authorities

BUFFER_MAX_BYTES: Final = 256 * 1024
HEADER_MAX_COUNT: Final = 100
BARE_MAX_BYTES: Final = 128 * 1024
"""How much an answer may be of what is no body, in one go: heads, interim answers, extensions of chunks, trailers. The
parser keeps a line until it ends and copies it with each piece."""
IDLE_MAX: Final = 64
IDLE_MAX_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5.0


class UpstreamError(Exception):
    """The engine could not be reached, broke off, or took longer than it may."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Endpoint:
    """Where an engine listens: a UNIX socket, or host and port, with or without TLS. Hashable.

    `name`: whose certificate is asked for where `host` is a number that was looked up before.
    """

    __slots__ = ("host", "key", "name", "port", "tls", "uds")

    def __init__(
        self, *, uds: str | None = None, host: str = "", port: int = 0, tls: bool = False, name: str | None = None
    ) -> None:
        self.uds, self.host, self.port, self.tls, self.name = uds, host, port, tls, name
        self.key = (uds, host, port, tls, name)


class Connection(asyncio.Protocol):
    """One keep-alive connection that carries one exchange at a time."""

    __slots__ = (
        "_bare",
        "_buffered",
        "_chunks",
        "_error",
        "_first",
        "_headers",
        "_keep",
        "_known",
        "_known_status",
        "_landed",
        "_loop",
        "_parser",
        "_paused",
        "_transport",
        "_waiter",
        "complete",
        "endpoint",
        "head_done",
        "idle_since",
        "status",
        "used",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> None:
        self._loop = loop
        self.endpoint = endpoint
        self._transport: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._error: UpstreamError | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._paused = False
        self._known: Known | None = None
        self._known_status = 0
        self._landed: Callable[[], None] | None = None
        self.used = 0
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks.clear()
        self._buffered = 0
        self._bare = 0
        self._first: bytes | None = None
        self._keep = False
        self.status = 0
        self.head_done = False
        self.complete = False

    # -- asyncio.Protocol -------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        fresh = self._first is None
        if fresh:
            known = self._known
            if known is not None and (body := known.body_in(data)) is not None:
                self._take_known(known, body)
                return
            self._first = data
        elif self.complete:  # nobody asked: whatever this is, it is the answer to nothing
            self._keep = False
            self._transport.abort()
            return
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(UpstreamError(f"the engine answered something that is not HTTP: {error}"))
            self._transport.abort()
            return
        if self._bare > BARE_MAX_BYTES and not self.complete:
            self._fail(UpstreamError(f"the engine's head is larger than {BARE_MAX_BYTES} bytes"))
            self._transport.abort()
            return
        if fresh:
            if self.complete and self._keep:
                self._known, self._known_status = learn(data, self._headers), self.status
            self._first = b""
        if self._buffered > BUFFER_MAX_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _take_known(self, known: Known, body: bytes) -> None:
        """A whole answer whose head was read before."""
        self._first = b""
        self._headers = known.headers
        self.status = self._known_status
        self.head_done = self.complete = self._keep = True
        if body:
            self._chunks.append(body)
            self._buffered = len(body)
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self.head_done and not self.complete and error is None and not self._framed():
            self.complete = True  # HTTP/1.0 style: the end of the connection is the end of the body
        if not self.complete:
            self._fail(UpstreamError("the engine closed the connection before its answer was complete"))
        self._keep = False
        self._wake()

    # -- httptools callbacks ----------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        if self.complete:  # in the same piece as the answer: the next exchange must not be read as its continuation
            raise httptools.HttpParserError("a second answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) >= HEADER_MAX_COUNT:
            raise httptools.HttpParserError("too many headers")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self.status = status
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        self._bare = 0
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if not self.head_done:
            return
        self.complete = True
        self._keep = self._parser.should_keep_alive()

    # -- exchange ---------------------------------------------------------------------------------------------
    def start(self, request: bytes) -> None:
        """Write one request; the answer is read with `head`, `chunk` and `body`."""
        if self.used:
            self._reset()
        self.used += 1
        self._transport.write(request)

    def on_landing(self, landed: Callable[[], None] | None) -> None:
        """Call `landed` once the answer is complete, or won't be, or is larger than what is buffered unread."""
        self._landed = landed

    @property
    def whole(self) -> bytes | None:
        """The body when it is complete and came in one piece; it stays readable with `chunk` and `body`."""
        return self._chunks[0] if self.complete and len(self._chunks) == 1 else None

    @property
    def unanswered(self) -> bool:
        """The engine closed a kept connection without a word: the request may go over another one."""
        error = self._error
        return error is not None and not error.timed_out and not self.head_done and self.used > 1

    def expire(self, timeout_s: float) -> None:
        """The engine took too long."""
        self._fail(UpstreamError(f"the engine said nothing for {timeout_s:g} s", timed_out=True))

    async def head(self, timeout_s: float) -> None:
        """Wait for the status line and the headers."""
        if not self.head_done:
            await self._until(lambda: self.head_done, timeout_s)

    async def chunk(self, timeout_s: float) -> bytes:
        """The next piece of the body; empty at its end."""
        if not self._chunks and not self.complete:
            await self._until(lambda: bool(self._chunks) or self.complete, timeout_s)
        if not self._chunks:
            return b""
        data = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def body(self, timeout_s: float, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""
        if self.complete and len(self._chunks) == 1:
            return self._chunks[0]
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(timeout_s):
            while piece := await self.chunk(timeout_s):
                size += len(piece)
                if size > limit:
                    raise UpstreamError(f"the engine's answer is larger than {limit} bytes")
                parts.append(piece)
        return b"".join(parts)

    def _framed(self) -> bool:
        return self.header(b"content-length") is not None or self.header(b"transfer-encoding") is not None

    def header(self, name: bytes) -> bytes | None:
        for key, value in self._headers:
            if key == name:
                return value
        return None

    @property
    def reusable(self) -> bool:
        return self.complete and self._keep and self._error is None and not self._transport.is_closing()

    def close(self) -> None:
        self._transport.abort()

    # -- waiting ----------------------------------------------------------------------------------------------
    async def _until(self, ready: Any, timeout_s: float) -> None:
        deadline = self._loop.time() + timeout_s
        while not ready():
            if self._error is not None:
                raise self._error
            waiter = self._waiter = self._loop.create_future()
            timer = self._loop.call_at(deadline, self._expire, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
            if self._loop.time() >= deadline and not ready():
                raise UpstreamError(f"the engine said nothing for {timeout_s:g} s", timed_out=True)

    @staticmethod
    def _expire(waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    def _wake(self) -> None:
        if self._landed is not None:
            if self.complete or self._paused or self._error is not None:
                landed, self._landed = self._landed, None
                landed()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None:
            self._error = error
        self._wake()


class Pool:
    """Idle connections by endpoint. How many exchanges run at once is the engine's queue to bound, not the pool's."""

    def __init__(self) -> None:
        self._idle: dict[tuple[Any, ...], deque[Connection]] = {}

    async def exchange(
        self, endpoint: Endpoint, request: bytes, *, timeout_s: float, sent: Callable[[], None] | None = None
    ) -> Connection:
        """Send one request and wait for the head of the answer; UpstreamError when there is none.

        A kept-alive connection that the engine closed meanwhile is replaced once by a fresh one. `sent` is called when
        the request is out.
        """
        loop = asyncio.get_running_loop()
        connection = self.take(endpoint)
        if connection is not None:
            connection.start(request)
            if sent is not None:
                sent()
            try:
                await connection.head(timeout_s)
            except UpstreamError as error:
                connection.close()
                if error.timed_out or connection.head_done:
                    raise
            except asyncio.CancelledError:
                connection.close()
                raise
            else:
                return connection
        connection = await self._connect(endpoint, loop)
        connection.start(request)
        if sent is not None:
            sent()
        try:
            await connection.head(timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        """Return a connection whose exchange ended; one that can't be used again is closed."""
        if not connection.reusable:
            connection.close()
            return
        idle = self._idle.setdefault(connection.endpoint.key, deque())
        if len(idle) >= IDLE_MAX:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        idle.append(connection)

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    def take(self, endpoint: Endpoint) -> Connection | None:
        """An idle connection, if there is one."""
        idle = self._idle.get(endpoint.key)
        while idle:
            connection = idle.pop()
            if connection.reusable and time.monotonic() - connection.idle_since < IDLE_MAX_S:
                return connection
            connection.close()
        return None

    async def _connect(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> Connection:
        def factory() -> Connection:
            return Connection(loop, endpoint)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if endpoint.uds is not None:
                    _, connection = await loop.create_unix_connection(factory, endpoint.uds)
                else:
                    context = authorities() if endpoint.tls else None
                    name = endpoint.name if endpoint.tls else None
                    _, connection = await loop.create_connection(
                        factory, endpoint.host, endpoint.port, ssl=context, server_hostname=name
                    )
        except TimeoutError as error:
            raise UpstreamError(
                f"the engine did not accept a connection in {CONNECT_TIMEOUT_S:g} s", timed_out=True
            ) from error
        except (OSError, ssl.SSLError) as error:
            raise UpstreamError(f"the engine can't be reached: {error}") from error
        return connection
