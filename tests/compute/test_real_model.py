"""The real engine with the real models, fetched once into the user's cache."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import httpx
import numpy as np
import pytest

from shanhe.compute.api import Compute, LlamaSupervisor, card
from shanhe.compute.target import Target
from shanhe.gateway.dispatch import upstream_body
from shanhe.gateway.faces.openai import Chat
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database

from .conftest import PriceRule, until

pytestmark = pytest.mark.model
CHAT = "qwen2.5-coder-0.5b-instruct"
EMBEDDING = "multilingual-e5-small"


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[LlamaSupervisor]:
    made = LlamaSupervisor(tmp_path)
    yield made
    await made.stop()


def client(path: Path) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    return httpx.AsyncClient(transport=transport, base_url="http://engine/v1", timeout=120)


class TestChat:
    async def test_answers_counts_refuses_what_overflows_and_comes_back_after_a_crash(
        self, supervisor: LlamaSupervisor, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        runner = await supervisor.start(CHAT)
        assert runner.pid is not None
        compute = Compute(database, clock, data=tmp_path, price_rule=PriceRule(), upstream_key=lambda _: None)
        await compute.start(probe=False)
        try:
            await compute.ensure_local(CHAT)
            (report,) = await compute.test_engine(f"local-{CHAT}")
            assert report.ok
            assert report.answer
            messages = [{"role": "user", "content": "你好，请介绍一下县级市。"}]
            async with client(runner.socket) as engine:
                asked = {"model": CHAT, "messages": messages, "max_tokens": 4}
                answer = (await engine.post("/chat/completions", json=asked)).json()
            target = compute.route(CHAT)
            assert target is not None
            assert await compute.count_chat(target, messages) == answer["usage"]["prompt_tokens"]
            assert answer["usage"]["completion_tokens"] <= 4
            assert await compute.tokenize(target, "你好") == 1
            await self._calls(compute, target, runner.socket)
            assert _loopback_ports(runner.pid) == [], "an open port would bypass metering"
            await self._overflow(runner.socket)
            await self._crash(runner.pid, supervisor)
            await compute.check_health()
            assert (await compute.test_engine(f"local-{CHAT}"))[0].ok
        finally:
            await compute.stop()

    async def _calls(self, compute: Compute, target: Target, path: Path) -> None:
        """A tool that must be called is, though the model is small; the tools are counted with the prompt."""
        city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tools = [
            {"type": "function", "function": {"name": name, "parameters": city}} for name in ("get_weather", "get_time")
        ]
        messages = [{"role": "user", "content": "What time is it in Paris?"}]
        asked = {"model": CHAT, "messages": messages, "tools": tools, "temperature": 0, "seed": 1}
        named = {**asked, "tool_choice": {"type": "function", "function": {"name": "get_time"}}}
        async with client(path) as engine:
            body = upstream_body(Chat().parse(json.dumps(named).encode()), target, 64)
            answer = (await engine.post("/chat/completions", content=body)).json()
            plain = (await engine.post("/chat/completions", json={**asked, "max_tokens": 1})).json()
        (choice,) = answer["choices"]
        assert choice["finish_reason"] == "tool_calls"
        (call,) = choice["message"]["tool_calls"]
        assert call["function"]["name"] == "get_time"
        assert json.loads(call["function"]["arguments"]).keys() == {"city"}
        assert await compute.count_chat(target, messages, tools) == plain["usage"]["prompt_tokens"]

    async def _crash(self, pid: int, supervisor: LlamaSupervisor) -> None:
        runner = await supervisor.start(CHAT)
        os.kill(pid, signal.SIGKILL)

        async def back() -> bool:
            return runner.pid not in (None, pid) and await runner.healthy()

        await until(back, 60)
        assert runner.restarts == 1

    async def _overflow(self, socket: Path) -> None:
        async with client(socket) as engine:
            content = "很长" * card(CHAT).context_tokens
            asked = {"model": CHAT, "messages": [{"role": "user", "content": content}], "max_tokens": 4}
            answer = await engine.post("/chat/completions", json=asked)
        assert answer.status_code == 400
        assert "context" in answer.text


class TestEmbedding:
    async def test_starts_with_its_first_request_and_ranks_meaning(
        self, supervisor: LlamaSupervisor, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        supervisor.watch(database)
        compute = Compute(database, clock, data=tmp_path, price_rule=PriceRule(), upstream_key=lambda _: None)
        await compute.start(probe=False)
        try:
            await compute.ensure_local(EMBEDDING)
            await asyncio.sleep(0.3)  # the supervisor's listener connects
            target = compute.route(EMBEDDING)
            assert target is not None
            await target.acquire()
            texts = ["query: 如何申请数字游民身份", "passage: 数字游民身份每年续期", "passage: 今天适合爬山"]
            async with client(Path(target.uds_path or "")) as engine:
                answer = (await engine.post("/embeddings", json={"model": EMBEDDING, "input": texts})).json()
            target.release(True, None, 200)
            vectors = np.array([item["embedding"] for item in answer["data"]])
            assert vectors.shape == (3, 384)
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
            assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.05
            assert answer["usage"]["prompt_tokens"] > 10
            assert await compute.tokenize(target, "ＡＢＣ，！") == await compute.tokenize(target, "ABC,!")
        finally:
            await compute.stop()


class TestOrphan:
    async def test_a_child_ends_with_its_supervisor(self, tmp_path: Path, supervisor: LlamaSupervisor) -> None:
        file = await supervisor.fetch(EMBEDDING)
        code = (
            "import asyncio, sys; from pathlib import Path; from shanhe.compute.api import ModelRunner, card\n"
            "async def main():\n"
            f"    runner = ModelRunner(card('{EMBEDDING}'), Path({str(file)!r}), Path({str(tmp_path)!r}))\n"
            "    await runner.start(); print('pid', runner.pid, flush=True); await asyncio.sleep(600)\n"
            "asyncio.run(main())\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        pid = await asyncio.to_thread(_announced, parent.stdout)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while _alive(pid):
            assert time.monotonic() < deadline, "the child outlived its supervisor"
            await asyncio.sleep(0.05)


def _announced(lines: IO[str]) -> int:
    """The process id that a supervisor prints, among its log lines."""
    return next(int(line.removeprefix("pid ")) for line in lines if line.startswith("pid "))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def _loopback_ports(pid: int) -> list[str]:
    """Listening TCP sockets of a process."""
    mine = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = os.readlink(link)
        except OSError:
            continue
        if name.startswith("socket:["):
            mine.add(name[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and parts[9] in mine:
                found.append(parts[1])
    return found
