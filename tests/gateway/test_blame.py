"""An engine is blamed for what it did, not for what its callers asked or the city could not do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shanhe.gateway.errors import CallError

from .conftest import Desk
from .engine import DONE, raw, stream
from .test_rerank import vectors

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_callers_who_ask_for_vectors_of_another_width_take_no_model_from_the_others(desk: Desk) -> None:
    desk.engines.kind = "embedding"
    desk.engine.default = vectors([1, 0])
    asked: dict[str, Any] = {"model": "syn", "input": "水位"}
    for _ in range(8):
        answer = await desk.http.post("/v1/embeddings", json={**asked, "dimensions": 7})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dimensions"), answer.text
    assert (await desk.http.post("/v1/embeddings", json=asked)).status_code == 200
    assert desk.engines.targets[0].state.failures == 0


REFUSED = {"message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).", "code": 400}
"""As SGLang says it inside a stream that it has begun, and OpenRouter in the place of an answer."""


@pytest.mark.parametrize("streams", [True, False])
async def test_a_refusal_in_the_place_of_an_answer_is_the_callers_and_costs_nothing(desk: Desk, streams: bool) -> None:
    said = json.dumps({"error": REFUSED}).encode()
    desk.engine.default = stream(b"data: " + said + b"\n\n", DONE) if streams else raw(200, said)
    before = await desk.balance()
    for _ in range(8):
        answer = await desk.chat(stream=streams)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded"), answer.text
    assert (await desk.balance(), len(desk.engine.requests)) == (before, 8)
    assert desk.engines.targets[0].state.failures == 0


@pytest.mark.parametrize("streams", [True, False])
async def test_a_failure_in_the_place_of_an_answer_is_the_engines(desk: Desk, streams: bool) -> None:
    said = json.dumps({"error": {"message": "out of memory", "code": 500}}).encode()
    desk.engine.default = stream(b"data: " + said + b"\n\n", DONE) if streams else raw(200, said)
    answer = await desk.chat(stream=streams)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")
    assert desk.engines.targets[0].state.failures == 1


@pytest.mark.parametrize("body", [{**REFUSED, "object": "error"}, {"detail": REFUSED["message"]}])
async def test_a_refusal_without_an_object_around_it_is_told_in_its_words(desk: Desk, body: dict[str, Any]) -> None:
    desk.engine.default = raw(400, json.dumps(body).encode())
    error = (await desk.chat()).json()["error"]
    assert (error["code"], error["message"]) == ("context_length_exceeded", REFUSED["message"])


async def test_a_database_that_is_away_closes_no_engine(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(exchange: Any) -> None:
        raise CallError(503, "ledger_unavailable", "The ledger can't be reached.")

    with monkeypatch.context() as broken:
        broken.setattr(desk.gateway._settler, "prepare", away)
        for streams in (True, False) * 4:
            assert (await desk.chat(stream=streams, stop=["x"])).status_code == 503
    assert (await desk.chat()).status_code == 200
    assert desk.engines.targets[0].state.failures == 0
