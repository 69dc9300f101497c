"""The whole site of a gateway process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from shanhe.app import open_services
from shanhe.kernel.http import BODY_MAX_BYTES
from shanhe.settings import Settings
from shanhe.web import create_app


class TestSite:
    async def test_can_read_every_route_and_describes_those_of_the_api(self, dsn: str, tmp_path: Path) -> None:
        """Signatures are read late: here each is, so that one that can't be read is found before somebody asks."""
        settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=False)
        async with open_services(settings, "cli") as services:
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(transport=transport, base_url="http://city") as visitor:
                described = (await visitor.get("/api/openapi.json")).raise_for_status().json()
        assert len(described["paths"]) > 300
        assert "/api/keys" in described["paths"]
        assert "/keys/new" not in described["paths"]


@pytest.fixture
async def visitor(dsn: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=False)
    async with open_services(settings, "cli") as services:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://city") as client:
            yield client


class TestProbe:
    async def test_is_answered_to_balancers_that_ask_for_the_head_alone(self, visitor: httpx.AsyncClient) -> None:
        assert [(await visitor.head(path)).status_code for path in ("/healthz", "/readyz")] == [200, 200]


class TestUpload:
    async def test_of_a_sound_is_as_large_as_sounds_that_the_city_makes(self, visitor: httpx.AsyncClient) -> None:
        answer = await visitor.post("/api/labels/check-sound", content=bytes(2 * BODY_MAX_BYTES))
        assert answer.json()["error"]["code"] == "no_sound"
