"""What the protocols promise beside the plain answer: nothing is left out in silence, every event in its place."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from shanhe.compute.breaker import IN_A_ROW_MAX
from shanhe.compute.model import EngineKind

from .conftest import RATES, Desk
from .engine import DONE, chunk, raw, stream, usage_chunk, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HELLO = [{"role": "user", "content": "Say hello."}]
OTHER = {"type": "function", "function": {"name": "get_time", "parameters": SCHEMA}}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


async def message(desk: Desk, **changes: Any) -> httpx.Response:
    return await desk.http.post("/v1/messages", json={"model": "syn", "max_tokens": 32, "messages": HELLO, **changes})


async def respond(desk: Desk, **changes: Any) -> httpx.Response:
    return await desk.http.post("/v1/responses", json={"model": "syn", "input": "Hi", **changes})


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The JSON of each event of a stream."""
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def llama(desk: Desk) -> None:
    """Let the engine be a llama.cpp child, whose template begins a call with a mark."""
    target = desk.engines.targets[0]
    target.kind, target.counts_one = EngineKind.LLAMA, True
    target.features |= {"hermes_calls"}


def said(part: Any) -> list[Any]:
    return [{"role": "user", "content": [part]}]


class TestWhatIsNotDone:
    @pytest.mark.parametrize(
        ("path", "field", "value"),
        [
            ("chat/completions", "functions", [{"name": "f"}]),
            ("chat/completions", "web_search_options", {}),
            ("chat/completions", "audio", {"voice": "alloy", "format": "wav"}),
            ("chat/completions", "modalities", ["text", "audio"]),
            ("chat/completions", "tools", [{"type": "custom", "custom": {"name": "x"}}]),
            ("chat/completions", "tool_choice", "required"),
            ("responses", "prompt", {"id": "p"}),
            ("responses", "truncation", "auto"),
            ("responses", "top_logprobs", 3),
            ("responses", "include", ["message.output_text.logprobs"]),
            ("responses", "previous_response_id", "resp_1"),
            ("responses", "tools", [{"type": "web_search"}]),
            ("responses", "input", [{"type": "item_reference", "id": "msg_1"}]),
            ("messages", "tools", [{"type": "web_search_20250305", "name": "web_search"}]),
            ("messages", "tool_choice", {"type": "any"}),
            ("messages", "mcp_servers", [{"type": "url", "url": "https://x", "name": "x"}]),
            ("messages", "container", "c"),
        ],
    )
    async def test_is_a_typed_error_and_reaches_no_engine(self, desk: Desk, path: str, field: str, value: Any) -> None:
        body = {"model": "syn", "messages": HELLO, "input": "Hi", "max_tokens": 8, field: value}
        answer = await desk.http.post(f"/v1/{path}", json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert desk.engine.requests == []

    @pytest.mark.parametrize("address", ["http://169.254.169.254/latest", "HTTPS://vllm.internal/x.png"])
    async def test_by_a_pictures_address_is_fetched_by_no_engine_that_was_not_given_leave(
        self, desk: Desk, address: str
    ) -> None:
        """An engine inside the city's networks would ask there whatever a caller wants."""
        desk.engines.targets[0].features |= {"vision"}
        asked = {
            "chat/completions": {"messages": said({"type": "image_url", "image_url": {"url": address}})},
            "responses": {"input": said({"type": "input_image", "image_url": address})},
            "messages": {"messages": said({"type": "image", "source": {"type": "url", "url": address}})},
        }
        for path, body in asked.items():
            refused = await desk.http.post(f"/v1/{path}", json={"model": "syn", "max_tokens": 8} | body)
            assert (refused.status_code, "as a data: URL" in refused.text) == (400, True), path
        assert desk.engine.requests == []
        desk.engines.targets[0].features |= {"picture_address"}
        for path, body in asked.items():
            assert (await desk.http.post(f"/v1/{path}", json={"model": "syn", "max_tokens": 8} | body)).is_success
        assert [one["messages"][0]["content"][0]["image_url"]["url"] for one in desk.engine.requests] == [address] * 3

    @pytest.mark.parametrize("address", ["file:///etc/passwd", " http://127.0.0.1/", "ftp://a/b", "//a/b", 7, None])
    async def test_by_what_is_no_picture_reaches_no_engine(self, desk: Desk, address: Any) -> None:
        desk.engines.targets[0].features |= {"vision", "picture_address"}
        for picture in (address, {"url": address}):
            part = {"type": "image_url", "image_url": picture}
            answer = await desk.http.post("/v1/chat/completions", json={"model": "syn", "messages": said(part)})
            assert answer.status_code == 400
        assert desk.engine.requests == []

    @pytest.mark.parametrize("field", ["echo", "suffix"])
    async def test_by_one_engine_is_done_by_another_that_says_so(self, desk: Desk, field: str) -> None:
        body = {"model": "syn", "prompt": "Once", field: "x" if field == "suffix" else True}
        refused = await desk.http.post("/v1/completions", json=body)
        assert refused.json()["error"]["code"] == "feature_unsupported"
        desk.engines.targets[0].features |= {field}
        assert (await desk.http.post("/v1/completions", json=body)).status_code == 200
        assert field in desk.engine.requests[0]

    async def test_a_width_of_vectors_that_the_model_does_not_make_is_refused_free_of_charge(self, desk: Desk) -> None:
        desk.engines.kind = "embedding"
        row = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]}
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        desk.engine.scripts = [raw(200, json.dumps({"object": "list", "data": [row], "usage": usage}).encode())] * 2
        before = await desk.balance()
        refused = await desk.http.post("/v1/embeddings", json={"model": "syn", "input": "a", "dimensions": 64})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dimensions")
        assert await desk.balance() == before
        fits = await desk.http.post("/v1/embeddings", json={"model": "syn", "input": "a", "dimensions": 2})
        assert fits.status_code == 200


