"""The openai package, unmodified, against the running server."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from stage.fixtures import Stage, Tenant
from stage.later import Later
from stage.upstream import picture

if TYPE_CHECKING:
    from openai import OpenAI

openai: Any = Later("openai")

HELLO: list[Any] = [{"role": "user", "content": "Say hello."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def client(stage: Stage, tenant: Tenant) -> OpenAI:
    return openai.OpenAI(base_url=f"{stage.url}/v1", api_key=tenant.token, max_retries=0, timeout=30)


class Place(BaseModel):
    name: str
    people: int


class TestChat:
    def test_answers_and_carries_a_receipt(self, client: OpenAI, stage: Stage, tenant: Tenant) -> None:
        raw = client.chat.completions.with_raw_response.create(model="good", messages=HELLO, max_tokens=32)
        answer = raw.parse()
        assert answer.choices[0].message.content == "Hello there, friend of the city."
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 8)
        receipt = stage.receipt(tenant, raw.headers["x-shanhe-receipt"])
        assert receipt["evidence"]["buckets"] == {
            "input": 16, "cached_input": 4, "output": 8, "reasoning": 0, "tool": 0, "cache_write": 0,
        }  # fmt: skip

    def test_streams_with_usage_at_the_end(self, client: OpenAI) -> None:
        chunks = list(
            client.chat.completions.create(
                model="good", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "Hello there, friend of the city."
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 28

    def test_streams_without_usage_unless_asked(self, client: OpenAI) -> None:
        chunks = list(client.chat.completions.create(model="good", messages=HELLO, stream=True))
        assert all(chunk.usage is None for chunk in chunks)
        assert all(chunk.choices for chunk in chunks)

    def test_calls_a_tool_and_takes_its_answer(self, client: OpenAI) -> None:
        first = client.chat.completions.create(model="good", messages=HELLO, tools=[WEATHER])
        assert first.choices[0].finish_reason == "tool_calls"
        calls: Any = first.choices[0].message.tool_calls
        assert json.loads(calls[0].function.arguments) == {"city": "Shanhe"}
        said = first.choices[0].message.model_dump(exclude_none=True)
        back: Any = [*HELLO, said, {"role": "tool", "tool_call_id": calls[0].id, "content": "sunny"}]
        second = client.chat.completions.create(model="good", messages=back, tools=[WEATHER])
        assert second.choices[0].finish_reason == "stop"

    def test_fills_a_json_schema(self, client: OpenAI) -> None:
        parsed = client.chat.completions.parse(model="good", messages=HELLO, response_format=Place)
        assert parsed.choices[0].message.parsed == Place(name="Shanhe", people=7)

    def test_gives_logprobs_and_several_answers(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(model="good", messages=HELLO, n=2, logprobs=True, seed=7, stop=["\n"])
        assert [choice.index for choice in answer.choices] == [0, 1]
        assert answer.choices[0].logprobs is not None


class TestOtherEndpoints:
    def test_lists_models(self, client: OpenAI) -> None:
        assert "good" in {model.id for model in client.models.list()}
        assert client.models.retrieve("good").id == "good"

    def test_completes_text(self, client: OpenAI) -> None:
        answer = client.completions.create(model="good", prompt="Say hello.", max_tokens=16)
        assert answer.choices[0].text == "Hello there, friend of the city."

    def test_responds(self, client: OpenAI) -> None:
        answer = client.responses.create(model="good", input="Say hello.")
        assert answer.output_text == "Hello there, friend of the city."
        assert answer.usage is not None
        assert answer.usage.total_tokens == 28

    def test_streams_a_response(self, client: OpenAI) -> None:
        with client.responses.stream(model="good", input="Say hello.") as events:
            kinds = [event.type for event in events]
            final = events.get_final_response()
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert final.output_text == "Hello there, friend of the city."


class TestErrors:
    def test_a_bad_key_is_an_authentication_error(self, stage: Stage) -> None:
        stranger = openai.OpenAI(base_url=f"{stage.url}/v1", api_key="sk-sh-nobody", max_retries=0)
        with pytest.raises(openai.AuthenticationError) as caught:
            stranger.chat.completions.create(model="good", messages=HELLO)
        assert caught.value.code == "invalid_api_key"

    def test_an_unknown_model_is_not_found(self, client: OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="no-such-model", messages=HELLO)
        assert caught.value.code == "model_not_found"

    def test_too_long_a_prompt_is_a_bad_request(self, client: OpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="too-long", messages=HELLO)
        assert caught.value.code == "context_length_exceeded"

    def test_no_credits_is_402_insufficient_quota(self, stage: Stage) -> None:
        poor = stage.tenant("Poor", credits="0")
        broke = openai.OpenAI(base_url=f"{stage.url}/v1", api_key=poor.token, max_retries=0)
        with pytest.raises(openai.APIStatusError) as caught:
            broke.chat.completions.create(model="good", messages=HELLO)
        assert caught.value.status_code == 402
        assert caught.value.code == "insufficient_quota"

    def test_too_many_requests_is_a_rate_limit_error(self, stage: Stage) -> None:
        hasty = stage.tenant("Hasty", rpm=2)
        client = openai.OpenAI(base_url=f"{stage.url}/v1", api_key=hasty.token, max_retries=0)
        with pytest.raises(openai.RateLimitError) as caught:
            for _ in range(5):  # two minutes at most take part, so the fifth call is always one too many
                client.chat.completions.create(model="good", messages=HELLO)
        assert 0 < int(caught.value.response.headers["retry-after"]) <= 60

    def test_a_failing_engine_is_a_server_error_without_its_words(self, client: OpenAI) -> None:
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="broken", messages=HELLO)
        assert "stack trace" not in str(caught.value)

    def test_a_stream_that_breaks_off_raises(self, client: OpenAI) -> None:
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))


@pytest.fixture(scope="module")
def painter(stage: Stage) -> str:
    stage.city.command(
        "engines", "add", "stage-painter", "--kind", "image", "--url", f"http://127.0.0.1:{stage.upstream_port}/v1",
        "--model", "painter=painter", "--cost-output", "100000", "--feature", "picture_edits",
    )  # fmt: skip
    return "painter"


@pytest.fixture(scope="module")
def buyer(stage: Stage) -> Tenant:
    return stage.tenant("Painters", credits="1")


@pytest.fixture(scope="module")
def artist(stage: Stage, buyer: Tenant) -> OpenAI:
    return openai.OpenAI(base_url=f"{stage.url}/v1", api_key=buyer.token, max_retries=0, timeout=30)


class TestImages:
    """Pictures, from the engine's registration to what stands in the books."""

    def test_are_made_charged_and_labelled(
        self, stage: Stage, painter: str, buyer: Tenant, artist: OpenAI, tmp_path: Path
    ) -> None:
        raw = artist.images.with_raw_response.generate(model=painter, prompt="水库", n=2, size="1024x1024")
        pictures = raw.parse().data
        assert pictures is not None
        receipt = stage.receipt(buyer, raw.headers["x-shanhe-receipt"])
        assert (len(pictures), receipt["unit"], receipt["amount_micro"]) == (2, "picture", 230_000)
        assert receipt["evidence"]["held_micro"] == 230_000
        assert {"P11_scenes", "P11_call_charge", "C12"} == {rule["id"] for rule in receipt["rules"]}
        assert sum(transfer["amount"] for transfer in receipt["transfers"]) == 230_000
        assert stage.balance_micro(buyer) == 1_000_000 - 230_000
        file = tmp_path / "picture.png"
        file.write_bytes(base64.b64decode(pictures[0].b64_json or ""))
        key = str(stage.city.command("labels", "key")["public_key"])
        found = stage.city.command("labels", "check", str(file), "--key", key)
        assert (found["genuine"], found["content_id"]) == (True, raw.headers["x-shanhe-receipt"])
        with stage.client(buyer) as client:
            told = client.post("/api/labels/check-picture", content=file.read_bytes())
            assert told.json()["genuine"]
            assert client.post("/api/labels/check-picture", content=b"x").json()["error"]["code"] == "no_picture"
            head, row = list(csv.reader(client.get("/api/usage?group=day,model&format=csv").text.splitlines()))
            told = dict(zip(head, row, strict=True))
            assert (told["model"], told["calls"], told["output"], told["credits"]) == ("painter", "1", "2", "0.230000")

    def test_are_changed_until_the_balance_is_spent(
        self, stage: Stage, painter: str, buyer: Tenant, artist: OpenAI
    ) -> None:
        file = ("a.png", base64.b64decode(picture()), "image/png")
        before = stage.balance_micro(buyer)
        artist.images.edit(model=painter, prompt="更亮", image=file)
        assert before - stage.balance_micro(buyer) == 115_000
        with pytest.raises(openai.APIStatusError) as told:
            artist.images.generate(model=painter, prompt="水库", n=10)
        assert told.value.status_code == 402
        assert before - stage.balance_micro(buyer) == 115_000
        assert stage.verify()["clean"]

    def test_are_a_kind_of_model(self, painter: str, artist: OpenAI) -> None:
        assert artist.models.retrieve(painter).model_dump()["kind"] == "image"
