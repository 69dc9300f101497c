"""Many exchanges over one tunnel, the same code on both sides: numbered streams with windows, nothing unbounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from shanhe.pool.frames import GRANT, PAYLOAD_MAX_BYTES, WINDOW_BYTES, BadFrame, Kind, grant_of, pack, unpack

STREAMS_MAX: Final = 512
WRITE_WAIT_S: Final = 60.0
"""Longest wait for the other side to take what was sent."""
REASON_MAX: Final = 200

Send = Callable[[bytes], Awaitable[None]]
Opened = Callable[["Stream", dict[str, Any]], None]


class StreamLost(Exception):
    """The stream was reset, or its tunnel is gone."""


class Stream:
    """One exchange."""

    def __init__(self, mux: Mux, number: int) -> None:
        self.number = number
        self._mux = mux
        self._chunks: deque[bytes] = deque()
        self._head: dict[str, Any] | None = None
        self._ended = False
        self._lost = ""
        self._waiter: asyncio.Future[None] | None = None
        self._window = WINDOW_BYTES
        self._granted = WINDOW_BYTES
        self._taken = 0
        self._writable = asyncio.Event()
        self._writable.set()

    # -- sending --------------------------------------------------------------------------------------------------

    async def send_head(self, kind: Kind, head: dict[str, Any]) -> None:
        """REQUEST or HEAD."""
        await self._mux.send(pack(kind, self.number, msgspec.json.encode(head)))

    async def write(self, data: bytes) -> None:
        """Send body bytes as the other side grants them; StreamLost when it stops granting or resets."""
        view = memoryview(data)
        while view:
            while self._window <= 0:
                self._check()
                self._writable.clear()
                try:
                    async with asyncio.timeout(WRITE_WAIT_S):
                        await self._writable.wait()
                except TimeoutError as error:
                    raise StreamLost("the other side takes nothing") from error
            self._check()
            piece = view[: min(len(view), self._window, PAYLOAD_MAX_BYTES)]
            self._window -= len(piece)
            view = view[len(piece) :]
            await self._mux.send(pack(Kind.DATA, self.number, bytes(piece)))

    async def end(self) -> None:
        await self._mux.send(pack(Kind.END, self.number))

    async def reset(self, reason: str) -> None:
        """Give the exchange up and forget it; harmless on a lost tunnel."""
        if not self._lost:
            self.fail(reason)
            await self._mux.send(pack(Kind.RESET, self.number, reason[:REASON_MAX].encode()))
        self.close()

    def close(self) -> None:
        """Forget the stream; frames that still come for it are dropped."""
        self._mux.forget(self.number)

    # -- receiving ------------------------------------------------------------------------------------------------

    async def head(self, timeout_s: float) -> dict[str, Any]:
        """The head of the answer; StreamLost or TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while self._head is None:
                self._check()
                await self._wait()
        return self._head

    async def read(self, timeout_s: float) -> bytes:
        """The next bytes of the body, empty at its end; StreamLost or TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not self._chunks and not self._ended:
                self._check()
                await self._wait()
        if not self._chunks:
            return b""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._taken += len(data)
        if self._taken >= WINDOW_BYTES // 4 and not self._ended:
            grant, self._taken = self._taken, 0
            self._granted += grant
            await self._mux.send(pack(Kind.WINDOW, self.number, GRANT.pack(grant)))
        return data

    async def lost(self) -> None:
        """Return when the other side gave the exchange up. For whoever only writes."""
        while not self._lost:
            await self._wait()

    def take(self, kind: Kind, payload: bytes) -> None:
        """A frame for this stream arrived."""
        if kind is Kind.DATA:
            self._granted -= len(payload)
            if self._granted < 0 or self._ended:
                raise BadFrame("more than was granted")
            self._chunks.append(payload)
        elif kind is Kind.HEAD:
            self._head = decode_head(payload)
        elif kind is Kind.END:
            self._ended = True
        elif kind is Kind.RESET:
            self.fail(payload.decode("utf-8", "replace")[:REASON_MAX] or "reset")
        elif kind is Kind.WINDOW:
            self._window += grant_of(payload)
            if self._window > 2 * WINDOW_BYTES:
                raise BadFrame("a window larger than any")
            self._writable.set()
        self._wake()

    def fail(self, reason: str) -> None:
        """Whoever waits on this stream learns that it is lost."""
        self._lost = self._lost or reason
        self._writable.set()
        self._wake()

    def _check(self) -> None:
        if self._lost:
            raise StreamLost(self._lost)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Mux:
    """The streams of one tunnel. `opened` is called for each that the other side opens; None refuses them."""

    def __init__(self, send: Send, opened: Opened | None = None) -> None:
        self.send = send
        self._opened = opened
        self._streams: dict[int, Stream] = {}
        self._next = 0
        self.lost = ""
        """Why the tunnel is gone; empty while it stands."""

    def __len__(self) -> int:
        return len(self._streams)

    async def open(self, head: dict[str, Any]) -> Stream:
        """A new exchange; StreamLost when the tunnel is gone or too many are open."""
        if self.lost:
            raise StreamLost(self.lost)
        if len(self._streams) >= STREAMS_MAX:
            raise StreamLost(f"{STREAMS_MAX} calls are open on this node")
        self._next = self._next % 0xFFFFFFFF + 1
        stream = self._streams[self._next] = Stream(self, self._next)
        await stream.send_head(Kind.REQUEST, head)
        return stream

    def take(self, message: bytes) -> None:
        """A message arrived; BadFrame when it breaks the protocol."""
        kind, number, payload = unpack(message)
        stream = self._streams.get(number)
        if kind is Kind.REQUEST:
            if self._opened is None or stream is not None or len(self._streams) >= STREAMS_MAX:
                raise BadFrame("a request that can't be")
            stream = self._streams[number] = Stream(self, number)
            self._opened(stream, decode_head(payload))
        elif stream is not None:
            stream.take(kind, payload)

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    def fail(self, reason: str) -> None:
        """The tunnel is gone: every stream is lost, and no new one begins."""
        self.lost = self.lost or reason
        for stream in tuple(self._streams.values()):
            stream.fail(reason)
        self._streams.clear()


def decode_head(payload: bytes) -> dict[str, Any]:
    """A JSON head; BadFrame for anything else."""
    try:
        head = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame("a head that is not JSON") from error
    if not isinstance(head, dict):
        raise BadFrame("a head that is no object")
    return head
