"""What an answer says was used is what was charged, in the words of each protocol, whole or streamed."""

from __future__ import annotations

import json
import struct
from typing import Any
from uuid import UUID

import pytest

from shanhe.gateway.faces.base import Choice, Completion, Message, Parsed
from shanhe.gateway.faces.conversation import size_of
from shanhe.gateway.faces.openai import IMAGE_TOKENS, PassThrough
from shanhe.gateway.faces.rerank import Rerank
from shanhe.gateway.faces.transcription import wav_seconds
from shanhe.gateway.meter import Buckets

from .conftest import RATES, Desk
from .engine import DONE, chunk, stream, usage_chunk, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO = [{"role": "user", "content": "Say hello."}]
USAGE = {
    "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_creation_input_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 5},
}  # fmt: skip
OPENAI = {
    "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 5},
}  # fmt: skip
RESPONSES = {
    "input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}, "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 16,
}  # fmt: skip
ANTHROPIC = {
    "input_tokens": 2, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 5}, "server_tool_use": None,
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO, "stream_options": {"include_usage": True}},
    "/v1/responses": {"input": "Say hello."},
    "/v1/messages": {"messages": HELLO},
}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


class TestUsage:
    @pytest.mark.parametrize(
        ("path", "told"),
        [("/v1/chat/completions", OPENAI), ("/v1/responses", RESPONSES), ("/v1/messages", ANTHROPIC)],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_is_what_was_charged(self, desk: Desk, path: str, told: dict[str, Any], streamed: bool) -> None:
        body = {"model": "syn", "max_tokens": 64, "stream": streamed, **BODIES[path]}
        if streamed:
            usage = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
            desk.engine.default = stream(chunk("Hello there"), chunk(finish="stop"), usage, DONE)
            answers = [one.get("response", one) for one in events((await desk.http.post(path, json=body)).text)]
            usage_told = [one["usage"] for one in answers if one.get("usage")][-1]
        else:
            desk.engine.default = whole(usage=USAGE)
            usage_told = (await desk.http.post(path, json=body)).json()["usage"]
        assert told.items() <= {**usage_told, **told_alone(usage_told)}.items()

    async def test_of_more_than_there_was_is_told_as_it_was_cut(self, desk: Desk) -> None:
        claimed = {**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}
        desk.engine.default = whole(usage=claimed)
        said = (await desk.chat()).json()["usage"]
        assert said["prompt_tokens_details"] == {"cached_tokens": 9, "cache_write_tokens": 0}


def told_alone(usage: dict[str, Any]) -> dict[str, Any]:
    """Details of an engine's own object that says just what is charged, without those that it has beside."""
    details = usage.get("prompt_tokens_details")
    names = ("cached_tokens", "cache_write_tokens")
    return {} if details is None else {"prompt_tokens_details": {name: details.get(name, 0) for name in names}}


class TestToolOfAnAnthropicClient:
    TOOLS = ({"name": "f", "input_schema": {"type": "object", "properties": {}}},)

    async def ask(self, desk: Desk, **changes: Any) -> dict[str, Any]:
        body = {"model": "syn", "max_tokens": 64, "messages": HELLO, "tools": list(self.TOOLS), **changes}
        answer = await desk.http.post("/v1/messages", json=body)
        assert answer.status_code == 200, answer.text
        seen: dict[str, Any] = desk.engine.requests[-1]
        return seen

    async def test_that_is_not_to_be_called_is_told_so(self, desk: Desk) -> None:
        assert (await self.ask(desk, tool_choice={"type": "none"}))["tool_choice"] == "none"
        assert "tool_choice" not in await self.ask(desk, tool_choice={"type": "auto"})

    async def test_that_failed_is_told_as_a_failure(self, desk: Desk) -> None:
        turns = [
            *HELLO,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "no such file", "is_error": True}]},
        ]  # fmt: skip
        seen = (await self.ask(desk, messages=turns))["messages"]
        assert seen[-1] == {"role": "tool", "tool_call_id": "a", "content": "Error: no such file"}
        assert seen[-2]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}


class TestShapeOfAResponse:
    @pytest.mark.parametrize("strict", [True, False])
    async def test_reaches_the_engine_with_its_strictness(self, desk: Desk, strict: bool) -> None:
        shape = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": strict}
        body = {"model": "syn", "input": "Hi", "text": {"format": shape}}
        assert (await desk.http.post("/v1/responses", json=body)).status_code == 200
        sent = {"name": "n", "schema": {"type": "object"}, "strict": strict}
        assert desk.engine.requests[-1]["response_format"] == {"type": "json_schema", "json_schema": sent}

    async def test_that_is_cut_ends_its_stream_as_incomplete(self, desk: Desk) -> None:
        desk.engine.default = stream(chunk("Hello"), chunk(finish="length"), usage_chunk(9, 1), DONE)
        body = {"model": "syn", "input": "Hi", "stream": True}
        last = events((await desk.http.post("/v1/responses", json=body)).text)[-1]
        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")


