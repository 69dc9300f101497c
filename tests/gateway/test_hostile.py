"""An engine that wants to harm the gateway fails alone: it takes no memory that grows, no time of others, no money."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from shanhe.gateway import call, relay
from shanhe.gateway.faces.righting import CALLS_MAX
from shanhe.gateway.sse import EVENT_MAX_BYTES, Splitter

from .conftest import RATES, Desk
from .engine import DONE, chunk, stream, usage_chunk, whole
from .test_righting import HELLO, called

pytestmark = pytest.mark.asyncio(loop_scope="module")
FACES = {"/v1/chat/completions": {}, "/v1/messages": {}, "/v1/responses": {"input": "Say hello."}}
TAIL = 300 * 1024


class Paced:
    """An engine that sends the first piece, and all others in one go once its client has heard that."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.heard = asyncio.Event()

    async def __call__(self, _: Any, writer: asyncio.StreamWriter) -> None:
        first, *others = self._pieces
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(first), first))
        await self.heard.wait()
        rest = b"".join(others)
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))


async def listen(desk: Desk, engine: Paced, path: str = "/v1/chat/completions") -> str:
    """What comes of a call to it."""
    desk.engine.default, said = engine, ""
    body = {"model": "syn", "messages": HELLO, "max_tokens": 64, "stream": True, **FACES[path]}
    async with desk.http.stream("POST", path, json=body) as answer:
        async for text in answer.aiter_text():
            said += text
            engine.heard.set()
    return said


async def ask(desk: Desk, path: str = "/v1/chat/completions", **more: Any) -> str:
    body = {"model": "syn", "messages": HELLO, "max_tokens": 64, "stream": True, **FACES[path], **more}
    return (await desk.http.post(path, json=body)).text


