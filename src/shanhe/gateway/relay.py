"""A stream on its way from the engine to the client."""

from __future__ import annotations

import contextlib
from time import perf_counter
from typing import Final

import msgspec

from shanhe.gateway.call import ANSWER_MAX_BYTES, CALL_MAX_S, Call, receipt_headers, timings
from shanhe.gateway.client import Connection, UpstreamError
from shanhe.gateway.dispatch import reported
from shanhe.gateway.faces.base import ABSENT, present
from shanhe.gateway.faces.righting import Reader
from shanhe.gateway.http import Client
from shanhe.gateway.model import Timings
from shanhe.gateway.sse import DONE, Splitter, data_of

TOKENS_SLACK: Final = 64
"""Chunks beyond `max_tokens` after which an engine is cut off."""
DRAIN_MAX_S: Final = 300.0
"""Longest time an abandoned stream is drained; what came until then is charged."""


class Relay:
    """Moves a stream from the engine to the client, event by event, and remembers what was delivered."""

    def __init__(self, call: Call, client: Client, upstream_model: str) -> None:
        self._call = call
        self._client = client
        self.writer = call.writer = call.face.writer(call.parsed, call.receipt_id.hex, upstream_model)
        self.usage: msgspec.Raw = ABSENT
        self.finish_reason: str | None = None
        self.delivered_bytes = 0
        self.chunks = 0
        self._texts: list[str] = []
        self._reader = Reader(call.receipt_id.hex)
        self.first_at = call.started_at
        self.done_at = call.started_at
        self._finished = False
        self.begun = False
        """Something of this answer has left."""

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def timings(self) -> Timings:
        return timings(self._call, self.first_at, self.done_at)

    async def pump(self, connection: Connection, idle_timeout_s: float) -> None:
        """Relay until the stream ends; raises when it ends without an end."""
        splitter = Splitter()
        give_up_at = self._call.admitted_at + CALL_MAX_S
        while data := await connection.chunk(idle_timeout_s):
            out: list[bytes] = []
            try:
                for event in splitter.feed(data):
                    out.append(self._take(event))
                    if self._finished:
                        break
            except Exception:
                if self.begun:  # what came before it is counted, so it is delivered
                    await self._forward(b"".join(out))
                raise
            if ready := b"".join(out):
                await self._forward(ready)
            self.done_at = perf_counter()
            if self._client.gone:
                give_up_at = min(give_up_at, self.done_at + DRAIN_MAX_S)
            if self.done_at > give_up_at:
                raise UpstreamError("the stream took too long", timed_out=True)
            if self._finished:
                break
        if not self._finished and (rest := splitter.rest.strip()):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # cut inside an event: it says nothing
                if ready := self._take(rest):
                    await self._forward(ready)
        if not self._finished and self.finish_reason is None:
            raise UpstreamError("the stream ended without an end")
        if not self.begun:
            await self._begin()

    async def _forward(self, ready: bytes) -> None:
        if not self.begun:
            await self._begin()
        await self._client.write(ready)

    async def _begin(self) -> None:
        self.begun = True
        self.first_at = perf_counter()
        await self._client.start(receipt_headers(self._call))

    def _take(self, event: bytes) -> bytes:
        payload = data_of(event)
        if payload is None:
            return b""
        if payload == DONE:
            self._finished = True
            return b""
        event, chunk = self._reader.read(event, payload)
        if present(chunk.error):
            if not self.begun:
                raise reported(chunk.error)
            raise UpstreamError("the engine reported an error inside the stream")
        if present(chunk.usage):
            self.usage = chunk.usage
        size = chunk.delivered_bytes
        if size:
            self.delivered_bytes += size
            self.chunks += 1
            self._texts.append(chunk.text)
            most = self._call.admission.completion_tokens_max + TOKENS_SLACK
            if self.chunks > most or self.delivered_bytes > ANSWER_MAX_BYTES:
                raise UpstreamError("the engine wrote more than it was asked for")
        for choice in chunk.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
        return self.writer.chunk(event, chunk)
