"""Connections to publishers' servers: one a server and payer, kept while it is used, bounded in number, time and bytes.

A connection is never shared by two payers, since a server may keep what one of them said in its session.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog

from shanhe.mcp.address import checked_url, resolve
from shanhe.mcp.errors import AnswerTooLarge, BadServer, ServerFailed, ServerLate
from shanhe.mcp.model import DESCRIPTION_MAX_CHARS, TOOLS_MAX, Tool

if TYPE_CHECKING:
    from mcp import Client

CONNECT_LIMIT_S: Final = 10.0
IDLE_S: Final = 300.0
LINKS_MAX: Final = 256
PAGES_MAX: Final = 20
ANSWER_MAX_BYTES: Final = 1024 * 1024
log = structlog.get_logger(__name__)
Key = tuple[str, int, UUID]
"""Server, version, payer."""


class TooLong(Exception):
    """An answer went beyond its bound."""


def _http(headers: Mapping[str, str], too_long: Callable[[], None], *, private: bool) -> Any:
    """An HTTP client that connects to the number it has looked at, and reads no more than it may."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self._inner:
                size += len(piece)
                if size > ANSWER_MAX_BYTES:
                    too_long()
                    raise TooLong()
                yield piece

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Pinned(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
            number = await resolve(host, port, private=private)
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=number)
            answer = await super().handle_async_request(request)
            answer.stream = Bounded(answer.stream)
            return answer

    return httpx2.AsyncClient(
        transport=Pinned(), headers=dict(headers), timeout=httpx2.Timeout(CONNECT_LIMIT_S, read=None), trust_env=False
    )


class Link:
    """One open connection. Its task owns it: what was opened in a task is closed there."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str], *, private: bool) -> None:
        self.used_at = time.monotonic()
        self.dead = False
        self.too_long = False
        self._name = name
        self._url = url
        self._headers = headers
        self._private = private
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        try:
            http, opening = await asyncio.to_thread(self._make)  # importing takes a while; calls go on meanwhile
            async with http, opening as client:
                self._ready.set_result(client)
                await self._closing.wait()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(_plain(self._name, error))
                self._ready.exception()  # whoever waits is told; nobody waiting is no warning
            if isinstance(error, asyncio.CancelledError):
                raise
            log.info("a tool server's connection ended", server=self._name, error=repr(error)[:200])
        finally:
            self.dead = True

    def _make(self) -> tuple[Any, Client]:
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        http = _http(self._headers, self._overflow, private=self._private)
        return http, Client(streamable_http_client(self._url, http_client=http), cache=None)

    def _overflow(self) -> None:
        self.too_long = True

    async def client(self) -> Client:
        """The open client; ServerFailed, ServerLate, BadServer."""
        self.used_at = time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                return await asyncio.shield(self._ready)
        except TimeoutError as error:
            await self.close()
            raise ServerLate(self._name, int(CONNECT_LIMIT_S * 1000)) from error

    async def close(self) -> None:
        self.dead = True
        self._closing.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Links:
    """The open connections of one process."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._open: OrderedDict[Key, Link] = OrderedDict()

    async def tools(self, key: Key, url: str, headers: Mapping[str, str], limit_ms: int) -> list[Tool]:
        """Every tool a server has, a bounded list."""
        found: list[Tool] = []
        async with self._using(key, url, headers, limit_ms) as client:
            cursor: str | None = None
            for _ in range(PAGES_MAX):
                page = await client.list_tools(cursor=cursor)
                found += [
                    Tool(one.name, (one.description or "")[:DESCRIPTION_MAX_CHARS], dict(one.input_schema))
                    for one in page.tools
                ]
                cursor = page.next_cursor
                if cursor is None or len(found) >= TOOLS_MAX * 10:
                    break
        return found

    async def call(
        self, key: Key, url: str, headers: Mapping[str, str], tool: str, arguments: Mapping[str, Any], limit_ms: int
    ) -> Any:
        """One call's `CallToolResult`; ServerFailed, ServerLate, AnswerTooLarge."""
        async with self._using(key, url, headers, limit_ms) as client:
            return await client.call_tool(tool, dict(arguments))

    @contextlib.asynccontextmanager
    async def _using(self, key: Key, url: str, headers: Mapping[str, str], limit_ms: int) -> AsyncIterator[Client]:
        link = await self._link(key, url, headers)
        try:
            client = await link.client()
            async with asyncio.timeout(limit_ms / 1000):
                yield client
        except TimeoutError as error:
            await self._drop(key)
            raise ServerLate(key[0], limit_ms) from error
        except (ServerFailed, ServerLate, AnswerTooLarge, BadServer):
            await self._drop(key)
            raise
        except Exception as error:
            await self._drop(key)
            if link.too_long:  # the SDK only says that the connection is gone
                raise AnswerTooLarge(key[0], ANSWER_MAX_BYTES) from error
            raise _plain(key[0], error) from error

    async def _link(self, key: Key, url: str, headers: Mapping[str, str]) -> Link:
        known = self._open.get(key)
        if known is not None and not known.dead:
            self._open.move_to_end(key)
            return known
        now = time.monotonic()
        idle = [one for one, link in self._open.items() if link.dead or now - link.used_at > IDLE_S]
        if len(self._open) - len(idle) >= LINKS_MAX:
            idle.append(next(iter(self._open)))
        for one in idle:
            await self._drop(one)
        link = self._open[key] = Link(key[0], checked_url(url, private=self._private), headers, private=self._private)
        return link

    async def _drop(self, key: Key) -> None:
        link = self._open.pop(key, None)
        if link is not None:
            await link.close()

    async def stop(self) -> None:
        """Close everything."""
        for key in list(self._open):
            await self._drop(key)


def _plain(name: str, error: BaseException) -> Exception:
    """What went wrong, out of whatever groups of exceptions carry it."""
    found = _innermost(error)
    if isinstance(found, (BadServer, ServerFailed, ServerLate, AnswerTooLarge)):
        return found
    if isinstance(found, TooLong):
        return AnswerTooLarge(name, ANSWER_MAX_BYTES)
    return ServerFailed(name, f"{type(found).__name__}: {found}")


def _innermost(error: BaseException) -> BaseException:
    for _ in range(10):
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        if inner is None:
            return error
        error = inner
    return error
