"""How long the head of a request may take, and what counts when the process itself stood still."""

from __future__ import annotations

import asyncio
import json

import pytest

from shanhe.gateway import server

from .conftest import TOKEN, Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = json.dumps({"model": "syn", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8})
WHOLE = (
    f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n"
    f"content-length: {len(BODY)}\r\n\r\n{BODY}"
).encode()
LIMIT_S = 20


async def said(desk: Desk, first: bytes, pause_s: float, then: bytes) -> bytes:
    """What the city answers to two pieces with a pause between them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    try:
        async with asyncio.timeout(LIMIT_S):
            writer.write(first)
            await asyncio.sleep(pause_s)
            writer.write(then)
            return await reader.read()
    finally:
        writer.transport.abort()


class TestHead:
    async def test_that_waits_unread_when_its_time_is_over_is_read(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a process stood still, timers may run before what has come meanwhile is read."""
        monkeypatch.setattr(server, "HEAD_WAIT_S", 0.02)
        monkeypatch.setattr(server, "LAST_LOOK_S", LIMIT_S)
        for first in (b"", WHOLE[:40]):
            assert b" 200 " in (await said(desk, first, 0.1, WHOLE[len(first) :])).split(b"\r\n", 1)[0]

    async def test_that_does_not_come_ends_the_connection(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "HEAD_WAIT_S", 0.02)
        monkeypatch.setattr(server, "LAST_LOOK_S", 0.02)
        assert b" 408 " in await said(desk, WHOLE[:40], 0, b"")
        assert await said(desk, b"", 0, b"") == b""
