"""Servers that call themselves compatible and write it otherwise: each is read as what it means, and charged so."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from shanhe.compute.api import BOUND
from shanhe.compute.suppliers import features_of
from shanhe.gateway.faces.anthropic import Messages
from shanhe.gateway.faces.responses import Responses
from shanhe.kernel.ids import new_id

from .conftest import RATES, Desk, target_for
from .engine import DONE, chunk, raw, stream, usage_chunk, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
PAID = (9 * RATES.input + 3 * RATES.output) // 1_000_000
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "fg"]
HELLO = [{"role": "user", "content": "Say hello."}]
END = (chunk(finish="stop"), usage_chunk(9, 3), DONE)


def event(**fields: Any) -> bytes:
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "syn", **fields}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def called(*calls: dict[str, Any]) -> bytes:
    return event(choices=[{"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": None}])


def call(name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def gathered(answer: httpx.Response) -> list[tuple[str, str, str]]:
    """The tool calls of a streamed chat as a client puts them together: by their index."""
    found: dict[int, list[str]] = {}
    for one in chunks(answer):
        for choice in one["choices"]:
            for piece in choice["delta"].get("tool_calls") or ():
                known = found.setdefault(piece["index"], ["", "", ""])
                known[0] = piece.get("id") or known[0]
                known[1] += piece["function"].get("name") or ""
                known[2] += piece["function"].get("arguments") or ""
    return [(known[0], known[1], known[2]) for _, known in sorted(found.items())]


async def message(desk: Desk, **changes: Any) -> httpx.Response:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in "fg"]
    body = {"model": "syn", "max_tokens": 64, "messages": HELLO, "tools": tools, **changes}
    return await desk.http.post("/v1/messages", json=body)


X, Y = '{"x":1}', '{"y":2}'
PARALLEL = {
    "that share a number": (called(call("f", X, index=0, id="a")), called(call("g", Y, index=0, id="b"))),
    "without a number": (called(call("f", X, id="a"), call("g", Y, id="b")),),
    "in pieces under one number": (
        called(call("f", "", index=0, id="a")), called(call(None, X, index=0)),
        called(call("g", "", index=0, id="b")), called(call(None, '{"y"', index=0)), called(call(None, ":2}", index=0)),
    ),
    "whose pieces repeat the id": (
        called(call("f", '{"x"', index=0, id="a")), called(call("", ":1}", index=0, id="a")),
        called(call("g", Y, index=1, id="b")),
    ),
    "with arguments that are no text": (called(call("f", {"x": 1}, index=0, id="a"), call("g", Y, index=1, id="b")),),
    "whose pieces repeat the name": (
        called(call("f", '{"x"', index=0, id="a")), called(call("f", ":1}", index=0)),
        called(call("g", Y, index=1, id="b")),
    ),
    "of the protocol": (called(call("f", X, index=0, id="a")), called(call("g", Y, index=1, id="b"))),
}  # fmt: skip


class TestCalls:
    @pytest.mark.parametrize("how", PARALLEL)
    async def test_at_the_same_time_stay_apart(self, desk: Desk, how: str) -> None:
        desk.engine.default = stream(*PARALLEL[how], *END)
        assert gathered(await desk.chat(stream=True, tools=TOOLS)) == [("a", "f", X), ("b", "g", Y)]
        said = chunks(await message(desk, stream=True))
        blocks = [one["content_block"] for one in said if one["type"] == "content_block_start"]
        assert [(block["id"], block["name"]) for block in blocks] == [("a", "f"), ("b", "g")]
        tools = [{"type": "function", "name": name, "parameters": {}} for name in "fg"]
        body = {"model": "syn", "input": "Hi", "stream": True, "tools": tools}
        last = chunks(await desk.http.post("/v1/responses", json=body))[-1]["response"]["output"]
        assert [(one["call_id"], one["name"], one["arguments"]) for one in last] == [("a", "f", X), ("b", "g", Y)]

    async def test_in_pieces_in_turns_are_an_error_where_blocks_follow_one_another(self, desk: Desk) -> None:
        turns = [call("f", '{"x"', index=0, id="a"), call("g", '{"y"', index=1, id="b"), call(None, ":1}", index=0)]
        pieces = [*map(called, turns), called(call(None, ":2}", index=1))]
        desk.engine.default = stream(*pieces, *END)
        assert gathered(await desk.chat(stream=True, tools=TOOLS)) == [("a", "f", X), ("b", "g", Y)]
        said = (await message(desk, stream=True)).text
        assert "event: error" in said or '"type":"error"' in said
        assert '"id":null' not in said

    async def test_as_the_protocol_has_them_pass_as_they_came(self, desk: Desk) -> None:
        desk.engine.scripts = [stream(*PARALLEL["of the protocol"], *END)]
        answer = await desk.chat(stream=True, tools=TOOLS)
        assert answer.content.startswith(b"".join(PARALLEL["of the protocol"]))

    async def test_without_an_id_get_one_to_be_answered_by(self, desk: Desk) -> None:
        desk.engine.scripts = [stream(called(call("f", X, index=0)), called(call("g", Y, index=1)), *END)]
        first, second = gathered(await desk.chat(stream=True, tools=TOOLS))
        assert first[0].startswith("call_")
        assert second[0].startswith("call_")
        assert first[0] != second[0]
        said = {"role": "assistant", "content": None, "tool_calls": [call("f", X), call("g", {"y": 2})]}
        desk.engine.scripts = [whole(message=said)]
        given = (await desk.chat(tools=TOOLS)).json()["choices"][0]["message"]["tool_calls"]
        assert len({one["id"] for one in given}) == 2
        assert [one["function"]["arguments"] for one in given] == [X, Y]

    @pytest.mark.parametrize("streamed", [True, False])
    async def test_are_what_ends_a_message_whatever_the_engine_calls_it(self, desk: Desk, streamed: bool) -> None:
        said = {"role": "assistant", "content": None, "tool_calls": [call("f", X, id="a", index=0)]}
        desk.engine.scripts = [stream(called(*said["tool_calls"]), *END) if streamed else whole(message=said)]  # type: ignore[misc]
        answer = await message(desk, stream=streamed)
        ended = chunks(answer)[-2]["delta"] if streamed else answer.json()
        assert ended["stop_reason"] == "tool_use"


class TestUsage:
    @pytest.mark.parametrize(
        ("told", "paid"),
        [
            ({**USAGE, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 4}, PAID - 5),
            ({**USAGE, "cached_tokens": 4}, PAID - 4),
            ({**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}, PAID - 4),
            ({**USAGE, "total_tokens": 20, "completion_tokens_details": {"reasoning_tokens": 8}}, PAID + 8 * 4),
            ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}}, PAID),
        ],
    )
    @pytest.mark.parametrize("streamed", [True, False])
    async def test_is_read_in_the_words_of_each_supplier(
        self, desk: Desk, told: dict[str, Any], paid: int, streamed: bool
    ) -> None:
        text = "Hello there, all of you"
        pieces = (chunk(text), chunk(finish="stop"), event(choices=[], usage=told), DONE)
        desk.engine.scripts = [stream(*pieces) if streamed else whole(text, usage=told)]
        before = await desk.balance()
        answer = await desk.chat(stream=streamed, **({"stream_options": {"include_usage": True}} if streamed else {}))
        assert before - await desk.balance() == paid
        said = chunks(answer)[-1]["usage"] if streamed else answer.json()["usage"]
        assert said["total_tokens"] == said["prompt_tokens"] + said["completion_tokens"]
        assert (said.get("prompt_tokens_details") or {}).get("cached_tokens", 0) == max(0, min(PAID - paid, 5))

    async def test_inside_a_choice_is_charged_and_not_shown_to_who_did_not_ask(self, desk: Desk) -> None:
        last = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}])
        desk.engine.scripts = [stream(chunk("Hello you"), last, DONE)]
        before = await desk.balance()
        answer = await desk.chat(stream=True)
        assert before - await desk.balance() == PAID
        assert "usage" not in answer.text

    async def test_in_an_event_that_nothing_follows_is_read(self, desk: Desk) -> None:
        desk.engine.scripts = [stream(chunk("Hello you"), chunk(finish="stop"), usage_chunk(9, 3).rstrip())]
        before = await desk.balance()
        await desk.chat(stream=True)
        assert before - await desk.balance() == PAID

    async def test_in_an_event_that_is_cut_is_counted_here_and_the_answer_is_whole(self, desk: Desk) -> None:
        desk.engine.scripts = [stream(chunk("Hello you"), chunk(finish="stop"), usage_chunk(9, 3)[:60])]
        answer = await desk.chat(stream=True)
        assert answer.text.endswith("data: [DONE]\n\n")

    @pytest.mark.parametrize("streamed", [True, False])
    async def test_of_nothing_is_no_usage_where_something_was_written(self, desk: Desk, streamed: bool) -> None:
        nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        pieces = (chunk("Hello you"), chunk(finish="stop"), event(choices=[], usage=nothing), DONE)
        desk.engine.scripts = [stream(*pieces) if streamed else whole("Hello you", usage=nothing)]
        desk.engines.tokens_per_text = 7
        before = await desk.balance()
        await desk.chat(stream=streamed)
        assert before - await desk.balance() == (7 * RATES.input + 7 * RATES.output) // 1_000_000


HALF = {"delta": {"content": "Hello you"}, "finish_reason": None}
PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hello you"}]
ODD = {
    "no id": event(id=None, choices=[{"index": 0, **HALF}]),
    "a time with fractions": event(created=1.5, choices=[{"index": 0, **HALF}]),
    "no index": event(choices=[{"index": None, **HALF}]),
    "content in parts": event(choices=[{"index": 0, "delta": {"content": PARTS}, "finish_reason": None}]),
    "a whole message": event(choices=[{"index": 0, "message": {"role": "assistant", "content": "Hello you"}}]),
    "null for no choices": event(choices=None) + chunk("Hello you"),
}


class TestChunk:
    @pytest.mark.parametrize("with_", ODD)
    async def test_is_read_and_takes_the_engine_from_nobody(self, desk: Desk, with_: str) -> None:
        desk.engine.default = stream(ODD[with_], *END)
        answer = await desk.chat(stream=True)
        deltas = [choice["delta"] for one in chunks(answer) for choice in one["choices"]]
        assert "".join(delta.get("content") or "" for delta in deltas) == "Hello you"
        said = chunks(await message(desk, stream=True))
        texts = [one["delta"]["text"] for one in said if one.get("delta", {}).get("type") == "text_delta"]
        assert texts == ["Hello you"]
        assert desk.engines.targets[0].state.failures == 0

    async def test_after_the_one_that_ends_keeps_its_place(self, desk: Desk) -> None:
        last = event(choices=[{"index": 0, "delta": {"content": " you"}, "finish_reason": "stop"}])
        desk.engine.scripts = [stream(chunk("Hello"), last, chunk("!"), usage_chunk(9, 3), DONE)]
        answer = await desk.chat(stream=True)
        texts = [choice["delta"]["content"] for one in chunks(answer) for choice in one["choices"]]
        assert texts == ["Hello", " you", "!"]

    async def test_that_tells_an_error_is_the_engines_failure_by_name(self, desk: Desk) -> None:
        failed = event(error={"message": "overloaded", "code": 503})
        desk.engine.scripts = [stream(failed, DONE)]
        answer = await desk.chat(stream=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")

    async def test_of_thoughts_in_parts_is_shown_as_thoughts(self, desk: Desk) -> None:
        desk.engine.scripts = [whole(message={"role": "assistant", "content": PARTS})]
        said = (await desk.chat()).json()["choices"][0]["message"]
        assert (said["content"], said["reasoning_content"]) == ("Hello you", "hm")


class TestAsked:
    @pytest.mark.parametrize("more", [{}, {"stream": True}])
    async def test_as_a_developer_reaches_templates_that_know_the_system_alone(
        self, desk: Desk, more: dict[str, Any]
    ) -> None:
        desk.engine.scripts = [stream(chunk("Hi"), *END) if more else whole()]
        await desk.chat(messages=[{"role": "developer", "content": "Be brief."}, *HELLO], **more)
        assert desk.engine.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}

    @pytest.mark.parametrize("more", [{}, {"stream": True}, {"tools": TOOLS}])
    async def test_of_a_supplier_that_refuses_max_tokens_is_bounded_in_its_word(
        self, desk: Desk, more: dict[str, Any]
    ) -> None:
        target = desk.engines.targets[0]
        target.features |= features_of("api.openai.com")
        desk.engine.scripts = [stream(chunk("Hi"), *END) if "stream" in more else whole()]
        assert (await desk.chat(**more)).status_code == 200
        asked = desk.engine.requests[0]
        assert (asked[BOUND], "max_tokens" in asked) == (64, False)

    async def test_goes_to_the_next_engine_in_that_ones_word(self, desk: Desk) -> None:
        first = desk.engines.targets[0]
        first.features |= {BOUND}
        second = target_for(desk.second, "second", contributor=new_id(), idle_ms=300)
        desk.engines.targets = (first, second)
        desk.engine.default = raw(500, b"{}")
        desk.second.default = whole()
        for _ in range(2):  # whichever of them is asked first
            assert (await desk.chat()).status_code == 200
        assert all("max_tokens" in asked and BOUND not in asked for asked in desk.second.requests)

    async def test_names_suppliers_by_their_domain_alone(self) -> None:
        assert BOUND in features_of("city.openai.azure.com")
        assert not features_of("openai.com.example")
        assert not features_of("notopenai.com")

    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
    async def test_with_a_picture_reserves_what_a_picture_is_not_the_text_it_is_sent_in(self, path: str) -> None:
        picture = "A" * 400_000
        if path == "/v1/messages":
            source = {"type": "base64", "media_type": "image/png", "data": picture}
            asked: dict[str, Any] = {"max_tokens": 8, "messages": [
                {"role": "user", "content": [{"type": "image", "source": source}]}]}  # fmt: skip
        else:
            url = f"data:image/png;base64,{picture}"
            asked = {"max_output_tokens": 8, "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}  # fmt: skip
        face = Messages() if path == "/v1/messages" else Responses()
        assert 4_096 <= face.parse(json.dumps({"model": "syn", **asked}).encode()).text_bytes < 5_000

    async def test_with_a_sound_may_read_it(self, desk: Desk) -> None:
        desk.engines.targets[0].features |= {"audio"}
        sound = {"type": "input_audio", "input_audio": {"data": "A" * 2_000, "format": "wav"}}
        told = {"prompt_tokens": 500, "completion_tokens": 2, "total_tokens": 502}
        desk.engine.scripts = [whole(usage=told)]
        answer = await desk.chat(messages=[{"role": "user", "content": [sound]}])
        assert answer.json()["usage"]["prompt_tokens"] == 500
