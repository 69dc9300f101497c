"""`/mcp` and `/mcp/<server>`: the MCP protocol towards clients, over streamable HTTP.

`/mcp` lists the city's tools and those of every server, as `server__tool`, without sessions; `/mcp/<server>` is one
server under its own names and in its own sessions (see `relay`). Whoever calls shows an API key or an access token.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog

from shanhe.gateway.api import JSON_TYPE, AsgiClient, CallError, ClientGone, preflight, under_header
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.texts import parts_of
from shanhe.mcp import wire
from shanhe.mcp.cancelling import Cancelling
from shanhe.mcp.city import CityTools
from shanhe.mcp.errors import UnknownTool
from shanhe.mcp.model import SEPARATOR, Offered
from shanhe.mcp.relay import CALL, LIST, PARAMETERS, Relay, refusal
from shanhe.mcp.service import Left, ToolGateway
from shanhe.mcp.told import Told
from shanhe.mcp.upstream import Heard

if TYPE_CHECKING:
    from shanhe.gateway.api import Client
    from shanhe.identity.api import Caller
    from shanhe.kernel.db import Database
    from shanhe.kernel.vault import Vault

PREFIX: Final = "/mcp"
SESSIONS_KEY: Final = "mcp-sessions"
SESSION: Final = b"mcp-session-id"
INITIALIZE: Final = "initialize"
CANCELLED: Final = "notifications/cancelled"
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
Authenticate = Callable[[str, str], Awaitable["Caller | None"]]
"""Who shows this key or token at this address of the city; None for nobody."""
log = structlog.get_logger(__name__)
_visit: ContextVar[Visit] = ContextVar("mcp_visit")


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, and of which hosted server (None = everything)."""

    caller: Caller
    offer: Offered | None

    @property
    def owner(self) -> bytes:
        return self.caller.org_id.bytes + (b"" if self.offer is None else self.offer.slug.encode())


