"""A synthetic OpenAI-compatible upstream: for tests, proofs and benches, never for people.

`python -m shanhe.compute.synthetic --port N [--uds PATH] [--mode MODE] [--chunks N] [--delay-ms D]`. The mode holds for
every request; a request may choose its own by the model's name: `syn-MODE`, `syn-MODE-N` (N chunks, or the chunk after
which it misbehaves) or `syn-MODE-N-D` (D ms between chunks).

| mode | what it does |
|---|---|
| instant | one fixed answer of 200 bytes with usage; the same bytes each time, for benches |
| exact | usage as asked: prompt = field `x_prompt_tokens` or header `x-prompt-tokens` or 1, completion = max_tokens |
| stream | N chunks with a delay, usage at the end (with or without `stream`, as asked) |
| nousage | as stream, without usage |
| negative, huge, inconsistent, strings, floats | usage that lies |
| crash | breaks the connection after N chunks (0 = before the head) |
| stall | says nothing more after N chunks (0 = before the head) |
| malformed | sends an event that is not JSON after N chunks |
| notjson | answers 200 with text |
| earlyend | ends the stream without `[DONE]`, finish reason and usage |
| busy, error, refuse, unauthorised, redirect | status 429, 500, 400, 401, 302 |
| context | status 400 as for a prompt that does not fit |
| tools | answers with a tool call |
| random | usage from the field `x_usage`, as given |

Answers on every path that ends in chat/completions, completions, embeddings or models, and on /health. One process, one
thread, no framework: the loop must not be what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

HEAD_MAX_BYTES: Final = 64 * 1024
BODY_MAX_BYTES: Final = 64 * 1024 * 1024
PREFIX: Final = "syn-"
INSTANT_BYTES: Final = 200
STALL_S: Final = 3600.0
HUGE: Final = 10**15
WORD: Final = "词"
STATUSES: Final = {"busy": 429, "error": 500, "refuse": 400, "unauthorised": 401, "redirect": 302, "context": 400}
REASONS: Final = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
REASONS_MORE: Final = {429: "Too Many Requests", 500: "Internal Server Error"}
MODES: Final = frozenset(
    {
        "instant",
        "exact",
        "stream",
        "nousage",
        "negative",
        "huge",
        "inconsistent",
        "strings",
        "floats",
        "crash",
        "stall",
        "malformed",
        "notjson",
        "earlyend",
        "tools",
        "random",
        *STATUSES,
    }
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered."""

    mode: str = "instant"
    chunks: int = 5
    delay_ms: float = 0.0


@dataclass(slots=True)
class Counts:
    """What the server has seen, for assertions."""

    requests: int = 0
    finished: int = 0
    dropped: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


def behaviour_of(model: str, default: Behaviour) -> Behaviour:
    """What a model's name asks for, else the server's own behaviour."""
    if not model.startswith(PREFIX):
        return default
    name, *numbers = model.removeprefix(PREFIX).split("-")
    if name not in MODES:
        return default
    chunks = int(numbers[0]) if numbers and numbers[0].isdigit() else default.chunks
    delay = float(numbers[1]) if len(numbers) > 1 and numbers[1].isdigit() else default.delay_ms
    return Behaviour(name, chunks, delay)


def instant_body() -> bytes:
    """The fixed answer: exactly 200 bytes, usage 3 + 5 tokens."""
    start = b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":'
    start += b'"assistant","content":"'
    end = b'"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}'
    return start + b"o" * max(1, INSTANT_BYTES - len(start) - len(end)) + end


