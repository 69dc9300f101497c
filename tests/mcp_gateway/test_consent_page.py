"""The page that asks whether an app may act, in a real browser."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.mcp_gateway.test_oauth import BACK

from shanhe.identity.api import Client, NewPerson, Role, Stage
from stage.chromium import chromium
from stage.market import Market

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


def allows(page: Page, where: str) -> str:
    page.goto(where)
    expect(page.locator("h1")).to_contain_text("日历应用")
    page.locator("#budget").fill("3")
    page.route("**/callback**", lambda route: route.fulfill(body="back"))
    page.locator("button[value=allow]").click()
    return str(page.locator("#back").get_attribute("href"))


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
            with chromium() as browser:
                return allows(page_of(browser, market.url, token), where)

        back = await asyncio.to_thread(browse)
        assert back.startswith(f"{BACK}?code=")
        keys = await market.services.identity.keys.list(payer.org)
        assert {key.name: key.budget_day_micro for key in keys}["日历应用"] == 3_000_000
