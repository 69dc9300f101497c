"""The playground's calls: in-process to the gateway, as any client would, with a key the person never sees."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shanhe.agents.api import FACE_TRY, Published, Told, events, rated
from shanhe.console import model as m
from shanhe.console.live.member import PLAY_KEY
from shanhe.console.live.modules import Modules, actor_of
from shanhe.console.ports import CHAT
from shanhe.identity.api import NewKey
from shanhe.kernel.errors import Invalid, ShanheError

KEY_LIFE = timedelta(hours=12)
KEY_SPARE = timedelta(minutes=10)
SESSIONS_KEPT = 500
Piece = tuple[int, Mapping[str, str], bytes]


class LiveTalk:
    """See `ports.Talk`. Each session has a short-lived key of its own in each process, kept in memory only."""

    def __init__(self, modules: Modules) -> None:
        self._identity = modules.identity
        self._gateway = modules.gateway
        self._clock = modules.clock
        self._agents = modules.agents
        self._modules = modules
        self._keys: OrderedDict[tuple[str, str], tuple[str, datetime]] = OrderedDict()

    async def stream(self, who: m.Who, body: bytes, path: str = CHAT, name: str = "") -> AsyncIterator[Piece]:
        call = _Call(await self._key(who), body, path, name)
        running = asyncio.create_task(self._gateway.app(call.scope, call.receive, call.send))
        running.add_done_callback(lambda _: call.pieces.put_nowait(None))
        try:
            while (piece := await call.pieces.get()) is not None:
                yield piece
        finally:
            # Whoever stops reading has left; the gateway then does what its disconnect policy says.
            call.gone.set()

    async def face(self, name: str, maker: UUID | None = None) -> Mapping[str, Any]:
        agent = await self._agent(name, maker)
        said = agent.definition
        return {
            "name": agent.name, "title": {"zh": agent.title_zh, "en": agent.title_en}, "opening": said.opening,
            "summary": {"zh": agent.summary_zh, "en": agent.summary_en or agent.summary_zh},
            "questions": said.questions, "inputs": said.inputs, "version": agent.version, "model": said.model,
        }  # fmt: skip

    async def _agent(self, name: str, maker: UUID | None) -> Published:
        return await (self._agents.published(name) if maker is None else self._modules.routines.draft(name, maker))

    async def draft(
        self, who: m.Who, name: str, asked: Sequence[Mapping[str, str]], inputs: Mapping[str, str]
    ) -> tuple[UUID, bytes]:
        agent = await self._agent(name, who.org_id)
        caller = await self._identity.caller(await self._key(who))
        done = await self._agents.run(agent, caller, asked, face=FACE_TRY, charged=False, inputs=inputs)
        return done.run_id, events(name, done, int(self._clock.now().timestamp()), wants_usage=False)

    async def run(self, who: m.Who, run_id: UUID) -> Mapping[str, Any]:
        run, steps = await self._agents.trace(run_id, who.org_id)
        return {"run": run, "steps": steps, "tokens": sum(step.tokens for step in steps),
                "took_ms": sum(step.took_ms for step in steps), "rated": rated(run),
                "thumb": await self._agents.thumbs.of_run(run_id, who.org_id, who.person_id)}  # fmt: skip

    async def thumb(self, who: m.Who, run_id: UUID, fields: Mapping[str, str]) -> None:
        thumbs, said = self._agents.thumbs, fields.get("thumb", "")
        if "withdraw" in fields:
            await thumbs.withdraw(run_id, who.org_id, who.person_id)
            return
        if said not in ("up", "down"):
            raise Invalid("thumb_missing", "Say up or down.", message_zh="请先选择“有帮助”或“没有帮助”。")
        await thumbs.give(
            run_id, who.org_id, who.person_id, up=said == "up", word=fields.get("word", ""),
            share="share" in fields, question=fields.get("question", ""), answer=fields.get("answer", ""),
        )  # fmt: skip

    async def thumbs(self, who: m.Who, name: str) -> Told:
        return await self._agents.thumbs.of_maker((await self._agent(name, who.org_id)).name)

    async def _key(self, who: m.Who) -> str:
        now, slot = self._clock.now(), (who.session_id, str(who.org_id))
        known = self._keys.get(slot)
        if known is not None and known[1] > now + KEY_SPARE and await self._stands(known[0]):
            return known[0]
        ends = now + KEY_LIFE
        new = NewKey(name=PLAY_KEY, expires_at=ends)
        _, token = await self._identity.create_key(who.org_id, new, by=actor_of(who), own=True)
        self._keys[slot] = (token, ends)
        if len(self._keys) > SESSIONS_KEPT:
            self._keys.popitem(last=False)
        return token

    async def _stands(self, token: str) -> bool:
        """Whether a remembered key can still be used: it may have been revoked, or its organisation frozen."""
        try:
            await self._identity.caller(token)
        except ShanheError:
            return False
        return True


class _Call:
    """One request to an ASGI application, whose answer is read as it comes."""

    def __init__(self, key: str, body: bytes, path: str, name: str) -> None:
        self.pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self.gone = asyncio.Event()
        self._body: bytes | None = body
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"console"),
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"authorization", f"Bearer {key}".encode()),
                *([(b"idempotency-key", name.encode())] if name else []),
            ],
            "client": None,
            "server": None,
            "state": {},
        }

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = {
                bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in message["headers"]
            }
            self.pieces.put_nowait((message["status"], headers, b""))
        elif message.get("body"):
            self.pieces.put_nowait((0, {}, message["body"]))
