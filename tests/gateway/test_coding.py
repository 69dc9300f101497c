"""Bodies that come packed: unpacked within the bound, or refused by name."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from shanhe.gateway import coding
from shanhe.gateway.http import BODY_MAX_BYTES

from .conftest import Desk
from .engine import DONE, chunk, stream, usage_chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASKED = {"model": "syn", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
PLAIN = json.dumps(ASKED).encode()


def bare(data: bytes) -> bytes:
    """Deflate without the head that the standard asks for."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


async def send(desk: Desk, body: bytes, encoding: str, path: str = "chat/completions") -> httpx.Response:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    return await desk.http.post(f"/v1/{path}", content=body, headers=headers)


class TestPackedBody:
    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            ("gzip", gzip.compress(PLAIN)),
            ("GZIP", gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:])),
            ("x-gzip", gzip.compress(PLAIN)),
            ("deflate", zlib.compress(PLAIN)),
            ("deflate", bare(PLAIN)),
            ("identity", PLAIN),
        ],
    )
    async def test_is_read_time_and_again(self, desk: Desk, encoding: str, body: bytes) -> None:
        for _ in range(3):  # the second and third come over a connection whose head is known
            answer = await send(desk, body, encoding)
            assert answer.status_code == 200, answer.text
        assert [one["messages"] for one in desk.engine.requests] == [ASKED["messages"]] * 3

    async def test_is_read_in_a_stream_by_a_counter_and_in_the_other_protocols(self, desk: Desk) -> None:
        desk.engine.scripts = [stream(chunk("Hello"), chunk(finish="stop"), usage_chunk(9, 1), DONE)]
        streamed = gzip.compress(json.dumps({**ASKED, "stream": True}).encode())
        assert (await send(desk, streamed, "gzip")).text.endswith("data: [DONE]\n\n")
        for path in ("messages", "messages/count_tokens"):
            assert (await send(desk, gzip.compress(PLAIN), "gzip", path)).status_code == 200

    async def test_that_is_large_is_read_beside_the_other_calls(self, desk: Desk) -> None:
        content = "water " * coding.INLINE_BYTES
        body = gzip.compress(json.dumps({**ASKED, "messages": [{"role": "user", "content": content}]}).encode(), 0)
        assert len(body) > coding.INLINE_BYTES
        assert (await send(desk, body, "gzip")).status_code == 200
        assert desk.engine.requests[0]["messages"][0]["content"] == content

    async def test_that_is_a_bomb_is_refused_before_it_is_whole(self, desk: Desk) -> None:
        bomb = gzip.compress(b" " * (BODY_MAX_BYTES + 1))
        assert len(bomb) < BODY_MAX_BYTES // 500
        answer = await send(desk, bomb, "gzip")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
        twice = gzip.compress(b" " * (BODY_MAX_BYTES // 2)) + gzip.compress(b" " * (BODY_MAX_BYTES // 2 + 1))
        assert (await send(desk, twice, "gzip")).status_code == 413

    @pytest.mark.parametrize("body", [PLAIN, gzip.compress(PLAIN)[:-4], gzip.compress(PLAIN) + b"more", b""])
    async def test_that_is_not_what_it_says_is_the_callers_fault(self, desk: Desk, body: bytes) -> None:
        answer = await send(desk, body, "gzip")
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert desk.engine.requests == []

    @pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "aws-chunked"])
    async def test_in_another_coding_is_refused_by_name_with_what_is_read(self, desk: Desk, encoding: str) -> None:
        answer = await send(desk, PLAIN, encoding)
        error: dict[str, Any] = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (415, "unsupported_encoding")
        assert encoding in error["message"]
        assert answer.headers["accept-encoding"] == "gzip, deflate"
        said = (await send(desk, PLAIN, encoding, "messages")).json()
        assert said["error"]["type"] == "invalid_request_error"
