"""An engine is blamed for what it did, not for what its callers asked or the city could not do."""

from __future__ import annotations

from typing import Any

import pytest

from shanhe.gateway.errors import CallError

from .conftest import Desk
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


async def test_a_database_that_is_away_closes_no_engine(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(exchange: Any) -> None:
        raise CallError(503, "ledger_unavailable", "The ledger can't be reached.")

    with monkeypatch.context() as broken:
        broken.setattr(desk.gateway._settler, "prepare", away)
        for stream in (True, False) * 4:
            assert (await desk.chat(stream=stream, stop=["x"])).status_code == 503
    assert (await desk.chat()).status_code == 200
    assert desk.engines.targets[0].state.failures == 0
