"""HTTP manners: one error shape in the reader's language, bounded bodies, request ids, security headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI, Request

from shanhe.kernel import http
from shanhe.kernel.errors import TooMany
from shanhe.kernel.metrics import Metrics
from shanhe.kernel.misfit import misfit


def application(mistaken: Callable[[], None] = lambda: None) -> FastAPI:
    app = FastAPI()
    http.install(app, mistaken=mistaken)

    @app.get("/busy")
    async def busy() -> None:
        raise TooMany("busy", "Too many.", message_zh="请求过多。", retry_after_s=7)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret detail")

    @app.get("/number")
    async def number(n: int) -> int:
        return n

    @app.post("/echo")
    @app.post("/deep/echo")
    @app.post("/plain")
    async def echo(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture
def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(http.Manners(application(), body_max_bytes=1000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://city")


class TestError:
    async def test_that_is_ours_is_counted_where_an_alarm_can_see_it(self) -> None:
        metrics = Metrics("w0")
        site = httpx.ASGITransport(application(metrics.mistaken), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=site, base_url="http://city") as client:
            for path in ("/busy", "/number?n=x", "/broken"):
                await client.get(path)
        assert metrics.registry.get_sample_value("shanhe_mistakes_total") == 1

    async def test_says_when_to_come_back(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/busy", headers={"accept-language": "en"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert answer.json() == {"error": {"code": "busy", "message": "Too many."}}

    async def test_speaks_the_readers_language(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/busy", headers={"accept-language": "fr, zh-Hans-CN;q=0.9, en;q=0.2"})
        assert answer.json()["error"]["message"] == "请求过多。"

    async def test_tells_nothing_of_what_broke_inside(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/broken")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.json()["error"]["code"] == "internal_error"

    async def test_says_the_number_that_it_asks_to_be_told(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/broken")
        assert answer.json()["error"]["hint"].endswith(answer.headers["x-request-id"])

    async def test_names_the_field_that_is_wrong(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/number", params={"n": "many"})
        assert answer.status_code == 422
        assert answer.json()["error"]["details"]["fields"][0]["field"] == "n"

    def test_says_of_each_field_where_it_is_and_what_is_allowed_in_both_languages(self) -> None:
        told = misfit([
            {"loc": ("body", "lots", 0, "a/b"), "type": "less_than_equal", "msg": "…", "ctx": {"le": 5},
             "input": "secret"},
            {"loc": ("body", "note"), "type": "missing", "msg": "Field required"},
        ])  # fmt: skip
        first, second = told.details["fields"]
        assert (first["pointer"], first["allowed"], first["zh"], first["en"]) == (
            "/lots/0/a~1b", {"maximum": 5}, "不得大于 5", "must be at most 5",
        )  # fmt: skip
        assert second["pointer"] == "/note"
        assert "note：缺失" in told.message_zh
        assert "secret" not in str(told.to_dict())

    async def test_has_our_shape_for_unknown_addresses_too(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/nowhere")).json()["error"]["code"] == "not_found"
        assert (await client.delete("/busy")).json()["error"]["code"] == "method_not_allowed"


class TestBody:
    async def test_is_accepted_up_to_the_bound(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/echo", content=b"x" * 1000)).json() == 1000

    async def test_is_refused_beyond_it(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/echo", content=b"x" * 1001)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")

    async def test_has_bounds_of_their_own_for_a_path_and_for_all_in_a_folder(self) -> None:
        site = http.Manners(application(), body_max_bytes=10, larger={"/echo": 20, "/deep/": 30})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://city") as client:
            for path, most in (("/echo", 20), ("/deep/echo", 30), ("/plain", 10)):
                assert (await client.post(path, content=b"x" * most)).json() == most
                assert (await client.post(path, content=b"x" * (most + 1))).status_code == 413

    async def test_is_refused_when_it_never_comes(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "BODY_CHUNK_LIMIT_S", 0.05)
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            await asyncio.sleep(10)
            return {}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/echo", "headers": [], "query_string": b""}
        await http.Manners(application())(scope, receive, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == 408


class TestHeaders:
    async def test_protect_the_reader(self, client: httpx.AsyncClient) -> None:
        headers = (await client.get("/busy")).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]

    async def test_carry_the_callers_request_id_only_when_it_is_harmless(self, client: httpx.AsyncClient) -> None:
        fine = await client.get("/busy", headers={"x-request-id": "abc-12345"})
        assert fine.headers["x-request-id"] == "abc-12345"
        odd = await client.get("/busy", headers={"x-request-id": "<script>alert(1)</script>"})
        assert "script" not in odd.headers["x-request-id"]
