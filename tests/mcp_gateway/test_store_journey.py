"""A maker's Monday in a real browser: an agent with a tool and a knowledge base, reviewed, tried, paid, ranked."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.sync_api import Page, expect
from tests.mcp_gateway.test_consent_page import People, page_of
from tests.mcp_gateway.test_hosted import content

from shanhe.identity.api import Role
from shanhe.retrieval.api import NewBase
from stage.chromium import chromium
from stage.market import MODEL, Market, calls, says

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.browser, pytest.mark.prove]
HANDBOOK = "# 求和办法\n\n窗口统计数字求和时，先核对每个数字，再相加得出总数。\n"
ANSWER = "总数等于 6：先核对每个数字，再相加得出总数。"
QUESTION = "窗口统计数字求和怎么做？1+2+3 的总数是多少？"


def publishes(page: Page, url: str) -> None:
    page.goto(f"{url}/makers")
    for field, value in (("slug", "clerk"), ("title_zh", "算账助手"), ("title_en", "Clerk"), ("summary_zh", "会求和")):
        page.locator(f"#{field}").fill(value)
    page.locator("#kind").select_option("agent")
    page.locator("#new button").click()
    expect(page).to_have_url(re.compile("/makers/agent/clerk"))
    for field, value in (
        ("model", MODEL), ("instructions", "求和时使用工具。"), ("tools", "counter/total"), ("knowledge", "办事手册"),
        ("fee", "0.01"),
    ):  # fmt: skip
        page.locator(f"#{field}").fill(value)
    page.locator("button[value=submit]").click()
    expect(page.locator("form[action$='/recall']")).to_be_visible()


def approves(page: Page, url: str) -> None:
    page.goto(f"{url}/city/store")
    page.locator("input[name=note]").first.fill("可以")
    page.locator("button[value=approve]").first.click()
    expect(page.get_by_role("heading", name="算账助手")).to_have_count(0)


def points(page: Page, url: str) -> float:
    page.goto(f"{url}/store/agent/clerk")
    return float(page.locator("#score").inner_text())


def tries_and_rates(page: Page, url: str) -> None:
    page.goto(f"{url}/store/agent/clerk")
    page.locator("#question").fill(QUESTION)
    page.locator("#try button").click()
    expect(page.locator("#answer")).to_contain_text("等于 6")
    expect(page.locator("#try")).to_contain_text("counter/total")
    expect(page.locator("#sources")).to_contain_text("求和办法")
    page.locator("#stars").select_option("5")
    page.locator("#text").fill("算得快")
    page.locator("form[action$='/rate'] button").click()
    expect(page.locator("#rating")).to_contain_text("5.0")


def plays(page: Page, url: str) -> None:
    """The same agent in the playground, where it stands beside the models."""
    page.goto(f"{url}/playground")
    page.locator("#model").select_option("agent/clerk")
    page.locator("#prompt").fill(QUESTION)
    page.locator("#send").click()
    expect(page.locator(".turn:not(.user) .what")).to_contain_text("等于 6")
    expect(page.locator(".figure")).to_be_visible()


def order(page: Page, url: str) -> list[str]:
    page.goto(f"{url}/store?kind=agent")
    return [link.get_attribute("href") or "" for link in page.locator("main a[href^='/store/agent/']").all()]


class TestMaker:
    async def test_is_paid_for_an_agent_with_a_tool_and_a_knowledge_base(self, market: Market) -> None:
        people, url, library = People(market), market.url, market.services.library
        maker, user, rival = await market.party("制作方"), await market.party("使用方"), await market.party("同行")
        await market.listed(maker.org, "mcp/counter", content(), fee_micro=5_000)
        base = await library.knowledge.make(maker.org, NewBase("办事手册"), by="tests")
        await library.knowledge.edit(base, {"support_bps": 100})
        await library.knowledge.bring(base, "手册.md", HANDBOOK.encode(), by="tests")
        await market.indexed()
        plain = {"model": MODEL, "instructions": "答。", "tools": [], "budget_micro": 1_000_000, "steps_max": 3}
        await market.listed(rival.org, "agent/abacus", plain)
        market.engine.replies = [calls("counter__total", {"numbers": [1, 2, 3]}), says(ANSWER)] * 2
        cookies = [
            await people.cookie("制作", maker.org), await people.cookie("审核", None, Role.OPERATOR),
            await people.cookie("使用", user.org),
        ]  # fmt: skip
        before = await market.income(maker.org)

        def browse() -> tuple[float, float, list[str], list[str], str]:
            with chromium() as browser:
                making, reviewing, using = (page_of(browser, url, token) for token in cookies)
                publishes(making, url)
                approves(reviewing, url)
                first, ranked = points(using, url), order(using, url)
                plays(using, url)
                tries_and_rates(using, url)
                making.goto(f"{url}/makers/income")
                return first, points(using, url), ranked, order(using, url), making.locator("main").inner_text()

        first, after, ranked, ranked_after, income = await asyncio.to_thread(browse)
        assert after > first
        assert ranked != ranked_after
        assert ranked_after[0] == "/store/agent/clerk"
        assert await market.income(maker.org) > before
        assert "agent/clerk" in income
        assert "mcp/counter" in income
