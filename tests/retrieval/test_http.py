"""Knowledge over HTTP: filled in the background, paid for by receipts, read by those who may, used by agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from stage.market import COST, MODEL, Market, Party, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
VECTORS = "test-vectors"
GUIDE = "# 数字游民\n\n非本地人员停留满九十天可以申请数字游民身份。\n\n# 论文\n\n顶级论文奖励五千积分。\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelf(market: Market) -> AsyncIterator[tuple[Party, str]]:
    """An organisation with a filled base."""
    from shanhe.compute.api import Kind, NewEngine

    engine = NewEngine(
        "vectors", f"http://127.0.0.1:{market.engine.port}/v1", {VECTORS: VECTORS}, COST, "", kind=Kind.EMBEDDING
    )
    await market.services.compute.add_engine(engine, actor="tests")
    owner = await market.party("shelf owner")
    made = await owner.http.post("/api/knowledge", json={"name": "政策", "model": VECTORS})
    assert made.status_code == 201, made.text
    base = made.json()["id"]
    sent = await owner.http.post(
        "/api/knowledge/documents", params={"base": base, "file": "指南.md"}, content=GUIDE.encode()
    )
    assert sent.json()["state"] == "waiting"
    await market.indexed()
    await owner.http.patch(f"/api/knowledge/{base}", json={"support_bps": 100})
    yield owner, base


class TestKnowledge:
    async def test_is_filled_and_paid_for(self, market: Market, shelf: tuple[Party, str]) -> None:
        owner, base = shelf
        shown = (await owner.http.get(f"/api/knowledge/{base}")).json()
        (document,) = shown["documents_list"]
        assert (document["state"], document["pages"], shown["passages"]) == ("ready", 1, 2)
        assert document["paid_micro"] > 0
        before = await market.wallet(owner.org)
        body = {"text": "数字游民停留几天", "bases": ["政策"]}
        found = (await owner.http.post("/api/knowledge/search", json=body)).json()
        assert "九十天" in found["hits"][0]["text"]
        assert found["hits"][0]["page"] == 1
        assert len(found["hits"][0]["box"]) == 4
        assert found["hits"][0]["why"]["meaning_rank"] == 1
        assert before - await market.wallet(owner.org) == found["paid_micro"] > 0
        words = (await owner.http.post("/api/knowledge/search", json=body | {"words_only": True})).json()
        assert words["paid_micro"] == 0
        passages = (await owner.http.get(f"/api/knowledge/{base}/documents/{document['id']}/passages")).json()
        assert [one["n"] for one in passages] == [1, 2]

    async def test_answers_with_citations_or_not_at_all(self, market: Market, shelf: tuple[Party, str]) -> None:
        owner, base = shelf
        market.engine.replies = [says("停留满九十天可以申请数字游民身份。[1] 月球是奶酪做的，人人都知道这一点。")]
        body = {"question": "停留满几天可以申请数字游民身份", "bases": [base], "model": MODEL}
        answer = (await owner.http.post("/api/knowledge/answer", json=body)).json()
        assert answer["text"] == "停留满九十天可以申请数字游民身份。[1]"
        assert [(one["document"], one["page"]) for one in answer["citations"]] == [("指南.md", 1)]
        assert "<资料 1 " in market.engine.requests[-1]["messages"][1]["content"]
        await owner.http.patch(f"/api/knowledge/{base}", json={"support_bps": 9_999})
        asked = len(market.engine.requests)
        declined = (await owner.http.post("/api/knowledge/answer", json=body)).json()
        await owner.http.patch(f"/api/knowledge/{base}", json={"support_bps": 100})
        assert (declined["declined"], declined["citations"]) == ("unsupported", [])
        assert len(market.engine.requests) == asked

    async def test_of_another_is_not_there(self, market: Market, shelf: tuple[Party, str]) -> None:
        owner, base = shelf
        other = await market.party("shelf stranger")
        (document,) = (await owner.http.get(f"/api/knowledge/{base}")).json()["documents_list"]
        at = f"/api/knowledge/{base}/documents/{document['id']}"
        for path in (f"/api/knowledge/{base}", at, f"{at}/file", f"{at}/passages"):
            refused = await other.http.get(path)
            assert refused.status_code == 404
            assert "九十天" not in refused.text
        for body in ({"text": "游民", "bases": [base]}, {"text": "游民", "bases": ["政策"]}):
            assert (await other.http.post("/api/knowledge/search", json=body)).status_code == 404
        assert (await other.http.get("/api/knowledge")).json() == []
        granted = {"kind": "org", "reader": str(other.org)}
        assert (await owner.http.post(f"/api/knowledge/{base}/readers", json=granted)).status_code == 201
        found = await other.http.post("/api/knowledge/search", json={"text": "数字游民", "bases": [base]})
        assert "九十天" in found.json()["hits"][0]["text"]
        assert (await other.http.get(f"{at}/file")).status_code == 404  # to read is not to manage
        await owner.http.delete(f"/api/knowledge/{base}/readers/org/{other.org}")
        closed = await other.http.post("/api/knowledge/search", json={"text": "数字游民", "bases": [base]})
        assert closed.status_code == 404

    async def test_is_measured(self, shelf: tuple[Party, str]) -> None:
        owner, base = shelf
        questions = [
            {"asked": "停留满几天可以申请数字游民身份", "document": "指南.md", "contains": "九十天"},
            {"asked": "蓝鲸潜水多深"},
        ]
        kept = await owner.http.put(f"/api/knowledge/{base}/questions", json={"questions": questions})
        assert kept.json() == {"questions": 2}
        made = (await owner.http.post(f"/api/knowledge/{base}/evaluations", json={})).json()
        assert (made["found_bps"], made["declined_bps"], made["cited_bps"]) == (10_000, 10_000, 10_000)
        assert made["paid_micro"] > 0
        assert (await owner.http.get(f"/api/knowledge/{base}/evaluations")).json()[0]["id"] == made["id"]


class TestCut:
    async def test_is_tried_kept_and_made_good_over_http(self, market: Market, shelf: tuple[Party, str]) -> None:
        owner, base = shelf
        at = f"/api/knowledge/{base}"
        (document,) = (await owner.http.get(at)).json()["documents_list"]
        tried = await owner.http.get(f"{at}/documents/{document['id']}/preview", params={"separator": "可以"})
        assert (tried.json()["passages"], tried.json()["same"]) == (3, 1)
        sent = await owner.http.post(
            "/api/knowledge/preview", params={"base": base, "file": "a.md", "size": 50}, content=GUIDE.encode()
        )
        assert sent.json()["passages"] == 2
        await owner.http.patch(at, json={"separator": "可以"})
        assert (await owner.http.get(at)).json()["stale"] == 1
        assert (await owner.http.post(f"{at}/recut")).json() == {"documents": 1}
        await market.indexed()
        shown = (await owner.http.get(at)).json()
        assert (shown["passages"], shown["stale"]) == (3, 0)
        assert shown["documents_list"][0]["paid_micro"] > document["paid_micro"]
        await owner.http.patch(at, json={"separator": ""})
        await owner.http.post(f"{at}/recut")
        await market.indexed()
        stranger = await market.party("cut stranger")
        for call in (stranger.http.post(f"{at}/recut"), stranger.http.get(
            f"{at}/documents/{document['id']}/preview"
        )):  # fmt: skip
            assert (await call).status_code == 404


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guide(market: Market, shelf: tuple[Party, str]) -> str:
    """An agent that answers out of the base."""
    definition: dict[str, Any] = {"model": MODEL, "instructions": "Answer.", "knowledge": ["政策"]}
    await market.listed(shelf[0].org, "agent/shelf-guide", definition)
    return "agent/shelf-guide"


class TestAgent:
    async def test_looks_up_first_and_cites(self, market: Market, guide: str) -> None:
        payer = await market.party("asks the guide")
        market.engine.replies = [says("停留满九十天可以申请数字游民身份。")]
        body = {"model": guide, "messages": [{"role": "user", "content": "停留满几天可以申请数字游民"}]}
        before = await market.wallet(payer.org)
        answer = (await payer.http.post("/v1/chat/completions", json=body)).json()
        assert answer["choices"][0]["message"]["content"] == "停留满九十天可以申请数字游民身份。[1]"
        told = answer["shanhe"]
        (cited,) = told["citations"]
        assert (cited["document"], cited["page"], len(cited["box"])) == ("指南.md", 1, 4)
        assert [(step["kind"], step["state"]) for step in told["steps"]] == [("knowledge", "done"), ("model", "done")]
        assert all(step["paid_micro"] > 0 for step in told["steps"])
        assert before - await market.wallet(payer.org) == told["paid_micro"]
        receipt = await market.services.gateway.receipt(UUID(told["steps"][0]["receipt_id"]), payer.org)
        assert receipt.amount_micro == told["steps"][0]["paid_micro"]

    async def test_declines_what_its_base_does_not_say(self, market: Market, guide: str) -> None:
        payer = await market.party("asks too much")
        asked = len(market.engine.requests)
        body = {"model": guide, "messages": [{"role": "user", "content": "蓝鲸潜水多深"}]}
        answer = (await payer.http.post("/v1/chat/completions", json=body)).json()
        assert answer["shanhe"]["declined"] == "unsupported"
        assert "没有找到" in answer["choices"][0]["message"]["content"]
        assert len(market.engine.requests) == asked
        market.engine.replies = [says("月球是奶酪做的，人人都知道这一点。")]
        body["messages"] = [{"role": "user", "content": "停留满几天可以申请数字游民"}]
        answer = (await payer.http.post("/v1/chat/completions", json=body)).json()
        assert answer["shanhe"]["declined"] == "not_carried"
        assert "奶酪" not in answer["choices"][0]["message"]["content"]

    async def test_that_uses_a_base_is_named_before_the_base_goes(
        self, market: Market, shelf: tuple[Party, str]
    ) -> None:
        owner, _ = shelf
        base = (await owner.http.post("/api/knowledge", json={"name": "用着的", "model": ""})).json()["id"]
        definition = {"model": MODEL, "instructions": "x", "knowledge": ["用着的"]}
        await market.listed(owner.org, "agent/uses-a-base", definition)
        at = f"/api/knowledge/{base}"
        refused = await owner.http.delete(at)
        assert refused.status_code == 409
        assert refused.json()["error"]["details"]["users"] == ["agent/uses-a-base"]
        assert (await owner.http.get(at)).json()["users"] == ["agent/uses-a-base"]
        assert (await owner.http.delete(at, params={"anyway": "true"})).status_code == 200
        assert (await owner.http.get(at)).status_code == 404
