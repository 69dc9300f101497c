"""The whole site of a gateway process."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

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


class TestBaseUrl:
    """Whoever's is wrong is told the right one, in both languages; people ask for pages as before."""

    @pytest.mark.parametrize(
        ("method", "path", "meant"),
        [
            ("POST", "/chat/completions", "/v1/chat/completions"), ("POST", "/messages", "/v1/messages"),
            ("GET", "/models", "/v1/models"), ("POST", "/embeddings", "/v1/embeddings"),
            ("POST", "//v1/chat/completions", "/v1/chat/completions"),
            ("POST", "/v1/v1/messages", "/v1/messages"), ("POST", "/v1/responses/", "/v1/responses"),
        ],
    )  # fmt: skip
    async def test_that_is_wrong_is_answered_with_the_right_one(
        self, visitor: httpx.AsyncClient, method: str, path: str, meant: str
    ) -> None:
        asked = visitor.build_request(method, "http://city/", headers={"authorization": "Bearer sk-sh-x"})
        asked.url = asked.url.copy_with(raw_path=path.encode())
        answer = await visitor.send(asked)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
        said = answer.json()["error"]["message"]
        assert f"this call is {meant}." in said
        assert "http://127.0.0.1:8600/v1 in clients" in said
        assert "请把 base URL 设为 http://127.0.0.1:8600/v1" in said
        assert answer.headers["access-control-allow-origin"] == "*"

    async def test_is_told_to_pages_of_another_origin_too(self, visitor: httpx.AsyncClient) -> None:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        assert (await visitor.options("/chat/completions", headers=asked)).status_code == 200

    async def test_of_a_person_is_the_page(self, visitor: httpx.AsyncClient) -> None:
        assert "text/html" in (await visitor.get("/models", headers={"accept": "text/html"})).headers["content-type"]
        assert (await visitor.post("/messages")).json()["error"]["code"] == "not_found"


class TestSocket:
    async def test_to_the_gateway_is_refused_with_the_reason(self, dsn: str, tmp_path: Path) -> None:
        """Clients of realtime protocols; a 403 would be about their key."""
        said: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            said.append(message)

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "websocket.connect"}

        settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=False)
        async with open_services(settings, "cli") as services:
            await create_app(services)({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
        assert said[0]["status"] == 404
        assert b"no WebSockets" in said[1]["body"]


class TestUpload:
    async def test_of_a_sound_is_as_large_as_sounds_that_the_city_makes(self, visitor: httpx.AsyncClient) -> None:
        answer = await visitor.post("/api/labels/check-sound", content=bytes(2 * BODY_MAX_BYTES))
        assert answer.json()["error"]["code"] == "no_sound"
