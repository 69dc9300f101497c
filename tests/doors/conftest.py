"""A town with a company, its people and keys of every kind, in front of the whole application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.doors.town import Town

from shanhe.app import open_services
from shanhe.settings import Settings


@pytest.fixture
async def town(dsn: str, tmp_path: Path) -> AsyncIterator[Town]:
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    async with open_services(settings, "cli") as services:
        yield await Town.founded(services)