class TestStream:
    async def test_that_goes_on_after_its_end_is_cut_off_and_what_was_delivered_charged(self, desk: Desk) -> None:
        after = [chunk(junk="x" * TAIL)] * (EVENT_MAX_BYTES // TAIL + 1)
        before = await desk.balance()
        said = await listen(desk, Paced(chunk("Hello"), chunk(finish="stop"), *after, usage_chunk(9, 1), DONE))
        assert "nobody can use" in said
        assert "junk" not in said
        assert before - await desk.balance() == 5 * RATES.output // 1_000_000

    @pytest.mark.parametrize("path", FACES)
    async def test_that_says_more_than_any_answer_holds_is_cut_off(
        self, desk: Desk, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert relay.ANSWER_MAX_BYTES == call.ANSWER_MAX_BYTES
        monkeypatch.setattr(relay, "ANSWER_MAX_BYTES", 10_000)
        said = await listen(desk, Paced(*[chunk("x" * 4_000)] * 4, chunk(finish="stop"), usage_chunk(9, 4), DONE), path)
        assert "more than it was asked for" in said
        assert said.count("x" * 4_000) == 2

    @pytest.mark.parametrize("path", FACES)
    async def test_that_breaks_off_delivers_what_it_is_charged_for(
        self, desk: Desk, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What came in one piece with the error was charged and had not left."""
        counted: list[str] = []

        async def count(_: Any, text: str) -> int:
            counted.append(text)
            return len(text)

        monkeypatch.setattr(desk.engines, "tokenize", count)
        error = b'data: {"error":{"message":"out of memory"}}\n\n'
        before = await desk.balance()
        said = await listen(desk, Paced(chunk("One "), chunk("two "), chunk("three"), error, chunk("four")), path)
        assert counted == ["One two three"]
        assert all(word in said for word in ("One ", "two ", "three"))
        assert "four" not in said
        assert before - await desk.balance() == 13 * RATES.output // 1_000_000

    @pytest.mark.parametrize("path", FACES)
    async def test_that_calls_tools_without_end_is_the_engines_fault_and_free(self, desk: Desk, path: str) -> None:
        calls = [{"id": f"c{n}", "index": 0, "function": {"name": "f"}} for n in range(CALLS_MAX + 1)]
        desk.engine.default = stream(called(*calls), chunk(finish="tool_calls"), usage_chunk(9, 1), DONE)
        before = await desk.balance()
        assert f"more than {CALLS_MAX} tools" not in await ask(desk, path)
        assert await desk.balance() == before
        desk.engine.default = stream(called(*calls[:-1]), chunk(finish="tool_calls"), usage_chunk(9, 60), DONE)
        assert f"c{CALLS_MAX - 1}" in await ask(desk, path)

    async def test_that_answers_without_end_is_the_engines_fault(self, desk: Desk) -> None:
        rows = [{"index": n, "delta": {"tool_calls": [{"id": "c"}]}} for n in range(CALLS_MAX + 1)]
        desk.engine.default = stream(b"data: " + json.dumps({"choices": rows}).encode() + b"\n\n", DONE)
        assert "can't be read" in await ask(desk)

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_that_says_at_length_why_it_ended_writes_nothing_into_the_books(
        self, desk: Desk, streamed: bool
    ) -> None:
        told = "Somebody asked about their illness. " * 100
        desk.engine.default = stream(chunk("Hello"), chunk(finish=told), DONE) if streamed else whole(finish=told)
        before = await desk.balance()
        answer = await ask(desk, stream=streamed)
        assert "illness" not in answer
        assert before - await desk.balance() in (0, 5 * RATES.output // 1_000_000)

    async def test_in_pieces_of_a_byte_costs_no_more_than_its_bytes(self) -> None:
        """Each piece was joined to all before it, and looked through from the beginning: a byte took milliseconds."""
        splitter, began = Splitter(), time.process_time()
        splitter.feed(b"data: " + b"x" * 3_500_000)
        for _ in range(20_000):
            assert splitter.feed(b"x") == []
        assert time.process_time() - began < 10
        assert splitter.feed(b"\r\n\r") == []
        assert [len(event) for event in splitter.feed(b"\nleft")] == [3_520_006]
        assert splitter.rest == b"left"

    async def test_that_comments_and_says_nothing_ends_when_a_call_has_to(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relay, "CALL_MAX_S", 0.2)

        async def talks(_: Any, writer: asyncio.StreamWriter) -> None:
            await stream(chunk("Hello"), hang=False)(_, Unended(writer))  # type: ignore[arg-type]
            for _ in range(1_000):
                if writer.transport.is_closing():
                    return
                writer.write(b"4\r\n: x\n\r\n")
                await asyncio.sleep(0.01)

        desk.engine.default = talks
        before = await desk.balance()
        assert "took too long" in await ask(desk)
        assert before - await desk.balance() == 5 * RATES.output // 1_000_000


class Unended:
    """A writer that never writes the end of a body."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        if not data.startswith(b"0\r\n"):
            self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


class TestUsage:
    @pytest.mark.parametrize(
        ("usages", "paid"),
        [
            (({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},), (9, 5)),
            (({"prompt_tokens": 1, "completion_tokens": 1}, {"prompt_tokens": 9, "completion_tokens": 5}), (9, 5)),
            (({"prompt_tokens": 9, "completion_tokens": 5}, None), (9, 5)),
            (({"prompt_tokens": -9, "completion_tokens": 5},), (7, 5)),
            (({"prompt_tokens": 9.5, "completion_tokens": 5},), (7, 5)),
            (({"prompt_tokens": True, "completion_tokens": "5"},), (7, 5)),
            (([],), (7, 5)),
        ],
    )
    async def test_is_the_last_that_was_said_or_counted_here(
        self, desk: Desk, usages: tuple[Any, ...], paid: tuple[int, int]
    ) -> None:
        said = [b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n" for usage in usages]
        late = usage_chunk(900, 900)
        desk.engine.default = stream(chunk("Hello"), chunk(finish="stop"), *said, DONE, late)
        before = await desk.balance()
        assert "[DONE]" in await ask(desk)
        assert before - await desk.balance() == (paid[0] * RATES.input + paid[1] * RATES.output) // 1_000_000


class TestAbandonedStream:
    async def test_is_read_for_a_while_and_charged_as_far(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay, "DRAIN_MAX_S", 0.2)

        async def talks(_: Any, writer: asyncio.StreamWriter) -> None:
            await stream(chunk("Hello"))(_, Unended(writer))  # type: ignore[arg-type]
            for _ in range(1_000):
                if writer.transport.is_closing():
                    return
                writer.write(b"4\r\n: x\n\r\n")
                await asyncio.sleep(0.01)

        desk.engine.default = talks
        before = await desk.balance()
        body = {"model": "syn", "messages": HELLO, "max_tokens": 64, "stream": True}
        async with desk.http.stream("POST", "/v1/chat/completions", json=body) as left:
            async for _ in left.aiter_raw():
                break
        await desk.idle()
        assert before - await desk.balance() == 5 * RATES.output // 1_000_000


class TestCount:
    async def test_of_a_tokenizer_is_no_more_than_the_bytes_there_were(self, desk: Desk) -> None:
        desk.engines.tokens_per_text = 100_000
        desk.engine.default = whole("Hello", usage=None)
        try:
            answer = await desk.chat()
        finally:
            desk.engines.tokens_per_text = 7
        assert answer.json()["usage"]["completion_tokens"] == len("Hello")
        assert answer.json()["usage"]["prompt_tokens"] < 4096
