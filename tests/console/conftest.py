"""The pages of the double, seen by a visitor and by a member."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import httpx
import pytest
from tests.console import double

from shanhe.console.ports import Desk


@pytest.fixture(scope="module")
def house() -> tuple[Desk, Any]:
    """The pages, made once (templates and routes take their time), over a desk that each test furnishes anew."""
    desk = double.desk()
    return desk, double.app(desk)


@pytest.fixture
def desk(house: tuple[Desk, Any]) -> Desk:
    desk, fresh = house[0], double.desk()
    for field in fields(Desk):
        object.__setattr__(desk, field.name, getattr(fresh, field.name))
    return desk


@pytest.fixture
def visitor(house: tuple[Desk, Any], desk: Desk) -> httpx.AsyncClient:
    """Somebody who has not signed in."""
    transport = httpx.ASGITransport(house[1], raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://city", headers={"accept": "text/html"})


@pytest.fixture
def member(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody who has, with every right."""
    visitor.cookies.set(double.COOKIE, "in")
    return visitor
