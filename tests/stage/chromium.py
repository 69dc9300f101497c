"""The machine's Chromium, for tests that look at pages as people do."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The shell has no windows to draw and renders the same pages for a third of the CPU."""
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",
    "--js-flags=--no-opt",  # no page of a test lives long enough for what the optimizing compiler costs
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PATIENCE_MS = 60_000
"""How long a page is waited for: five seconds, what `expect` waits by itself, are too few where others work as well."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the length of a block; skips the test where there is none."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium-headless-shell")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield opened
        opened.close()


@contextlib.contextmanager
def enlarged(browser: Browser, text_px: int) -> Iterator[Browser]:
    """The same browser beside it, of somebody who has set its text to this size; 16 is what browsers come with."""
    path = next(found for name in NAMES if (found := shutil.which(name)))
    opened = browser.browser_type.launch(
        executable_path=path, args=[*QUIET, f"--blink-settings=defaultFontSize={text_px}"]
    )
    yield opened
    opened.close()


FRAME = (".side", ".tabs", ".foot")
AXE = {"resultTypes": ["violations"], "reporter": "no-passes", "preload": False, "iframes": False, "selectors": False}
"""Only what is reported is collected: half of the time of a look."""


def barriers(page: Page, *, whole: bool, contrast: bool = True) -> list[str]:
    """What axe finds serious or critical on a page; unless `whole`, without the frame that all pages have alike. To
    measure the contrast of every text takes as long as all the rest."""
    context = None if whole else {"exclude": [[part] for part in FRAME]}
    options = {**AXE, "rules": {"color-contrast": {"enabled": contrast}}}
    found = Axe().run(page, context=context, options=options).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']} {[node['html'][:160] for node in one['nodes'][:3]]}" for one in grave]
