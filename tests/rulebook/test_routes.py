"""The rulebook over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.errors import ShanheError
from shanhe.rulebook.api import Rulebook
from shanhe.rulebook.routes import router

FACTS = {"category": "resident", "value_fen": 10_000, "benefit_used_fen": 0}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(router(Rulebook.load(), FixedClock(datetime(2026, 11, 20, tzinfo=UTC))))

    @app.exception_handler(ShanheError)
    async def refused(request: Request, error: ShanheError) -> JSONResponse:
        return JSONResponse(error.to_dict(), status_code=error.status)

    with TestClient(app) as started:
        yield started


class TestRoutes:
    def test_list_and_show_rules(self, client: TestClient) -> None:
        rules = client.get("/api/rules").json()["rules"]
        assert "P1_resident_discount" in [rule["id"] for rule in rules]
        shown = client.get("/api/rules/P1").json()
        assert shown["parameters"][0]["values"][0]["origin"] == "given"
        assert shown["formula"][0]["outputs"][0]["expr"] == "min(by_rate, left)"

    def test_evaluate_with_the_trace(self, client: TestClient) -> None:
        answer = client.post("/api/rules/P1/eval", json={"facts": FACTS, "on": "2026-03-01"}).json()
        assert answer["amount"] == 3000
        assert answer["unit"] == "fen"
        assert answer["trace"]["outputs"][0]["value"] == 3000
        assert (
            client.post(
                "/api/rules/C11/eval", json={"facts": {"provenance": "reward", "issued_on": "2026-01-31"}}
            ).json()["amount"]
            == "2028-01-31"
        )

    def test_refuse_bad_questions(self, client: TestClient) -> None:
        bad = client.post("/api/rules/P1/eval", json={"facts": {**FACTS, "value_fen": 1.5}})
        assert bad.status_code == 422
        assert "value_fen" in bad.json()["error"]["details"]["fields"]
        assert client.post("/api/rules/P1/eval", json={"facts": FACTS, "on": "2020-01-01"}).status_code == 404
        assert client.post("/api/rules/P1/eval", json={"facts": FACTS, "x": 1}).status_code == 422
        assert (
            client.post("/api/rules/P1/eval", json={"facts": FACTS, "known": "2026-01-01T00:00:00"}).status_code == 422
        )
        assert client.get("/api/rules/../../etc").status_code == 404
        assert client.get("/api/rules/P99").json()["error"]["code"] == "rule_not_found"

    def test_give_the_schema_and_check(self, client: TestClient) -> None:
        assert client.get("/api/rules/P1/schema").json()["properties"]["value_fen"]["type"] == "integer"
        assert client.post("/api/rules/check").json()["ok"] is True
        assert client.post("/api/rules/P1/check").json()["ok"] is True
