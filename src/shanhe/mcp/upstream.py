"""Publishers' servers, reached: kept connections to looked-up numbers, and the protocol without a handshake a call.

An MCP session is never shared by two payers, since a server may keep what one of them said in it. A server that speaks
the version without sessions is asked nothing but the call itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from shanhe.gateway.api import Connection, Endpoint, Pool, UpstreamError
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.mcp import wire
from shanhe.mcp.address import checked_url, resolve
from shanhe.mcp.errors import AnswerTooLarge, ServerFailed, ServerLate
from shanhe.mcp.model import ABOUT, DESCRIPTION_MAX_CHARS, TOOLS_MAX, Tool

CONNECT_LIMIT_S: Final = 10.0
RESOLVED_FOR_S: Final = 20.0
"""How long a looked-up number is connected to before the name is looked up again, and checked again."""
ERA_FOR_S: Final = 300.0
"""How long it is believed that a server speaks the version without sessions, or doesn't."""
SESSIONS_MAX: Final = 1_024
SESSION_IDLE_S: Final = 300.0
PLACES_MAX: Final = 4_096
PAGES_MAX: Final = 20
ANSWER_MAX_BYTES: Final = 1024 * 1024
GONE: Final = (400, 404)
ACCEPT: Final = "application/json, text/event-stream"
CLIENT: Final = {"name": "shanhe", "version": "1"}
_META: Final = {wire.META_VERSION: wire.MODERN, wire.META_CLIENT: CLIENT, wire.META_CAPABILITIES: {}}
Key = tuple[str, int, UUID]
"""Server, version, payer."""
Heard = Callable[[wire.Progress], Awaitable[None]]
"""Is told how far the work of a call has got."""


@dataclass(slots=True)
class Session:
    """A handshake that was made for one payer."""

    headers: dict[str, str]
    used_at: float