class McpFace:
    """An ASGI application for everything under `/mcp`."""

    def __init__(
        self,
        gateway: ToolGateway,
        city: CityTools,
        vault: Vault,
        db: Database,
        authenticate: Authenticate,
        *,
        url: str,
        name: str,
        version: str,
    ) -> None:
        self._gateway = gateway
        self._city = city
        self._authenticate = authenticate
        self._url = url
        self._host = urlsplit(url).netloc
        self._name = name
        self._version = version
        sessions = wire.Sessions(vault.secret(SESSIONS_KEY))
        self._relay = Relay(gateway, sessions)
        self._cancelling = Cancelling(db, sessions)
        gateway.listing.first = city.tools()
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
        # Where a request comes from is checked in front of this, for servers' own faces too.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        return StreamableHTTPSessionManager(server, json_response=True, stateless=True, security_settings=security)

    async def stop(self) -> None:
        """End what the first request began."""
        self._closing.set()
        if self._keeper is not None:
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.serve(AsgiClient(scope, receive, send))

    async def serve(self, client: Client) -> None:
        """Answer one request, whatever server it came through."""
        path = client.path
        if not self._own(client.header(b"origin")):
            strange = wire.error(None, wire.INVALID_REQUEST, "This origin may not call here.")
            await client.answer(403, strange, [JSON_TYPE])
            return
        if client.method == "OPTIONS":  # a browser asks for a page, before it shows a key
            await client.answer(200, b"", preflight(client.header(b"access-control-request-headers")))
            return
        token, caller = _token(client), None
        if token is not None:
            with contextlib.suppress(ShanheError):
                caller = await self._authenticate(token, self._url + path.rstrip("/"))
        if caller is None:
            await self._refuse(client, path, known=token is not None)
            return
        try:
            caller = under_header(caller, client)
        except CallError as error:
            await client.answer(error.status, wire.error(None, wire.INVALID_REQUEST, error.message), [JSON_TYPE])
            return
        slug = path.removeprefix(PREFIX).strip("/")
        offer = None
        if slug:
            with contextlib.suppress(ShanheError):  # the relay says what is wrong
                offer = await self._gateway.admitted(caller, slug)
            if offer is None or offer.server.hosted is None:
                await self._relay.serve(client, caller, slug, offer)
                return
        await self._everything(client, Visit(caller, offer))

    def _own(self, origin: bytes | None) -> bool:
        """Whether a page that calls, if a page does, is the city's own or on the caller's own machine."""
        if origin is None:
            return True
        parts = parts_of(origin.decode("latin-1"))
        return parts.netloc == self._host or parts.hostname in LOOPBACK

    async def _refuse(self, client: Client, path: str, *, known: bool) -> None:
        where = f'resource_metadata="{self._url}{METADATA_PATH}{path.rstrip("/")}"'
        why = ', error="invalid_token"' if known else ""
        challenge = f'Bearer realm="shanhe"{why}, scope="tools", {where}'
        body = {"error": {"code": "key_missing", "message": "Send an API key or an access token as a bearer."}}
        await client.answer(401, wire.encode(body), [JSON_TYPE, (b"www-authenticate", challenge.encode("latin-1"))])

    async def _everything(self, client: Client, visit: Visit) -> None:
        """What is asked most is answered here; the rest by the official SDK."""
        body, told = b"", Told(client)
        try:
            if client.method == "POST":
                told.body = body = await client.body()
                message = _message_of(body)
                if message is not None and await self._quickly(client, visit, message):
                    return
                if message is not None and message.method == CANCELLED:
                    await self._cancelling.cancel(client.header(SESSION), visit.owner, message.params)
                if message is not None and message.method == INITIALIZE:
                    told.more = [(SESSION, self._cancelling.begun(visit.owner).encode())]
        except ClientGone:
            return
        except CallError as error:
            await client.answer(error.status, wire.error(None, wire.INVALID_REQUEST, error.message), [JSON_TYPE])
            return
        mark = _visit.set(visit)
        try:
            manager = await self._manager()
            await manager.handle_request(told.scope(PREFIX), told.receive, told.send)
        finally:
            _visit.reset(mark)
            await client.close()

    async def _quickly(self, client: Client, visit: Visit, message: wire.Message) -> bool:
        """Answer a list or a call that is in order; False when it is the SDK's to judge."""
        if message.method not in (LIST, CALL) or not message.asks or not _in_order(client, message.method):
            return False
        modern = client.header(b"mcp-protocol-version") == wire.MODERN.encode()
        try:
            raw = message.params if message.params is not msgspec.UNSET else msgspec.Raw(b"{}")
            if message.method == LIST:
                start = _cursor(msgspec.json.decode(raw, type=wire.ListParams))
                result = await self._listed(visit, start, modern=modern)
            else:
                params = msgspec.json.decode(raw, type=wire.CallParams)
                if modern and client.header(b"mcp-name") != params.name.encode():
                    return False
                given = b"{}" if params.arguments is msgspec.UNSET else params.arguments
                arguments = msgspec.json.decode(given, type=dict[str, Any])
                token = None if params.meta is None else params.meta.progress
                heard = None if token is None else _telling(client, token)
                with self._may_leave(client, visit, message, modern=modern) as left:
                    called = await self._called(visit, params.name, arguments, left, heard, modern=modern)
                result = wire.encode(called)
        except msgspec.MsgspecError:
            return False
        except UnknownTool as error:
            await client.answer(200, wire.error(message.id, wire.INVALID_PARAMS, error.message), [JSON_TYPE])
            return True
        answer = wire.answer(message.id, result)
        if client.started:  # how far it had got was told meanwhile
            await client.write(wire.event(answer), last=True)
            await client.close()
        else:
            await client.answer(200, answer, [JSON_TYPE])
        return True

    def _may_leave(
        self, client: Client, visit: Visit, message: wire.Message, *, modern: bool
    ) -> AbstractContextManager[Left | None]:
        """How a client takes its call back: by leaving it, or in a session by a message that says so."""
        if modern:
            return nullcontext(client.left)
        return self._cancelling.running(client.header(SESSION), visit.owner, message.id)

    async def _listed(self, visit: Visit, start: int, *, modern: bool) -> bytes:
        if visit.offer is not None:
            return await self._gateway.list_of(visit.offer, modern=modern)
        return await self._gateway.listing.of_all(visit.caller.models, start, modern=modern)

    async def _called(
        self, visit: Visit, name: str, arguments: dict[str, Any], left: Left | None = None, heard: Heard | None = None,
        *, modern: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """A tool's result, the city's own or a publisher's; UnknownTool. `left` cancels it; `modern`: in the words of
        the version without sessions."""
        slug, mark, tool = name.partition(SEPARATOR)
        caller = visit.caller
        try:
            if visit.offer is not None:
                result, _, _ = await self._gateway.call(
                    caller, visit.offer.slug, name, arguments, left=left, heard=heard
                )
            elif mark:
                result, _, _ = await self._gateway.call(caller, slug, tool, arguments, left=left, heard=heard)
            else:
                result = _city_result(await self._city.call(caller, name, arguments))
        except UnknownTool:
            raise
        except (ShanheError, CallError) as error:
            return refusal(error, modern=modern)
        return {"resultType": "complete", **result} if modern else result

    # -- handlers for the SDK -----------------------------------------------------------------------------------------

    async def _list(self, ctx: Any, params: Any) -> Any:
        import mcp_types as types

        start = _cursor(params)
        found = await self._listed(_visit.get(), start, modern=False)
        return types.ListToolsResult.model_validate_json(found)

    async def _call(self, ctx: Any, params: Any) -> Any:
        import mcp_types as types
        from mcp import MCPError

        try:
            found = await self._called(_visit.get(), params.name, dict(params.arguments or {}))
        except UnknownTool as error:
            raise MCPError(code=wire.INVALID_PARAMS, message=error.message) from error
        return types.CallToolResult.model_validate(found)


def _message_of(body: bytes) -> wire.Message | None:
    """The one message of a body; None for anything else, which is the SDK's to judge."""
    try:
        return wire.message_of(body)
    except ValueError:
        return None


def _telling(client: Client, token: str | int) -> Heard:
    """Tells a client how far its call has got, under its token; the answer is a stream from then on."""

    async def heard(found: wire.Progress) -> None:
        if not client.started:
            await client.start([])
        await client.write(wire.event(wire.progress(found, token)))

    return heard


def _in_order(client: Client, method: str) -> bool:
    """Whether a request's headers say what its body says, in a version that is answered here."""
    accept, kind = client.header(b"accept") or b"", client.header(b"content-type") or b""
    if b"application/json" not in accept or b"text/event-stream" not in accept or b"application/json" not in kind:
        return False
    version = (client.header(b"mcp-protocol-version") or b"").decode("latin-1")
    if version == wire.MODERN:
        return client.header(b"mcp-method") == method.encode() and not any(
            name.startswith(PARAMETERS) for name, _ in client.headers
        )
    return not version or version in wire.LEGACY


def _city_result(found: Any) -> dict[str, Any]:
    text = msgspec.json.encode(found, enc_hook=str).decode()
    plain = msgspec.json.decode(text)
    structured = plain if isinstance(plain, dict) else {"items": plain}
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": False}


def _cursor(params: Any) -> int:
    cursor = getattr(params, "cursor", None) or "0"
    return int(cursor) if cursor.isdigit() and len(cursor) < 8 else 0


def _token(client: Client) -> str | None:
    scheme, _, token = (client.header(b"authorization") or b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
