"""The city's end of the tunnels: one UNIX socket for each connected node, where the gateway finds it like any engine.

The socket lies in the city's run folder (0700), so every gateway worker reaches a node through whichever worker holds
its tunnel, and an open port is needed nowhere. What passes is bounded: head, body, streams, windows, silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from shanhe.compute.api import private_folder
from shanhe.pool.answers import Seen
from shanhe.pool.frames import BadFrame
from shanhe.pool.model import Node
from shanhe.pool.mux import Mux, Send, StreamLost

HEAD_MAX_BYTES: Final = 64 * 1024
BODY_MAX_BYTES: Final = 32 * 1024 * 1024
HEAD_WAIT_S: Final = 600.0
"""Longest wait for a node to begin its answer; the gateway's own limit is shorter."""
IDLE_WAIT_S: Final = 600.0
KEEP_ALIVE_S: Final = 75.0
ALIVE_WAIT_S: Final = 3.0
PROBE_HEADER: Final = b"x-shanhe-probe"
PATHS: Final = re.compile(r"^/v1/(chat/completions|completions|embeddings|rerank|ocr|forecast|audio/speech)$")
REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 502: "Bad Gateway"}

Observe = Callable[["Session", Seen], None]
log = structlog.get_logger(__name__)


class _Watched(asyncio.StreamReaderProtocol):
    """A stream that also tells when its other end is gone, without reading ahead."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(asyncio.StreamReader(limit=HEAD_MAX_BYTES, loop=loop), serve, loop=loop)
        self.gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


def _gone(writer: asyncio.StreamWriter) -> asyncio.Event:
    protocol: Any = writer.transport.get_protocol()
    event: asyncio.Event = protocol.gone
    return event


class Session:
    """One connected node: its streams, its socket, its last word."""

    def __init__(self, node: Node, send: Send, ask_alive: Callable[[], Any], observe: Observe) -> None:
        self.node = node
        self.mux = Mux(send)
        self.heard_at = time.monotonic()
        self.running = 0
        self._ask_alive = ask_alive
        self._observe = observe
        self._heard = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.path: Path | None = None
        self._inode = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, path: Path) -> None:
        """Listen where the gateway looks for this node; takes over from an older session's socket."""
        private_folder(path.parent)  # again: whoever tidies temporary folders may have removed it
        part = path.with_suffix(".new")
        part.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Watched(self._serve), str(part))
        os.chmod(part, 0o600)
        self._inode = part.stat().st_ino
        part.replace(path)
        self.path = path

    async def close(self, reason: str) -> None:
        """End every call; remove the socket unless a newer session has put its own there."""
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                if self.path.stat().st_ino == self._inode:
                    self.path.unlink()
        if self._server is not None:
            self._server.close()
        self.mux.fail(reason)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heard(self) -> None:
        """The node said something."""
        self.heard_at = time.monotonic()
        self._heard.set()

    async def alive(self) -> bool:
        """Whether the node answers now."""
        self._heard.clear()
        await self._ask_alive()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALIVE_WAIT_S):
                await self._heard.wait()
                return True
        return False

    # -- HTTP on the socket ---------------------------------------------------------------------------------------

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the gateway closed it, or said something that is not HTTP
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(KEEP_ALIVE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= BODY_MAX_BYTES:
            raise ValueError("a body of that size")
        body = await reader.readexactly(length)
        if method == "GET":
            ok = path != "/alive" or await self.alive()
            await _answer(writer, 200 if ok else 502, b'{"object":"list","data":[]}' if ok else b"{}")
            return True
        if method != "POST" or not PATHS.match(path):
            await _answer(writer, 404, b'{"error":{"message":"no such path"}}')
            return True
        seen = Seen(path, body, bytearray(), probe=PROBE_HEADER.decode() in headers)
        self.running += 1
        try:
            return await self._relay(seen, writer)
        finally:
            self.running -= 1
            self._observe(self, seen)

    async def _relay(self, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        """Pass one exchange through the tunnel; whoever leaves early ends it on the other side, too."""
        stream = await self._open(seen, writer)
        if stream is None:
            return True
        work = asyncio.ensure_future(self._exchange(stream, seen, writer))
        gone = asyncio.ensure_future(_gone(writer).wait())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return True
            seen.left = True
            return False
        except (StreamLost, TimeoutError) as error:
            seen.lost = True
            log.info("node broke off", node=self.node.name, error=str(error)[:200])
            writer.transport.abort()
            return False
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            if seen.lost or seen.left or seen.done_ms == 0:
                with contextlib.suppress(OSError, RuntimeError):
                    await stream.reset("the caller left")
            stream.close()

    async def _open(self, seen: Seen, writer: asyncio.StreamWriter) -> Any:
        try:
            return await self.mux.open({"path": seen.path, "length": len(seen.request)})
        except StreamLost:
            seen.status, word = (502, b"gone") if self.mux.lost else (429, b"busy")
            await _answer(writer, seen.status, b'{"error":{"message":"the node is %b"}}' % word)
            return None

    async def _exchange(self, stream: Any, seen: Seen, writer: asyncio.StreamWriter) -> None:
        began = time.perf_counter()
        await stream.write(seen.request)
        await stream.end()
        head = await stream.head(HEAD_WAIT_S)
        seen.status = _status(head)
        media = str(head.get("type", "application/json"))[:100]
        if not media.isascii() or not media.isprintable():
            raise StreamLost("a head with odd signs")
        reason = REASONS.get(seen.status, "Status")
        writer.write(
            f"HTTP/1.1 {seen.status} {reason}\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        while data := await stream.read(IDLE_WAIT_S):
            if not seen.first_ms:
                seen.first_ms = (time.perf_counter() - began) * 1000
            seen.keep(data)
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        seen.done_ms = (time.perf_counter() - began) * 1000

    def take(self, message: bytes) -> None:
        """A frame came up the tunnel; BadFrame when it breaks the protocol."""
        self.mux.take(message)


def _status(head: dict[str, Any]) -> int:
    status = head.get("status")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise BadFrame("a status that is none")
    return status


async def _answer(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