class TestSeveralAnswers:
    async def test_go_on_when_one_of_them_has_ended(self) -> None:
        parsed = Parsed("syn", {}, answers=2, stream=True)
        writer = PassThrough(parsed, "syn")
        ended, other = (event(at, finish) for at, finish in ((0, "stop"), (1, None)))
        assert writer.chunk(*ended) == b""
        assert writer.chunk(*other) == other[0] + b"\n\n"
        assert writer.finish(Buckets()).startswith(ended[0])


def event(at: int, finish: str | None) -> tuple[bytes, Completion]:
    said = Choice(index=at, delta=Message(content="x"), finish_reason=finish)
    return b'data: {"choices":[{"index":%d}]}' % at, Completion(choices=[said])


class TestPicture:
    async def test_counts_each_time_as_what_encoders_make_of_one(self, desk: Desk) -> None:
        desk.engines.targets[0].features |= {"vision"}
        url = {"url": "data:image/png;base64,AAAA"}
        answer = await desk.chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": url}]}])
        receipt = await desk.gateway.receipt(UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.held_micro >= IMAGE_TOKENS * RATES.input // 1_000_000
        parts = [{"type": "image_url", "image_url": url}] * 2
        assert size_of({"messages": [{"role": "user", "content": parts}]}) > 2 * IMAGE_TOKENS


class TestThought:
    async def test_by_both_names_goes_to_the_engine_as_its_first(self, desk: Desk) -> None:
        said = {"role": "assistant", "content": "x", "reasoning_content": "first", "reasoning": "second"}
        await desk.chat(messages=[*HELLO, said, *HELLO])
        assert desk.engine.requests[-1]["messages"][1]["reasoning_content"] == "first"


class TestTextCompletion:
    async def held(self, desk: Desk, **changes: Any) -> int:
        body = {"model": "syn", "prompt": "a", "max_tokens": 50, **changes}
        answer = await desk.http.post("/v1/completions", json=body)
        assert answer.status_code == 200, answer.text
        receipt = await desk.gateway.receipt(UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        return receipt.evidence.held_micro

    async def test_of_several_prompts_reserves_an_answer_for_each(self, desk: Desk) -> None:
        assert await self.held(desk, prompt=["a", "b", "c"], n=2) >= 6 * 50 * RATES.output // 1_000_000

    async def test_with_a_suffix_reserves_what_is_read_of_it(self, desk: Desk) -> None:
        desk.engines.targets[0].features |= {"suffix"}
        more = await self.held(desk, suffix="x" * 1000) - await self.held(desk)
        assert more == 1000 * RATES.input // 1_000_000


class TestBound:
    async def test_of_a_reranker_counts_the_query_with_each_document(self) -> None:
        face = Rerank(lambda name: ("rerank", "", ""))
        parsed = face.parse(b'{"model":"m","query":"four","documents":["a","bc","def"]}')
        assert parsed.text_bytes == 3 * len("four") + len("abcdef")

    @pytest.mark.parametrize(("coding", "seconds"), [(1, 0.5), (3, 0.5), (17, None)])
    async def test_of_a_sound_is_known_where_it_is_not_compressed(self, coding: int, seconds: float | None) -> None:
        head = struct.pack("<4sI4s", b"RIFF", 0, b"WAVE") + struct.pack("<4sI", b"LIST", 3) + b"abc\0"
        head += struct.pack("<4sIHHIIHH", b"fmt ", 16, coding, 1, 8000, 16_000, 2, 16)
        found = wav_seconds(head + bytes(8000 - len(head)))
        assert found == seconds


class TestUsageSaidTwice:
    async def test_beside_the_choices_counts_and_not_inside_one(self, desk: Desk) -> None:
        inside = {"prompt_tokens": 900, "completion_tokens": 900, "total_tokens": 1800}
        choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": inside}
        end = b"data: " + json.dumps({"choices": [choice], "usage": USAGE}).encode() + b"\n\n"
        desk.engine.default = stream(chunk("Hello there"), end, DONE)
        before = await desk.balance()
        await desk.chat(stream=True)
        cost = 2 * RATES.input + 3 * RATES.cache_write + 4 * RATES.cached_input + 2 * RATES.output + 5 * RATES.reasoning
        assert before - await desk.balance() == cost // 1_000_000
