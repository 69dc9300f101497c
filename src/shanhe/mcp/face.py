"""`/mcp` and `/mcp/<server>`: the MCP protocol towards clients, streamable HTTP, without sessions of its own.

`/mcp` lists the city's tools and those of every server, as `server__tool`; `/mcp/<server>` one server's under their own
names. Whoever calls shows an API key, which pays.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from shanhe.gateway.api import CallError
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.money import format_credits
from shanhe.mcp.city import CityTools
from shanhe.mcp.errors import UnknownTool
from shanhe.mcp.model import SEPARATOR, Offered, Tool
from shanhe.mcp.service import ToolGateway

if TYPE_CHECKING:
    from shanhe.identity.api import Caller, Identity

PREFIX: Final = "/mcp"
CITY_MARK: Final = "shanhe"
TOOLS_PAGE: Final = 1_000
UNAUTHORISED: Final = (
    b'{"error":{"code":"key_missing","message":"Send an API key as `Authorization: Bearer sk-sh-\\u2026`."}}'
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, and of which server ("" = everything)."""

    caller: Caller
    slug: str


_visit: ContextVar[Visit] = ContextVar("mcp_visit")


class McpFace:
    """An ASGI application for everything under `/mcp`."""

    def __init__(self, gateway: ToolGateway, city: CityTools, identity: Identity, name: str, version: str) -> None:
        self._gateway = gateway
        self._city = city
        self._identity = identity
        self._name = name
        self._version = version
        self._opened: asyncio.Future[Any] | None = None
        self._closing = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def _manager(self) -> Any:
        """The protocol's machinery, made by the first request: most processes of a city never need it."""
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep(self._opened))
        return await asyncio.shield(self._opened)

    async def _keep(self, opened: asyncio.Future[Any]) -> None:
        """Own the machinery: what a task opens, it has to close."""
        try:
            manager = await asyncio.to_thread(self._make)  # importing it takes a while; calls go on meanwhile
            async with manager.run():
                opened.set_result(manager)
                await self._closing.wait()
        except BaseException as error:
            if not opened.done():
                opened.set_exception(error)
            raise

    def _make(self) -> Any:
        from mcp.server.lowlevel.server import Server
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
        from mcp.server.transport_security import TransportSecuritySettings

        server: Any = Server(
            self._name, version=self._version, on_list_tools=self._list, on_call_tool=self._call,
            instructions="City tools and publishers' tools. Fees are in the tools' descriptions; receipts in `_meta`.",
        )  # fmt: skip
        # Requests carry a key in a header that no page of another site can set: host checks add nothing.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        return StreamableHTTPSessionManager(server, json_response=True, stateless=True, security_settings=security)

    async def stop(self) -> None:
        """End what the first request began."""
        self._closing.set()
        if self._keeper is not None:
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        token = _token(scope)
        caller = None
        if token is not None:
            with contextlib.suppress(ShanheError):
                caller = self._identity.caller_cached(token) or await self._identity.caller(token)
        if caller is None:
            await _refuse(send)
            return
        slug = scope["path"].removeprefix(PREFIX).strip("/")
        mark = _visit.set(Visit(caller, slug))
        try:
            manager = await self._manager()
            await manager.handle_request({**scope, "path": PREFIX, "raw_path": PREFIX.encode()}, receive, send)
        finally:
            _visit.reset(mark)

    # -- handlers of the protocol -------------------------------------------------------------------------------------

    async def _list(self, ctx: Any, params: Any) -> Any:
        import mcp_types as types

        visit = _visit.get()
        if visit.slug:
            offer = await _told(self._gateway.offered(visit.slug))
            listed = [_shown(tool, tool.name, offer) for tool in await _told(self._gateway.tools(visit.slug))]
        else:
            listed = [_shown(tool, tool.name, None) for tool in self._city.tools()]
            listed += [
                _shown(tool, f"{offer.slug}{SEPARATOR}{tool.name}", offer)
                for offer, tool in await self._gateway.every_tool()
            ]
        start = _cursor(params)
        page = listed[start : start + TOOLS_PAGE]
        following = str(start + TOOLS_PAGE) if start + TOOLS_PAGE < len(listed) else None
        return types.ListToolsResult(tools=[types.Tool(**one) for one in page], next_cursor=following)

    async def _call(self, ctx: Any, params: Any) -> Any:
        visit, arguments = _visit.get(), dict(params.arguments or {})
        slug, tool = visit.slug, params.name
        if not slug and SEPARATOR in tool:
            slug, _, tool = tool.partition(SEPARATOR)
        try:
            if not slug:
                return _city_result(await self._city.call(visit.caller, tool, arguments))
            result, paid_micro, receipt = await self._gateway.call(visit.caller, slug, tool, arguments)
        except UnknownTool as error:
            raise _protocol_error(-32602, error.message) from error
        except (ShanheError, CallError) as error:
            return _refusal(error)
        meta = {**(result.meta or {}), "shanhe/paid_micro": paid_micro}
        if receipt is not None:
            meta["shanhe/receipt"] = str(receipt)
        return result.model_copy(update={"meta": meta})


def _shown(tool: Tool, name: str, offer: Offered | None) -> dict[str, Any]:
    """A tool for a list; its fee stands in the description, where people and models read it."""
    description = tool.description
    if offer is not None and offer.fee_micro:
        description = f"{description} ({format_credits(offer.fee_micro)} credits a call)".strip()
    return {"name": name, "description": description, "inputSchema": tool.schema}


def _city_result(found: Any) -> Any:
    import mcp_types as types

    text = msgspec.json.encode(found, enc_hook=str).decode()
    plain = msgspec.json.decode(text)
    structured = plain if isinstance(plain, dict) else {"items": plain}
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=structured)


def _refusal(error: ShanheError | CallError) -> Any:
    """A refused or failed call is an answer that says so: a model can read it and do something else."""
    import mcp_types as types

    hint = getattr(error, "hint", "")
    text = f"{error.code}: {error.message} {hint}".strip()
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


async def _told(work: Any) -> Any:
    """What a list needs; a refusal in the protocol's own words."""
    try:
        return await work
    except ShanheError as error:
        raise _protocol_error(-32602, error.message) from error


def _protocol_error(code: int, message: str) -> Exception:
    from mcp import MCPError

    return MCPError(code=code, message=message)


def _cursor(params: Any) -> int:
    cursor = getattr(params, "cursor", None) or "0"
    return int(cursor) if cursor.isdigit() and len(cursor) < 8 else 0


def _token(scope: Mapping[str, Any]) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" and token.strip() else None
    return None


async def _refuse(send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b'Bearer realm="shanhe"')]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": UNAUTHORISED})
