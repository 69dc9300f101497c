"""`shanhe bench mcp`: what the tool gateway adds to a call, and how long a list of a thousand tools takes.

A city runs as an operator would run it, ledger and fsync on. A publisher's server answers after the time that a small
piece of real work takes, so that what is seen is what the gateway adds and not how fast an empty answer can be; the
instant tool beside it shows where the machine is full. The same client calls the server directly and through the
gateway, in turns. Every call through the gateway is paid: the fee is in the ledger, on disk, before its answer leaves
(that of a tool which works is booked while it does). Client and server are bare protocols, so that they take little of
the machine that they share with the gateway; what they take is in both figures.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from shanhe.bench.city import running_city
from shanhe.bench.errors import BenchError
from shanhe.bench.processes import free_port, running, spawn

CONNECTIONS: Final = 16
WORK_MS: Final = 20
SERVERS: Final = 10
TOOLS_EACH: Final = 100
FEE_MICRO: Final = 5_000
ROUNDS: Final = 5
SECONDS: Final = 3.0
LISTS: Final = 30
LISTS_MAX_S: Final = 60.0
CALLS_MOST: Final = 1_000_000
CREDITS: Final = 1_000_000
ADDED_LIMIT_MS: Final = 3.0
LIST_LIMIT_MS: Final = 50.0
CALLS_PER_MINUTE: Final = 6_000
MODERN: Final = "2026-07-28"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}  # fmt: skip


def main(seconds: float = SECONDS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Start a server and a city in a temporary folder, measure, remove both."""
    with tempfile.TemporaryDirectory(prefix="shanhe-bench-") as name:
        folder, port = Path(name), free_port()
        publisher = spawn("publisher", [sys.executable, "-m", "shanhe.bench.mcp", str(port)], folder)
        settings = {"SHANHE_DEMO": "false", "SHANHE_PRIVATE_TOOLS": "true"}
        with running([publisher]), running_city(folder / "city", environment=settings) as city:
            token = city.command("bench", "furnish-mcp", str(port))["token"]
            return uvloop.run(_measure(port, city.port, token, seconds, rounds))


async def furnish(services: Any, port: int) -> str:
    """A thousand reviewed tools of one maker, and a payer's key; with the city's own modules, beside it."""
    from shanhe.identity.api import NewKey, NewOrganisation, OrgKind
    from shanhe.kernel.ids import new_id
    from shanhe.store.api import Kind, NewListing, Terms

    orgs = services.identity.orgs
    maker = (await orgs.create(NewOrganisation(OrgKind.COMPANY, "Maker"), by="bench")).id
    payer = (await orgs.create(NewOrganisation(OrgKind.COMPANY, "Payer"), by="bench")).id
    await services.credits.top_up(payer, CREDITS * 1_000_000, "for the bench", "bench", method="cash_desk")
    for number in range(SERVERS):
        slug, names = f"bench-{number}", [f"tool_{n}" for n in range(TOOLS_EACH)]
        content = {"url": f"http://127.0.0.1:{port}/mcp", "tools": names, "calls_per_minute": CALLS_PER_MINUTE}
        listing = NewListing(new_id(), Kind.MCP, slug, f"测试{number}", f"Bench {number}", "用于测量")
        await services.store.open(listing, owner=maker, actor="bench")
        name = f"mcp/{slug}"
        await services.store.draft(name, content, Terms(markup_bps=100, fee_micro=FEE_MICRO), owner=maker,
                                   actor="bench")  # fmt: skip
        version = await services.store.submit(name, owner=maker)
        await services.store.review(name, version.n, approve=True, note="bench", reviewer="bench",
                                    reviewer_org=None)  # fmt: skip
        await services.tools.tools(slug)
    _, token = await services.identity.keys.create(payer, NewKey("bench"), by="bench")
    return str(token)


# -- a publisher's server ---------------------------------------------------------------------------------------------


class Arguments(msgspec.Struct):
    work_ms: int = 0


class Params(msgspec.Struct):
    arguments: Arguments = msgspec.field(default_factory=Arguments)


class Asked(msgspec.Struct):
    """What a server looks at in a request."""

    method: str
    id: int | str | None = None
    params: Params = msgspec.field(default_factory=Params)


_asked: Final = msgspec.json.Decoder(Asked).decode
_encode: Final = msgspec.json.encode
DONE: Final = _encode({"resultType": "complete", "content": [{"type": "text", "text": "晴，21 度"}], "isError": False})


async def publish(port: int) -> None:
    """Tools that take a moment, and ones that don't, over the version without sessions. Runs until it is ended."""
    server = await asyncio.get_running_loop().create_server(Publisher, "127.0.0.1", port)
    await server.serve_forever()


