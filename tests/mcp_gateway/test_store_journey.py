"""A maker's Monday in a real browser: an agent with a tool, reviewed, tried by somebody else, paid, rated, ranked."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.console.test_journey import NAMES, QUIET
from tests.mcp_gateway.test_hosted import CODE, DESCRIBED
from tests.mcp_gateway.test_oauth import BACK

from shanhe.identity.api import Client, NewPerson, Role, Stage
from stage.market import MODEL, Market, calls, says

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.browser, pytest.mark.prove]


class People:
    """Signed-in browsers of people, while the city goes on in its own loop."""

    def __init__(self, market: Market) -> None:
        self.market = market

    async def cookie(self, name: str, org: Any, role: Role = Role.OWNER) -> str:
        identity = self.market.services.identity
        person = await identity.people.create(NewPerson(name, login=f"u{uuid4().hex[:8]}"), by="tests")
        if org is not None:
            await identity.orgs.set_member(org, person.id, role, by="tests")
        else:
            await identity.people.grant(person.id, role, by="tests")
        issued = await identity.sessions.open(person.id, stage=Stage.FULL, methods=("password",), client=Client())
        return str(issued.token)


def page_of(browser: Browser, url: str, token: str) -> Page:
    context: BrowserContext = browser.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "shanhe_session", "value": token, "url": url}])
    return context.new_page()


def chromium() -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield opened
        opened.close()


def points(page: Page, url: str) -> str:
    page.goto(f"{url}/store/agent/clerk")
    return page.locator("#score").inner_text()


def publishes(page: Page, url: str) -> None:
    page.goto(f"{url}/makers")
    for field, value in (("slug", "clerk"), ("title_zh", "算账助手"), ("title_en", "Clerk"), ("summary_zh", "会求和")):
        page.locator(f"#{field}").fill(value)
    page.locator("#kind").select_option("agent")
    page.locator("#new button").click()
    expect(page).to_have_url(re.compile("/makers/agent/clerk"))
    for field, value in (
        ("model", MODEL),
        ("instructions", "求和时使用工具。"),
        ("tools", "counter/total"),
        ("fee", "0.01"),
    ):
        page.locator(f"#{field}").fill(value)
    page.locator("button[value=submit]").click()
    expect(page.locator("form[action$='/recall']")).to_be_visible()


def approves(page: Page, url: str) -> None:
    page.goto(f"{url}/city/store")
    page.locator("input[name=note]").first.fill("可以")
    page.locator("button[value=approve]").first.click()
    expect(page.get_by_role("heading", name="算账助手")).to_have_count(0)


def tries_and_rates(page: Page, url: str) -> None:
    page.goto(f"{url}/store/agent/clerk")
    page.locator("#question").fill("1+2+3？")
    page.locator("#try button").click()
    expect(page.locator("#answer")).to_have_text("等于 6。")
    expect(page.locator("#try")).to_contain_text("counter/total")
    page.locator("#stars").select_option("5")
    page.locator("#text").fill("算得快")
    page.locator("form[action$='/rate'] button").click()
    expect(page.locator("#rating")).to_contain_text("5.0")


def allows(page: Page, where: str) -> str:
    page.goto(where)
    expect(page.locator("h1")).to_contain_text("日历应用")
    page.locator("#budget").fill("3")
    page.route("**/callback**", lambda route: route.fulfill(body="back"))
    page.locator("button[value=allow]").click()
    return str(page.locator("#back").get_attribute("href"))


class TestMaker:
    async def test_is_paid_for_an_agent_with_a_tool(self, market: Market) -> None:
        people, url = People(market), market.url
        maker, user, rival = await market.party("制作方"), await market.party("使用方"), await market.party("同行")
        hosted = {"code": CODE, "described": DESCRIBED}
        await market.listed(maker.org, "mcp/counter", {"tools": ["total", "peek"], "hosted": hosted}, fee_micro=5_000)
        plain = {"model": MODEL, "instructions": "答。", "tools": [], "budget_micro": 1_000_000, "steps_max": 3}
        await market.listed(rival.org, "agent/rival", plain)
        market.engine.replies = [calls("counter__total", {"numbers": [1, 2, 3]}), says("等于 6。")]
        cookies = [
            await people.cookie("制作", maker.org), await people.cookie("审核", None, Role.OPERATOR),
            await people.cookie("使用", user.org),
        ]  # fmt: skip
        before = await market.income(maker.org)

        def browse() -> tuple[str, str, str]:
            for browser in chromium():
                making, reviewing, using = (page_of(browser, url, token) for token in cookies)
                publishes(making, url)
                approves(reviewing, url)
                first = points(using, url)
                tries_and_rates(using, url)
                making.goto(f"{url}/makers/income")
                return first, points(using, url), making.locator("main").inner_text()
            raise AssertionError("unreachable: the browser opens or the test is skipped")

        first, after, income = await asyncio.to_thread(browse)
        assert float(after) > float(first)
        assert await market.income(maker.org) > before
        assert "agent/clerk" in income
        assert "mcp/counter" in income


class TestPerson:
    async def test_lets_an_app_act_within_a_budget(self, market: Market) -> None:
        payer = await market.party("授权方")
        token = await People(market).cookie("授权", payer.org)
        async with httpx.AsyncClient(base_url=market.url, trust_env=False) as http:
            told = {"client_name": "日历应用", "redirect_uris": [BACK]}
            app = (await http.post("/oauth/register", json=told)).json()
            asked = {"response_type": "code", "client_id": app["client_id"], "redirect_uri": BACK, "state": "s",
                     "code_challenge": "x" * 43, "code_challenge_method": "S256"}  # fmt: skip
            where = (await http.get("/oauth/authorize", params=asked)).headers["location"]

        def browse() -> str:
            for browser in chromium():
                return allows(page_of(browser, market.url, token), where)
            raise AssertionError("unreachable: the browser opens or the test is skipped")

        back = await asyncio.to_thread(browse)
        assert back.startswith(f"{BACK}?code=")
        keys = await market.services.identity.keys.list(payer.org)
        assert {key.name: key.budget_day_micro for key in keys}["日历应用"] == 3_000_000
