"""`/mcp/<server>`: one publisher's server through the gateway, message by message.

What a client says goes to the server as it is, and back; what the gateway looks at on the way: who may (an allow-list
of tools, of other features, quotas), what a call costs (held before, in the books before its result is passed on), how
long and how large an answer may be. Sessions are the publisher's own, sealed to the payer who began them. The list of
tools is answered here, as it was reviewed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from shanhe.gateway.api import JSON_TYPE, CallError, ClientGone
from shanhe.kernel.errors import ShanheError
from shanhe.mcp import wire
from shanhe.mcp.errors import CallerLeft, NotOffered, ServerFailed, ServerLate, UnknownTool
from shanhe.mcp.metering import Metered
from shanhe.mcp.model import ALWAYS, ASKS_OF_CLIENT, FEATURES, Offered
from shanhe.mcp.upstream import ANSWER_MAX_BYTES, messages

if TYPE_CHECKING:
    from shanhe.gateway.api import Client, Connection
    from shanhe.identity.api import Caller
    from shanhe.mcp.service import ToolGateway
    from shanhe.mcp.upstream import Exchange

STREAM_MAX_S: Final = 600.0
"""How long a client may listen on one stream; then it asks again."""
QUIET_MAX_S: Final = 600.0
LOOK_AFTER_S: Final = 2.0
WAITING_MAX: Final = 1_024
PASSED_UP: Final = frozenset(
    {b"accept", b"content-type", b"mcp-protocol-version", b"last-event-id", b"mcp-method", b"mcp-name"}
)
PARAMETERS: Final = b"mcp-param-"
CALL: Final = "tools/call"
LIST: Final = "tools/list"
HANDSHAKES: Final = ("initialize", "server/discover")
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Visit:
    """One request of a client, and the server it is for."""

    client: Client
    caller: Caller
    offer: Offered
    session: str | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> bytes:
        return self.caller.org_id.bytes + self.offer.slug.encode()


class Relay:
    """Passes messages on, for one process."""

    def __init__(self, gateway: ToolGateway, sessions: wire.Sessions) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._waiting: dict[tuple[str, Any], tuple[asyncio.TimerHandle, Metered]] = {}
        """Calls whose stream ended before their answer: a server may give it on the next one."""
        self._failing: set[asyncio.Task[None]] = set()

    async def serve(self, client: Client, caller: Caller, slug: str, offer: Offered | None = None) -> None:
        """Answer one request; `offer` is the server where it has been looked up."""
        try:
            visit = await self._visit(client, caller, offer or await self._gateway.admitted(caller, slug))
            if client.method == "POST":
                await self._post(visit)
            elif client.method in ("GET", "DELETE"):
                await self._listen(visit)
            else:
                await client.answer(405, b"", [(b"allow", b"GET, POST, DELETE")])
        except ClientGone:
            return
        except (ShanheError, CallError) as error:
            if not client.started:
                await client.answer(error.status, wire.error(None, wire.INVALID_REQUEST, said(error)), [JSON_TYPE])
        finally:
            await client.close()

    async def _visit(self, client: Client, caller: Caller, offer: Offered) -> Visit:
        sealed = client.header(b"mcp-session-id")
        visit = Visit(client, caller, offer, None)
        if sealed is not None:
            visit.session = self._sessions.open(sealed.decode("latin-1"), visit.owner)
            if visit.session is None:
                raise CallError(404, "unknown_session", "This session is not one of yours, or has ended; begin anew.")
            visit.headers["mcp-session-id"] = visit.session
        for name, value in client.headers:
            if name in PASSED_UP or name.startswith(PARAMETERS):
                visit.headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        if offer.server.secrets:
            visit.headers.update(await self._gateway.secrets_of(offer))
        return visit

    # -- from the client ----------------------------------------------------------------------------------------------

    async def _post(self, visit: Visit) -> None:
        body = await visit.client.body()
        try:
            message = wire.message_of(body)
        except ValueError:
            wrong = wire.error(None, wire.PARSE_ERROR, "Send one JSON-RPC 2.0 message as the body.")
            await visit.client.answer(400, wrong, [JSON_TYPE])
            return
        if message.method == LIST and message.asks:
            await self._list(visit, message)
        elif message.method == CALL and message.asks:
            await self._call(visit, message, body)
        else:
            await self._other(visit, message, body)

    async def _list(self, visit: Visit, message: wire.Message) -> None:
        modern = visit.headers.get("mcp-protocol-version") == wire.MODERN
        result = await self._gateway.list_of(visit.offer, modern=modern)
        await visit.client.answer(200, wire.answer(message.id, result), [JSON_TYPE])

    async def _call(self, visit: Visit, message: wire.Message, body: bytes) -> None:
        try:
            params = msgspec.json.decode(message.params, type=wire.CallParams)  # type: ignore[arg-type]
        except (msgspec.MsgspecError, TypeError):
            wrong = wire.error(message.id, wire.INVALID_PARAMS, "tools/call needs `name` and `arguments`.")
            await visit.client.answer(400, wrong, [JSON_TYPE])
            return
        limit_s = visit.offer.server.timeout_ms / 1000
        metered = self._gateway.metered(visit.caller, visit.offer.slug, params.name, len(body))
        metered.modern = visit.headers.get("mcp-protocol-version") == wire.MODERN
        try:
            async with asyncio.timeout(limit_s) as metered.deadline, _heeded(visit.client, metered):
                await metered.begin(visit.offer)
                async with self._open(visit, body, limit_s, metered.under_way) as connection:
                    await self._back(visit, message, connection, metered)
        except TimeoutError:
            slug, limit_ms = visit.offer.slug, visit.offer.server.timeout_ms
            ended = CallerLeft(slug) if metered.abandoned else ServerLate(slug, limit_ms)
            await self._refuse(visit, message, metered, ended)
        except UnknownTool as error:
            await metered.fail(error)
            await visit.client.answer(200, wire.error(message.id, wire.INVALID_PARAMS, error.message), [JSON_TYPE])
        except (ShanheError, CallError) as error:
            await self._refuse(visit, message, metered, error)
        finally:
            await self._end(visit, message, metered)

    async def _end(self, visit: Visit, message: wire.Message, metered: Metered) -> None:
        """A call without its answer waits for the session's next stream, or costs nothing."""
        if metered.open and visit.session is not None and metered.resumable and len(self._waiting) < WAITING_MAX:
            key = visit.session, message.id
            metered.deadline = None  # it was this stream's; the timer takes its place
            self._late(key)  # an id that is used twice: the first call has no answer to come any more
            limit_s = visit.offer.server.timeout_ms / 1000
            self._waiting[key] = asyncio.get_running_loop().call_later(limit_s, self._late, key), metered
        else:
            await metered.fail(ServerFailed(visit.offer.slug, "it ended without an answer"))

    def _late(self, key: tuple[str, Any]) -> None:
        """A call that waited in vain costs nothing."""
        waited = self._waiting.pop(key, None)
        if waited is not None:
            timer, metered = waited
            timer.cancel()
            task = asyncio.create_task(metered.fail(ServerFailed(metered.slug, "its answer never came")))
            self._failing.add(task)
            task.add_done_callback(self._failing.discard)

    async def _other(self, visit: Visit, message: wire.Message, body: bytes) -> None:
        """Handshakes, notifications, answers, and whatever else the listing says is passed on."""
        method = message.method if isinstance(message.method, str) else ""
        feature = FEATURES.get(method)
        if message.asks and method not in ALWAYS and feature not in visit.offer.server.passes:
            refused = wire.error(message.id, wire.UNKNOWN_METHOD, said(NotOffered(method)))
            await visit.client.answer(200, refused, [JSON_TYPE])
            return
        if message.asks and feature is not None:
            await self._gateway.count(visit.caller, visit.offer)
        if method == "initialize":
            body = _initialize(message, visit.offer)
        limit_s = visit.offer.server.timeout_ms / 1000
        try:
            async with asyncio.timeout(limit_s), self._open(visit, body, limit_s) as connection:
                await self._back(visit, message, connection, None)
        except TimeoutError as error:
            raise ServerLate(visit.offer.slug, visit.offer.server.timeout_ms) from error

    async def _listen(self, visit: Visit) -> None:
        """The session's own stream (GET), or its end (DELETE)."""
        method, slug = visit.client.method, visit.offer.slug
        url = visit.offer.server.url
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(STREAM_MAX_S),
                self._gateway.links.exchange(slug, url, method, visit.headers, limit_s=QUIET_MAX_S) as connection,
            ):
                await self._while_heard(visit, self._back(visit, None, connection, None))

    async def _while_heard(self, visit: Visit, work: Coroutine[Any, Any, None]) -> None:
        """Pass on for as long as there is a client: one that left says nothing, it is looked after."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=LOOK_AFTER_S))[0]:
                if visit.client.gone:
                    return
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # -- from the server ----------------------------------------------------------------------------------------------

    def _open(self, visit: Visit, body: bytes, limit_s: float, sent: Callable[[], None] | None = None) -> Exchange:
        server, slug = visit.offer.server, visit.offer.slug
        return self._gateway.links.exchange(slug, server.url, "POST", visit.headers, body, limit_s, sent)

    async def _back(
        self, visit: Visit, message: wire.Message | None, connection: Connection, metered: Metered | None
    ) -> None:
        """Pass an answer on; a call's result only once it is paid for."""
        headers = self._headers(visit, connection)
        if (connection.header(b"content-type") or b"").startswith(b"text/event-stream"):
            await self._stream(visit, message, connection, metered, headers)
            return
        body = await connection.body(QUIET_MAX_S, ANSWER_MAX_BYTES)
        if metered is not None and message is not None:
            body = await self._settled(visit, message, body, metered, connection.status) or b""
        elif message is not None and message.method in HANDSHAKES:
            body = _initialized(body, visit.offer)
        await visit.client.answer(200 if metered is not None else connection.status, body, headers)

    async def _stream(
        self, visit: Visit, message: wire.Message | None, connection: Connection, metered: Metered | None,
        headers: list[tuple[bytes, bytes]],
    ) -> None:  # fmt: skip
        await visit.client.start([one for one in headers if one[0] != b"content-type"])
        async for head, data in messages(connection, QUIET_MAX_S):
            if metered is not None and b"id:" in head:
                metered.resumable = True
            passed = await self._event(visit, message, data, metered) if data.strip() else data
            if passed is not None:
                await visit.client.write(wire.event(passed, head))
            if visit.client.gone and metered is None:
                break
        await visit.client.write(b"", last=True)

    async def _event(
        self, visit: Visit, message: wire.Message | None, data: bytes, metered: Metered | None
    ) -> bytes | None:
        """What of an event is passed on; None for what the listing doesn't offer."""
        try:
            found = wire.message_of(data)
        except ValueError:
            return None
        if found.answers:
            if message is not None and found.id == message.id:
                if metered is not None:
                    return await self._settled(visit, message, data, metered, 200)
                return _initialized(data, visit.offer) if message.method in HANDSHAKES else data
            waiting = self._waiting.pop((visit.session or "", found.id), None)
            if waiting is not None:
                waiting[0].cancel()
                return await self._settled(visit, found, data, waiting[1], 200)
            return None if message is None else data
        asked = ASKS_OF_CLIENT.get(found.method) if isinstance(found.method, str) else None
        return data if asked is None or asked in visit.offer.server.passes else None

    async def _settled(self, visit: Visit, message: wire.Message, data: bytes, metered: Metered, status: int) -> bytes:
        """The response of a call: paid for where it is one to pay for, with what it cost in its `_meta`."""
        try:
            found = wire.message_of(data)
            if found.error is not msgspec.UNSET:
                error = msgspec.json.decode(found.error, type=wire.ErrorBody)
                if error.code == wire.URL_ELICITATION:
                    await metered.refuse(len(data))
                    return data
                raise ServerFailed(visit.offer.slug, error.message)
            result = msgspec.json.decode(found.result, type=dict[str, Any])  # type: ignore[arg-type]
            return wire.answer(message.id, wire.encode(await metered.finish(result, len(data))))
        except (ValueError, TypeError, msgspec.MsgspecError):
            wrong = ServerFailed(visit.offer.slug, f"HTTP {status}, not the protocol")
            return await self._refusal(message, metered, wrong)
        except (ShanheError, CallError) as error:
            return await self._refusal(message, metered, error)

    def _headers(self, visit: Visit, connection: Connection) -> list[tuple[bytes, bytes]]:
        kind = connection.header(b"content-type")
        headers = [JSON_TYPE if kind is None else (b"content-type", kind)]
        session = connection.header(b"mcp-session-id")
        if session is not None:
            sealed = self._sessions.seal(session.decode("latin-1"), visit.owner)
            headers.append((b"mcp-session-id", sealed.encode()))
        return headers

    async def _refuse(
        self, visit: Visit, message: wire.Message, metered: Metered, error: ShanheError | CallError
    ) -> None:
        """A refused or failed call is an answer that says so: a model can read it and do something else."""
        body = await self._refusal(message, metered, error)
        if visit.client.started:
            await visit.client.write(wire.event(body), last=True)
        else:
            await visit.client.answer(200, body, [JSON_TYPE])

    async def _refusal(self, message: wire.Message, metered: Metered, error: ShanheError | CallError) -> bytes:
        await metered.fail(error)
        return wire.answer(message.id, wire.encode(refusal(error, modern=metered.modern)))


