"""An OpenAI-compatible engine for tests, `python upstream.py PORT`: what it does depends on the model's name.

`good` answers properly (text, tools, JSON schema, logprobs); `exact` reports the gateway's upper bound as its usage;
`slow` takes its time between chunks; the others each do one thing wrong.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import sys
import zlib
from typing import Any

GOOD_TEXT = "Hello there, friend of the city."
CHUNKS = ["Hello", " there", ",", " friend", " of", " the", " city", "."]
SLOW_PAUSE_S = 0.03
PACED = ("slow", "cut", "error-inside", "stall-inside")
"""Models whose chunks arrive one by one, so that something was delivered before it goes wrong."""
STALL_S = 3600.0
MESSAGE_TOKENS, TEMPLATE_TOKENS = 16, 32


class Hangup(Exception):
    """The script says to close the connection now."""


async def serve(port: int) -> None:
    """Listen on loopback until killed."""
    server = await asyncio.start_server(connection, "127.0.0.1", port, limit=32 * 1024 * 1024)
    async with server:
        await server.serve_forever()


async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = await reader.readexactly(length) if length else b"{}"
            form = b"multipart/form-data" in head
            await answer(head.split(b" ")[1].decode(), {} if form else json.loads(body), writer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, Hangup):
        pass
    finally:
        writer.close()


async def answer(path: str, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    model = str(request.get("model", ""))
    if path.endswith("/models"):
        return whole(writer, 200, {"object": "list", "data": [{"id": "good", "object": "model"}]})
    if path.endswith(("/images/generations", "/images/edits")):
        return whole(writer, 200, {"created": 1, "data": [{"b64_json": picture()}] * int(request.get("n") or 1)})
    if path.endswith("/embeddings"):
        inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
        data = [{"object": "embedding", "index": i, "embedding": [0.6, 0.8]} for i in range(len(inputs))]
        count = sum(len(str(text).split()) for text in inputs)
        usage = {"prompt_tokens": count, "total_tokens": count}
        return whole(writer, 200, {"object": "list", "data": data, "model": model, "usage": usage})
    if model == "too-long":
        error = {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}
        return whole(writer, 400, {"error": error})
    if model == "busy":
        return whole(writer, 429, {"error": {"message": "slow down", "type": "rate_limit"}})
    if model == "broken":
        trace = f"secret stack trace of the engine at {request.get('messages')}"
        return whole(writer, 500, {"error": {"message": trace, "type": "server_error"}})
    if model == "hangup":
        raise Hangup
    if model == "garbage":
        return raw(writer, 200, b'{"choices": [{"mess')
    if model == "stall":
        await asyncio.sleep(STALL_S)
    if request.get("stream"):
        return await stream(model, request, writer)
    if model == "slow":
        await asyncio.sleep(SLOW_PAUSE_S * len(CHUNKS))
    body = {"id": "chatcmpl-stage", "object": "chat.completion", "created": 1_790_000_000, "model": model}
    message, finish = message_of(model, request)
    choices = [
        {"index": i, "message": message, "logprobs": logprobs_of(request), "finish_reason": finish}
        for i in range(int(request.get("n") or 1))
    ]
    if path.endswith("/completions") and not path.endswith("/chat/completions"):
        choices = [{"index": 0, "text": GOOD_TEXT, "logprobs": None, "finish_reason": "stop"}]
        body["object"] = "text_completion"
    usage = usage_of(model, request)
    return whole(writer, 200, {**body, "choices": choices} | ({"usage": usage} if usage is not None else {}))


def picture(side: int = 64) -> str:
    """A PNG file, base64."""
    rows = b"".join(b"\0" + bytes(v for x in range(side) for v in (4 * x, 4 * y, 128)) for y in range(side))
    made = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    for name, held in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        made += struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))
    return base64.b64encode(made).decode()


def message_of(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if model == "exact":
        return {"role": "assistant", "content": "x" * int(request["max_tokens"])}, "length"
    tools = request.get("tools")
    asked = any(message.get("role") == "tool" for message in request.get("messages", []))
    if tools and not asked and request.get("tool_choice") != "none":
        function = tools[0]["function"]
        wanted = function.get("parameters", {}).get("properties", {})
        arguments = json.dumps({name: example(schema) for name, schema in wanted.items()})
        call = {"id": "call_1", "type": "function", "function": {"name": function["name"], "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    form = request.get("response_format") or {}
    if form.get("type") == "json_schema":
        return {"role": "assistant", "content": json.dumps(example(form["json_schema"]["schema"]))}, "stop"
    return {"role": "assistant", "content": GOOD_TEXT}, "stop"


def logprobs_of(request: dict[str, Any]) -> dict[str, Any] | None:
    if not request.get("logprobs"):
        return None
    rows = [{"token": part, "logprob": -0.1, "bytes": list(part.encode()), "top_logprobs": []} for part in CHUNKS]
    return {"content": rows, "refusal": None}


def example(schema: dict[str, Any]) -> Any:
    """The simplest value that satisfies a JSON schema of the kinds the tests use."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: example(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {}))]
    return {"integer": 7, "number": 7.5, "boolean": True, "null": None}.get(str(kind), "Shanhe")


def usage_of(model: str, request: dict[str, Any]) -> dict[str, Any] | None:
    if model == "silent":
        return None
    if model == "negative":
        return {"prompt_tokens": -5, "completion_tokens": -9, "total_tokens": -14}
    if model == "liar":
        return {"prompt_tokens": 10**12, "completion_tokens": 10**12, "total_tokens": 7}
    if model == "exact":
        texts = [message["content"] for message in request["messages"]]
        size = sum(len(text.encode()) for text in texts)
        prompt = size + MESSAGE_TOKENS * len(texts) + TEMPLATE_TOKENS
        completion = int(request["max_tokens"])
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {
        "prompt_tokens": 20,
        "completion_tokens": 8,
        "total_tokens": 28,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


async def stream(model: str, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    message, finish = message_of(model, request)
    head = {"id": "chatcmpl-stage", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": model}

    def event(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message.get("tool_calls"):
        deltas.append({"tool_calls": [{"index": 0, **message["tool_calls"][0]}]})
    elif message["content"] == GOOD_TEXT:
        deltas += [{"content": part} for part in CHUNKS]
    else:
        deltas.append({"content": message["content"]})
    for position, delta in enumerate(deltas):
        piece(writer, event(delta))
        await writer.drain()
        if model in PACED:
            await asyncio.sleep(SLOW_PAUSE_S)
        if position == 3 and model == "cut":
            raise Hangup
        if position == 3 and model == "error-inside":
            piece(writer, {"error": {"message": "out of memory", "type": "server_error"}})
        if position == 3 and model == "stall-inside":
            await asyncio.sleep(STALL_S)
    piece(writer, event({}, finish))
    usage = usage_of(model, request)
    if usage is not None and (request.get("stream_options") or {}).get("include_usage"):
        piece(writer, {**head, "choices": [], "usage": usage})
    data = b"data: [DONE]\n\n"
    writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))


def piece(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def whole(writer: asyncio.StreamWriter, status: int, value: dict[str, Any]) -> None:
    raw(writer, status, json.dumps(value).encode())


def raw(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
