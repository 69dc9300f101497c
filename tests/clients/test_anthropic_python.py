"""The anthropic package, unmodified, against the running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stage.fixtures import Stage, Tenant
from stage.later import Later

if TYPE_CHECKING:
    from anthropic import Anthropic

anthropic: Any = Later("anthropic")

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def client(stage: Stage, tenant: Tenant) -> Anthropic:
    return anthropic.Anthropic(base_url=stage.url, api_key=tenant.token, max_retries=0, timeout=30)


class TestMessages:
    def test_answers_with_usage(self, client: Anthropic) -> None:
        answer = client.messages.create(model="good", max_tokens=32, messages=HELLO, system="Be kind.")
        assert answer.content[0].type == "text"
        assert answer.content[0].text == "Hello there, friend of the city."
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (16, 8)
        assert answer.usage.cache_read_input_tokens == 4

    def test_streams(self, client: Anthropic) -> None:
        with client.messages.stream(model="good", max_tokens=32, messages=HELLO) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert text == "Hello there, friend of the city."
        assert final.stop_reason == "end_turn"
        assert final.usage.output_tokens == 8

    def test_uses_a_tool(self, client: Anthropic) -> None:
        answer = client.messages.create(model="good", max_tokens=64, messages=HELLO, tools=[WEATHER])
        assert answer.stop_reason == "tool_use"
        used: Any = answer.content[-1]
        assert (used.name, used.input) == ("get_weather", {"city": "Shanhe"})
        back: Any = [
            *HELLO,
            {"role": "assistant", "content": [part.model_dump(exclude_none=True) for part in answer.content]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": used.id, "content": "sunny"}]},
        ]
        assert client.messages.create(model="good", max_tokens=64, messages=back, tools=[WEATHER]).stop_reason == (
            "end_turn"
        )

    def test_streams_a_tool_call(self, client: Anthropic) -> None:
        with client.messages.stream(model="good", max_tokens=64, messages=HELLO, tools=[WEATHER]) as stream:
            final = stream.get_final_message()
        used: Any = final.content[-1]
        assert used.input == {"city": "Shanhe"}


class TestErrors:
    def test_a_bad_key_is_an_authentication_error(self, stage: Stage) -> None:
        stranger = anthropic.Anthropic(base_url=stage.url, api_key="sk-sh-nobody", max_retries=0)
        with pytest.raises(anthropic.AuthenticationError):
            stranger.messages.create(model="good", max_tokens=8, messages=HELLO)

    def test_an_unknown_model_is_not_found(self, client: Anthropic) -> None:
        with pytest.raises(anthropic.NotFoundError):
            client.messages.create(model="no-such-model", max_tokens=8, messages=HELLO)

    def test_too_long_a_prompt_is_a_bad_request(self, client: Anthropic) -> None:
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(model="too-long", max_tokens=8, messages=HELLO)

    def test_no_credits_is_402_in_its_own_shape(self, stage: Stage) -> None:
        poor = stage.tenant("Poor Anthropic", credits="0")
        broke = anthropic.Anthropic(base_url=stage.url, api_key=poor.token, max_retries=0)
        with pytest.raises(anthropic.APIStatusError) as caught:
            broke.messages.create(model="good", max_tokens=8, messages=HELLO)
        assert caught.value.status_code == 402
        body: Any = caught.value.body
        assert body["type"] == "error"
        assert body["error"]["type"] == "billing_error"

    def test_too_many_requests_is_a_rate_limit_error(self, stage: Stage) -> None:
        hasty = stage.tenant("Hasty Anthropic", rpm=2)
        client = anthropic.Anthropic(base_url=stage.url, api_key=hasty.token, max_retries=0)
        with pytest.raises(anthropic.RateLimitError) as caught:
            for _ in range(5):
                client.messages.create(model="good", max_tokens=8, messages=HELLO)
        assert int(caught.value.response.headers["retry-after"]) > 0
