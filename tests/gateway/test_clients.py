"""What well-known programs send, in the shapes they were seen to send, and what they act on in an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import CONTEXT, Desk
from .engine import DONE, chunk, raw, stream, usage_chunk, whole
from .test_protocols import HELLO, SCHEMA, events, message, respond

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
SPACE = {
    "type": "namespace", "name": "multi_agent_v1", "description": "Tools for sub-agents.",
    "tools": [{"type": "function", "name": "close_agent", "strict": False, "parameters": SCHEMA}],
}  # fmt: skip
INSIDE = "multi_agent_v1__close_agent"


class TestClaudeCode:
    async def test_adds_to_the_system_prompt_inside_the_conversation(self, desk: Desk) -> None:
        """Most templates take a system message at the beginning alone."""
        answer = await message(
            desk,
            system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
            messages=[*HELLO, {"role": "system", "content": "Available agent types: none."}],
            thinking={"type": "adaptive"}, output_config={"effort": "high"}, metadata={"user_id": "u"},
            context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        system = {"role": "system", "content": "Be kind.\n\nAvailable agent types: none."}
        assert desk.engine.requests[0]["messages"] == [system, *HELLO]

    async def test_tells_the_model_that_a_tool_failed(self, desk: Desk) -> None:
        call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "false"}}
        result = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "Exit code 1"}
        turns: list[Any] = [*HELLO, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        await message(desk, messages=turns)
        result |= {"is_error": False}
        await message(desk, messages=turns)
        assert [one["messages"][-1]["content"] for one in desk.engine.requests] == ["Error: Exit code 1", "Exit code 1"]

    async def test_shows_a_picture_that_a_tool_has_read(self, desk: Desk) -> None:
        desk.engines.targets[0].features |= {"vision"}
        call = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a.png"}}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a.png"}, PICTURE]}
        turns: list[Any] = [*HELLO, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
        await message(desk, messages=turns)
        *_, tool, user = desk.engine.requests[0]["messages"]
        assert tool == {"role": "tool", "tool_call_id": "t1", "content": "a.png"}
        url = {"url": "data:image/png;base64,AAAA"}
        assert user == {"role": "user", "content": [{"type": "image_url", "image_url": url}]}

    @pytest.mark.parametrize(
        ("tokens", "asked", "words"),
        [
            (CONTEXT + 5, 64, f"prompt is too long: {CONTEXT + 5} tokens > {CONTEXT} maximum"),
            (CONTEXT - 5, 64, f"input length and `max_tokens` exceed context limit: {CONTEXT - 5} + 64 > {CONTEXT}"),
        ],
    )
    async def test_is_told_by_how_much_a_prompt_is_too_long(
        self, desk: Desk, tokens: int, asked: int, words: str
    ) -> None:
        """It shortens the answer or the conversation by these words."""
        desk.engine.default = raw(
            400, json.dumps({"error": {"message": "exceeds the available context size"}}).encode()
        )
        desk.engines.tokens_per_text, before = tokens, desk.engines.tokens_per_text
        try:
            refused = await message(desk, max_tokens=asked)
            told = (await desk.chat(max_tokens=asked)).json()["error"]
        finally:
            desk.engines.tokens_per_text = before
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        assert words in refused.json()["error"]["message"]
        assert (told["code"], told["param"]) == ("context_length_exceeded", "messages")
        sums = f"However, you requested {tokens + asked} tokens ({tokens} in the messages, {asked} in the completion)"
        assert f"This model's maximum context length is {CONTEXT} tokens. {sums}" in told["message"]


class TestCodex:
    async def test_says_who_it_is_and_more_to_the_system_in_several_messages(self, desk: Desk) -> None:
        parts = [{"type": "input_text", "text": "Sandbox: none."}]
        user = {"type": "message", "id": "msg_3", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        given = [
            {"type": "message", "id": "msg_1", "role": "developer", "content": "You are a coding agent."},
            {"type": "message", "id": "msg_2", "role": "developer", "content": parts}, user,
        ]  # fmt: skip
        answer = await respond(
            desk, input=given, store=False, include=["reasoning.encrypted_content"], prompt_cache_key="k",
            client_metadata={"session_id": "s"}, reasoning={"summary": "auto"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        system = {"role": "system", "content": "You are a coding agent.\n\nSandbox: none."}
        assert desk.engine.requests[0]["messages"] == [system, {"role": "user", "content": "Hi"}]

    async def test_calls_a_function_in_a_namespace_by_both_names(self, desk: Desk) -> None:
        call = {"index": 0, "id": "a", "function": {"name": INSIDE, "arguments": '{"city": "x"}'}}
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
        begun = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
        desk.engine.scripts = [
            whole(message=said, finish="tool_calls"),
            stream(chunk(**begun), chunk(finish="tool_calls"), usage_chunk(9, 6), DONE),
        ]
        items = [(await respond(desk, tools=[SPACE])).json()["output"][0]]
        streamed = events(await respond(desk, tools=[SPACE], stream=True))
        items += [one["item"] for one in streamed if one["type"].startswith("response.output_item")]
        assert len(items) == 3
        for item in items:
            assert (item["namespace"], item["name"], item["call_id"]) == ("multi_agent_v1", "close_agent", "a")
        assert streamed[-1]["response"]["tools"] == [SPACE]
        sent = desk.engine.requests[0]["tools"]
        assert [one["function"]["name"] for one in sent] == [INSIDE]

        result = {"type": "function_call_output", "call_id": "a", "output": "closed"}
        await respond(desk, tools=[SPACE], input=[{"role": "user", "content": "Hi"}, items[0], result])
        assert desk.engine.requests[-1]["messages"][1]["tool_calls"][0]["function"]["name"] == INSIDE

    async def test_is_told_which_tool_to_switch_off(self, desk: Desk) -> None:
        refused = await respond(desk, tools=[SPACE, {"type": "web_search", "external_web_access": True}])
        error = refused.json()["error"]
        assert (refused.status_code, error["param"]) == (400, "tools[1]")
        assert "'web_search'" in error["message"]
        assert "switch such tools off" in error["message"]


class TestEmbeddings:
    @pytest.mark.parametrize("numbers", [[15339, 1917], [[15339, 1917]], ["hello", [7]], ["hello", 7]])
    async def test_of_another_tokenizers_numbers_are_refused_with_the_way_to_send_texts(
        self, desk: Desk, numbers: Any
    ) -> None:
        """As LangChain sends them by default."""
        desk.engines.kind = "embedding"
        refused = await desk.http.post("/v1/embeddings", json={"model": "syn", "input": numbers})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")
        assert desk.engine.requests == []
        told = await desk.http.post("/v1/embeddings", json={"model": "syn", "input": [[15339]]})
        assert "check_embedding_ctx_length=False" in told.json()["error"]["message"]


class TestHabits:
    """What programs write that no reference asks for, and engines or protocols stumble over."""

    async def test_nulls_in_a_message_are_left_out(self, desk: Desk) -> None:
        nulls = dict.fromkeys(("name", "tool_calls", "function_call", "tool_call_id", "refusal", "reasoning_content"))
        await desk.chat(messages=[{"role": "user", "content": "Hi", **nulls}, {"role": "assistant", "content": None}])
        assert desk.engine.requests[-1]["messages"] == [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("changes", "param", "place"),
        [
            ({"tools": [{"type": "function", "name": "f", "parameters": {}}]}, "tools[0]", "/v1/responses"),
            ({"tools": [{"name": "f", "input_schema": {}}]}, "tools[0]", "/v1/messages"),
            ({"messages": [], "input": [{"role": "user", "content": "Hi"}]}, "input", "/v1/responses"),
        ],
    )
    async def test_a_request_of_another_protocol_is_told_where_it_belongs(
        self, desk: Desk, changes: dict[str, Any], param: str, place: str
    ) -> None:
        answer = await desk.chat(**changes)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param)
        assert place in error["message"]

    @pytest.mark.parametrize("path", ["/v1beta/models/syn:generateContent", "/v1/models/syn:streamGenerateContent"])
    async def test_a_client_of_gemini_is_told_which_protocols_are_spoken(self, desk: Desk, path: str) -> None:
        answer = await desk.http.post(path, json={"contents": []})
        assert answer.status_code == 404
        assert "Gemini" in answer.json()["error"]["message"]
        assert desk.gateway.app.strays("/v1beta/models", [])

    async def test_the_list_of_models_is_fetched(self, desk: Desk) -> None:
        assert "use GET" in (await desk.http.post("/v1/models")).json()["error"]["message"]
