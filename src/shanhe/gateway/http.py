"""The little HTTP that the hot path needs: bodies with bounds, answers, a watch for clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from shanhe.gateway.coding import plain
from shanhe.gateway.errors import CallError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_MAX_BYTES: Final = 16 * 1024 * 1024
BODY_WAIT_S: Final = 15.0
"""Longest silence while a body arrives."""
BODY_TOTAL_S: Final = 60.0
"""Longest time a whole body may take."""
QUIET_S: Final = 20.0
"""A stream says that it is alive when it has said nothing for this long, or at most for twice as long: proxies are set
to give up after 60 s of silence."""
SEND_WAIT_S: Final = 60.0
"""Longest time a client may take to read one piece of a stream before it counts as gone."""
JSON_TYPE: Final = (b"content-type", b"application/json")
OPEN: Final = ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*"))
"""A page of any origin may call: who calls is told by a key in a header, never by a cookie, so no page can act for a
visitor by itself."""
PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-max-age", b"86400"),
    (b"vary", b"access-control-request-headers"),
)
EVENT_STREAM: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class ClientGone(Exception):
    """The client left before its request was complete."""


class Client(Protocol):
    """Whoever sent a request: what it asked, and the way to answer. One per call."""

    method: str
    path: str
    query: str
    headers: Headers
    """Names in lower case."""

    @property
    def started(self) -> bool:
        """The head of an answer has left."""
        ...

    @property
    def gone(self) -> bool:
        """Nobody reads any more; what is written is dropped."""
        ...

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        ...

    async def body(self) -> bytes:
        """The request body, unpacked, bounded in size and time; CallError 400, 408, 413 or 415, ClientGone when the
        client left."""
        ...

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """A whole answer."""
        ...

    async def start(self, headers: Headers) -> None:
        """Send the head of an event stream, unless it is out."""
        ...

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Pass bytes of a stream on."""
        ...

    async def break_off(self, data: bytes, *, owed: bool = False) -> None:
        """End a stream that failed with these bytes; `owed`: what was sent of it will be charged yet."""
        ...

    def heartbeat(self, sign: bytes, head: Callable[[], Headers]) -> None:
        """Until the stream ends, send `sign` whenever nothing was sent for a while (`QUIET_S`); an empty one ends that.

        A stream that has not started is started for it with the headers of `head`. That is no answer yet: who has none
        in the end says so inside the stream.
        """
        ...

    async def left(self) -> None:
        """Return once nobody reads any more; for whoever has read the body."""
        ...

    async def close(self) -> None:
        """The call is over; stop watching."""
        ...


class AsgiClient:
    """A client behind any ASGI 3 server."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: Headers = scope["headers"]
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None
        self.started = False
        self.gone = False

    def header(self, name: bytes) -> bytes | None:
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def body(self) -> bytes:
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > BODY_MAX_BYTES:
            raise too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_TOTAL_S):
                while True:
                    message = await self._next_piece()
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size > BODY_MAX_BYTES:
                        raise too_large()
                    parts.append(piece)
                    if not message.get("more_body"):
                        break
        except TimeoutError as error:
            raise too_slow() from error
        return await plain(b"".join(parts), self.header(b"content-encoding"), BODY_MAX_BYTES)

    async def _next_piece(self) -> MutableMapping[str, Any]:
        async with asyncio.timeout(BODY_WAIT_S):
            message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        self.started = True
        length = (b"content-length", str(len(body)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [*OPEN, *headers, length]})
        await self._send({"type": "http.response.body", "body": body})

    def heartbeat(self, sign: bytes, head: Callable[[], Headers]) -> None:
        """The server that it is behind has its own ways."""

    async def start(self, headers: Headers) -> None:
        self.started = True
        self._watching()
        try:
            await self._send(
                {"type": "http.response.start", "status": 200, "headers": [*OPEN, *EVENT_STREAM, *headers]}
            )
        except OSError:
            self.gone = True

    async def write(self, data: bytes, *, last: bool = False) -> None:
        if self.gone:
            return
        try:
            async with asyncio.timeout(SEND_WAIT_S):
                await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except (TimeoutError, OSError):
            self.gone = True

    async def break_off(self, data: bytes, *, owed: bool = False) -> None:
        await self.write(data, last=True)

    async def left(self) -> None:
        await asyncio.shield(self._watching())

    def _watching(self) -> asyncio.Task[None]:
        if self._watch is None:
            self._watch = asyncio.create_task(self._until_gone())
        return self._watch

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True


def preflight(asked: bytes | None) -> Headers:
    """What a browser is told before a page's call with the headers that it asks for."""
    return [*PREFLIGHT, (b"access-control-allow-headers", asked or b"authorization")]


def too_large() -> CallError:
    """413, with the limit in the text."""
    return CallError(413, "request_too_large", f"The body is larger than {BODY_MAX_BYTES} bytes; send less at once.")


def too_slow() -> CallError:
    """408 for a body that trickles."""
    return CallError(408, "request_timeout", "The body did not arrive in time; send it without pauses.")
