"""The door that nodes knock at: challenge, passport, one session for each identity, then frames until either side ends.

Two machines that claim one identity: the second is refused while the first answers, and the node is flagged.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from shanhe import __version__
from shanhe.kernel.calling import over_socket
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.pool import passport, store
from shanhe.pool.errors import BadPassport, BadReport, IdentityTaken
from shanhe.pool.frames import BadFrame
from shanhe.pool.hub import ALIVE_WAIT_S, Observe, Session
from shanhe.pool.model import Node, NodeState, Report

HELLO_WAIT_S: Final = 10.0
BEAT_S: Final = 5.0
SILENCE_MAX_S: Final = 20.0
"""A node that says nothing for this long is gone."""
SESSIONS_MAX: Final = 1_000
DUPLICATE: Final = "duplicate_identity"
LEFT: Final = "the tunnel closed"

Changed = Callable[[Session, str], Awaitable[None]]
"""Told of a session's welcome, report and end."""
log = structlog.get_logger(__name__)


class Hello(msgspec.Struct):
    """What a node answers to the challenge."""

    token: str
    report: Report


class Beat(msgspec.Struct):
    """What a node says every few seconds; a report when something changed."""

    type: str
    report: Report | None = None
    reason: str = ""


class Tunnels:
    """The sessions of one process."""

    def __init__(
        self, db: Database, clock: Clock, *, folder: Path, city: str, worker: str, observe: Observe, changed: Changed
    ) -> None:
        self._db = db
        self._clock = clock
        self._folder = folder
        self._city = city
        self._worker = worker
        self._observe = observe
        self._changed = changed
        self.sessions: dict[UUID, Session] = {}
        self._sockets: dict[UUID, WebSocket] = {}

    def socket_of(self, node_id: UUID) -> Path:
        """Where a node's calls go, in every process of the city."""
        return self._folder / f"node-{node_id.hex[-12:]}.sock"

    async def tell(self, node_id: UUID, message: dict[str, Any]) -> bool:
        """Send a node a message, if this process holds its tunnel."""
        socket = self._sockets.get(node_id)
        if socket is None:
            return False
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.send_text(msgspec.json.encode(message).decode())
            return True
        return False

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its first byte to its last."""
        await socket.accept()
        try:
            async with asyncio.timeout(HELLO_WAIT_S + 2 * ALIVE_WAIT_S):
                node, hello, claim = await self._welcome(socket)
        except ShanheError as error:
            await self._refuse(socket, error)
            return
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return
        await self._hold(socket, node, hello.report, claim)

    async def _welcome(self, socket: WebSocket) -> tuple[Node, Hello, passport.Claim]:
        challenge = secrets.token_hex(32)
        opening = {"type": "challenge", "challenge": challenge, "city": self._city, "version": __version__}
        await socket.send_text(msgspec.json.encode(opening).decode())
        try:
            hello = msgspec.json.decode(await socket.receive_text(), type=Hello)
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
            raise BadPassport("its first message can't be read") from error
        if problem := hello.report.problem():
            raise BadReport(problem)
        unchecked, _, _ = passport.read(hello.token)
        node = await store.node(self._db, unchecked.node)
        if node is None or node.state is NodeState.GONE:
            raise BadPassport("no such node has joined here")
        claim = passport.verify(hello.token, node.public_key, challenge=challenge, city=self._city)
        if len(self.sessions) >= SESSIONS_MAX:
            raise BadPassport(f"this process holds {SESSIONS_MAX} nodes already")
        if node.session is not None and node.instance != claim.instance and await self._answers(node):
            await self._flag(node, claim)
            raise IdentityTaken(node.name)
        return node, hello, claim

    async def _answers(self, node: Node) -> bool:
        """Whether the machine that holds this identity is still there, whichever process has its tunnel."""
        held = self.sessions.get(node.id)
        if held is not None:
            return await held.alive()
        path = self.socket_of(node.id)
        if not path.exists():
            return False
        transport = over_socket(path)
        try:
            async with httpx.AsyncClient(transport=transport, timeout=ALIVE_WAIT_S + 1, trust_env=False) as client:
                return (await client.get("http://engine/alive")).status_code == 200
        except httpx.HTTPError:
            return False

    async def _flag(self, node: Node, claim: passport.Claim) -> None:
        now = self._clock.now()
        detail = {"holds": node.instance, "refused": claim.instance}
        async with self._db.transaction() as conn:
            await store.set_flag(conn, node.id, DUPLICATE)
            await store.add_event(conn, node.id, "flagged", "pool", now, DUPLICATE, detail)
        log.warning("two machines claim one identity", node=node.name)

    async def _refuse(self, socket: WebSocket, error: ShanheError) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            message = {"type": "refused", "code": error.code, "message": error.message, "message_zh": error.message_zh}
            await socket.send_text(msgspec.json.encode(message).decode())
            await socket.close(4403)

    async def _hold(self, socket: WebSocket, node: Node, report: Report, claim: passport.Claim) -> None:
        session_id = new_id()
        async with self._db.transaction() as conn:
            await store.set_session(
                conn, node.id, session_id, claim.instance, self._worker, report, self._clock.now()
            )  # fmt: skip
        node = msgspec.structs.replace(node, session=session_id, instance=claim.instance, report=report)
        old = self.sessions.pop(node.id, None)
        if old is not None:
            await old.close("a newer tunnel took over")

        async def ask() -> None:
            await self.tell(node.id, {"type": "alive"})

        session = Session(node, socket.send_bytes, ask, self._observe)
        self.sessions[node.id], self._sockets[node.id] = session, socket
        cause = LEFT
        try:
            await session.open(self.socket_of(node.id))
            welcome = {"type": "welcome", "node": node.name, "state": node.state.value, "version": __version__}
            await self.tell(node.id, welcome | {"beat_s": BEAT_S})
            await self._changed(session, "welcome")
            cause = await self._listen(socket, session, session_id)
        finally:
            if self.sessions.get(node.id) is session:
                del self.sessions[node.id]
                self._sockets.pop(node.id, None)
            await session.close(cause)
            await asyncio.shield(self._ended(session, session_id, cause))

    async def _ended(self, session: Session, session_id: UUID, cause: str) -> None:
        await store.end_session(self._db, session.node.id, session_id)
        await self._changed(session, f"end: {cause}")

    async def _listen(self, socket: WebSocket, session: Session, session_id: UUID) -> str:
        """Take messages until the tunnel ends; why it did."""
        try:
            while self.sessions.get(session.node.id) is session:
                async with asyncio.timeout(SILENCE_MAX_S):
                    message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return LEFT
                session.heard()
                data = message.get("bytes")
                if data is not None:
                    session.take(data)
                elif not await self._control(message.get("text") or "", session, session_id):
                    return "another session holds the node"
        except TimeoutError:
            return f"silent for {SILENCE_MAX_S:g} s"
        except BadFrame as error:
            with contextlib.suppress(RuntimeError):
                await socket.close(4400)
            return f"it broke the protocol: {error}"
        except (WebSocketDisconnect, RuntimeError):
            return LEFT
        return "a newer tunnel took over"

    async def _control(self, text: str, session: Session, session_id: UUID) -> bool:
        try:
            beat = msgspec.json.decode(text, type=Beat)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadFrame("a message that can't be read") from error
        now = self._clock.now()
        if beat.type == "report" and beat.report is not None:
            if problem := beat.report.problem():
                raise BadFrame(problem)
            session.node = msgspec.structs.replace(session.node, report=beat.report)
            if not await store.set_report(self._db, session.node.id, session_id, beat.report, now):
                return False
            await self._changed(session, "report")
        elif beat.type == "leaving":
            await self._changed(session, "leaving")
        elif beat.type == "beat":
            await self.tell(session.node.id, {"type": "beat"})
            return await store.seen(self._db, session.node.id, session_id, now)
        return True
