"""Calls that nobody waits for on a socket: who asks, under which receipt, and where the answer is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from shanhe.gateway.http import Headers

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

Keep = Callable[[bytes], Awaitable[None]]


class Errand(msgspec.Struct, frozen=True):
    """A call that may wait. `receipt_id` is never used twice. `keep` gets the answer before it is charged: what it
    has not made durable by its return is lost with the process, what it raises stops the charge."""

    caller: Caller
    receipt_id: UUID
    keep: Keep


class Answered(msgspec.Struct, frozen=True):
    """How such a call ended: an HTTP status and the body that a caller would have got."""

    status: int
    body: bytes
    retry_after_s: int | None = None


class Inbox:
    """Stands where a client does, with the request in hand, and holds the answer."""

    method = "POST"
    query = ""
    gone = False

    def __init__(self, path: str, body: bytes) -> None:
        self.path = path
        self.headers: Headers = []
        self.started = False
        self.answered: Answered | None = None
        self._body = body

    def header(self, name: bytes) -> bytes | None:
        return None

    async def body(self) -> bytes:
        return self._body

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        self.started = True
        wait = dict(headers).get(b"retry-after")
        self.answered = Answered(status, body, int(wait) if wait is not None else None)

    def heartbeat(self, sign: bytes, head: Callable[[], Headers]) -> None:
        raise RuntimeError("a call that waits is not streamed")

    async def start(self, headers: Headers) -> None:
        raise RuntimeError("a call that waits is not streamed")

    async def write(self, data: bytes, *, last: bool = False) -> None:
        raise RuntimeError("a call that waits is not streamed")

    async def break_off(self, data: bytes, *, owed: bool = False) -> None:
        raise RuntimeError("a call that waits is not streamed")

    async def left(self) -> None:
        """Whoever waits in no line leaves none."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Nothing is open."""
