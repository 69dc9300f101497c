"""What a person does in the flow editor: builds one with the mouse, another by keys, puts what comes out to work.

What trains is the worker of the tests (`STANDIN` on the city's PYTHONPATH); everything else is the city's own.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Final

from playwright.sync_api import Locator, Page, expect

STANDIN: Final = Path(__file__).parent.parent / "studio" / "standin"
ITEMS: Final = 8
PAUSE_S: Final = 0.3
ROUNDS: Final = 5
WITHIN_MS: Final = 120_000  # a wait for what takes seconds, on a machine that may do much else


def take_time(data: Path, **more: int) -> None:
    """Let each round take so long that the curve can be watched."""
    (data / "studio").mkdir(exist_ok=True)
    (data / "studio" / "ORDERS").write_text(json.dumps({"pause_s": PAUSE_S} | more))


def walk(page: Page, url: str, name: str) -> None:
    """From an error book to a model that was deployed, tried on a share of the calls, and rolled back."""
    page.goto(f"{url}/studio")
    bring(page)
    page.goto(f"{url}/studio/flow")
    build(page)
    page.locator("#f-name").fill(name)
    page.locator("[data-run]").click()
    watch(page)
    expect(page.locator("#job")).to_contain_text("已部署")

    page.goto(f"{url}/studio/flow")
    by_keys(page)
    page.locator("#f-epochs").fill("2")
    page.locator("#f-name").fill(name)
    page.locator("[data-run]").click()
    watch(page)
    job = page.url.split("?")[0]
    answers = page.locator("section.card", has_text="前后对照")
    expect(answers.locator("tbody tr").first).to_contain_text("✗ 不知道")
    expect(answers.locator("tbody tr").first).to_contain_text("✓")

    put(page, job, "20")
    expect(page.locator("#job")).to_contain_text("灰度中")
    back(page, job)
    put(page, job, "100")
    expect(page.locator("#job")).to_contain_text("已部署")
    back(page, job)


def stop_and_go_on(page: Page, url: str, name: str, data: Path) -> None:
    """End a job while it trains, and let it go on: from its checkpoint, and with what was done before."""
    take_time(data, hang=2)  # and says nothing more: a wish to cancel is heard all the same
    page.goto(f"{url}/studio")
    bring(page)
    page.goto(f"{url}/studio/flow")
    by_keys(page)
    page.locator("#f-epochs").fill("5")
    page.locator("#f-name").fill(name)
    page.locator("[data-run]").click()
    expect(page.locator(".chart .trace").first).to_be_visible(timeout=WITHIN_MS)
    page.locator("#stop summary").click()
    page.locator("#stop button").click()
    expect(page.locator("#job .tag").first).to_contain_text("已取消", timeout=WITHIN_MS)
    expect(page.locator("#stop")).to_have_count(0)
    before = rounds(page)
    take_time(data)
    first = page.url.split("?")[0]
    page.get_by_role("button", name="继续任务").click()
    expect(page).not_to_have_url(re.compile(re.escape(first)))
    watch(page)
    assert 0 < rounds(page) == ROUNDS - before, "the rounds that were done are not done again"
    expect(page.locator("#job tbody tr").first).to_contain_text("复用")


def rounds(page: Page) -> int:
    """How many points the loss curve has."""
    return len((page.locator(".chart .trace").first.get_attribute("d") or "").split()) // 2


def bring(page: Page, items: int = ITEMS) -> None:
    sample = resources.files("shanhe.studio").joinpath("samples", "error_book.jsonl").read_text(encoding="utf-8")
    lines = "\n".join(sample.splitlines()[:items]).encode()
    page.locator("#file").set_input_files({"name": "book.jsonl", "mimeType": "application/json", "buffer": lines})
    page.locator("#name").fill("错题集")
    page.locator("#licence").fill("CC0-1.0")
    page.get_by_role("button", name="导入数据").click()
    expect(page).to_have_url(re.compile(r"/studio/data/"))


def node(page: Page, kind: str) -> Locator:
    return page.locator(f"[data-kind={kind}]")


def build(page: Page) -> None:
    """With the mouse: steps out of the palette, moved, joined by lines that are drawn."""
    run, lines = page.locator("[data-run]"), page.locator(".flow-lines path")
    expect(run).to_be_disabled()
    for kind in ("tune", "quantize", "evaluate", "deploy"):
        page.locator(f"[data-add={kind}]").click()
    before = node(page, "deploy").evaluate("one => one.offsetTop")
    drag(page, node(page, "deploy").locator(".grip"), 40, 60)
    assert node(page, "deploy").evaluate("one => one.offsetTop") > before + 30
    join(page, "evaluate", "tune")  # backwards: refused, in words
    expect(page.locator("#flow [role=status]")).to_contain_text("不能接到")
    path = ("data", "tune", "quantize", "evaluate", "deploy")
    for count, (one, other) in enumerate(pairwise(path), 1):
        join(page, one, other)
        expect(lines).to_have_count(count)
    expect(run).to_be_enabled()


def by_keys(page: Page) -> None:
    """Without a mouse: the usual flow, moved and cut by keys."""
    lines = page.locator(".flow-lines path")
    page.locator("[data-usual]").focus()
    page.keyboard.press("Enter")
    expect(lines).to_have_count(5)
    node(page, "deploy").locator(".grip").focus()
    top = node(page, "deploy").evaluate("one => one.offsetTop")
    page.keyboard.press("ArrowDown")
    assert node(page, "deploy").evaluate("one => one.offsetTop") == top + 16
    page.keyboard.press("Delete")
    expect(lines).to_have_count(4)
    node(page, "tune").locator(".port.out").focus()
    page.keyboard.press("Enter")
    node(page, "quantize").locator(".port.in").focus()
    page.keyboard.press("Enter")
    expect(lines).to_have_count(3)  # past the layers' step, which leads nowhere now
    expect(page.locator("[data-run]")).to_be_enabled()


def drag(page: Page, what: Locator, by_x: float, by_y: float) -> None:
    box = what.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by_x / 2, y + by_y / 2)
    page.mouse.move(x + by_x, y + by_y)
    page.mouse.up()


def join(page: Page, one: str, other: str) -> None:
    """Draw a line from a step's way out to another step."""
    start, end = node(page, one).locator(".port.out").bounding_box(), node(page, other).bounding_box()
    assert start is not None
    assert end is not None
    by_x = end["x"] + end["width"] / 2 - start["x"] - start["width"] / 2
    drag(page, node(page, one).locator(".port.out"), by_x, end["y"] + 20 - start["y"] - start["height"] / 2)


def watch(page: Page) -> None:
    """The curve appears while the job runs, and the end comes without a reload."""
    expect(page).to_have_url(re.compile(r"/studio/jobs/"))
    expect(page.locator(".chart .trace").first).to_be_visible(timeout=WITHIN_MS)
    expect(page.get_by_text("前后对照")).to_be_visible(timeout=WITHIN_MS)


def put(page: Page, job: str, share: str) -> None:
    page.locator("#share").select_option(share)
    page.locator("form[action$=deploy] button").click()
    expect(page).to_have_url(re.compile(r"/studio\?done="))
    page.goto(job)


def back(page: Page, job: str) -> None:
    page.locator("form[action$=rollback] button").click()
    expect(page).to_have_url(re.compile(r"/studio\?done="))
    page.goto(job)
    expect(page.locator("#job")).to_contain_text("已下线")
