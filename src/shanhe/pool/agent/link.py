"""The agent's side of the tunnel, and all that a city may ask of a node: calls to the models it offers, load, unload.

Reconnects with full jitter; a call in flight when the tunnel breaks is the city's to repeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from shanhe.kernel.errors import ShanheError
from shanhe.pool import passport
from shanhe.pool.agent.hosts import Door, Host
from shanhe.pool.frames import MESSAGE_MAX_BYTES, BadFrame, Kind
from shanhe.pool.model import NodeState, Report
from shanhe.pool.mux import Mux, Stream, StreamLost

PATHS: Final = frozenset({
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/ocr", "/v1/forecast",
    "/v1/audio/speech",
})  # fmt: skip
BODY_MAX_BYTES: Final = 32 * 1024 * 1024
BODY_WAIT_S: Final = 60.0
OPEN_WAIT_S: Final = 15.0
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
BEAT_S: Final = 5.0
SILENCE_MAX_S: Final = 20.0
DRAIN_MAX_S: Final = 120.0
LASTING: Final = frozenset({"bad_node_passport", "node_identity_taken"})
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
log = structlog.get_logger(__name__)


class Refused(ShanheError):
    """The city does not want this node, and trying again will not help."""

    default_status = 403


class Membership(msgspec.Struct):
    """What a node remembers of the city that it joined."""

    url: str
    city: str
    node: str
    name: str


class Link:
    """One node, connected for as long as it runs."""

    def __init__(
        self, membership: Membership, key: Ed25519PrivateKey, hosts: Sequence[Host], report: Report
    ) -> None:  # fmt: skip
        self._membership = membership
        self._key = key
        self._hosts = {host.offer.model: host for host in hosts}
        self._report = report
        self._instance = secrets.token_hex(16)
        self._socket: ClientConnection | None = None
        self._mux: Mux | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._heard = time.monotonic()
        self._leaving = False
        self.again = False
        """Whether the city wants this agent to start again once it has left."""
        self.connected = asyncio.Event()

    def report(self) -> Report:
        """The report with what is loaded now."""
        return msgspec.structs.replace(self._report, offers=tuple(host.offer for host in self._hosts.values()))

    async def run(self) -> None:
        """Stay connected until `leave`; Refused when the city does not want this node."""
        wait_s = BACKOFF_FIRST_S
        while not self._leaving:
            began = time.monotonic()
            try:
                await self._once()
            except (OSError, TimeoutError, WebSocketException, BadFrame) as error:
                log.warning("the tunnel is down", city=self._membership.url, error=str(error)[:200])
            finally:
                self.connected.clear()
                self._lose()
            if time.monotonic() - began > BACKOFF_MAX_S:
                wait_s = BACKOFF_FIRST_S
            if not self._leaving:
                await asyncio.sleep(random.uniform(0, wait_s))
                wait_s = min(wait_s * 2, BACKOFF_MAX_S)

    async def leave(self) -> None:
        """Tell the city, finish what runs (bounded), and end `run`."""
        self._leaving = True
        if self._socket is not None:
            with contextlib.suppress(WebSocketException, OSError):
                await self._say({"type": "leaving"})
                async with asyncio.timeout(DRAIN_MAX_S):
                    while self._calls:
                        await asyncio.wait(tuple(self._calls))
            await self._socket.close()

    def _lose(self) -> None:
        if self._mux is not None:
            self._mux.fail("the tunnel is gone")
        for task in tuple(self._calls):
            task.cancel()
        self._socket = self._mux = None

    async def _once(self) -> None:
        async with connect(
            tunnel_url(self._membership.url), max_size=MESSAGE_MAX_BYTES, open_timeout=OPEN_WAIT_S, compression=None,
            ping_interval=None, max_queue=64, proxy=None,
        ) as socket:  # fmt: skip
            await self._introduce(socket)
            self._socket, self._mux = socket, Mux(socket.send, self._opened)
            self._heard = time.monotonic()
            beating = asyncio.create_task(self._beat(socket))
            self.connected.set()
            try:
                async for message in socket:
                    self._heard = time.monotonic()
                    if isinstance(message, bytes):
                        self._mux.take(message)
                    else:
                        await self._told(message)
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)

    async def _introduce(self, socket: ClientConnection) -> None:
        async with asyncio.timeout(OPEN_WAIT_S):
            opening = _decoded(await socket.recv())
            if opening.get("type") != "challenge" or opening.get("city") != self._membership.city:
                raise Refused("other_city", "This address is another city than the one that was joined.",
                              message_zh="该地址不是已加入的城市。")  # fmt: skip
            now = int(time.time())
            claim = passport.Claim(
                UUID(self._membership.node), self._membership.city,
                str(opening.get("challenge")), self._instance, now, now + passport.TOKEN_LIFE_S,
            )  # fmt: skip
            hello = {"token": passport.sign(self._key, claim), "report": self.report()}
            await socket.send(msgspec.json.encode(hello).decode())
            answer = _decoded(await socket.recv())
        if answer.get("type") == "refused":
            code, text = str(answer.get("code")), str(answer.get("message"))
            log.error("the city refused this node", code=code, reason=text)
            if code in LASTING:
                raise Refused(code, text, message_zh=str(answer.get("message_zh") or text))
            raise OSError(text)
        if answer.get("version") != self._report.version:
            log.warning("the city runs another version; upgrade this node", city=answer.get("version"))
        log.info("connected", city=self._membership.city, node=self._membership.name, state=answer.get("state"))

    async def _beat(self, socket: ClientConnection) -> None:
        while time.monotonic() - self._heard < SILENCE_MAX_S:
            await self._say({"type": "beat"})
            await asyncio.sleep(BEAT_S)
        await socket.close()

    async def _say(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            await self._socket.send(msgspec.json.encode(message).decode())

    # -- what the city asks -----------------------------------------------------------------------------------------

    async def _told(self, text: str) -> None:
        message = _decoded(text)
        kind = message.get("type")
        if kind == "alive":
            await self._say({"type": "beat"})
        elif kind == "state":
            log.warning("the city changed this node's state", state=message.get("state"), cause=message.get("cause"))
            if message.get("state") == NodeState.GONE:
                self._keep(self.leave())  # out for good: what runs is finished, and nobody has to stop this agent
        elif kind == "restart":
            self.again = True
            log.info("the city asks for a restart", version=self._report.version)
            self._keep(self.leave())
        elif kind in ("load", "unload"):
            host = self._hosts.get(str(message.get("model")))
            if host is not None:
                self._keep(self._move(host, load=kind == "load"))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _move(self, host: Host, *, load: bool) -> None:
        try:
            await (host.load() if load else host.unload())
        except ShanheError as error:
            log.error("a model did not move", model=host.offer.model, error=error.message)
        with contextlib.suppress(WebSocketException, OSError):
            await self._say({"type": "report", "report": msgspec.to_builtins(self.report())})

    def _opened(self, stream: Stream, head: dict[str, Any]) -> None:
        task = asyncio.create_task(self._call(stream, head))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, stream: Stream, head: dict[str, Any]) -> None:
        try:
            body = bytearray()
            while piece := await stream.read(BODY_WAIT_S):
                body += piece
                if len(body) > BODY_MAX_BYTES:
                    raise StreamLost("the request is too large")
            await self._answer(stream, str(head.get("path")), bytes(body))
            stream.close()
        except (StreamLost, TimeoutError, httpx.HTTPError, OSError, WebSocketException) as error:
            with contextlib.suppress(OSError, WebSocketException):
                await stream.reset(str(error) or type(error).__name__)
        except asyncio.CancelledError:
            stream.close()
            raise

    async def _answer(self, stream: Stream, path: str, body: bytes) -> None:
        found = self._addressed(body) if path in PATHS else None
        if found is None:
            await stream.send_head(Kind.HEAD, {"status": 404, "type": "application/json"})
            await stream.write(b'{"error":{"message":"this node does not serve that","type":"not_here"}}')
            await stream.end()
            return
        door, content = found
        url = door.base + path.removeprefix("/v1")
        request = door.client.build_request("POST", url, content=content, headers={"content-type": "application/json"})
        answer = await door.client.send(request, stream=True)
        pump = asyncio.ensure_future(_pump(answer, stream))
        lost = asyncio.ensure_future(stream.lost())
        try:
            await asyncio.wait((pump, lost), return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
        finally:
            for task in (pump, lost):
                task.cancel()
            await asyncio.gather(pump, lost, return_exceptions=True)
            await answer.aclose()

    def _addressed(self, body: bytes) -> tuple[Door, bytes] | None:
        """Where a request goes, with the model's name as the engine knows it."""
        try:
            fields = _fields.decode(body)
            model = msgspec.json.decode(fields.get("model", msgspec.Raw(b"null")))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        host = self._hosts.get(model) if isinstance(model, str) else None
        door = None if host is None else host.door()
        if door is None:
            return None
        if door.upstream != model:
            fields["model"] = msgspec.Raw(msgspec.json.encode(door.upstream))
            body = msgspec.json.encode(fields)
        return door, body


async def _pump(answer: httpx.Response, stream: Stream) -> None:
    await stream.send_head(
        Kind.HEAD, {"status": answer.status_code, "type": answer.headers.get("content-type", "application/json")}
    )
    async for piece in answer.aiter_raw():
        await stream.write(piece)
    await stream.end()


def tunnel_url(url: str) -> str:
    """The tunnel's address of a city."""
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/api/pool/tunnel"


def remembered(folder: Path) -> Membership | None:
    """The membership of a state folder."""
    path = folder / "node.json"
    return msgspec.json.decode(path.read_bytes(), type=Membership) if path.exists() else None


def remember(folder: Path, membership: Membership) -> None:
    """Keep the membership; written whole or not at all."""
    part = folder / "node.json.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(membership)))
    part.replace(folder / "node.json")


def _decoded(message: str | bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame("a message that can't be read") from error
    if not isinstance(found, dict):
        raise BadFrame("a message that is no object")
    return found
