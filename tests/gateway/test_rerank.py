"""Ranking documents: by a model that scores, or by vectors; charged like any call, or not at all."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from shanhe.gateway.asgi import marks_of

from .conftest import RATES, Desk
from .engine import Script, raw

pytestmark = pytest.mark.asyncio(loop_scope="module")
FUNDS = 1_000_000_000
TEXTS = ["古镇灯会九月开放", "reservoir levels", "水库水位超过汛限"]


def vectors(*rows: list[float], tokens: int = 40) -> Script:
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return raw(200, json.dumps({"object": "list", "data": data, "usage": usage}).encode())


def scores(*values: float, usage: Any = None) -> Script:
    results = [{"index": at, "relevance_score": value} for at, value in enumerate(values)]
    return raw(200, json.dumps({"id": "r", "results": results, "usage": usage}).encode())


async def rerank(desk: Desk, **changes: Any) -> httpx.Response:
    body = {"model": "syn", "query": "水位", "documents": TEXTS, **changes}
    return await desk.http.post("/v1/rerank", json=body)


class TestEmbeddingModel:
    async def test_ranks_by_cosine_in_one_call_that_is_charged_by_what_was_read(self, desk: Desk) -> None:
        desk.engines.kind = "embedding"
        desk.engine.scripts = [vectors([1, 0], [0, 1], [3, 1], [2, 0])]
        answer = await rerank(desk, top_n=2, return_documents=True)
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert [(one["index"], one["relevance_score"]) for one in results] == [(2, 1.0), (1, 0.948683)]
        assert results[0]["document"] == {"text": TEXTS[2]}
        assert answer.json()["usage"] == {"prompt_tokens": 40, "total_tokens": 40}
        assert desk.engine.requests[0]["input"] == ["水位", *TEXTS]
        receipt = await desk.gateway.receipt(UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.buckets.as_tuple() == (40, 0, 0, 0, 0, 0)
        assert FUNDS - await desk.balance() == receipt.amount_micro == 40 * RATES.input // 1_000_000

    @pytest.mark.parametrize("rows", [[[1, 0], [0, 1]], [[1e200, 0], [0, 1], [1e200, 1]]])
    async def test_that_loses_a_vector_or_makes_no_scores_has_failed_and_costs_nothing(
        self, desk: Desk, rows: list[list[float]]
    ) -> None:
        desk.engines.kind = "embedding"
        desk.engine.default = vectors(*rows)
        answer = await rerank(desk)
        assert answer.status_code >= 500
        await desk.idle()
        assert await desk.balance() == FUNDS

    async def test_of_the_packaged_kind_has_its_texts_marked(self, desk: Desk) -> None:
        class Named:
            def model(self, name: str) -> Any:
                return type(
                    "Info", (), {"kind": "embedding", "id": {"further": "multilingual-e5-small"}.get(name, name)}
                )()

        found = marks_of(Named())  # type: ignore[arg-type]
        assert found("multilingual-e5-small") == ("embedding", "query: ", "passage: ")
        assert found("further") == ("embedding", "query: ", "passage: ")
        assert found("another") == ("embedding", "", "")


class TestRerankModel:
    async def test_is_asked_itself(self, desk: Desk) -> None:
        desk.engines.kind = "rerank"
        desk.engine.scripts = [scores(0.1, 0.1, 0.9, usage={"total_tokens": 30})]
        answer = await rerank(desk, documents=[TEXTS[0], {"text": TEXTS[1]}, TEXTS[2]])
        assert answer.status_code == 200, answer.text
        assert [one["index"] for one in answer.json()["results"]] == [2, 0, 1]
        assert "document" not in answer.json()["results"][0]
        assert desk.engine.requests[0]["documents"] == TEXTS
        assert b"/v1/rerank" in desk.engine.heads[0]
        assert FUNDS - await desk.balance() == 30 * RATES.input // 1_000_000

    @pytest.mark.parametrize("values", [(0.5, 0.5), (0.1, 0.2, float("nan"))])
    async def test_that_answers_for_other_documents_has_failed(self, desk: Desk, values: tuple[float, ...]) -> None:
        desk.engines.kind = "rerank"
        desk.engine.default = scores(*values)
        assert (await rerank(desk)).status_code >= 500
        await desk.idle()
        assert await desk.balance() == FUNDS


class TestRequest:
    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"query": ""}, "query"),
            ({"documents": []}, "documents"),
            ({"documents": ["a", ""]}, "documents"),
            ({"documents": ["a"] * 1_001}, "documents"),
            ({"top_n": 0}, "top_n"),
        ],
    )
    async def test_that_asks_nothing_is_refused(self, desk: Desk, changes: dict[str, Any], param: str) -> None:
        desk.engines.kind = "embedding"
        answer = await rerank(desk, **changes)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param

    async def test_to_a_model_that_speaks_is_refused(self, desk: Desk) -> None:
        answer = await rerank(desk)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_endpoint")