def _whole(data: bytes) -> bytes | None:
    """The body of a message that is here as a whole; None while it isn't."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    head = head.lower()
    at = head.index(b"content-length:") + 15
    end = head.find(b"\r", at)
    return body if len(body) >= int(head[at:] if end < 0 else head[at:end]) else None


class Publisher(asyncio.Protocol):
    """One connection; as lean as can be, for it shares the machine with what is measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        body = _whole(self._data)
        if body is None:
            return
        self._data = b""
        asked = _asked(body)
        if asked.method != "tools/call":
            self._answer(asked.id, _encode(_result(asked.method)))
        elif work_ms := asked.params.arguments.work_ms:
            asyncio.get_running_loop().call_later(work_ms / 1000, self._answer, asked.id, DONE)
        else:
            self._answer(asked.id, DONE)

    def _answer(self, number: int | str | None, result: bytes) -> None:
        body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (_encode(number), result)
        kind = b"content-type: application/json"
        self._transport.write(b"HTTP/1.1 200 OK\r\n%b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body))


def _result(method: str) -> dict[str, Any]:
    about = {"resultType": "complete"}
    if method == "server/discover":
        return {**about, "supportedVersions": [MODERN], "capabilities": {"tools": {}}}
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "Which city 城市"}}}
    tools = [{"name": f"tool_{n}", "description": f"Tool {n} of the bench. 测量用工具。", "inputSchema": schema}
             for n in range(TOOLS_EACH)]  # fmt: skip
    return {**about, "tools": tools}


# -- the client -------------------------------------------------------------------------------------------------------


def _request(path: str, token: str, method: str, params: dict[str, Any]) -> bytes:
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}})
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {token}",
             "accept: application/json, text/event-stream", "content-type: application/json",
             f"mcp-protocol-version: {MODERN}", f"mcp-method: {method}", f"content-length: {len(body)}"]  # fmt: skip
    if "name" in params:
        lines.append(f"mcp-name: {params['name']}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Client(asyncio.Protocol):
    """One connection that asks the same again and again until a moment, or so many times."""

    def __init__(self, request: bytes, mark: bytes, until: float, most: int) -> None:
        self._request, self._mark, self._until, self._most = request, mark, until, most
        self._parts: list[bytes] = []
        self.times_ms: list[float] = []
        self.body = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._ask()

    def _ask(self) -> None:
        self._parts = []
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        body = _whole(b"".join(self._parts) if len(self._parts) > 1 else data)
        if body is None:
            return
        now = time.perf_counter()
        self.times_ms.append((now - self._began) * 1000)
        if self._mark not in body:
            self._end(BenchError(f"A call failed: {body[:300]!r}"))
        elif now >= self._until or len(self.times_ms) >= self._most:
            self.body = body
            self._end(None)
        else:
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(BenchError("The connection was closed."))

    def _end(self, error: BenchError | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        self._transport.close()


async def _clients(port: int, requests: list[bytes], seconds: float, mark: bytes, most: int) -> list[Client]:
    """Ask side by side, each request one after another on a connection of its own."""
    loop, until = asyncio.get_running_loop(), time.perf_counter() + seconds
    made = [
        (await loop.create_connection(lambda one=one: Client(one, mark, until, most), "127.0.0.1", port))[1]  # type: ignore[misc]
        for one in requests
    ]
    await asyncio.gather(*(client.done for client in made))
    return made


async def _load(port: int, requests: list[bytes], seconds: float, paid: bool) -> list[float]:
    """Latencies in ms of calls made one after another on each of so many connections."""
    made = await _clients(port, requests, seconds, b'"shanhe/receipt"' if paid else b'"result"', CALLS_MOST)
    return [took_ms for client in made for took_ms in client.times_ms]


async def _measure(server: int, city: int, token: str, seconds: float, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"connections": CONNECTIONS}
    for label, work_ms in (("working", WORK_MS), ("instant", 0)):
        direct, through = list[float](), list[float]()
        params = {"name": "tool_1", "arguments": {"city": "山河市", "work_ms": work_ms}}
        ours = [_request(f"/mcp/bench-{n % SERVERS}", token, "tools/call", params) for n in range(CONNECTIONS)]
        plain = [_request("/mcp", "", "tools/call", params)] * CONNECTIONS
        await _load(city, ours, seconds / 3, True)
        for _ in range(rounds):
            direct += await _load(server, plain, seconds / rounds, False)
            through += await _load(city, ours, seconds / rounds, True)
        found[label] = {
            "work_ms": work_ms, "direct": _figures(direct), "through": _figures(through),
            "added_median_ms": round(statistics.median(through) - statistics.median(direct), 3),
        }  # fmt: skip
    found["list"] = await _lists(city, token)
    found["targets"] = {
        f"added median ≤ {ADDED_LIMIT_MS} ms": found["working"]["added_median_ms"] <= ADDED_LIMIT_MS,
        f"1,000 tools ≤ {LIST_LIMIT_MS:.0f} ms": found["list"]["first_ms"] <= LIST_LIMIT_MS,
    }
    return found


async def _lists(city: int, token: str) -> dict[str, Any]:
    request = _request("/mcp", token, "tools/list", {})
    (client,) = await _clients(city, [request], LISTS_MAX_S, b'"result"', LISTS)
    tools = json.loads(client.body)["result"]["tools"]
    return {"tools": len(tools), "bytes": len(client.body), "first_ms": round(client.times_ms[0], 2),
            "median_ms": round(statistics.median(client.times_ms), 2)}  # fmt: skip


def _figures(times: list[float]) -> dict[str, Any]:
    ordered = sorted(times)
    return {"calls": len(times), "p50_ms": round(statistics.median(times), 3),
            "p99_ms": round(ordered[int(len(ordered) * 0.99) - 1], 3)}  # fmt: skip


if __name__ == "__main__":
    uvloop.run(publish(int(sys.argv[1])))
