"""One city for all tests of clones: opening it costs more than what they do in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from stage.market import Market, open_market


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def market(template: Any, tmp_path_factory: Any) -> AsyncIterator[Market]:
    async with open_market(template, tmp_path_factory) as opened:
        yield opened
