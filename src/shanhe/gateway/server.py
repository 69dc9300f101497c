"""Calls straight from the socket: uvicorn's protocol, with the gateway's requests taken out before ASGI.

ASGI spreads an answer over several messages, checks every header with regular expressions and writes twice; for a call
that is a third of its CPU. So requests to `/v1/` and posts to `/mcp` get a client of their own that writes once, and
everything else stays uvicorn's. Also bounds what uvicorn leaves open: how long and how large the head of a request may
be, what may follow a body, and what a wish for another protocol does to one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from shanhe.gateway.admission import token_of
from shanhe.gateway.errors import CallError
from shanhe.gateway.heads import Known, learn
from shanhe.gateway.http import (
    BODY_MAX_BYTES,
    OPEN,
)
from shanhe.gateway.wire import WireClient

if TYPE_CHECKING:
    from shanhe.gateway.asgi import GatewayApp

HEAD_WAIT_S: Final = 10.0
"""Longest time the head of a request may take to arrive."""
LAST_LOOK_S: Final = 1.0
"""How long after that the head is looked for once more: when this process stood still, it has come and waits unread."""
HEAD_MAX_BYTES: Final = 64 * 1024
"""Longest head, and most that may come of a message without a piece of its body: of what trails it, for example."""
LINGER_S: Final = 5.0
"""How long a refused body is read and thrown away."""
PREFIX: Final = b"/v1/"
TOOLS: Final = b"/mcp"
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol that hands `/v1/` and posts to `/mcp` to the gateway. Made by `protocol_for`."""

    gateway: GatewayApp

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._loose_bytes = 0  # of the message that is being parsed, since it began or its body last grew
        self._grew = False
        self._head_open = True
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_WAIT_S, self._head_late)
        self._default: tuple[Any, bytes] = (None, b"")
        self._idle_since = 0.0
        self._between = True  # the parser is at the beginning of a message
        self._fresh: bytes | None = None  # what arrived and begins a message, until the parser says so
        self._begins: bytes | None = None  # what the message that is being parsed begins with
        self._known: Known | None = None
        self._known_path = self._known_token = ""
        self._lingering = False
        self._running: RequestResponseCycle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        running: Any = self._running  # uvicorn tells the newest request only; with pipelining that is another one
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something as a task that the server waits for when it stops."""
        task = self.loop.create_task(work)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def data_received(self, data: bytes) -> None:
        if self._between:
            if self._known is not None and (body := self._known.body_in(data)) is not None and self._idle():
                self._again(self._known, body)
                return
            self._fresh = data
        self._grew = False
        self._feed(data)
        self._loose_bytes = 0 if self._grew else self._loose_bytes + len(data)
        if self._loose_bytes > HEAD_MAX_BYTES and not self._between:
            self._refuse_head(431) if self._head_open else self.transport.close()
        elif self._head_open and self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_WAIT_S, self._head_late)

    def _feed(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                    return
                except HttpParserUpgrade as wish:
                    rest = memoryview(rest)[wish.args[0] :]
                    if not self._goes_on():
                        return
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _goes_on(self) -> bool:
        """Whether the parser has to do with what comes after a head that asks for another protocol.

        The parser took the message to end with its head. Where no WebSocket begins, what follows is its body all the
        same (RFC 9110, 7.8: a wish that is not granted is ignored); parsed as a request it would be answered to
        whoever a proxy lets use the connection next. So the head is read again, without the wish.
        """
        method = self.parser.get_method()
        if self._should_upgrade():
            if self._idle_timer is not None:
                self._idle_timer.cancel()
            self.handle_websocket_upgrade()
            return False
        if method == b"CONNECT":
            self._refuse_head(405)
            return False
        lines = b"".join([b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"])
        version = self.parser.get_http_version().encode()
        self.parser.feed_data(b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, lines))
        return True

    def _should_upgrade(self) -> bool:
        """Whether a WebSocket begins: with a GET without a body, when nothing asked before is still to be answered."""
        bare = self.parser.get_method() == b"GET" and not any(name in FRAMING for name, _ in self.headers)
        return bare and self._idle() and super()._should_upgrade()

    def _idle(self) -> bool:
        running = cast(Any, self.cycle)
        return (running is None or running.response_complete) and not self.transport.is_closing()

    def _again(self, known: Known, body: bytes) -> None:
        """A whole request whose head the parser has read before."""
        self.headers = known.headers
        client = WireClient(self, "POST", self._known_path, keep_alive=True, chunked=True)
        client.body_parts, client.more_body = body, False
        self.cycle = self._running = cast(RequestResponseCycle, client)
        if not self.gateway.begin(client, self._known_token, body):
            self._start_asgi_task(self.cycle, self.app)

    def _learn(self, client: WireClient) -> None:
        begins, self._begins = self._begins, None
        plain = client.method == "POST" and client.keep_alive and not (self.expect_100_continue or client.query)
        if begins is None or not plain:
            return
        with contextlib.suppress(CallError):  # without a key the ordinary way refuses it, every time
            self._known_token = token_of(client)
            self._known, self._known_path = learn(begins, self.headers), client.path

    def on_message_begin(self) -> None:
        self._between = False
        self._begins, self._fresh = self._fresh, None  # a second message in the same data does not begin it
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_open = True
        self._loose_bytes = 0
        self._grew = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_open:  # what trails a body says nothing about it, and may have no end
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._stop_head_timer()
        wished = self.parser.should_upgrade()
        if wished and not self._should_upgrade():
            return  # see `_goes_on`
        if wished or not self._is_ours():
            self._make_scope()
            super().on_headers_complete()
            return
        modern = self.parser.get_http_version() == "1.1"
        target, _, query = self.url.partition(b"?")
        path = target.decode("latin-1")
        existing = cast(Any, self.cycle)
        client = WireClient(
            self,
            self.parser.get_method().decode("latin-1"),
            path,
            keep_alive=modern and self.parser.should_keep_alive(),
            chunked=modern,
        )
        client.query = query.decode("latin-1")
        self._learn(client)
        self.cycle = cast(RequestResponseCycle, client)
        if existing is None or existing.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _is_ours(self) -> bool:
        """Whether the gateway takes this from the socket: calls of models, and what is posted to tools' servers."""
        url = self.url
        if url.startswith(PREFIX):
            return True
        posted = self.gateway.tools is not None and self.parser.get_method() == b"POST"
        return posted and url.startswith(TOOLS) and url[len(TOOLS) : len(TOOLS) + 1] in (b"", b"/", b"?")

    def _make_scope(self) -> None:
        """What uvicorn prepares when a request begins; `/v1/` has no use for it."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)

    def on_response_complete(self) -> None:
        """As uvicorn does, but with one idle timer for a connection instead of one for each answer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._idle_check)

    def _idle_check(self) -> None:
        self._idle_timer = None
        if self.transport.is_closing():
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            left_s = float(self.timeout_keep_alive)
        if left_s <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(left_s, self._idle_check)

    def on_body(self, body: bytes) -> None:
        self._grew = True
        client: Any = self.cycle
        if not isinstance(client, WireClient):
            super().on_body(body)
        elif not client.response_complete:
            client.body_parts += body  # a bytearray: only a body that is whole already is bytes
            if len(client.body_parts) > BODY_MAX_BYTES:
                self.flow.pause_reading()
            client.set()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # see `_goes_on`
        self._between = True
        if self._lingering:
            self.transport.close()
        else:
            super().on_message_complete()

    def linger(self) -> None:
        """Discard what is left of a refused body for a while: closing at once would reset the connection, and the
        client would see that instead of the answer."""
        self._lingering = True
        self.flow.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.close)

    def default_lines(self) -> bytes:
        """uvicorn's default headers (date, server) and those for pages as lines, rebuilt when it renews them."""
        current = self.server_state.default_headers
        if self._default[0] is not current:
            self._default = (current, b"".join(b"%b: %b\r\n" % pair for pair in (*current, *OPEN)))
        return self._default[1]

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = self.loop.call_later(LAST_LOOK_S, self._head_missing)

    def _head_missing(self) -> None:
        self._head_timer = None
        if self._head_open and not self.transport.is_closing():
            self._refuse_head(408) if self._loose_bytes else self.transport.close()

    def _refuse_head(self, status: int) -> None:
        if not self.transport.is_closing():
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()


def protocol_for(gateway: GatewayApp) -> type[GatewayProtocol]:
    """The class to hand to `uvicorn.Config(http=…)`."""
    return type("BoundGatewayProtocol", (GatewayProtocol,), {"gateway": gateway})
