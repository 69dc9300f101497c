"""The gate in a whole city: before a review the set is run through the gateway, paid by the maker, patterns in the
sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from shanhe.store.api import ChecksFailed, Terms
from stage.market import MODEL, Market, Party

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.prove]
TERMS = Terms(2_000, 0)
SET = [
    {"question": "几点开门", "expected": "九点"},
    {"question": "电话", "expected": r"\d{3}-\d{4}", "form": "regex"},
    {"question": "收费吗", "expected": "不 收费。", "form": "exact"},
]  # fmt: skip
GOOD = {"几点开门": "上午九点开门", "电话": "请拨 010-1234", "收费吗": "不 收费。"}


def agent(instructions: str) -> dict[str, Any]:
    return {"model": MODEL, "instructions": instructions, "calling": "tools"}


def answers(market: Market) -> None:
    """The engine answers well under good instructions and says nothing useful under others."""

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        told, asked = request["messages"][0]["content"], request["messages"][-1]["content"]
        text = GOOD[asked] if "good" in told or (asked == "电话" and "half" in told) else "不知道"
        return {"role": "assistant", "content": text}

    market.engine.default = reply


async def maker_of(market: Market, slug: str) -> Party:
    """A maker whose good agent is in use and has a set."""
    maker = await market.party(f"maker of {slug}")
    await market.listed(maker.org, f"agent/{slug}", agent("good"))
    told = await maker.http.put(f"/api/evaluations/agent/{slug}", json={"cases": SET})
    assert told.status_code == 200, told.text
    answers(market)
    return maker


async def draft(market: Market, maker: Party, slug: str, instructions: str) -> None:
    await market.services.store.draft(f"agent/{slug}", agent(instructions), TERMS, owner=maker.org, actor="tests")


class TestGate:
    async def test_refuses_a_worse_draft_and_lets_an_equal_one_pass(self, market: Market) -> None:
        maker, store = await maker_of(market, "hall"), market.services.store
        await draft(market, maker, "hall", "half")
        with pytest.raises(ChecksFailed) as caught:
            await store.submit("agent/hall", owner=maker.org)
        [found] = caught.value.details["checks"]
        assert (found["name"], "1/3" in found["zh"], "3/3" in found["zh"]) == ("evaluation", True, True)
        before, asked = await market.wallet(maker.org), len(market.engine.requests)
        report = (await maker.http.post("/api/evaluations/agent/hall/run")).json()
        assert (report["draft_right"], report["base_right"], report["passed"]) == (1, 3, False)
        assert (await market.wallet(maker.org), len(market.engine.requests)) == (before, asked)  # the same report
        assert report["paid_micro"] > 0
        assert [one["right"] for one in report["answers"]["draft"]] == [False, True, False]
        await draft(market, maker, "hall", "also good")
        assert (await store.submit("agent/hall", owner=maker.org)).state == "submitted"

    async def test_lets_a_worse_draft_go_on_for_a_reason_that_the_log_keeps(self, market: Market) -> None:
        maker, store = await maker_of(market, "desk"), market.services.store
        await draft(market, maker, "desk", "bad")
        early = await maker.http.post("/api/evaluations/agent/desk/excuse", json={"reason": "换了更省的模型，先行试用"})
        assert early.status_code == 404
        with pytest.raises(ChecksFailed):
            await store.submit("agent/desk", owner=maker.org)
        short = await maker.http.post("/api/evaluations/agent/desk/excuse", json={"reason": "快"})
        assert short.status_code == 422
        for _ in range(2):
            let = await maker.http.post(
                "/api/evaluations/agent/desk/excuse", json={"reason": "换了更省的模型，先行试用"}
            )
            assert let.json()["passed"] is True, let.text
        logged = await market.services.db.fetchval(
            """SELECT (SELECT count(*) FROM log.intake WHERE kind = 'evaluation_override')
                    + (SELECT count(*) FROM log.entry WHERE kind = 'evaluation_override')"""
        )
        assert logged == 1
        assert (await store.submit("agent/desk", owner=maker.org)).state == "submitted"

    async def test_is_the_makers_own_and_says_nothing_without_a_set(self, market: Market) -> None:
        maker, other = await maker_of(market, "own"), await market.party("not the maker")
        assert (await other.http.put("/api/evaluations/agent/own", json={"cases": SET})).status_code == 404
        assert (await maker.http.put("/api/evaluations/agent/own", json={"cases": []})).status_code == 200
        await draft(market, maker, "own", "bad")
        assert (await market.services.store.submit("agent/own", owner=maker.org)).state == "submitted"

    async def test_takes_no_pattern_that_is_none(self, market: Market) -> None:
        maker = await maker_of(market, "pattern")
        for pattern in ("(", "[z-a]"):
            case = {"question": "x", "expected": pattern, "form": "regex"}
            told = await maker.http.put("/api/evaluations/agent/pattern", json={"cases": [case]})
            assert told.status_code == 422
