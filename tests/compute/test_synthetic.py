from __future__ import annotations

from typing import Any

import httpx
import pytest

from shanhe.compute.synthetic import INSTANT_BYTES, Behaviour, Upstream, behaviour_of, instant_body


async def call(upstream: Upstream, **body: Any) -> httpx.Response:
    url = await upstream.start()
    async with httpx.AsyncClient(base_url=url, timeout=5) as client:
        return await client.post("/chat/completions", json={"model": "m", "messages": [], **body})


class TestUpstream:
    def test_the_instant_answer_has_its_size(self) -> None:
        assert len(instant_body()) == INSTANT_BYTES

    def test_a_model_name_chooses_the_behaviour(self) -> None:
        default = Behaviour("instant", 5, 0.0)
        assert behaviour_of("gpt", default) == default
        assert behaviour_of("syn-crash-3", default) == Behaviour("crash", 3, 0.0)
        assert behaviour_of("syn-stream-9-20", default) == Behaviour("stream", 9, 20.0)
        assert behaviour_of("syn-nonsense", default) == default

    async def test_exact_usage_is_what_was_asked_for(self, upstream: Upstream) -> None:
        answer = (await call(upstream, model="syn-exact", x_prompt_tokens=11, max_tokens=7)).json()
        assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

    async def test_a_stream_has_its_chunks_usage_and_end(self, upstream: Upstream) -> None:
        answer = await call(upstream, model="syn-stream-4", stream=True, stream_options={"include_usage": True})
        events = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        assert len(events) == 4 + 3
        assert '"completion_tokens":4' in events[-2]
        assert events[-1] == "data: [DONE]"

    async def test_usage_is_left_out_unless_asked_for(self, upstream: Upstream) -> None:
        answer = await call(upstream, model="syn-stream-2", stream=True)
        assert "usage" not in answer.text

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize("chunks", [0, 2])
    async def test_a_crash_breaks_the_connection(self, upstream: Upstream, stream: bool, chunks: int) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await call(upstream, model=f"syn-crash-{chunks}", stream=stream)
        assert upstream.counts.dropped == 1

    async def test_a_stall_ends_with_its_client(self, upstream: Upstream) -> None:
        url = await upstream.start()
        async with httpx.AsyncClient(base_url=url, timeout=0.2) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/chat/completions", json={"model": "syn-stall-0", "stream": True})

    @pytest.mark.parametrize(("mode", "status"), [("busy", 429), ("error", 500), ("refuse", 400), ("redirect", 302)])
    async def test_statuses_are_what_they_say(self, upstream: Upstream, mode: str, status: int) -> None:
        assert (await call(upstream, model=f"syn-{mode}")).status_code == status

    async def test_one_connection_carries_many_requests(self, upstream: Upstream) -> None:
        url = await upstream.start()
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(5):
                assert (await client.post("/embeddings", json={"input": ["a", "b"]})).json()["data"][1]["index"] == 1
        assert upstream.counts.requests == upstream.counts.finished == 5
