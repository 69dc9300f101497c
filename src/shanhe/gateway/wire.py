"""The client of one request on one connection, which writes once where ASGI writes several times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shanhe.gateway.coding import plain
from shanhe.gateway.http import (
    BODY_MAX_BYTES,
    BODY_TOTAL_S,
    BODY_WAIT_S,
    EVENT_STREAM,
    QUIET_S,
    SEND_WAIT_S,
    ClientGone,
    Headers,
    too_large,
    too_slow,
)

SLOWEST_BYTES_PER_S: Final = 128 * 1024
"""A client that reads a whole answer more slowly than this, after SEND_WAIT_S, counts as gone: it is kept in memory."""

if TYPE_CHECKING:
    from shanhe.gateway.server import GatewayProtocol

DELIVERY: Final = STATUS_LINE[200] + (
    b"%bcontent-type: application/json\r\nx-shanhe-receipt: %b\r\nx-request-id: %b\r\nrequest-id: %b\r\n"
    b"content-length: %d\r\n\r\n%b"
)


class WireClient:
    """The `Client` of one request on one connection; also stands where uvicorn expects its own cycle."""

    __slots__ = (
        "_beat",
        "_chunked",
        "_continue",
        "_head",
        "_protocol",
        "_quiet",
        "_waiter",
        "body_parts",
        "disconnected",
        "headers",
        "keep_alive",
        "method",
        "more_body",
        "path",
        "query",
        "response_complete",
        "started",
    )

    def __init__(self, protocol: GatewayProtocol, method: str, path: str, *, keep_alive: bool, chunked: bool) -> None:
        self._protocol = protocol
        self.headers: Headers = protocol.headers
        self._continue = protocol.expect_100_continue
        self._chunked = chunked
        self._head = b""
        self._waiter: asyncio.Future[None] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._quiet = True
        self.method = method
        self.path = path
        self.query = ""
        self.keep_alive = keep_alive
        self.body_parts: bytearray | bytes = bytearray()
        self.more_body = True
        self.started = False
        self.disconnected = False
        self.response_complete = False

    # -- what uvicorn's protocol calls ------------------------------------------------------------------------
    @property
    def message_event(self) -> WireClient:
        return self

    def set(self) -> None:
        """Something changed: more body, or the connection was lost."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def run_asgi(self, gateway: Any) -> None:
        await self._finished(self._protocol.gateway.serve(self))

    async def _finished(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            if not self.response_complete and not self.disconnected:
                self._protocol.transport.close()

    # -- Client -----------------------------------------------------------------------------------------------
    @property
    def gone(self) -> bool:
        return self.disconnected

    def header(self, name: bytes) -> bytes | None:
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def body(self) -> bytes:
        if self.more_body:
            await self._arrive()
        return await plain(bytes(self.body_parts), self.header(b"content-encoding"), BODY_MAX_BYTES)

    async def _arrive(self) -> None:
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > BODY_MAX_BYTES:
            raise self._unread(too_large())
        if self._continue:
            self._protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async with asyncio.timeout(BODY_TOTAL_S):
                while self.more_body:
                    self._protocol.flow.resume_reading()
                    self._waiter = asyncio.get_running_loop().create_future()
                    await asyncio.wait_for(self._waiter, BODY_WAIT_S)
                    if self.disconnected:
                        raise ClientGone
                    if len(self.body_parts) > BODY_MAX_BYTES:
                        raise self._unread(too_large())
        except TimeoutError as error:
            raise self._unread(too_slow()) from error
        finally:
            self._waiter = None

    def _unread(self, error: Exception) -> Exception:
        self.keep_alive = False
        return error

    # -- WholeClient ------------------------------------------------------------------------------------------
    def carry_on(self, work: Coroutine[Any, Any, None]) -> None:
        self._protocol.spawn(self._finished(work))

    def deliver(self, body: bytes, receipt: bytes) -> None:
        self.started = True
        if not self.disconnected:
            close = b"" if self.keep_alive else b"connection: close\r\n"
            lines = self._protocol.default_lines() + close
            self._protocol.transport.write(DELIVERY % (lines, receipt, receipt, receipt, len(body), body))
        self._finish()

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        self.started = True
        if self.more_body:
            self.keep_alive = False
        head = self._head_lines(status, headers, b"content-length: %d\r\n" % len(body))
        if not self.disconnected:
            self._protocol.transport.write(head + (b"" if self.method == "HEAD" else body))
            await self._read_within(SEND_WAIT_S + len(body) / SLOWEST_BYTES_PER_S)
        self._finish()

    async def _read_within(self, seconds: float) -> None:
        """Wait until the client has read what is written, or drop it."""
        if self._protocol.flow.write_paused:
            try:
                async with asyncio.timeout(seconds):
                    await self._protocol.flow.drain()
            except TimeoutError:
                self.disconnected = True
                self._protocol.transport.abort()

    def heartbeat(self, sign: bytes, head: Callable[[], Headers]) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if not sign:
            return
        self._beat = self._protocol.loop.call_later(QUIET_S, self._still_here, sign, head)

    def _still_here(self, sign: bytes, head: Callable[[], Headers]) -> None:
        if self.response_complete or self.disconnected or self._protocol.transport.is_closing():
            return
        if self._quiet and not self._protocol.flow.write_paused:
            if not self.started:
                self._start(head())
            self._send(sign, last=False)
        self._quiet = True
        self.heartbeat(sign, head)

    async def start(self, headers: Headers) -> None:
        if not self.started:
            self._start(headers)

    def _start(self, headers: Headers) -> None:
        self.started = True
        if not self._chunked:
            self.keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._head = self._head_lines(200, [*EVENT_STREAM, *headers], framing)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        self._quiet = False
        if self.disconnected:
            if last:
                self._finish()
            return
        await self._read_within(SEND_WAIT_S)
        if not self.disconnected:
            self._send(data, last=last)

    def _send(self, data: bytes, *, last: bool) -> None:
        if self._chunked:
            tail = b"\r\n0\r\n\r\n" if last and data else b"0\r\n\r\n" if last else b"\r\n"
            out = (
                b"%b%x\r\n%b%b" % (self._head, len(data), data, tail) if data else self._head + (tail if last else b"")
            )
        else:
            out = self._head + data
        self._head = b""
        if out:
            self._protocol.transport.write(out)
        if last:
            self._finish()

    async def break_off(self, data: bytes, *, owed: bool = False) -> None:
        await self.write(data, last=True)

    async def left(self) -> None:
        while not self.disconnected:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def close(self) -> None:
        """Nothing to stop: the protocol tells of a lost connection by itself."""

    def _head_lines(self, status: int, headers: Headers, framing: bytes) -> bytes:
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        close = b"" if self.keep_alive else b"connection: close\r\n"
        return b"%b%b%b%b%b\r\n" % (STATUS_LINE[status], self._protocol.default_lines(), lines, close, framing)

    def _finish(self) -> None:
        self.response_complete = True
        if self._beat is not None:
            self._beat.cancel()
        if not self.keep_alive:
            if self.more_body and not self.disconnected:
                self._protocol.linger()
            else:
                self._protocol.transport.close()
        self._protocol.on_response_complete()
