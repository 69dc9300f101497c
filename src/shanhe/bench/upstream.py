"""The instant engine of the bench: `python -m shanhe.bench.upstream PORT` answers every request with one constant.

One process on uvloop that finds the end of a request and writes prepared bytes: about as much work as a model server
spends on HTTP before it thinks.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

ANSWER = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    },
    separators=(",", ":"),
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER.encode(),
)
LENGTH = b"content-length:"
REQUEST_MAX_BYTES = 1024 * 1024


class Instant(asyncio.Protocol):
    """One connection: whole requests in, the constant out."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := request_end(self._data)) is not None:
            self._data = self._data[end:]
            self._transport.write(RESPONSE)
        if len(self._data) > REQUEST_MAX_BYTES:
            self._transport.close()


def request_end(data: bytes) -> int | None:
    """Where the first request in `data` ends; None while it is incomplete."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    lowered = data[:head].lower()
    at = lowered.find(LENGTH)
    length = int(lowered[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    end = head + 4 + length
    return end if len(data) >= end else None


async def serve(port: int) -> None:
    """Listen on loopback until ended."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
