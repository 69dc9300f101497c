"""The embedded small model as an agent: tools under a grammar, published and read over the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shanhe.bench.city import City, running_city
from stage.tools import Workshop

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]
MODEL = "qwen2.5-coder-0.5b-instruct"
AGENT = {
    "model": MODEL, "instructions": "你是天气助手。先用工具查询城市的天气，再用一句话回答。", "steps_max": 3,
    "tools": ["weather/forecast"], "temperature": 0, "step_tokens": 96,
}  # fmt: skip


def publish(city: City, folder: Path, name: str, content: dict[str, Any]) -> None:
    """The whole way from an organisation to an offered listing, with the operator's commands."""
    org, words = f"maker of {name}", ("--title", "天气", "--title-en", "Weather", "--summary", "查询天气")
    city.command("orgs", "create", org)
    city.command("store", "open", name, "--org", org, *words)
    file = folder / f"{name.replace('/', '-')}.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    city.command("store", "draft", name, str(file), "--org", org, "--markup", "2000", "--fee", "1000", "--submit")
    city.command("store", "review", name, "1", "--note", "fine")


class TestWeakModel:
    async def test_uses_a_tool_and_answers(self, workshop: Workshop, tmp_path: Path) -> None:
        environment = {"SHANHE_PRIVATE_TOOLS": "true"}
        with running_city(tmp_path / "city", with_model=True, environment=environment) as city:
            server = {"url": workshop.url, "tools": ["forecast"]}
            await asyncio.to_thread(publish, city, tmp_path, "mcp/weather", server)
            await asyncio.to_thread(publish, city, tmp_path, "agent/weather", AGENT)
            shown = await asyncio.to_thread(city.command, "store", "list")
            assert {"agent/letters", "agent/weather", "mcp/weather"} <= {one["name"] for one in shown}
            demo = city.demo()
            async with httpx.AsyncClient(
                base_url=demo["SHANHE_URL"], headers={"authorization": f"Bearer {demo['SHANHE_API_KEY']}"}, timeout=180,
                trust_env=False,
            ) as http:  # fmt: skip
                body = {"model": "agent/weather", "messages": [{"role": "user", "content": "山河市今天天气怎么样？"}]}
                answer = await http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                told = answer.json()["shanhe"]
                run = await asyncio.to_thread(city.command, "agents", "trace", told["run_id"])
                income = await asyncio.to_thread(city.command, "store", "income", "--org", "maker of mcp/weather")
        assert answer.json()["choices"][0]["message"]["content"].strip()
        tools = [step for step in told["steps"] if step["kind"] == "tool"]
        assert [step["state"] for step in tools][:1] == ["done"]
        assert workshop.seen[0][0] == "forecast"
        assert isinstance(workshop.seen[0][1]["city"], str)
        assert sum(step["paid_micro"] for step in run["steps"]) == told["paid_micro"] > 1_000
        assert income[0]["amount_micro"] >= 800
