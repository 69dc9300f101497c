"""A client's request in the words of ASGI, for the protocol's SDK, which knows nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from shanhe.gateway.api import EVENT_STREAM

if TYPE_CHECKING:
    from shanhe.gateway.api import Client

LOOK_AFTER_S: Final = 2.0
STREAM_OWN: Final = frozenset(name for name, _ in EVENT_STREAM) | {b"connection", b"transfer-encoding"}
"""Headers of a stream that the client's own side sets."""


class Told:
    """One request whose body has been read; its answer goes back to the client, whole or as a stream."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.body: bytes | None = b""
        self.more: list[tuple[bytes, bytes]] = []
        """Headers to put on an answer that is no refusal."""
        self._status = 200
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._streams = False

    def scope(self, path: str) -> dict[str, Any]:
        """The request as an application at `path` sees it."""
        client = self._client
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": client.method, "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": client.query.encode("latin-1"), "root_path": "", "headers": client.headers,
            "client": None, "server": None, "state": {},
        }  # fmt: skip

    async def receive(self) -> dict[str, Any]:
        """The body, then nothing until the client has left."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while not self._client.gone:  # noqa: ASYNC110 - a client says nothing when it leaves
            await asyncio.sleep(LOOK_AFTER_S)
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Pieces of an answer: an event stream as they come, anything else when it is whole."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(bytes(name).lower(), bytes(value)) for name, value in message["headers"]]
            if self._status < HTTPStatus.BAD_REQUEST:
                self._headers += self.more
            self._streams = any(
                name == b"content-type" and value.startswith(b"text/event-stream") for name, value in self._headers
            )
            if self._streams:
                await self._client.start([one for one in self._headers if one[0] not in STREAM_OWN])
            return
        more, piece = message.get("more_body", False), message.get("body", b"")
        if self._streams:
            await self._client.write(piece, last=not more)
            return
        self._parts.append(piece)
        if not more:
            headers = [one for one in self._headers if one[0] != b"content-length"]
            await self._client.answer(self._status, b"".join(self._parts), headers)
