"""The flow editor over what it is for: a real model trained, judged, deployed, answering, and rolled back, by mouse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect
from tests.console import flow
from tests.stage.chromium import chromium
from tests.stage.later import Later

from shanhe.bench.city import City, running_city
from shanhe.compute.api import LlamaSupervisor

pytest.importorskip("torch", reason="the extra `studio` is not installed")
pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
openai: Any = Later("openai")
pytestmark = [pytest.mark.prove, pytest.mark.model, pytest.mark.browser]
BASE = "qwen2.5-coder-0.5b-instruct"
NAME = "shop-floor"
LAYERS, RATE_PPM, ITEMS = 4, 3_000, 4
WITHIN_MS = 600_000
SCREEN: ViewportSize = {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city with its own model and its own trainer: nothing stands for anything."""
    if LlamaSupervisor(tmp_path_factory.mktemp("models")).file_of(BASE) is None:
        pytest.skip("the model was not fetched")
    data = tmp_path_factory.mktemp("city")
    with running_city(data, with_model=True, environment={"SHANHE_DEMO": "true"}) as city:
        yield city


@pytest.fixture(scope="module")
def browser(city: City) -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def signed_in(browser: Browser, city: City) -> Page:
    context = browser.new_context(locale="zh-CN", viewport=SCREEN, reduced_motion="reduce")
    page, demo = context.new_page(), city.demo()
    page.goto(f"{city.url}/sign-in")
    page.get_by_label("登录名或邮箱").fill(demo["SHANHE_ADMIN_USER"])
    page.get_by_label("密码").fill(demo["SHANHE_ADMIN_PASSWORD"])
    page.get_by_role("button", name="登录").click()
    expect(page).not_to_have_url(re.compile(r"/sign-in"))
    return page


def run(page: Page, city: City, epochs: int, *, judged: bool = False) -> str:
    """Build data → tune → evaluate with the mouse and run it; the address of the job once it has ended."""
    page.goto(f"{city.url}/studio/flow")
    for kind in ("tune", "evaluate"):
        page.locator(f"[data-add={kind}]").click()
    for one, other in pairwise(("data", "tune", "evaluate")):
        flow.join(page, one, other)
    for field, value in (("epochs", epochs), ("layers", LAYERS), ("rate_ppm", RATE_PPM), ("name", NAME)):
        page.locator(f"#f-{field}").fill(str(value))
    if judged:
        flow.node(page, "evaluate").locator("summary").click()
        page.locator("#f-judge").select_option(BASE)
        page.locator("#f-judge_questions").fill("2")
    page.locator("[data-run]").click()
    expect(page).to_have_url(re.compile(r"/studio/jobs/"))
    expect(page.locator(".chart .trace").first).to_be_visible(timeout=WITHIN_MS)
    expect(page.get_by_text("前后对照")).to_be_visible(timeout=WITHIN_MS)
    return page.url.split("?")[0]


def losses(page: Page) -> tuple[float, float]:
    """What the curve begins and ends with, as it is told to who can't see it."""
    label = page.locator(".chart").first.get_attribute("aria-label") or ""
    first, last = re.findall(r"\d+\.\d+", label)[:2]
    return float(first), float(last)


def answered(city: City, question: str) -> dict[str, Any]:
    """The receipt of a call to the model through the gateway."""
    key = city.demo()["SHANHE_API_KEY"]
    client = openai.OpenAI(base_url=f"{city.url}/v1", api_key=key, timeout=120.0)
    said = client.chat.completions.with_raw_response.create(
        model=NAME, messages=[{"role": "user", "content": question}], max_tokens=32
    )
    assert said.parse().choices[0].message.content
    address = f"{city.url}/api/receipts/{said.headers['x-shanhe-receipt']}"
    found: dict[str, Any] = httpx.get(address, headers={"authorization": f"Bearer {key}"}, trust_env=False).json()
    return found


class TestTraining:
    def test_is_built_watched_judged_deployed_and_rolled_back_by_mouse(
        self, city: City, browser: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = signed_in(browser, city)
        page.goto(f"{city.url}/studio")
        flow.bring(page, ITEMS)
        first = run(page, city, 5)
        curve = losses(page)
        assert curve[1] < curve[0] / 2
        better = page.get_by_text(re.compile(r"答对由 .* 变为")).inner_text()
        before, after = (float(one) for one in re.findall(r"([\d.]+) %", better))
        assert after > before
        answers = page.locator("section.card", has_text="前后对照").locator("tbody tr")
        expect(answers.first).to_contain_text("✓")
        question = answers.first.locator("td").first.inner_text()
        flow.put(page, first, "100")
        expect(page.locator("#job")).to_contain_text("已部署")
        assert answered(city, question)["evidence"]["engine"].endswith("shop-floor.1")

        second = run(page, city, 6, judged=True)
        judge = page.locator("#job tbody tr", has_text="裁判评分")
        expect(judge).to_contain_text(re.compile(r"裁判 [12] 题"), timeout=WITHIN_MS)
        with capsys.disabled():
            print(f"\nloss {curve[0]} → {curve[1]}; right {before} → {after} %; {judge.inner_text()}")
        flow.put(page, second, "100")
        expect(page.locator("#job")).to_contain_text("已部署")
        assert answered(city, question)["evidence"]["engine"].endswith("shop-floor.2")
        flow.back(page, second)
        assert answered(city, question)["evidence"]["engine"].endswith("shop-floor.1")
        page.context.close()
