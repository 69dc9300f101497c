"""A stream that has nothing to say yet says that it is alive, before a proxy in front takes it for dead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from openai import APIError, AsyncOpenAI

from shanhe.gateway import wire
from shanhe.kernel.ids import new_id

from .conftest import TOKEN, Desk, target_for
from .engine import DONE, Script, chunk, raw, stream, usage_chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: Any = [{"role": "user", "content": "Say hello."}]
ENDED = (chunk("Hello "), chunk("there"), chunk(finish="stop"), usage_chunk(9, 2), DONE)
SLOW_S = 0.3
COMMENT = ": keep-alive"


def late(script: Script, wait_s: float = SLOW_S) -> Script:
    async def answer(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(wait_s)
        await script(request, writer)

    return answer


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "QUIET_S", 0.02)


@pytest.fixture(autouse=True)
def _patient(desk: Desk) -> None:
    desk.engines.targets = (target_for(desk.engine, "first", contributor=new_id(), idle_ms=10_000),)


@pytest_asyncio.fixture(loop_scope="module")
async def client(desk: Desk) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{desk.port}/v1", api_key=TOKEN, max_retries=0) as made:
        yield made


async def test_a_slow_stream_begins_with_comments_and_is_charged_once(desk: Desk) -> None:
    desk.engine.default = late(stream(*ENDED))
    before = await desk.balance()
    answer = await desk.chat(stream=True)
    assert answer.status_code == 200
    blocks = answer.text.split("\n\n")
    assert blocks[0] == COMMENT
    assert all(one.startswith("data: ") for one in blocks if one not in (COMMENT, ""))
    assert blocks[-2] == "data: [DONE]"
    await desk.idle()
    assert answer.headers["x-shanhe-receipt"]
    assert before - await desk.balance() == 9 * 2 + 2 * 4


async def test_the_openai_client_sees_nothing_of_it(desk: Desk, client: AsyncOpenAI) -> None:
    desk.engine.default = late(stream(*ENDED, pause_s=0.1))
    chunks = [one async for one in await client.chat.completions.create(model="syn", messages=HELLO, stream=True)]
    assert "".join(one.choices[0].delta.content or "" for one in chunks) == "Hello there"
    events = [one async for one in await client.responses.create(model="syn", input="Say hello.", stream=True)]
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]


async def test_the_anthropic_client_is_pinged_even_while_it_is_shown_nothing_of_what_the_model_thinks(
    desk: Desk,
) -> None:
    desk.engines.targets[0].features |= {"reasoning"}
    thoughts = [
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]}).encode() + b"\n\n"
    ] * 4
    desk.engine.default = stream(*thoughts, *ENDED, pause_s=0.1)
    body = {"model": "syn", "max_tokens": 64, "messages": HELLO, "stream": True}
    answer = await desk.http.post("/v1/messages", json=body)
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in answer.text
    assert COMMENT not in answer.text
    async with (
        AsyncAnthropic(base_url=f"http://127.0.0.1:{desk.port}", api_key=TOKEN, max_retries=0) as client,
        client.messages.stream(model="syn", max_tokens=64, messages=HELLO) as told,
    ):
        message = await told.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == ["Hello there"]


async def test_another_engine_is_asked_all_the_same_when_the_first_says_nothing(desk: Desk) -> None:
    desk.engines.targets += (target_for(desk.second, "second", contributor=new_id(), idle_ms=10_000),)
    desk.engine.scripts = desk.second.scripts = [late(raw(500, b"{}"))]  # of whichever is asked first
    desk.engine.default = desk.second.default = stream(*ENDED)
    before = await desk.balance()
    answer = await desk.chat(stream=True)
    assert answer.text.startswith(COMMENT)
    assert answer.text.count("Hello ") == 1
    assert "error" not in answer.text
    await desk.idle()
    assert before - await desk.balance() == 9 * 2 + 2 * 4


async def test_a_failure_after_it_is_told_inside_the_stream_and_costs_nothing(desk: Desk, client: AsyncOpenAI) -> None:
    desk.engine.default = late(raw(400, b'{"error":{"message":"no such thing"}}'))
    before = await desk.balance()
    with pytest.raises(APIError, match="no such thing"):
        async for _ in await client.chat.completions.create(model="syn", messages=HELLO, stream=True):
            pass
    for path, sign in (("/v1/messages", "event: error"), ("/v1/responses", "event: error")):
        body = {"model": "syn", "max_tokens": 64, "messages": HELLO, "input": "Say hello.", "stream": True}
        answer = await desk.http.post(path, json=body)
        assert (answer.status_code, sign in answer.text) == (200, True)
    await desk.idle()
    assert await desk.balance() == before


async def test_what_fails_at_once_still_has_its_own_status(desk: Desk) -> None:
    desk.engine.default = raw(400, b'{"error":{"message":"no"}}')
    assert (await desk.chat(stream=True)).status_code == 400


async def test_a_whole_answer_waits_in_silence(desk: Desk) -> None:
    first = desk.engine.default
    desk.engine.default = late(first)
    assert (await desk.chat()).json()["choices"][0]["message"]["content"] == "Hello there"
