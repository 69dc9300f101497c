"""Where one request ends and the next begins, how long its head may take, and what may follow its body."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn

from shanhe.gateway import server
from shanhe.gateway.api import GatewayApp, protocol_for

from .conftest import TOKEN, Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = json.dumps({"model": "syn", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8})
WHOLE = (
    f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n"
    f"content-length: {len(BODY)}\r\n\r\n{BODY}"
).encode()
LIMIT_S = 20


async def said(desk: Desk, first: bytes, pause_s: float, then: bytes) -> bytes:
    """What the city answers to two pieces with a pause between them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    try:
        async with asyncio.timeout(LIMIT_S):
            writer.write(first)
            await asyncio.sleep(pause_s)
            writer.write(then)
            return await reader.read()
    finally:
        writer.transport.abort()


class TestHead:
    async def test_that_waits_unread_when_its_time_is_over_is_read(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a process stood still, timers may run before what has come meanwhile is read."""
        monkeypatch.setattr(server, "HEAD_WAIT_S", 0.02)
        monkeypatch.setattr(server, "LAST_LOOK_S", LIMIT_S)
        for first in (b"", WHOLE[:40]):
            assert b" 200 " in (await said(desk, first, 0.1, WHOLE[len(first) :])).split(b"\r\n", 1)[0]

    async def test_that_does_not_come_ends_the_connection(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "HEAD_WAIT_S", 0.02)
        monkeypatch.setattr(server, "LAST_LOOK_S", 0.02)
        assert b" 408 " in await said(desk, WHOLE[:40], 0, b"")
        assert await said(desk, b"", 0, b"") == b""


HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
WISH = b"host: x\r\nupgrade: %b\r\nconnection: upgrade\r\n"
SOCKET = WISH % b"websocket" + b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


class Told:
    """An application that answers what it was asked, and a gateway that does the same."""

    tools = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.heads: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        body, more = b"", True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body, more = body + part.get("body", b""), part.get("more_body", False)
        self._note(scope["method"], scope["path"], body, scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def serve(self, client: Any) -> None:
        path = client.path + (f"?{client.query}" if client.query else "")
        self._note(client.method, path, await client.body(), client.headers)
        await client.answer(200, b"ok", [])

    def begin(self, client: Any, token: str, body: bytes) -> bool:
        return False

    def _note(self, method: str, path: str, body: bytes, headers: Any) -> None:
        self.asked.append((method, path, body))
        self.heads.append(dict(headers))


class Line:
    """A connection to `Told`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, running: uvicorn.Server) -> None:
        self.reader, self.writer, self.running = reader, writer, running

    async def answers(self, *parts: bytes) -> list[bytes]:
        """The first lines of everything that is answered to some pieces and a last request."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0.05)  # the pieces shall be read one by one
        self.writer.write(b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        read = (await self.reader.read()).split(b"HTTP/1.1 ")
        return [one.split(b"\r\n", 1)[0] for one in read[1:]]


@asynccontextmanager
async def told() -> AsyncIterator[tuple[Told, Line]]:
    app = Told()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=protocol_for(cast(GatewayApp, app)), ws="websockets-sansio", lifespan="off", log_config=None
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    line = Line(*await asyncio.open_connection("127.0.0.1", listener.getsockname()[1]), running)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield app, line
    finally:
        line.writer.transport.abort()
        running.should_exit = True
        await task


class TestWishForAnotherProtocol:
    """A proxy passes `upgrade` on, and sends others' requests over the same connection: what follows such a head must
    never be taken for a request."""

    @pytest.mark.parametrize("path", ["/v1/any", "/page"])
    @pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
    async def test_leaves_a_body_a_body(self, path: str, protocol: bytes) -> None:
        for size in (len(HIDDEN), 100_000):
            body = HIDDEN.rjust(size, b"\n")
            head = b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (path.encode(), WISH % protocol, size)
            for parts in ((head + body,), (head, body), (head[:30], head[30:] + body[:9], body[9:])):
                async with told() as (app, line):
                    assert len(await line.answers(*parts)) == 2
                    assert app.asked == [("POST", path, body), ("GET", "/last", b"")]

    async def test_leaves_a_body_a_body_when_a_web_socket_is_asked_for_with_it(self) -> None:
        head = b"GET /page HTTP/1.1\r\n" + SOCKET + b"content-length: %d\r\n\r\n" % len(HIDDEN)
        async with told() as (app, line):
            await line.answers(head, HIDDEN)
            assert app.asked == [("GET", "/page", HIDDEN), ("GET", "/last", b"")]

    async def test_of_several_requests_at_once_is_left_ungranted(self) -> None:
        first = b"GET /first HTTP/1.1\r\nhost: x\r\n\r\n"
        wish = b"GET /second HTTP/1.1\r\n" + SOCKET + b"\r\n"
        async with told() as (app, line):
            assert await line.answers(first + wish * 2 + first) == [b"200 OK"] * 5
            assert [path for _, path, _ in app.asked] == ["/first", "/second", "/second", "/first", "/last"]

    async def test_to_be_a_tunnel_is_refused(self) -> None:
        async with told() as (app, line):
            assert await line.answers(b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN) == [
                b"405 Method Not Allowed"
            ]
            assert app.asked == []

    async def test_that_is_no_message_is_refused(self) -> None:
        head = b"POST /page HTTP/1.1\r\n" + WISH % b"h2c" + b"transfer-encoding: other\r\n\r\n"
        async with told() as (app, line):
            assert await line.answers(head + HIDDEN) == [b"400 Bad Request"]
            assert app.asked == []


class TestKeptConnection:
    async def test_repeats_the_question_with_the_head(self) -> None:
        asked = b"POST /v1/any?a=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: 2\r\n\r\nab"
        async with told() as (app, line):
            await line.answers(asked, asked, asked)
            assert app.asked[:3] == [("POST", "/v1/any?a=1", b"ab")] * 3


class TestWebSocket:
    async def test_outlives_the_idle_time_of_the_connection_it_began_on(self) -> None:
        async with told() as (_, line):
            line.writer.write(HIDDEN)
            await line.reader.readuntil(b"\r\n\r\nok")
            (protocol,) = cast(Any, line.running.server_state.connections)
            line.writer.write(b"GET /page HTTP/1.1\r\n" + SOCKET + b"\r\n")
            assert b" 101 " in await line.reader.readuntil(b"\r\n\r\n")
            assert protocol._idle_timer.cancelled()


class TestTrailer:
    @pytest.mark.parametrize("path", ["/v1/any", "/page"])
    async def test_is_no_part_of_the_head(self, path: str) -> None:
        head = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode()
        async with told() as (app, line):
            await line.answers(head, b"3\r\nabc\r\n0\r\nauthorization: Bearer another\r\n\r\n")
            assert app.asked[0] == ("POST", path, b"abc")
            assert b"authorization" not in app.heads[0]

    @pytest.mark.parametrize("line_of_it", [b"a: b\r\n", b"a"])
    async def test_without_end_ends_the_connection(self, line_of_it: bytes) -> None:
        head = b"POST /page HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: "
        async with told() as (app, line):
            line.writer.write(head)
            with pytest.raises(ConnectionError):
                while True:
                    line.writer.write(line_of_it * 10_000)
                    await line.writer.drain()
                    await asyncio.sleep(0)
            assert app.asked == []
