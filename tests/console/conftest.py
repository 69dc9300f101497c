"""A browser for the journey, the pages of the double, and where screenshots go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.console import double

from shanhe.console.ports import Desk

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium; skips where there is none."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def desk() -> Desk:
    return double.desk()


@pytest.fixture
def visitor(desk: Desk) -> httpx.AsyncClient:
    """Somebody who has not signed in."""
    transport = httpx.ASGITransport(double.app(desk), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://city", headers={"accept": "text/html"})


@pytest.fixture
def member(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody who has, with every right."""
    visitor.cookies.set(double.COOKIE, "in")
    return visitor
