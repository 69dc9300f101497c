"""The whole site of a gateway process."""

from __future__ import annotations

from pathlib import Path

import httpx

from shanhe.app import open_services
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
