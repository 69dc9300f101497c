"""The embedded small model as an agent: tools under a grammar, published, called over the wire, and paid."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

from shanhe.bench.city import City, running_city
from stage.fixtures import Stage
from stage.market import Market, TalkingEngine
from stage.tools import Workshop

if TYPE_CHECKING:
    from shanhe.app import Services

pytestmark = [pytest.mark.prove, pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]
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


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city with the embedded model, whose agents may use tools on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHANHE_PRIVATE_TOOLS", "true")
        with running_city(tmp_path_factory.mktemp("city") / "data", with_model=True) as city:
            yield city


async def asked(city: City, agent: str, question: str) -> dict[str, Any]:
    """An agent's answer to the demo's key."""
    demo = city.demo()
    async with httpx.AsyncClient(
        base_url=demo["SHANHE_URL"], headers={"authorization": f"Bearer {demo['SHANHE_API_KEY']}"}, timeout=180,
        trust_env=False,
    ) as http:  # fmt: skip
        body = {"model": f"agent/{agent}", "messages": [{"role": "user", "content": question}]}
        answer = await http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


class TestWeakModel:
    async def test_uses_a_tool_and_answers(self, city: City, workshop: Workshop) -> None:
        inside = Stage(city, 0).run
        content: dict[str, dict[str, Any]] = {"mcp/weather": {"url": workshop.url, "tools": ["forecast"]}}
        content["agent/weather"] = AGENT
        makers = await asyncio.to_thread(inside, lambda services: publish(services, city.url, content))
        answer = await asked(city, "weather", "山河市今天天气怎么样？")
        told = answer["shanhe"]
        run = await asyncio.to_thread(city.command, "agents", "trace", told["run_id"])
        income = await asyncio.to_thread(inside, lambda services: income_of(services, makers["mcp/weather"]))
        assert answer["choices"][0]["message"]["content"].strip()
        tools = [step for step in told["steps"] if step["kind"] == "tool"]
        assert [step["state"] for step in tools][:1] == ["done"]
        assert workshop.seen[0][0] == "forecast"
        assert isinstance(workshop.seen[0][1]["city"], str)
        assert sum(step["paid_micro"] for step in run["steps"]) == told["paid_micro"] > 1_000
        assert income >= FEE_MICRO * 8 // 10


class TestGuide:
    async def test_answers_from_the_rulebook_cites_it_and_declines_what_it_does_not_say(self, city: City) -> None:
        told = (await asked(city, "xiaozhi", "数字游民认定须在场多少天？"))["shanhe"]
        assert [step["kind"] for step in told["steps"]] == ["knowledge", "model"]
        assert told["declined"] or any("须在场天数：90天" in one["text"] for one in told["citations"])
        told = (await asked(city, "xiaozhi", "蓝鲸能潜多深？"))["shanhe"]
        assert (told["declined"], told["paid_micro"]) == ("unsupported", 0)