class Links:
    """What one process knows of publishers' servers, and its connections to them."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._pool = Pool()
        self._places: dict[str, tuple[float, Endpoint, str, str]] = {}
        self._modern: dict[tuple[str, int], tuple[float, bool]] = {}
        self._sessions: OrderedDict[Key, Session] = OrderedDict()
        self._opening: dict[Key, asyncio.Lock] = {}

    async def stop(self) -> None:
        """Close everything."""
        self._pool.close()

    # -- what is asked ------------------------------------------------------------------------------------------------

    async def tools(self, key: Key, url: str, headers: Mapping[str, str], limit_ms: int) -> list[Tool]:
        """Every tool a server has, a bounded list."""
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            params = {} if cursor is None else {"cursor": cursor}
            page = await self._ask(key, url, headers, "tools/list", params, limit_ms)
            try:
                found += [_tool(one) for one in page["tools"]]
                cursor = page.get("nextCursor")
            except (TypeError, KeyError, AttributeError, msgspec.ValidationError) as error:
                raise ServerFailed(key[0], f"its list of tools is not one: {error}") from error
            if cursor is None or len(found) >= TOOLS_MAX * 10:
                break
        return found

    async def call(
        self, key: Key, url: str, headers: Mapping[str, str], tool: str, arguments: Any, limit_ms: int,
        heard: Heard | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """One call's result; ServerFailed, ServerLate, AnswerTooLarge, BadServer. See `Heard`."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        own: Heard | None = None
        if heard is not None:
            token = new_id().hex
            params["_meta"] = {"progressToken": token}

            async def own(progress: wire.Progress) -> None:  # one session holds several calls of its payer
                if progress.token == token:
                    await heard(progress)

        result = await self._ask(key, url, headers, "tools/call", params, limit_ms, own)
        if not isinstance(result.get("content", []), list) or result.get("resultType", "complete") != "complete":
            raise ServerFailed(key[0], "its answer is not a tool's result")
        return result

    async def _ask(
        self, key: Key, url: str, headers: Mapping[str, str], method: str, params: dict[str, Any], limit_ms: int,
        heard: Heard | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        try:
            async with asyncio.timeout(limit_ms / 1000):
                if await self._is_modern(key, url, headers):
                    return await self._rpc(key[0], url, {**headers, **_modern(method, params)}, method,
                                           {**params, "_meta": {**_META, **params.get("_meta", {})}},
                                           heard)  # fmt: skip
                return await self._in_session(key, url, headers, method, params, heard)
        except TimeoutError as error:
            raise ServerLate(key[0], limit_ms) from error

    async def _is_modern(self, key: Key, url: str, headers: Mapping[str, str]) -> bool:
        """Whether a server speaks the version without sessions; asked once in a while."""
        known = self._modern.get(key[:2])
        if known is not None and time.monotonic() - known[0] < ERA_FOR_S:
            return known[1]
        try:
            told = await self._rpc(
                key[0], url, {**headers, **_modern("server/discover", {})}, "server/discover", {"_meta": _META}
            )
            modern = wire.MODERN in told.get("supportedVersions", ())
        except Refused:
            modern = False
        if len(self._modern) >= PLACES_MAX:
            self._modern.clear()
        self._modern[key[:2]] = time.monotonic(), modern
        return modern

    async def _in_session(
        self, key: Key, url: str, headers: Mapping[str, str], method: str, params: dict[str, Any],
        heard: Heard | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        for last in (False, True):
            session = await self._session(key, url, headers)
            session.used_at = time.monotonic()
            try:
                return await self._rpc(key[0], url, {**headers, **session.headers}, method, params, heard)
            except Refused as refused:
                if refused.upstream_status not in GONE or last:
                    raise
                self._sessions.pop(key, None)
            except ServerFailed:
                self._sessions.pop(key, None)
                raise
        raise AssertionError("unreachable: the second round returns or raises")

    async def _session(self, key: Key, url: str, headers: Mapping[str, str]) -> Session:
        lock = self._opening.setdefault(key, asyncio.Lock())
        async with lock:
            known = self._sessions.get(key)
            if known is not None and time.monotonic() - known.used_at < SESSION_IDLE_S:
                self._sessions.move_to_end(key)
                return known
            made = await self._handshake(key[0], url, headers)
            self._sessions[key] = made
            while len(self._sessions) > SESSIONS_MAX:
                old, _ = self._sessions.popitem(last=False)
                self._opening.pop(old, None)
            return made

    async def _handshake(self, name: str, url: str, headers: Mapping[str, str]) -> Session:
        asked = {"protocolVersion": wire.LEGACY[0], "capabilities": {}, "clientInfo": CLIENT}
        body = _request("initialize", asked)
        async with self.exchange(name, url, "POST", {**headers, **_plain()}, body) as connection:
            result = await _result(name, connection)
            session = connection.header(b"mcp-session-id")
        version = str(result.get("protocolVersion", ""))
        if version not in wire.LEGACY:
            raise ServerFailed(name, f"it speaks {version[:40]!r}, which is not known here")
        own = {**_plain(), "mcp-protocol-version": version}
        if session is not None:
            own["mcp-session-id"] = session.decode("latin-1")
        told = wire.encode({"jsonrpc": "2.0", "method": "notifications/initialized"})
        async with self.exchange(name, url, "POST", {**headers, **own}, told) as connection:
            await connection.body(CONNECT_LIMIT_S, ANSWER_MAX_BYTES)
        return Session(own, time.monotonic())

    async def _rpc(
        self, name: str, url: str, headers: Mapping[str, str], method: str, params: dict[str, Any],
        heard: Heard | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        async with self.exchange(name, url, "POST", headers, _request(method, params)) as connection:
            return await _result(name, connection, heard)

    # -- connections --------------------------------------------------------------------------------------------------

    def exchange(
        self, name: str, url: str, method: str, headers: Mapping[str, str], body: bytes = b"",
        limit_s: float = 3_600.0, sent: Callable[[], None] | None = None,
    ) -> Exchange:  # fmt: skip
        """One HTTP exchange, from its head on; ServerFailed, ServerLate, AnswerTooLarge, BadServer.

        The connection is kept when the answer was read to its end, and closed otherwise. `sent` is called when the
        request is out.
        """
        return Exchange(self, name, url, method, headers, body, limit_s, sent)

    @property
    def pool(self) -> Pool:
        return self._pool

    async def place(self, url: str) -> tuple[Endpoint, str, str]:
        known = self._places.get(url)
        if known is not None and time.monotonic() - known[0] < RESOLVED_FOR_S:
            return known[1:]
        parts = urlsplit(checked_url(url, private=self._private))
        tls, name = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if tls else 80)
        number = await resolve(name, port, private=self._private)
        endpoint = Endpoint(host=number, port=port, tls=tls, name=name if tls else None)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if len(self._places) >= PLACES_MAX:
            self._places.clear()
        self._places[url] = time.monotonic(), endpoint, parts.netloc, target
        return endpoint, parts.netloc, target


class Exchange:
    """See `Links.exchange`."""

    __slots__ = ("_body", "_connection", "_headers", "_limit_s", "_links", "_method", "_name", "_sent", "_url")

    def __init__(
        self, links: Links, name: str, url: str, method: str, headers: Mapping[str, str], body: bytes, limit_s: float,
        sent: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        self._links = links
        self._name = name
        self._url = url
        self._method = method
        self._headers = headers
        self._body = body
        self._limit_s = limit_s
        self._sent = sent
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        endpoint, host, target = await self._links.place(self._url)
        request = wire.request_head(self._method, target, host, self._headers, len(self._body)) + self._body
        try:
            self._connection = await self._links.pool.exchange(
                endpoint, request, timeout_s=self._limit_s, sent=self._sent
            )
        except UpstreamError as error:
            raise self._said(error) from error
        return self._connection

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._connection is not None:
            self._links.pool.give_back(self._connection)
        if isinstance(error, UpstreamError):
            raise self._said(error) from error
        if isinstance(error, TimeoutError):  # a body that came byte by byte
            raise ServerLate(self._name, int(self._limit_s * 1000)) from error
        if isinstance(error, wire.TooLong):
            raise AnswerTooLarge(self._name, ANSWER_MAX_BYTES) from error

    def _said(self, error: UpstreamError) -> ShanheError:
        if error.timed_out:
            return ServerLate(self._name, int(self._limit_s * 1000))
        if "larger than" in str(error):
            return AnswerTooLarge(self._name, ANSWER_MAX_BYTES)
        return ServerFailed(self._name, str(error).replace("the engine", "it"))


class Refused(ServerFailed):
    """The server said no: a status that is no success, or the protocol's own error."""

    def __init__(self, server: str, why: str, status: int) -> None:
        super().__init__(server, why)
        self.upstream_status = status


async def messages(connection: Connection, limit_s: float) -> AsyncIterator[tuple[bytes, bytes]]:
    """The events of an answer, or its one body as an event without a head; all together bounded."""
    if (connection.header(b"content-type") or b"").startswith(b"text/event-stream"):
        events, size = wire.Events(), 0
        while piece := await connection.chunk(limit_s):
            size += len(piece)
            if size > ANSWER_MAX_BYTES:
                raise wire.TooLong()
            for one in events.feed(piece):
                yield one
        return
    yield b"", await connection.body(limit_s, ANSWER_MAX_BYTES)


async def _result(name: str, connection: Connection, heard: Heard | None = None) -> dict[str, Any]:
    """The result of the one request that was asked; Refused."""
    async for _, data in messages(connection, CONNECT_LIMIT_S * 360):
        if not data.strip():
            continue
        try:
            found = wire.message_of(data)
            if not found.answers:  # a notification; requests are not asked of who declared nothing
                if heard is not None and found.method == wire.PROGRESS:
                    await _told(found, heard)
                continue
            if found.error is not msgspec.UNSET:
                body = msgspec.json.decode(found.error, type=wire.ErrorBody)
                raise Refused(name, body.message, connection.status)
            return msgspec.json.decode(found.result, type=dict[str, Any])  # type: ignore[arg-type]
        except (ValueError, msgspec.MsgspecError) as error:
            raise Refused(name, f"HTTP {connection.status}, not the protocol: {error}", connection.status) from error
    raise Refused(name, f"HTTP {connection.status} without an answer", connection.status)


async def _told(found: wire.Message, heard: Heard) -> None:
    """Hand on how far a call has got; what is not in order is left out."""
    with contextlib.suppress(msgspec.MsgspecError, TypeError):
        await heard(msgspec.json.decode(found.params, type=wire.Progress))  # type: ignore[arg-type]


def _request(method: str, params: dict[str, Any]) -> bytes:
    return wire.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def _plain() -> dict[str, str]:
    return {"accept": ACCEPT, "content-type": "application/json"}


def _modern(method: str, params: Mapping[str, Any]) -> dict[str, str]:
    found = {**_plain(), "mcp-protocol-version": wire.MODERN, "mcp-method": method}
    if "name" in params:
        found["mcp-name"] = params["name"]
    return found


def _tool(one: Mapping[str, Any]) -> Tool:
    about = {name: one[name] for name, kind in ABOUT.items() if isinstance(one.get(name), kind)}
    described = str(one.get("description") or "")[:DESCRIPTION_MAX_CHARS]
    return Tool(str(one["name"]), described, dict(one["inputSchema"]), about)
