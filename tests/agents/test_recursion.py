"""Agents of two publishers that call each other through their tools: the circle ends, within every budget."""

from __future__ import annotations

from typing import Any

import pytest

from shanhe.agents import service
from stage.market import MODEL, Market, Party, calls
from stage.tools import Workshop

pytestmark = pytest.mark.asyncio(loop_scope="module")
OF_ONE = 3
BUDGET = 200_000


async def asked(party: Party, name: str) -> Any:
    message = {"role": "user", "content": "go"}
    return await party.http.post("/v1/chat/completions", json={"model": f"agent/{name}", "messages": [message]})


class TestCircle:
    async def test_of_two_publishers_ends_with_a_clear_error_within_every_budget(
        self, market: Market, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A's tool asks agent B with the key of A's publisher, B's tool asks agent A with that of B's, and so on."""
        monkeypatch.setattr(service, "RUNS_OF_ONE_MAX", OF_ONE)
        one, other, payer = [await market.party(f"circle {name}") for name in ("one", "other", "payer")]
        answers: list[Any] = []

        async def asks(whom: str) -> str:
            answers.append(None)
            at = len(answers) - 1
            answers[at] = answer = await asked(one if whom == "right" else other, whom)
            return str(answer.json())

        def model(request: dict[str, Any]) -> dict[str, Any]:
            """Wishes for its tool until the tool has answered."""
            if any(message["role"] == "tool" for message in request["messages"]):
                return {"role": "assistant", "content": "There was an answer."}
            side = "left" if "LEFT" in request["messages"][0]["content"] else "right"
            return calls(f"circle-{side}__echo", {"city": "right" if side == "left" else "left"})(request)

        for side, maker in (("left", one), ("right", other)):
            content = {"url": workshop.url, "tools": ["echo"]}
            await market.listed(maker.org, f"mcp/circle-{side}", content, fee_micro=2_000)
            definition = {"model": MODEL, "instructions": side.upper(), "calling": "tools", "steps_max": 3,
                          "tools": [f"circle-{side}/echo"], "budget_micro": BUDGET}  # fmt: skip
            await market.listed(maker.org, f"agent/{side}", definition)
        before = {party.org: await market.wallet(party.org) for party in (one, other, payer)}
        monkeypatch.setattr(market.engine, "default", model)
        monkeypatch.setattr(workshop, "asks", asks)
        answer = await asked(payer, "left")
        assert answer.status_code == 200, answer.text
        refused = [answer for answer in answers if answer.status_code != 200]
        assert len(answers) == 2 * OF_ONE + 1
        assert [one.status_code for one in refused] == [429]
        error = refused[0].json()["error"]
        assert error["code"] == "too_many_own_runs"
        assert "circle" in error["message"] + error.get("hint", "") or "runs of agents" in error["message"]
        spent = {org: micro - await market.wallet(org) for org, micro in before.items()}
        assert 0 < spent[payer.org] <= BUDGET
        assert all(0 < spent[party.org] <= OF_ONE * BUDGET for party in (one, other))
        for party in (one, other, payer):
            runs = (await party.http.get("/api/agents/runs")).json()["data"]
            assert {run["state"] for run in runs} == {"done"}
            assert sum(run["paid_micro"] for run in runs) == spent[party.org]
            assert all(run["paid_micro"] <= BUDGET for run in runs)
