"""The pages of the double, seen by a visitor and by a member."""

from __future__ import annotations

import httpx
import pytest
from tests.console import double

from shanhe.console.ports import Desk


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
