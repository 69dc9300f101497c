"""One city and one publisher's server for all tests of the tool gateway: a start takes longer than most of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from stage.market import Market, open_market
from stage.tools import Workshop, open_workshop


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def market(template: Any, tmp_path_factory: Any) -> AsyncIterator[Market]:
    async with open_market(template, tmp_path_factory) as opened:
        yield opened


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def workshop() -> AsyncIterator[Workshop]:
    async with open_workshop() as opened:
        yield opened
