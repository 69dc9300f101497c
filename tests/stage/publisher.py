"""A publisher's MCP server that does with each call what the call's arguments say: what tests of paying for it need."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

MODERN = "2026-07-28"
TOOL = "works"
HANG_S = 30.0
HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": MODERN,
           "mcp-method": "tools/call", "mcp-name": TOOL}  # fmt: skip


def asked(ends: str, *, wait: bool = False, work_ms: int = 0, number: int = 1) -> dict[str, Any]:
    """A call that ends as it says: paid, no, wants, error, visit, drops, hangs, later. `wait`: for the gate."""
    arguments = {"ends": ends, "wait": wait, "work_ms": work_ms}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": TOOL, "arguments": arguments}}


class Publisher:
    """The server. `gate` is what a call waits for that is told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.port = 0
        self.began = 0
        self._readers: list[asyncio.StreamReader] = []
        self._late: list[Any] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.gate.set()
        if self._server is not None:
            self._server.close()

    @property
    def hung_up(self) -> int:
        """Connections that the city has closed."""
        return sum(reader.at_eof() for reader in self._readers)

    @property
    def content(self) -> dict[str, Any]:
        """What a listing says of it."""
        return {"url": f"http://127.0.0.1:{self.port}/mcp", "tools": [TOOL], "timeout_ms": 2_000,
                "calls_per_minute": 6_000}  # fmt: skip

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._readers.append(reader)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    found = b"".join(_event(_done(number)) for number in self._late)
                    self._late = []
                    _write(writer, found, b"text/event-stream")
                    continue
                at = head.lower().index(b"content-length:") + 15
                body = json.loads(await reader.readexactly(int(head[at : head.index(b"\r", at)])))
                if not await self._answer(writer, body):
                    break
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> bool:
        """False to hang up."""
        number, about = body.get("id"), {"resultType": "complete"}
        method = body["method"]
        if method == "tools/call":
            return await self._call(writer, number, body["params"]["arguments"])
        if method == "server/discover":
            result = {**about, "supportedVersions": [MODERN], "capabilities": {"tools": {}}}
        elif method == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                      "serverInfo": {"name": "p", "version": "1"}}  # fmt: skip
        else:
            result = {**about, "tools": [{"name": TOOL, "inputSchema": {"type": "object"}}]}
        _write(writer, json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode(),
               more=b"mcp-session-id: one\r\n" if method == "initialize" else b"")  # fmt: skip
        return True

    async def _call(self, writer: asyncio.StreamWriter, number: Any, told: dict[str, Any]) -> bool:
        self.began += 1
        if told["work_ms"]:
            await asyncio.sleep(told["work_ms"] / 1000)
        if told["wait"]:
            await self.gate.wait()
        ends = told["ends"]
        if ends == "drops":
            return False
        if ends == "hangs":
            await asyncio.sleep(HANG_S)
        if ends == "later":
            self._late.append(number)
            note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
            _write(writer, b"id: 1\n" + _event(note), b"text/event-stream")
            return True
        answer = {"jsonrpc": "2.0", "id": number, **ENDS.get(ends, _result())}
        _write(writer, json.dumps(answer).encode())
        return True


def _result(**more: Any) -> dict[str, Any]:
    return {"result": {"resultType": "complete", "content": [{"type": "text", "text": "21"}], **more}}


def _done(number: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, **_result()}


ENDS: dict[str, dict[str, Any]] = {
    "no": _result(isError=True),
    "wants": _result(resultType="input_required"),
    "error": {"error": {"code": -32603, "message": "it broke"}},
    "visit": {"error": {"code": -32042, "message": "visit a page first"}},
}


def _event(message: dict[str, Any]) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"


def _write(writer: asyncio.StreamWriter, body: bytes, kind: bytes = b"application/json", more: bytes = b"") -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%bcontent-length: %d\r\n\r\n" % (kind, more, len(body))
    writer.write(head + body)


@contextlib.asynccontextmanager
async def open_publisher() -> AsyncIterator[Publisher]:
    """A running one, for as long as somebody needs it."""
    publisher = Publisher()
    await publisher.start()
    yield publisher
    await publisher.stop()
