"""Routes that read their signature late answer as others do, and read it once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import APIRouter as EagerRouter
from fastapi import Depends, FastAPI, Header
from fastapi.exceptions import FastAPIError
from fastapi.routing import APIRoute

from shanhe.kernel import routing

READ: list[str] = []


class Odd:
    """No parameter can be one."""


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of routes whose signature was read."""
    READ.clear()
    whole = APIRoute.__init__

    def counted(self: APIRoute, path: str, endpoint: Any, **options: Any) -> None:
        READ.append(path)
        whole(self, path, endpoint, **options)

    monkeypatch.setattr(APIRoute, "__init__", counted)
    return READ


def client(routes: EagerRouter) -> httpx.AsyncClient:
    def who(x_who: str = Header("nobody")) -> str:
        return x_who

    @routes.get("/numbers/{number}", tags=["numbers"])
    async def number(number: int, twice: bool = False, name: str = Depends(who)) -> dict[str, Any]:
        return {"number": number * 2 if twice else number, "who": name}

    @routes.get("/numbers")
    async def numbers() -> list[int]:
        return [1, 2]

    @routes.post("/numbers", status_code=201)
    async def add(number: int) -> int:
        return number

    app = FastAPI()
    app.routes.extend(routes.routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city")


class TestLateRoute:
    async def test_answers_as_an_eager_one_does(self) -> None:
        late, eager = client(routing.APIRouter(prefix="/api")), client(EagerRouter(prefix="/api"))
        for method, path in (
            ("GET", "/api/numbers"), ("GET", "/api/numbers/4?twice=1"), ("GET", "/api/numbers/four"),
            ("GET", "/api/numbers/4/5"), ("GET", "/api/number"), ("DELETE", "/api/numbers"), ("PUT", "/api/numbers/4"),
            ("POST", "/api/numbers?number=3"), ("POST", "/api/numbers"), ("GET", "/api/numbers/"),
            ("GET", "/openapi.json"),
        ):  # fmt: skip
            one = await late.request(method, path, headers={"x-who": "me"})
            other = await eager.request(method, path, headers={"x-who": "me"})
            assert (one.status_code, one.content, one.headers.items()) == (
                other.status_code, other.content, other.headers.items()
            )  # fmt: skip

    async def test_reads_its_signature_when_it_is_first_asked_for(self, reads: list[str]) -> None:
        asking = client(routing.APIRouter())
        reads[:] = [path for path in reads if path.startswith("/numbers")]  # FastAPI's own are eager
        assert reads == []
        for _ in range(2):
            assert (await asking.get("/numbers/7")).json() == {"number": 7, "who": "nobody"}
        assert reads == ["/numbers/{number}"]

    def test_says_each_time_why_its_signature_cannot_be_read(self) -> None:
        async def broken(value: Odd) -> None: ...

        route = routing.LateRoute("/broken", broken, methods=["GET"])
        for _ in range(2):
            with pytest.raises(FastAPIError, match="Odd"):
                _ = route.app
