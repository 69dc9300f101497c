"""The serving port, the same for a llama.cpp child of this machine and for an application of Ray Serve.

The model is real: both have to give the same greedy text for the same question.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shanhe.bench.processes import free_port
from shanhe.compute.api import card, default_cache
from shanhe.pool.agent.hosts import Door, Host, LlamaHost
from shanhe.pool.agent.ray_host import Cluster, RayHost

from .conftest import RAY_TOKEN

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.prove]
MODEL = "qwen2.5-coder-0.5b-instruct"
QUESTION = "Continue: red, green, blue, red, green, blue, red, green, blue, red,"
"""Of which no rounding changes the answer."""
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 12,
         "temperature": 0}  # fmt: skip
SAID: dict[str, str] = {}
"""What each kind of host answered."""


@pytest_asyncio.fixture(params=["embedded", "ray"], scope="module", loop_scope="module")
async def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    if not (default_cache() / card(MODEL).file).exists():
        pytest.skip("needs the model's file")
    made: Host
    if request.param == "embedded":
        made = LlamaHost(MODEL, tmp_path_factory.mktemp("node"), threads=1)
    else:
        dashboard: str = request.getfixturevalue("ray_dashboard")
        port = free_port()
        await served_at(dashboard, port)
        made = RayHost(MODEL, Cluster(dashboard, f"http://127.0.0.1:{port}", threads=1, token=RAY_TOKEN))
    assert made.door() is None
    await made.start()
    yield made
    await made.stop()
    assert made.door() is None


async def served_at(dashboard: str, port: int) -> None:
    """Start Serve where the cluster has none yet, with an application of somebody else."""
    other = {"name": "others", "route_prefix": "/others", "import_path": "tests.ports.other:build", "args": {}}
    other["runtime_env"] = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}}
    headers = {"authorization": f"Bearer {RAY_TOKEN}"}
    body = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [other]}
    async with httpx.AsyncClient(timeout=120, trust_env=False, headers=headers) as client:
        answer = await client.put(f"{dashboard}/api/serve/applications/", json=body)
        assert answer.status_code == 200, answer.text


def door_of(host: Host) -> Door:
    door = host.door()
    assert door is not None
    return door


async def said(door: Door, **changes: Any) -> dict[str, Any]:
    answer = await door.client.post(f"{door.base}/chat/completions", json={**ASKED, **changes})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


class TestHost:
    async def test_answers_with_usage(self, host: Host, request: pytest.FixtureRequest) -> None:
        answer = await said(door_of(host))
        text = answer["choices"][0]["message"]["content"]
        assert 0 < answer["usage"]["completion_tokens"] <= 12
        SAID[type(host).__name__] = text
        assert len(set(SAID.values())) == 1, SAID

    async def test_streams_the_same_text_and_its_usage(self, host: Host) -> None:
        door = door_of(host)
        body = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}
        texts, usage, ended = [], None, False
        async with door.client.stream("POST", f"{door.base}/chat/completions", json=body) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    ended = True
                elif line.startswith("data: "):
                    event = json.loads(line[6:])
                    usage = event.get("usage") or usage
                    texts += [c["delta"].get("content") or "" for c in event.get("choices", [])]
        assert ended
        assert len([text for text in texts if text]) > 3
        assert "".join(texts) == SAID[type(host).__name__]
        assert usage is not None

    async def test_refuses_what_it_can_not_read_and_goes_on(self, host: Host) -> None:
        door = door_of(host)
        answer = await door.client.post(f"{door.base}/chat/completions", content=b"{")
        assert answer.status_code >= 400
        assert (await said(door))["choices"]

    async def test_reports_the_speed_that_it_measured(self, host: Host) -> None:
        assert host.offer.loaded
        assert host.offer.prefill_tps > 0
        assert host.offer.decode_tps > 0

    async def test_unloads_and_loads_again(self, host: Host) -> None:
        door = door_of(host)
        await host.unload()
        await host.unload()
        assert host.door() is None
        assert not host.offer.loaded
        assert await dead(door)
        await host.load()
        await host.load()
        assert (await said(door_of(host)))["choices"][0]["message"]["content"] == SAID[type(host).__name__]

    async def test_leaves_the_applications_of_others_alone(self, host: Host) -> None:
        if isinstance(host, RayHost):
            answer = await host.door().client.get(f"{host._cluster.serve}/others")  # type: ignore[union-attr]
            assert answer.text == "somebody else's"


async def dead(door: Door) -> bool:
    try:
        answer = await door.client.post(f"{door.base}/chat/completions", json=ASKED)
    except httpx.HTTPError:
        return True
    return answer.status_code >= 400
