"""Two people on phones: a firm posts a need, a laboratory answers it, both accept, and both are paid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.stage.chromium import chromium
from tests.stage.fixtures import Stage, open_stage

from shanhe.kernel.clock import SystemClock
from shanhe.kernel.ids import new_id

from .conftest import NEED, SOLUTION, TERMS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.prove, pytest.mark.browser]
UNTIL = SystemClock().today() + timedelta(days=60)


@pytest.fixture(scope="module")
def city() -> Iterator[Stage]:
    with open_stage(environment={"SHANHE_DEMO": "true"}) as stage:
        yield stage


@pytest.fixture(scope="module")
def browser(city: Stage) -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def hire(city: Stage, login: str, name: str) -> str:
    """Somebody of a company of their own; the password. The science budget is funded, too."""
    from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role

    password = new_id().hex

    async def work(services: Any) -> str:
        new = NewOrganisation(OrgKind.COMPANY, name, locally_registered=True)
        org = await services.identity.orgs.create(new, by="tests")
        person = await services.identity.people.create(NewPerson(login, login, password=password), by="tests")
        await services.identity.orgs.set_member(org.id, person.id, Role.OWNER, by="tests")
        await services.programmes.budgets.fund(
            "science_credit", 10**11, reason="tests", actor="tests", funding_id=new_id()
        )  # fmt: skip
        return password

    with ThreadPoolExecutor(1) as threads:  # the browser has a loop of its own in this one
        return threads.submit(city.run, work).result()


class Phone:
    """One person's browser; `look` keeps a picture and asks axe."""

    def __init__(self, browser: Browser, city: Stage, login: str, password: str, shots: Path, width: int) -> None:
        context = browser.new_context(locale="zh-CN", viewport={"width": width, "height": 844}, reduced_motion="reduce")
        self.page: Page = context.new_page()
        self._shots, self._url, self._name = shots, city.url, f"{login}-{width}"
        self.page.goto(f"{city.url}/sign-in")
        self.page.get_by_label("登录名或邮箱").fill(login)
        self.page.get_by_label("密码").fill(password)
        self.page.get_by_role("button", name="登录").click()
        self.page.wait_for_url(re.compile(r"^(?!.*sign-in)"))

    def go(self, path: str) -> None:
        self.page.goto(self._url + path)

    def look(self, name: str) -> None:
        self.page.screenshot(path=self._shots / f"{self._name}-{name}.png", full_page=True)
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [f"{one['id']} {one['nodes'][0]['html'][:160]}" for one in grave] == [], name

    def post(self, words: Any, kind: str) -> None:
        page = self.page
        self.go(f"/board/new?kind={kind}")
        self.look(f"form-{kind}")
        page.get_by_label("标题").fill(words.title)
        page.locator("#text").fill(words.text)
        page.locator("#sector").select_option(words.sector)
        page.locator("#until").fill(str(UNTIL))
        page.locator("#readiness").select_option(str(words.readiness))
        if kind == "need":
            page.locator("#budget_from").fill("50000")
            page.locator("#budget_to").fill("120000")
        else:
            page.locator("#price").fill("80000")
            page.locator("#asks").fill(words.asks)
        page.get_by_role("button", name="发布").click()
        page.wait_for_url(re.compile("/board/posts/"))


class TestBoard:
    @pytest.mark.parametrize("width", [390, 1440])
    def test_leads_two_people_from_a_need_to_the_reward(
        self, city: Stage, browser: Browser, tmp_path: Path, width: int
    ) -> None:
        firm, lab = f"tea{width}", f"lab{width}"
        buyer = Phone(browser, city, firm, hire(city, firm, f"云雾茶厂{width}"), tmp_path, width)
        maker = Phone(browser, city, lab, hire(city, lab, f"农机所{width}"), tmp_path, width)
        buyer.go("/board/mine")
        buyer.look("mine-empty")
        maker.post(SOLUTION, "solution")
        maker.look("solution")
        buyer.post(NEED, "need")
        buyer.look("need")
        page = buyer.page
        fit = page.locator("#fits li", has_text=f"农机所{width}")
        assert "杀青" in fit.inner_text()
        fit.locator("summary").click()
        fit.locator("textarea").fill("能来厂里试机两周吗？")
        fit.get_by_role("button", name="发出意向").click()
        page.wait_for_url(re.compile("/board/matches/"))
        at = page.url.removeprefix(city.url).partition("?")[0]
        maker.go("/notices")
        assert "有人对您的条目表示意向" in maker.page.content()
        maker.go(at)
        maker.page.locator("#text").fill(TERMS)
        maker.page.locator("#fee").fill("80000")
        maker.page.get_by_role("button", name="发出报价").click()
        maker.page.wait_for_url(re.compile("done=board_offer"))
        buyer.go(at)
        buyer.look("match")
        page.locator("summary", has_text="确认第 1 版报价").click()
        page.locator("form").get_by_role("button", name="确认第 1 版报价").click()
        page.wait_for_url(re.compile("done=board_accept"))
        assert "已发放" in page.locator("#reward").inner_text()
        assert "500" in page.locator("#reward").inner_text()
        buyer.look("agreed")
        maker.go("/board/mine")
        maker.look("mine")
        maker.go("/board")
        maker.look("board")
