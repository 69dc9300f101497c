"""A scripted OpenAI-compatible engine on a real socket: says exactly what a test tells it to, piece by piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

Script = Callable[[dict[str, Any], asyncio.StreamWriter], Any]


def chunk(content: str | None = None, *, finish: str | None = None, **extra: Any) -> bytes:
    """One streamed chunk of a chat completion."""
    delta: dict[str, Any] = {} if content is None else {"content": content}
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "syn",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **extra,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage_chunk(prompt: int, completion: int) -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "syn", "choices": [], "usage": usage}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def whole(content: str = "Hello there", *, usage: Any = "honest", finish: str = "stop", message: Any = None) -> Script:
    """Answer with one JSON body."""
    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "syn",
        "choices": [
            {"index": 0, "message": message or {"role": "assistant", "content": content}, "finish_reason": finish}
        ],
    }
    if usage == "honest":
        body["usage"] = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    elif usage is not None:
        body["usage"] = usage
    return raw(200, json.dumps(body).encode())


def raw(status: int, body: bytes, content_type: str = "application/json", **more: str) -> Script:
    """Answer with these bytes; `more`: further headers, with `_` for `-`."""
    further = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())

    async def answer(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        told = f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n{further}"
        head = f"HTTP/1.1 {status} X\r\n{told}\r\n"
        writer.write(head.encode() + body)

    return answer


def stream(*pieces: bytes, pause_s: float = 0.0, cut: bool = False, hang: bool = False) -> Script:
    """Stream pieces; `cut` drops the connection after the last, `hang` leaves it silent."""

    async def answer(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(pause_s)
        if cut:
            writer.transport.abort()
        elif hang:
            await asyncio.sleep(60)
        else:
            writer.write(b"0\r\n\r\n")

    return answer


class ScriptedEngine:
    """Serves the queued scripts in order, then the default one; keeps every request it saw."""

    def __init__(self) -> None:
        self.default: Script = whole()
        self.scripts: list[Script] = []
        self.requests: list[dict[str, Any]] = []
        self.heads: list[bytes] = []
        self.decode: Callable[[bytes], Any] = json.loads
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                request = self.decode(await reader.readexactly(length))
                self.heads.append(head)
                self.requests.append(request)
                script = self.scripts.pop(0) if self.scripts else self.default
                await script(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
