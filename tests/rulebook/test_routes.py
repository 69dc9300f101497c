"""The rulebook over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from httpx import ASGITransport, AsyncClient

from shanhe.approvals.api import Approvals
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.rulebook.api import Amendments, Rulebook
from shanhe.rulebook.routes import amendment_router, router

FACTS = {"category": "resident", "value_fen": 10_000, "benefit_used_fen": 0}


def over(book: Rulebook) -> FastAPI:
    app = FastAPI()
    app.include_router(router(book, FixedClock(datetime(2026, 11, 20, tzinfo=UTC))))

    @app.exception_handler(ShanheError)
    async def refused(request: Request, error: ShanheError) -> JSONResponse:
        return JSONResponse(error.to_dict(), status_code=error.status)

    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(over(Rulebook.load())) as started:
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
        told = {one["pointer"]: one for one in bad.json()["error"]["details"]["fields"]}
        assert told["/facts/value_fen"]["title"] == {"zh": "按标价计的购买额", "en": "Purchase at list price"}
        assert (told["/facts/value_fen"]["unit"], told["/facts/value_fen"]["allowed"]["minimum"]) == ("fen", 0)
        assert client.post("/api/rules/P1/eval", json={"facts": FACTS, "on": "2020-01-01"}).status_code == 404
        assert client.post("/api/rules/P1/eval", json={"facts": FACTS, "x": 1}).status_code == 422
        assert (
            client.post("/api/rules/P1/eval", json={"facts": FACTS, "known": "2026-01-01T00:00:00"}).status_code == 422
        )
        assert client.get("/api/rules/../../etc").status_code == 404
        assert client.get("/api/rules/P99").json()["error"]["code"] == "rule_not_found"

    def test_give_the_schema_and_check(self, client: TestClient) -> None:
        assert client.get("/api/rules/P1/schema").json()["properties"]["value_fen"]["type"] == "integer"
        assert client.post("/api/rules/P1/check").json()["ok"] is True

    def test_check_every_rule_of_a_book(self) -> None:
        """Of a book of two; `test_check.py` has all that are packaged."""
        whole = Rulebook.load()
        with TestClient(over(Rulebook({rule.id: rule for rule in map(whole.rule, ("P1", "C11"))}))) as client:
            said = client.post("/api/rules/check").json()
        assert said["ok"] is True
        assert "P1_resident_discount" in str(said)

    def test_check_once_what_has_not_changed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Anybody may ask, and a check of all takes seconds of whatever answers calls."""
        whole, done = Rulebook.load(), []
        rules = {rule.id: rule for rule in map(whole.rule, ("P1", "C11"))}
        book, check = Rulebook(rules), Rulebook.check

        def counted(self: Rulebook, rule_id: str | None = None, **rest: Any) -> Any:
            done.append(rule_id)
            return check(self, rule_id, **rest)

        monkeypatch.setattr(Rulebook, "check", counted)
        with TestClient(over(book)) as client:
            for path in ("check", "C11/check", f"{whole.rule('C11').id}/check") * 2:
                assert client.post(f"/api/rules/{path}").json()["ok"] is True
            assert len(done) == 2
            book.adopt(Rulebook(rules))
            assert client.post("/api/rules/check").json()["ok"] is True
            assert len(done) == 3
            assert client.post("/api/rules/P99/check").status_code == 404

    def test_show_what_changed_between_two_days(self, client: TestClient) -> None:
        found = client.get("/api/rules/F1/diff", params={"from": "2024-12-31", "to": "2025-01-01"}).json()
        assert found["rule"] == "F1_fund"
        assert [(one["name"], one["before"], one["after"]) for one in found["changes"]] == [
            ("government_share", 5000, 4000)
        ]
        assert found["changes"][0]["announced"] == "2024-12-01"
        before = client.get("/api/rules/F1/diff", params={"from": "2020-01-01", "to": "2025-01-01"})
        assert before.status_code == 404


class TestAmendmentRoutes:
    async def test_take_two_people(self, database: Database, clock: FixedClock) -> None:
        book = Rulebook.load()
        acting = SimpleNamespace(ref=f"person:{new_id()}")
        app = FastAPI()

        @app.exception_handler(ShanheError)
        async def refused(request: Request, error: ShanheError) -> JSONResponse:
            return JSONResponse(error.to_dict(), status_code=error.status)

        amendments = Amendments(database, clock, book, Approvals(database, clock))
        app.include_router(amendment_router(amendments, lambda permission: lambda: acting))
        row = {"from": "2027-01-01", "announced": "2026-11-20", "value": 2500, "given": True}
        body = {"id": str(new_id()), "rule": "P1", "content": {"parameters": {"discount": [row]}}, "note": "budget"}
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://city") as http:
            made = await http.post("/api/rules/amendments", json=body)
            assert (made.status_code, made.json()["state"]) == (201, "open")
            alone = await http.post(f"/api/rules/amendments/{body['id']}/approve", json={})
            assert alone.status_code >= 400
            acting.ref = f"person:{new_id()}"
            done = await http.post(f"/api/rules/amendments/{body['id']}/approve", json={"reason": "council"})
            assert done.status_code == 200
            listed = (await http.get("/api/rules/amendments")).json()
        assert [one["id"] for one in listed["recorded"]] == [body["id"]]
        assert listed["proposals"][0]["state"] == "done"
        assert book.parameter("P1", "discount", date(2027, 1, 1)) == 2500