def usage_of(behaviour: Behaviour, asked: Mapping[str, Any], headers: Mapping[str, str], written: int) -> Any:
    """The usage object that an answer carries; None = it carries none."""
    mode = behaviour.mode
    prompt, completion = 3, written
    if mode == "exact":
        prompt = int(asked.get("x_prompt_tokens") or headers.get("x-prompt-tokens") or 1)
        completion = int(asked.get("max_tokens") or asked.get("max_completion_tokens") or written)
    if mode == "random":
        return asked.get("x_usage")
    lies: dict[str, Any] = {
        "nousage": None,
        "negative": {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12},
        "huge": {"prompt_tokens": HUGE, "completion_tokens": HUGE, "total_tokens": 2 * HUGE},
        "inconsistent": {
            "prompt_tokens": 3,
            "completion_tokens": written,
            "total_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 99},
            "completion_tokens_details": {"reasoning_tokens": 9_999},
        },
        "strings": {"prompt_tokens": "3", "completion_tokens": "many", "total_tokens": None},
        "floats": {"prompt_tokens": 3.7, "completion_tokens": 1e300, "total_tokens": 0.1},
    }
    if mode in lies:
        return lies[mode]
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class Upstream:
    """The server. `counts` tells what it saw; `keep` remembers bodies and headers too (for tests, not for benches)."""

    def __init__(self, default: Behaviour | None = None, *, keep: bool = False) -> None:
        self.default = default or Behaviour()
        self.counts = Counts()
        self.keep = keep
        self.well = True
        """Whether `/health` says so; models are listed either way, as vLLM does after its engine died."""
        self._instant = _response(200, instant_body())
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, *, host: str = "127.0.0.1", port: int = 0, uds: Path | None = None) -> str:
        """Listen; the base URL (`http://host:port/v1`), or the socket's path."""
        loop = asyncio.get_running_loop()
        if uds is not None:
            self._server = await loop.create_unix_server(lambda: _Connection(self), str(uds))
            return str(uds)
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=4096)
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Stop listening and drop what is under way."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def instant(self) -> bytes:
        return self._instant


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered one after the other."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = b""
        self._busy = False
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._gone.set()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        while self._transport is not None and not self._busy:
            request = _take(self._buffer)
            if request is None:
                if len(self._buffer) > BODY_MAX_BYTES + HEAD_MAX_BYTES:
                    self._transport.abort()
                return
            head, body, self._buffer = request
            self._upstream.counts.requests += 1
            default = self._upstream.default
            if default.mode == "instant" and not self._upstream.keep and _plain(head, body):
                self._upstream.counts.finished += 1
                self._transport.write(self._upstream.instant)
                continue
            self._busy = True
            self._upstream.spawn(self._answer(head, body))

    async def _answer(self, head: bytes, body: bytes) -> None:
        counts = self._upstream.counts
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        try:
            await self._reply(head, body)
            counts.finished += 1
        except _Dropped:
            counts.dropped += 1
        finally:
            counts.in_flight -= 1
            self._busy = False
        self._next()

    async def _reply(self, head: bytes, body: bytes) -> None:
        path, headers = _read_head(head)
        asked = _decoded(body)
        if self._upstream.keep:
            self._upstream.counts.bodies.append(asked)
            self._upstream.counts.headers.append(headers)
        behaviour = behaviour_of(str(asked.get("model", "")), self._upstream.default)
        if path.endswith("/models"):
            return self._write(_response(200, _json({"object": "list", "data": [{"id": "syn", "object": "model"}]})))
        if path == "/health":
            return self._write(_response(200 if self._upstream.well else 500, b'{"status":"as it says"}'))
        if not path.endswith(("/completions", "/embeddings")):
            return self._write(_response(404, _error("no such path", "not_found")))
        if behaviour.mode in STATUSES:
            return self._write(_refusal(behaviour.mode))
        if path.endswith("/embeddings"):
            return self._write(_response(200, _json(_embeddings(asked, behaviour, headers))))
        if asked.get("stream"):
            return await self._stream(asked, behaviour, headers, path)
        return await self._whole(asked, behaviour, headers, path)

    async def _whole(
        self, asked: Mapping[str, Any], behaviour: Behaviour, headers: Mapping[str, str], path: str
    ) -> None:
        chat = path.endswith("/chat/completions")
        if behaviour.mode == "instant" and chat:
            return self._write(self._upstream.instant)
        if behaviour.mode == "notjson":
            return self._write(_response(200, b"this is not JSON"))
        await self._pause(behaviour, behaviour.chunks)
        if behaviour.mode == "stall":
            await self._stall()
        answer = _json(_answer(asked, behaviour, headers, chat))
        if behaviour.mode in ("crash", "malformed", "earlyend"):
            if not (behaviour.mode == "crash" and behaviour.chunks == 0):
                self._write(_response(200, answer)[:-20])
            self._drop()
        return self._write(_response(200, answer))

    async def _stream(
        self, asked: Mapping[str, Any], behaviour: Behaviour, headers: Mapping[str, str], path: str
    ) -> None:
        mode, count = behaviour.mode, behaviour.chunks
        chat = path.endswith("/chat/completions")
        if count == 0 and mode == "crash":
            self._drop()
        if count == 0 and mode == "stall":
            await self._stall()
        self._write(STREAM_HEAD)
        model = str(asked.get("model", "m"))
        for at in range(count):
            await self._pause(behaviour, 1)
            self._event(_delta(model, chat, WORD, None, first=at == 0, tools=mode == "tools"))
        if mode == "crash":
            self._drop()
        if mode == "stall":
            await self._stall()
        if mode in ("malformed", "notjson"):
            self._write(_chunk(b'data: {"choices": [{"delta": \n\n'))
        if mode != "earlyend":
            self._event(_delta(model, chat, "", "tool_calls" if mode == "tools" else "stop"))
            usage = usage_of(behaviour, asked, headers, count)
            options = asked.get("stream_options")
            if usage is not None and isinstance(options, dict) and options.get("include_usage"):
                self._event({**_frame(model, chat, stream=True), "choices": [], "usage": usage})
            self._write(_chunk(b"data: [DONE]\n\n"))
        self._write(b"0\r\n\r\n")

    def _event(self, event: Mapping[str, Any]) -> None:
        self._write(_chunk(b"data: " + _json(event) + b"\n\n"))

    async def _pause(self, behaviour: Behaviour, chunks: int) -> None:
        if behaviour.delay_ms:
            await asyncio.sleep(behaviour.delay_ms * chunks / 1000)

    async def _stall(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STALL_S):
                await self._gone.wait()
        raise _Dropped

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise _Dropped
        self._transport.write(data)

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.close()  # flushes what was written, then breaks off
        raise _Dropped


