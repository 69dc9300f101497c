from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from shanhe.compute.routes import router
from shanhe.identity import guard
from shanhe.identity.api import Actor
from shanhe.kernel import http
from shanhe.kernel.ids import new_id

from .conftest import Bureau, until

PERMISSIONS: dict[str, frozenset[str]] = {"operator": frozenset({"engines", "models"}), "member": frozenset({"keys"})}


@pytest.fixture
async def client(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """The routes; the header `x-role` stands in for signing in."""

    async def actor(request: object) -> Actor:
        role = request.headers.get("x-role", "")  # type: ignore[attr-defined]
        return Actor(new_id(), None, None, frozenset(), PERMISSIONS.get(role, frozenset()))

    monkeypatch.setattr(guard, "actor", actor)
    app = FastAPI()
    http.install(app)
    http.take(app, router(bureau.compute))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://city", headers={"x-role": "operator"}) as made:
        yield made


def registration(bureau: Bureau, **changes: object) -> dict[str, object]:
    return {
        "name": "up",
        "url": bureau.url,
        "models": {"m": "m"},
        "cost": {"input": 100_000, "output": 400_000},
        **changes,
    }


class TestEngines:
    async def test_are_added_tested_disabled_and_removed(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        added = await client.post("/api/compute/engines", json=registration(bureau))
        assert added.status_code == 201
        assert added.json()["models"][0]["cost"]["reasoning"] == 400_000
        (report,) = (await client.post("/api/compute/engines/up/test")).json()
        assert report["ok"]
        (health,) = (await client.get("/api/compute/health")).json()
        assert health["health"] == "up"
        (listed,) = (await client.get("/api/compute/engines")).json()
        assert listed["status"]["requests"] == 0
        await client.post("/api/compute/engines/up/disable", json={"reason": "repair"})
        assert (await client.get("/api/compute/engines/up")).json()["enabled"] is False
        assert (await client.get("/api/compute/engines/events")).json()[0]["cause"] == "repair"
        await client.post("/api/compute/engines/up/enable", json={})
        assert (await client.delete("/api/compute/engines/up")).status_code == 204
        assert (await client.get("/api/compute/engines/up")).status_code == 404

    async def test_are_changed_without_being_removed(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        await client.post("/api/compute/engines", json=registration(bureau))
        before = bureau.compute.route("m")
        wanted = {
            "idle_timeout_ms": 5_000, "first_token_timeout_ms": 90_000, "features": ["tools", "no_stream_options"],
            "local": True, "data_classes": ["general", "citizen"], "slots": 3, "queue": 4,
            "cost": {"input": 200_000, "output": 700_000},
        }  # fmt: skip
        changed = await client.patch("/api/compute/engines/up", json=wanted)
        assert changed.status_code == 200
        told = changed.json()
        assert {name: told[name] for name in ("idle_timeout_ms", "first_token_timeout_ms", "slots", "queue")} == {
            name: wanted[name] for name in ("idle_timeout_ms", "first_token_timeout_ms", "slots", "queue")
        }
        target = bureau.compute.route("m", data_class="citizen")
        assert target is not None
        assert (target.idle_timeout_s, target.cost_basis.reasoning, target.state.slots) == (5.0, 700_000, 3)
        assert target.features == {"tools", "no_stream_options"}
        assert before is not None
        assert (before.engine_id, before.cost_basis.reasoning) == (target.engine_id, 400_000)
        event = (await client.get("/api/compute/engines/events")).json()[0]
        assert (event["event"], event["actor"].split(":")[0]) == ("changed", "person")
        assert "idle_timeout_ms: 60000 → 5000" in event["cause"]
        assert (
            "cost: 100000 100000 400000 400000 100000 100000 → 200000 200000 700000 700000 200000 200000"
            in event["cause"]
        )

    async def test_that_are_not_changed_leave_no_record(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        await client.post("/api/compute/engines", json=registration(bureau))
        for change in ({}, {"slots": 256, "local": False}):
            assert (await client.patch("/api/compute/engines/up", json=change)).status_code == 200
        assert [one["event"] for one in (await client.get("/api/compute/engines/events")).json()] == ["added"]

    @pytest.mark.parametrize(
        "change",
        [
            {"data_classes": ["government"]},
            {"data_classes": []},
            {"data_classes": ["secret"]},
            {"features": ["Bad word"]},
            {"idle_timeout_ms": 1},
            {"first_token_timeout_ms": 3_600_001},
            {"cost": {"input": -1, "output": 1}},
            {"slots": 0},
            {"url": "http://elsewhere.example/v1"},
        ],
    )
    async def test_are_changed_to_nothing_that_could_not_be_registered(
        self, client: httpx.AsyncClient, bureau: Bureau, change: dict[str, object]
    ) -> None:
        await client.post("/api/compute/engines", json=registration(bureau))
        before = bureau.compute.engines()
        assert (await client.patch("/api/compute/engines/up", json=change)).status_code == 422
        await bureau.compute.reload()
        assert bureau.compute.engines() == before

    async def test_that_see_more_than_general_data_stay_on_the_premises(
        self, client: httpx.AsyncClient, bureau: Bureau
    ) -> None:
        own = registration(bureau, local=True, data_classes=["general", "government"])
        await client.post("/api/compute/engines", json=own)
        assert (await client.patch("/api/compute/engines/up", json={"local": False})).status_code == 422
        moved = {"local": False, "data_classes": ["general"]}
        assert (await client.patch("/api/compute/engines/up", json=moved)).status_code == 200

    async def test_that_nobody_registered_are_not_changed(self, client: httpx.AsyncClient) -> None:
        assert (await client.patch("/api/compute/engines/none", json={"slots": 2})).status_code == 404

    async def test_need_the_operators_permission(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        for method, path in (
            ("GET", "/engines"),
            ("POST", "/engines"),
            ("DELETE", "/engines/up"),
            ("PATCH", "/engines/up"),
            ("GET", "/models"),
            ("POST", "/pulls"),
            ("POST", "/prices"),
        ):
            answer = await client.request(method, f"/api/compute{path}", headers={"x-role": "member"}, json={})
            assert answer.status_code == 403, path

    async def test_of_a_server_that_does_not_answer_says_why(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        away = registration(bureau, url="http://127.0.0.1:9/v1")
        assert "nobody listens there" in (await client.post("/api/compute/engines", json=away)).json()["problem"]
        refused = await client.post("/api/compute/engines", json={**away, "name": "other", "models": {}})
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "engine_failed")

    @pytest.mark.parametrize(
        "changes",
        [
            {"url": "file:///etc/passwd"},
            {"name": "x" * 64},
            {"cost": {"input": -1, "output": 1}},
            {"cost": {"input": "1", "output": 1}},
            {"cost": None},
            {"models": {"x": ""}},
            {"surprise": 1},
            {"slots": 10**9},
        ],
    )
    async def test_bad_registrations_are_refused_in_our_shape(
        self, client: httpx.AsyncClient, bureau: Bureau, changes: dict[str, object]
    ) -> None:
        answer = await client.post("/api/compute/engines", json=registration(bureau, **changes))
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] in ("bad_engine", "invalid_request")
        assert bureau.compute.engines() == ()


class TestModels:
    async def test_cards_say_how_far_their_file_is(self, client: httpx.AsyncClient) -> None:
        found = (await client.get("/api/compute/models")).json()
        states = {one["id"]: one["file_state"]["state"] for one in found["cards"]}
        assert states["qwen2.5-coder-0.5b-instruct"] == "absent"

    async def test_a_pull_that_fails_says_so_while_one_watches(self, client: httpx.AsyncClient) -> None:
        model = "multilingual-e5-small"
        started = await client.post("/api/compute/pulls", json={"model": model})
        assert (started.status_code, started.json()["state"]) == (202, "waiting")

        async def ended() -> bool:
            return bool((await client.get(f"/api/compute/pulls/{model}")).json()["state"] == "failed")

        await until(ended)
        events = await client.get(f"/api/compute/pulls/{model}/events")
        assert events.headers["content-type"].startswith("text/event-stream")
        assert '"state":"failed"' in events.text

    async def test_a_model_without_a_card_is_not_found(self, client: httpx.AsyncClient) -> None:
        for answer in (
            await client.post("/api/compute/pulls", json={"model": "../../etc"}),
            await client.get("/api/compute/pulls/none"),
            await client.get("/api/compute/pulls/none/events"),
        ):
            assert answer.status_code == 404


class TestPrices:
    async def test_are_previewed_published_and_explained(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        await client.post("/api/compute/engines", json=registration(bureau))
        bureau.rule.margin_bps = 2_000
        shown = (await client.get("/api/compute/prices/preview", params={"model": "m", "on": "2026-12-01"})).json()
        assert shown["buckets"][0]["list_micro"] == 120_000
        body = {"model": "m", "valid_from": "2026-12-01"}
        published = await client.post("/api/compute/prices", json=body)
        assert published.status_code == 201
        assert published.json()["list_micro"]["input"] == 120_000
        trace = (await client.get(f"/api/compute/prices/{published.json()['version']}/trace")).json()
        assert trace["input"]["margin_bps"] == 2_000
        assert len((await client.get("/api/compute/prices", params={"model": "m"})).json()) == 2
        past = await client.post("/api/compute/prices", json={"model": "m", "valid_from": "2020-01-01"})
        assert past.status_code == 422


class TestStatus:
    async def test_is_public_and_names_no_engine(self, client: httpx.AsyncClient, bureau: Bureau) -> None:
        await client.post("/api/compute/engines", json=registration(bureau, name="a-secret-supplier"))
        answer = await client.get("/api/status", headers={"x-role": ""})
        assert answer.status_code == 200
        assert answer.json()["status"] == "operational"
        assert "a-secret-supplier" not in answer.text
        assert "127.0.0.1" not in answer.text
