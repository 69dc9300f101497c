"""The embedded small model as an agent: tools under a grammar, published, called over the wire, and paid."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

from shanhe.bench.city import running_city
from stage.fixtures import Stage
from stage.market import Market, TalkingEngine
from stage.tools import Workshop

if TYPE_CHECKING:
    from shanhe.app import Services

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]
MODEL = "qwen2.5-coder-0.5b-instruct"
FEE_MICRO = 1_000
AGENT = {
    "model": MODEL, "instructions": "你是天气助手。先用工具查询城市的天气，再用一句话回答。", "steps_max": 3,
    "tools": ["weather/forecast"], "temperature": 0, "step_tokens": 96,
}  # fmt: skip


async def income_of(services: Services, org: UUID) -> int:
    return await Market(services, "", TalkingEngine()).income(org)


async def publish(services: Services, url: str, content: dict[str, dict[str, Any]]) -> dict[str, UUID]:
    """The whole way from an organisation to an offered listing, for each; who made it, by its name."""
    from shanhe.identity.api import NewOrganisation, OrgKind

    market, makers = Market(services, url, TalkingEngine()), {}
    for name, one in content.items():
        org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, f"maker of {name}"), by="tests")
        await market.listed(org.id, name, one, fee_micro=FEE_MICRO)
        makers[name] = org.id
    return makers


async def asks_the_guide(http: httpx.AsyncClient) -> None:
    """The demo city's own guide answers from the rulebook, cites it, and declines what it doesn't say."""
    body = {"model": "agent/xiaozhi", "messages": [{"role": "user", "content": "数字游民认定须在场多少天？"}]}
    answer = (await http.post("/v1/chat/completions", json=body)).json()
    told = answer["shanhe"]
    assert [step["kind"] for step in told["steps"]] == ["knowledge", "model"]
    assert told["declined"] or any("须在场天数：90天" in one["text"] for one in told["citations"])
    body["messages"] = [{"role": "user", "content": "蓝鲸能潜多深？"}]
    answer = (await http.post("/v1/chat/completions", json=body)).json()
    assert (answer["shanhe"]["declined"], answer["shanhe"]["paid_micro"]) == ("unsupported", 0)


class TestWeakModel:
    async def test_uses_a_tool_and_answers(
        self, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHANHE_PRIVATE_TOOLS", "true")
        with running_city(tmp_path / "city", with_model=True) as city:
            server = {"url": workshop.url, "tools": ["forecast"]}
            inside, content = Stage(city, 0).run, {"mcp/weather": server, "agent/weather": AGENT}
            makers = await asyncio.to_thread(inside, lambda services: publish(services, city.url, content))
            demo = city.demo()
            async with httpx.AsyncClient(
                base_url=demo["SHANHE_URL"], headers={"authorization": f"Bearer {demo['SHANHE_API_KEY']}"}, timeout=180,
                trust_env=False,
            ) as http:  # fmt: skip
                body = {"model": "agent/weather", "messages": [{"role": "user", "content": "山河市今天天气怎么样？"}]}
                answer = await http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                told = answer.json()["shanhe"]
                await asks_the_guide(http)
                run = await asyncio.to_thread(city.command, "agents", "trace", told["run_id"])
                income = await asyncio.to_thread(inside, lambda services: income_of(services, makers["mcp/weather"]))
        assert answer.json()["choices"][0]["message"]["content"].strip()
        tools = [step for step in told["steps"] if step["kind"] == "tool"]
        assert [step["state"] for step in tools][:1] == ["done"]
        assert workshop.seen[0][0] == "forecast"
        assert isinstance(workshop.seen[0][1]["city"], str)
        assert sum(step["paid_micro"] for step in run["steps"]) == told["paid_micro"] > 1_000
        assert income >= FEE_MICRO * 8 // 10