class TestRequestAtFault:
    @pytest.mark.parametrize(
        ("words", "code"),
        [
            ("Failed to parse messages: Missing tool call type: {}", "invalid_request"),
            ("input (3002 tokens) is too large to process. increase the batch size", "context_length_exceeded"),
        ],
    )
    async def test_is_told_and_takes_the_model_from_nobody(self, desk: Desk, words: str, code: str) -> None:
        said = {"error": {"code": 500, "message": words, "type": "server_error"}}
        desk.engine.scripts = [raw(500, json.dumps(said).encode())] * IN_A_ROW_MAX
        for _ in range(IN_A_ROW_MAX):
            answer = await desk.chat()
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        desk.engine.scripts = [whole()]
        assert (await desk.chat()).status_code == 200


class TestToolChoice:
    async def test_of_some_tools_sends_those_alone(self, desk: Desk) -> None:
        few = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]}
        choice = {"type": "allowed_tools", "allowed_tools": few}
        await desk.chat(tools=[WEATHER, OTHER], tool_choice=choice)
        assert desk.engine.requests[0]["tools"] == [OTHER]
        assert desk.engine.requests[0]["tool_choice"] == "required"

    async def test_of_a_tool_that_is_not_there_is_refused(self, desk: Desk) -> None:
        answer = await desk.chat(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "nope"}})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tool_choice")

    async def test_by_name_is_written_so_that_llama_reads_it_and_the_call_is_begun(self, desk: Desk) -> None:
        llama(desk)
        named = {"type": "function", "function": {"name": "get_time"}}
        await desk.chat(tools=[WEATHER, OTHER], tool_choice=named)
        await message(
            desk,
            tools=[{"name": "get_time", "input_schema": SCHEMA}, {"name": "x", "input_schema": SCHEMA}],
            tool_choice={"type": "tool", "name": "get_time"},
        )
        tool = {"type": "function", "name": "get_time", "parameters": SCHEMA}
        await respond(desk, tools=[tool, tool | {"name": "x"}], tool_choice={"type": "function", "name": "get_time"})
        for sent in desk.engine.requests:
            assert [one["function"]["name"] for one in sent["tools"]] == ["get_time"]
            assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)
            assert sent["messages"][-1] == {"role": "assistant", "content": "<tool_call>\n"}
        assert len(desk.engine.requests) == 3

    async def test_goes_to_other_engines_as_it_came(self, desk: Desk) -> None:
        named = {"type": "function", "function": {"name": "get_time"}}
        await desk.chat(tools=[WEATHER, OTHER], tool_choice=named)
        assert desk.engine.requests[0]["tool_choice"] == named
        assert desk.engine.requests[0]["messages"] == HELLO