@contextlib.asynccontextmanager
async def _heeded(client: Client, metered: Metered) -> AsyncIterator[None]:
    """Let a client that leaves cancel its call, as the version without sessions has it; in a session it may come back
    for the answer, and says so when it cancels."""
    if not metered.modern:
        yield
        return
    watch = asyncio.create_task(client.left())
    watch.add_done_callback(lambda done: None if done.cancelled() else metered.abandon())
    try:
        yield
    finally:
        watch.cancel()
        metered.deadline = None


def refusal(error: ShanheError | CallError, *, modern: bool) -> dict[str, Any]:
    """A tool's result that says why there is none."""
    done = {"resultType": "complete"} if modern else {}
    return {"content": [{"type": "text", "text": said(error)}], "isError": True, **done}


def said(error: ShanheError | CallError) -> str:
    """An error as one line."""
    return f"{error.code}: {error.message} {getattr(error, 'hint', '')}".strip()


def _initialize(message: wire.Message, offer: Offered) -> bytes:
    """A client's handshake, without the abilities a server may not use."""
    params = msgspec.json.decode(message.params or b"{}", type=dict[str, Any])
    able: Mapping[str, Any] = params.get("capabilities") or {}
    kept = {name: value for name, value in able.items() if name in offer.server.passes}
    params["capabilities"] = kept
    return wire.encode({"jsonrpc": "2.0", "id": message.id, "method": "initialize", "params": params})


def _initialized(body: bytes, offer: Offered) -> bytes:
    """A server's handshake, without what its listing doesn't offer."""
    try:
        found = wire.message_of(body)
        if found.result is msgspec.UNSET:
            return body
        result = msgspec.json.decode(found.result, type=dict[str, Any])
    except (ValueError, msgspec.MsgspecError):
        return body
    able: Mapping[str, Any] = result.get("capabilities") or {}
    offered = {"tools", *offer.server.passes}
    result["capabilities"] = {name: value for name, value in able.items() if name in offered}
    return wire.answer(found.id, wire.encode(result))