class _Dropped(Exception):
    """The connection is gone."""


STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _plain(head: bytes, body: bytes) -> bool:
    """A request that the fixed answer fits, told without decoding it."""
    return (
        b"/chat/" in head[:200]
        and b'"stream":true' not in body
        and b'"stream": true' not in body
        and PREFIX.encode() not in body
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _take(buffer: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Head, body and the rest; None while the request is incomplete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = buffer[:end]
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    stop = end + 4 + length
    if len(buffer) < stop:
        return None
    return head, buffer[end + 4 : stop], buffer[stop:]


def _read_head(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return first.split(" ")[1].partition("?")[0], headers


def _decoded(body: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(body or b"{}")
        if isinstance(found, dict):
            return found
    return {}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _response(status: int, body: bytes, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    reason = REASONS.get(status) or REASONS_MORE[status]
    lines = [f"HTTP/1.1 {status} {reason}", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in extra]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _error(message: str, kind: str) -> bytes:
    return _json({"error": {"message": message, "type": kind, "code": kind}})


def _refusal(mode: str) -> bytes:
    status = STATUSES[mode]
    if mode == "context":
        return _response(status, _error("the request exceeds the available context size", "exceed_context_size_error"))
    extra = {"busy": [("retry-after", "1")], "redirect": [("location", "http://127.0.0.1:9/")]}.get(mode, [])
    return _response(status, _error(f"synthetic {mode}", f"synthetic_{mode}"), extra)


def _frame(model: str, chat: bool, *, stream: bool) -> dict[str, Any]:
    kind = "text_completion" if not chat else "chat.completion.chunk" if stream else "chat.completion"
    return {"id": "chatcmpl-syn", "object": kind, "created": 1, "model": model}


TOOL_CALL: Final = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


def _delta(
    model: str, chat: bool, text: str, finish: str | None, *, first: bool = False, tools: bool = False
) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if chat:
        delta: dict[str, Any] = {"role": "assistant"} if first else {}
        if tools and first:
            delta["tool_calls"] = [TOOL_CALL]
        elif text:
            delta["content"] = text
        choice["delta"] = delta
    else:
        choice["text"] = text
    return {**_frame(model, chat, stream=True), "choices": [choice]}


def _answer(asked: Mapping[str, Any], behaviour: Behaviour, headers: Mapping[str, str], chat: bool) -> dict[str, Any]:
    tools = behaviour.mode == "tools"
    choice: dict[str, Any] = {"index": 0, "finish_reason": "tool_calls" if tools else "stop"}
    text = WORD * behaviour.chunks
    if chat:
        message: dict[str, Any] = {"role": "assistant", "content": None if tools else text}
        choice["message"] = message | ({"tool_calls": [TOOL_CALL]} if tools else {})
    else:
        choice["text"] = text
    answer = {**_frame(str(asked.get("model", "m")), chat, stream=False), "choices": [choice]}
    usage = usage_of(behaviour, asked, headers, behaviour.chunks)
    return answer if usage is None else {**answer, "usage": usage}


def _embeddings(asked: Mapping[str, Any], behaviour: Behaviour, headers: Mapping[str, str]) -> dict[str, Any]:
    given = asked.get("input", "")
    texts: Sequence[Any] = given if isinstance(given, list) else [given]
    data = [{"object": "embedding", "index": at, "embedding": [0.6, 0.8, 0.0]} for at in range(len(texts))]
    usage = usage_of(behaviour, asked, headers, 0)
    answer: dict[str, Any] = {"object": "list", "model": asked.get("model", "m"), "data": data}
    return answer if usage is None else {**answer, "usage": usage}


async def serve(upstream: Upstream, host: str, port: int, uds: Path | None) -> None:
    """Listen until cancelled; writes the address to standard output."""
    where = await upstream.start(host=host, port=port, uds=uds)
    sys.stdout.write(f"{where}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="shanhe.compute.synthetic", description="A synthetic upstream.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 = any free one; the address is printed")
    parser.add_argument("--uds", type=Path, help="listen on a UNIX socket instead")
    parser.add_argument("--mode", choices=sorted(MODES), default="instant")
    parser.add_argument("--chunks", type=int, default=5)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    args = parser.parse_args(argv)
    upstream = Upstream(Behaviour(args.mode, args.chunks, args.delay_ms))
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(upstream, args.host, args.port, args.uds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