class TestSeveralAnswers:
    async def test_of_an_engine_that_counts_the_first_are_counted_here(self, desk: Desk) -> None:
        llama(desk)
        row = {"message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}
        body = {
            "id": "c1", "object": "chat.completion", "created": 1, "choices": [{"index": at, **row} for at in range(3)],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }  # fmt: skip
        desk.engine.scripts = [raw(200, json.dumps(body).encode())]
        desk.engines.tokens_per_text = 6
        before = await desk.balance()
        answer = await desk.chat(n=3)
        assert answer.json()["usage"]["completion_tokens"] == 6
        assert before - await desk.balance() == (6 * RATES.input + 6 * RATES.output) // 1_000_000


PIECE = {"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "syn"}
TOKEN = {"token": " a", "logprob": -0.5, "top_logprobs": [{"token": " a", "logprob": -0.5}]}


class TestTextCompletions:
    async def test_have_log_probabilities_in_their_own_words(self, desk: Desk) -> None:
        pieces = []
        for text, finish in ((" a", None), (" a", "stop")):
            logprobs = {"content": [TOKEN]}
            choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": logprobs}
            pieces.append(b"data: " + json.dumps({**PIECE, "choices": [choice]}).encode() + b"\n\n")
        desk.engine.scripts = [stream(*pieces, usage_chunk(2, 2), DONE)]
        body = {"model": "syn", "prompt": "x", "logprobs": 1, "stream": True}
        first, second = events(await desk.http.post("/v1/completions", json=body))
        assert first["choices"][0]["logprobs"] == {
            "tokens": [" a"], "token_logprobs": [-0.5], "top_logprobs": [{" a": -0.5}], "text_offset": [0],
        }  # fmt: skip
        assert second["choices"][0]["logprobs"]["text_offset"] == [2]

    async def test_end_with_usage_in_a_chunk_of_their_own_kind(self, desk: Desk) -> None:
        choice = {"index": 0, "text": "a", "finish_reason": "stop"}
        usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
        piece = json.dumps({**PIECE, "choices": [choice], "usage": usage}).encode()
        desk.engine.scripts = [stream(b"data: " + piece + b"\n\n", DONE)]
        body = {"model": "syn", "prompt": "x", "stream": True, "stream_options": {"include_usage": True}}
        last = events(await desk.http.post("/v1/completions", json=body))[-1]
        assert (last["id"], last["object"], last["choices"]) == ("cmpl-1", "text_completion", [])
        assert last["usage"]["total_tokens"] == 3


THOUGHT = {"role": "assistant", "content": "Hello there", "reasoning_content": "Be kind."}


def thinking() -> Any:
    """A streamed answer that thinks, then speaks."""
    thought = {"choices": [{"index": 0, "delta": {"reasoning_content": "Be kind."}, "finish_reason": None}]}
    return stream(chunk(**thought), chunk("Hello"), chunk(finish="stop"), usage_chunk(9, 6), DONE)


class TestThoughts:
    """What a model thought goes back to it: some refuse the next step of a tool's call without."""

    async def test_go_back_with_an_anthropic_clients_conversation(self, desk: Desk) -> None:
        turn = [
            {"type": "thinking", "thinking": "Be kind.", "signature": ""},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "a", "name": "get_time", "input": {}},
        ]
        result = {"type": "tool_result", "tool_use_id": "a", "content": "noon"}
        await message(
            desk,
            messages=[*HELLO, {"role": "assistant", "content": turn}, {"role": "user", "content": [result]}],
        )
        said = desk.engine.requests[0]["messages"][1]
        assert (said["reasoning_content"], said["reasoning"]) == ("Be kind.", "Be kind.")
        assert said["tool_calls"][0]["id"] == "a"

    @pytest.mark.parametrize("packed", [False, True])
    async def test_go_back_with_reasoning_items_also_where_a_client_keeps_them_packed(
        self, desk: Desk, *, packed: bool
    ) -> None:
        call = {"id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
        desk.engine.scripts = [whole(message={**THOUGHT, "tool_calls": [call]}, finish="tool_calls")]
        include = ["reasoning.encrypted_content"] if packed else []
        answer = (await respond(desk, include=include)).json()["output"]
        assert [item["type"] for item in answer] == ["reasoning", "message", "function_call"]
        assert ("encrypted_content" in answer[0]) == packed
        if packed:
            del answer[0]["content"]
        result = {"type": "function_call_output", "call_id": "a", "output": "noon"}
        await respond(desk, input=[{"role": "user", "content": "When?"}, *answer, result])
        said = desk.engine.requests[1]["messages"]
        assert [one["role"] for one in said] == ["user", "assistant", "tool"]
        assert (said[1]["reasoning_content"], said[1]["content"]) == ("Be kind.", "Hello there")

    async def test_of_another_service_or_before_a_person_speaks_are_left_out(self, desk: Desk) -> None:
        foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
        own = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
        broken = {"type": "reasoning", "summary": [], "encrypted_content": "text:!"}
        odd = {"type": "reasoning", "summary": [], "content": 7}
        answer = {"role": "assistant", "content": "Hi."}
        await respond(desk, input=[foreign, broken, odd, answer, own, {"role": "user", "content": "When?"}])
        assert desk.engine.requests[0]["messages"] == [answer, {"role": "user", "content": "When?"}]

    async def test_are_streamed_with_their_packed_form_in_the_finished_item_alone(self, desk: Desk) -> None:
        desk.engine.scripts = [thinking()]
        said = events(await respond(desk, stream=True, include=["reasoning.encrypted_content"]))
        items = [one["item"] for one in said if one["type"].startswith("response.output_item")]
        assert ["encrypted_content" in item for item in items if item["type"] == "reasoning"] == [False, True]

    async def test_have_two_names_and_both_are_read_and_charged(self, desk: Desk) -> None:
        thought = {"role": "assistant", "content": "Hello there", "reasoning": "Be kind."}
        silent = {"id": "c", "created": 1, "choices": [{"index": 0, "message": thought, "finish_reason": "stop"}]}
        piece = {"choices": [{"index": 0, "delta": {"reasoning": "Be kind."}, "finish_reason": None}]}
        desk.engine.scripts = [
            raw(200, json.dumps(silent).encode()),
            stream(chunk(**piece), chunk("Hello"), chunk(finish="stop"), usage_chunk(9, 6), DONE),
        ]
        first = (await respond(desk)).json()
        assert first["output"][0]["content"][0]["text"] == "Be kind."
        kinds = [one["item"]["type"] for one in events(await respond(desk, stream=True)) if "item" in one]
        assert kinds == ["reasoning", "message", "reasoning", "message"]
        await desk.chat(messages=[*HELLO, {"role": "assistant", "content": "Hi", "reasoning": "Hm."}, *HELLO])
        sent = desk.engine.requests[-1]["messages"][1]
        assert (sent["reasoning_content"], sent["reasoning"]) == ("Hm.", "Hm.")

    async def test_go_to_llama_by_the_one_name_it_reads(self, desk: Desk) -> None:
        llama(desk)
        await desk.chat(messages=[*HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}, *HELLO])
        assert "reasoning" not in desk.engine.requests[-1]["messages"][1]

    async def test_that_are_no_text_are_not_mistaken_for_some(self, desk: Desk) -> None:
        odd = {"role": "assistant", "content": "Hello there", "reasoning": {"tokens": 5}}
        desk.engine.scripts = [whole(message=odd)]
        assert (await respond(desk)).status_code == 200


class TestAnthropic:
    async def test_takes_a_schema_for_the_answer_and_an_effort(self, desk: Desk) -> None:
        await message(desk, output_config={"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "max"})
        await message(desk, output_format={"type": "json_schema", "schema": SCHEMA})
        first, second = desk.engine.requests
        assert first["response_format"]["json_schema"]["schema"] == SCHEMA
        assert first["reasoning_effort"] == "high"
        assert second["response_format"] == first["response_format"]

    async def test_asks_for_one_call_at_a_time(self, desk: Desk) -> None:
        tools = [{"name": "get_time", "input_schema": SCHEMA}]
        await message(desk, tools=tools, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
        assert desk.engine.requests[0]["parallel_tool_calls"] is False

    async def test_reads_a_document_of_text(self, desk: Desk) -> None:
        source = {"type": "text", "media_type": "text/plain", "data": "Water rises."}
        await message(desk, messages=[{"role": "user", "content": [{"type": "document", "source": source}]}])
        assert desk.engine.requests[0]["messages"] == [{"role": "user", "content": "Water rises."}]

    async def test_names_the_stop_sequence_where_the_engine_does(self, desk: Desk) -> None:
        desk.engine.scripts = [
            raw(200, json.dumps({"id": "c", "created": 1, "choices": [{
                "index": 0, "message": THOUGHT, "finish_reason": "stop", "stop_reason": "END"}]}).encode())
        ]  # fmt: skip
        answer = (await message(desk, stop_sequences=["END"])).json()
        assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "END")

    async def test_shows_thoughts_where_they_were_asked_for(self, desk: Desk) -> None:
        asked = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        desk.engine.scripts = [whole(message=THOUGHT), whole(message=THOUGHT), thinking()]
        kinds = [part["type"] for part in (await message(desk, **asked)).json()["content"]]
        assert kinds == ["thinking", "text"]
        assert [part["type"] for part in (await message(desk)).json()["content"]] == ["text"]
        streamed = events(await message(desk, stream=True, **asked))
        blocks = [one["content_block"]["type"] for one in streamed if one["type"] == "content_block_start"]
        assert blocks == ["thinking", "text"]

    async def test_lists_no_citations_rather_than_none_which_some_clients_refuse(self, desk: Desk) -> None:
        assert (await message(desk)).json()["content"] == [{"type": "text", "text": "Hello there", "citations": []}]

    async def test_tells_the_request_id_where_its_client_looks(self, desk: Desk) -> None:
        for answer in (await message(desk), await message(desk, stream=True), await message(desk, model="nope")):
            assert answer.headers["request-id"] == answer.headers["x-request-id"]


class TestResponses:
    async def test_puts_the_calls_of_one_turn_into_one_message(self, desk: Desk) -> None:
        calls = [
            {"type": "function_call", "call_id": name, "name": "get_time", "arguments": "{}"} for name in ("a", "b")
        ]
        results: list[Any] = [
            {"type": "function_call_output", "call_id": "a", "output": "noon"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "dusk"}]},
        ]
        await respond(desk, input=[{"role": "user", "content": "When?"}, *calls, *results])
        said = desk.engine.requests[0]["messages"]
        assert [one["role"] for one in said] == ["user", "assistant", "tool", "tool"]
        assert [call["id"] for call in said[1]["tool_calls"]] == ["a", "b"]
        assert said[3]["content"] == "dusk"

    async def test_repeats_what_was_asked(self, desk: Desk) -> None:
        tool = {"type": "function", "name": "get_time", "parameters": SCHEMA}
        asked = {"parallel_tool_calls": False, "user": "u1", "reasoning": {"effort": "low"}, "max_tool_calls": 2}
        answer = (await respond(desk, tools=[tool], **asked)).json()
        assert (answer["parallel_tool_calls"], answer["user"], answer["max_tool_calls"]) == (False, "u1", 2)
        assert answer["reasoning"] == {"effort": "low", "summary": None}
        sent = desk.engine.requests[0]
        assert (sent["parallel_tool_calls"], sent["reasoning_effort"]) == (False, "low")

    async def test_gives_each_item_its_place_in_the_order_it_begins(self, desk: Desk) -> None:
        call = {"index": 0, "id": "a", "function": {"name": "get_time", "arguments": "{}"}}
        first = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
        desk.engine.scripts = [
            stream(chunk(**first), chunk("Hello"), chunk(finish="stop"), usage_chunk(9, 6), DONE),
            thinking(),
        ]
        for kinds in (["function_call", "message"], ["reasoning", "message"]):
            said = events(await respond(desk, stream=True))
            assert [one["sequence_number"] for one in said] == list(range(len(said)))
            added = [one for one in said if one["type"] == "response.output_item.added"]
            assert [(one["item"]["type"], one["output_index"]) for one in added] == list(
                zip(kinds, (0, 1), strict=True)
            )
            done = {one["item"]["id"]: one["output_index"] for one in said if one["type"].endswith("output_item.done")}
            assert [done[item["id"]] for item in said[-1]["response"]["output"]] == [0, 1]

    async def test_counts_on_in_the_event_that_breaks_it_off(self, desk: Desk) -> None:
        desk.engine.scripts = [stream(chunk("Hello"), cut=True)]
        said = events(await respond(desk, stream=True))
        assert said[-1]["type"] == "error"
        assert [one["sequence_number"] for one in said] == list(range(len(said)))

    async def test_that_is_cut_says_so_in_its_message_too(self, desk: Desk) -> None:
        desk.engine.scripts = [whole(finish="length")]
        answer = (await respond(desk)).json()
        assert (answer["status"], answer["output"][0]["status"]) == ("incomplete", "incomplete")


class TestLookingUp:
    async def test_counts_the_tokens_of_a_response_and_its_tools_without_a_charge(self, desk: Desk) -> None:
        before = await desk.balance()
        answer = await desk.http.post("/v1/responses/input_tokens", json={"model": "syn", "input": "Hi"})
        assert answer.json() == {"object": "response.input_tokens", "input_tokens": desk.engines.tokens_per_text}
        assert await desk.balance() == before

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            (
                "messages/count_tokens",
                {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": 5}]}]},
            ),
            ("responses/input_tokens", {"input": [{"type": "function_call", "namespace": "space"}]}),
        ],
    )
    async def test_of_what_does_not_fit_the_protocol_says_so(self, desk: Desk, path: str, body: Any) -> None:
        answer = await desk.http.post(f"/v1/{path}", json={"model": "syn", **body})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")

    @pytest.mark.parametrize("again", [{}, {"idempotency-key": "one"}])
    async def test_without_a_database_fails_in_the_words_of_who_asks(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, again: dict[str, str]
    ) -> None:
        async def away(token: str) -> Any:
            raise OSError("no route to host")

        monkeypatch.setattr(desk.keys, "caller_cached", lambda token: None)
        monkeypatch.setattr(desk.keys, "caller", away)
        answer = await desk.http.post("/v1/messages/count_tokens", json={}, headers=again)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["type"] == "error"

    @pytest.mark.parametrize("path", ["chat/completions", "messages", "responses", "models"])
    async def test_with_a_key_that_is_none_says_what_to_do(self, desk: Desk, path: str) -> None:
        stranger = {"authorization": "Bearer sk-sh-nobody"}
        answer = await desk.http.request("GET" if path == "models" else "POST", f"/v1/{path}", headers=stranger)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (401, "authentication_error")
        assert error["message"].startswith("The API key is not one of this city's. Copy the whole key")
        assert error["message"].endswith("API 密钥无效。请复制完整的密钥（sk-sh-…），或在密钥页面新建。")

    async def test_of_a_stored_response_says_that_nothing_is_stored(self, desk: Desk) -> None:
        answer = await desk.http.get("/v1/responses/resp_1")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "response_not_found")

    async def test_by_an_anthropic_client_fails_in_its_words(self, desk: Desk) -> None:
        answer = await desk.http.get("/v1/models/nope", headers={"anthropic-version": "2023-06-01"})
        assert answer.json()["error"]["type"] == "not_found_error"


class TestPageOfAnotherOrigin:
    async def test_may_call_and_read_the_receipt(self, desk: Desk) -> None:
        asked = {
            "origin": "https://app.example", "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-stainless-os",
        }  # fmt: skip
        async with httpx.AsyncClient(base_url=desk.http.base_url) as stranger:
            before = await stranger.options("/v1/chat/completions", headers=asked)
            refused = await stranger.post("/v1/chat/completions", json={})
        assert before.status_code == 200
        assert before.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
        assert "POST" in before.headers["access-control-allow-methods"]
        for answer in (before, refused, await desk.chat(), await desk.chat(stream=True)):
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["access-control-expose-headers"] == "*"
