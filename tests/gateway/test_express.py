"""The second call on a connection goes the short way: it costs, refuses and falls back as the first one does."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shanhe.gateway.pipeline import Pipeline

from .conftest import RATES, TOKEN, Desk, target_for
from .engine import raw, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHOLE_COST = (9 * RATES.input + 2 * RATES.output) // 1_000_000


class Line:
    """One kept-alive connection of a client that sends each request in one piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def request(self, **changes: Any) -> bytes:
        fields = {"model": "syn", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
        body = json.dumps({**fields, **changes}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def send(self, **changes: Any) -> None:
        self.writer.write(self.request(**changes))

    async def receive(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def ask(self, **changes: Any) -> tuple[int, dict[str, str], Any]:
        self.send(**changes)
        async with asyncio.timeout(10):
            return await self.receive()


@asynccontextmanager
async def warm(desk: Desk) -> AsyncIterator[Line]:
    """A connection that has had its first answer, and so has one to the engine."""
    line = Line(*await asyncio.open_connection("127.0.0.1", desk.port))
    try:
        assert (await line.ask())[0] == 200
        yield line
    finally:
        line.writer.transport.abort()


@pytest.fixture
def short_way_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline takes no call: neither from its beginning nor from where the short way left it."""

    async def never(*_: Any) -> None:
        raise AssertionError("the call left the short way")

    monkeypatch.setattr(Pipeline, "go_on", never)


class TestCall:
    async def test_has_its_receipt_and_its_price(self, desk: Desk, short_way_only: None) -> None:
        async with warm(desk) as line:
            before = await desk.balance()
            status, headers, answer = await line.ask(temperature=0.5, messages=[{"role": "user", "content": "你好"}])
            assert (status, answer["choices"][0]["message"]["content"]) == (200, "Hello there")
            receipt = await desk.gateway.receipt(uuid.UUID(headers["x-shanhe-receipt"]), desk.org)
            assert receipt.amount_micro == WHOLE_COST == before - await desk.balance()
            assert receipt.evidence.status == "completed"
            assert desk.engine.requests[-1] == {
                "model": "syn", "messages": [{"role": "user", "content": "你好"}], "max_tokens": 64, "stream": False,
                "temperature": 0.5,
            }  # fmt: skip
            assert desk.gateway.in_flight == 0

    async def test_whose_capture_has_to_wait_goes_on_in_the_pipeline_and_is_charged_once(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with warm(desk) as line:
            before = await desk.balance()
            monkeypatch.setattr(desk.ledger, "settle_soon", lambda *_: False)  # its reservation is moving, say
            status, _, answer = await line.ask()
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "Hello there")
        assert (before - await desk.balance(), len(desk.engine.requests)) == (WHOLE_COST, 2)

    async def test_counts_against_the_budget_of_its_key_exactly(self, desk: Desk) -> None:
        held = (10 + 16 + 32) * RATES.input // 1_000_000 + 64 * RATES.output // 1_000_000
        desk.keys.known[TOKEN] = desk.caller(budget_day_micro=held + 3 * WHOLE_COST)
        async with warm(desk) as line:
            answers = [await line.ask() for _ in range(4)]
        assert [status for status, *_ in answers] == [200, 200, 200, 402]
        assert answers[-1][2]["error"]["code"] == "key_budget_exceeded"

    async def test_of_a_client_that_leaves_is_charged(self, desk: Desk) -> None:
        async def slow(asked: Any, writer: asyncio.StreamWriter) -> None:
            line.writer.transport.abort()
            await asyncio.sleep(0.05)
            await whole()(asked, writer)

        async with warm(desk) as line:
            before = await desk.balance()
            desk.engine.scripts.append(slow)
            line.send()
            await desk.heard()
            await desk.idle()
        assert before - await desk.balance() == WHOLE_COST

    async def test_streams_as_ever(self, desk: Desk) -> None:
        from .test_call import STREAM, STREAM_COST, stream

        async with warm(desk) as line:
            before = await desk.balance()
            desk.engine.scripts.append(stream(*STREAM))
            line.send(stream=True)
            async with asyncio.timeout(10):
                seen = await line.reader.readuntil(b"[DONE]")
            assert b"you " in seen
            await desk.idle()
        assert before - await desk.balance() == STREAM_COST


class TestConnection:
    async def test_never_takes_another_request_for_the_known_one(self, desk: Desk) -> None:
        other = b"POST /other HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
        line = Line(*await asyncio.open_connection("127.0.0.1", desk.port))
        try:
            line.writer.write(other + line.request())
            assert [(await line.receive())[0] for _ in range(2)] == [404, 200]
            line.writer.write(other)
            assert (await line.receive())[0] == 404
            assert (await line.ask())[0] == 200
        finally:
            line.writer.transport.abort()


class TestEngine:
    async def test_that_closed_its_connection_is_asked_again(self, desk: Desk) -> None:
        async def close(_: Any, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        async with warm(desk) as line:
            before = await desk.balance()
            desk.engine.scripts.append(close)
            assert (await line.ask())[0] == 200
        assert before - await desk.balance() == WHOLE_COST

    async def test_that_fails_is_followed_by_the_next(self, desk: Desk) -> None:
        desk.engines.targets = (*desk.engines.targets, target_for(desk.second, "second", contributor=None, idle_ms=300))
        async with warm(desk) as line:
            before = await desk.balance()
            desk.engine.scripts.append(raw(500, b"{}"))
            assert (await line.ask())[0] == 200
        assert len(desk.second.requests) == 1
        assert before - await desk.balance() == WHOLE_COST

    async def test_that_fails_with_an_answer_beside_it_is_not_paid_for_it(self, desk: Desk) -> None:
        async with warm(desk) as line:
            before = await desk.balance()
            body = (
                b'{"id":"c","choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],'
                b'"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}'
            )
            desk.engine.scripts.append(raw(503, body))
            assert (await line.ask())[0] == 502
        assert await desk.balance() == before

    async def test_that_refuses_costs_nothing(self, desk: Desk) -> None:
        async with warm(desk) as line:
            before = await desk.balance()
            desk.engine.scripts.append(raw(400, b'{"error":{"message":"too long","type":"context"}}'))
            status, _, answer = await line.ask()
            assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
            desk.engine.scripts.append(raw(200, b"no JSON"))
            assert (await line.ask())[0] == 502
            assert (await line.ask())[0] == 200
        assert before - await desk.balance() == WHOLE_COST
        assert all(target.state.in_flight == 0 for target in desk.engines.targets)

    async def test_without_usage_is_counted_here(self, desk: Desk) -> None:
        async with warm(desk) as line:
            desk.engine.scripts.append(whole(usage=None))
            _, headers, _ = await line.ask()
            receipt = await desk.gateway.receipt(uuid.UUID(headers["x-shanhe-receipt"]), desk.org)
            assert receipt.evidence.usage_source == "tokenizer"


class TestRefusal:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [({"model": "nobody"}, 404), ({"max_tokens": -1}, 400), ({"messages": []}, 400), ({"max_tokens": 10**6}, 400)],
    )
    async def test_is_typed_and_free(self, desk: Desk, changes: dict[str, Any], status: int) -> None:
        async with warm(desk) as line:
            before = await desk.balance()
            assert (await line.ask(**changes))[0] == status
            assert (await line.ask())[0] == 200
        assert before - await desk.balance() == WHOLE_COST
        assert desk.gateway.in_flight == 0
