"""A key with rates is told what is left of them, by OpenAI's names; a key without is told nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shanhe.gateway.estimate import prompt_bound
from shanhe.kernel.ids import new_id

from .conftest import CONTEXT, RATES, TOKEN, Desk
from .engine import DONE, chunk, stream, usage_chunk, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAM = (chunk("Hello "), chunk("there"), chunk(finish="stop"), usage_chunk(9, 2), DONE)
COST_MICRO = (9 * RATES.input + 2 * RATES.output) // 1_000_000
SCOPE = new_id()
USED = 11
"""Tokens of each answer."""


def told(answer: httpx.Response) -> dict[str, str]:
    start = "x-ratelimit-"
    return {name.removeprefix(start): value for name, value in answer.headers.items() if name.startswith(start)}


async def ask(desk: Desk, more: dict[str, Any]) -> httpx.Response:
    desk.engine.scripts = [stream(*STREAM) if more.get("stream") else whole()]
    return await desk.chat(**more)


class TestRates:
    @pytest.mark.parametrize("more", [{}, {"stream": True}])
    async def test_of_requests_are_told_with_every_answer(self, desk: Desk, more: dict[str, Any]) -> None:
        desk.keys.known[TOKEN] = desk.caller(rpm=3)
        for left in (2, 1, 0):
            answer = await ask(desk, more)
            assert answer.status_code == 200
            assert told(answer) == {"limit-requests": "3", "remaining-requests": str(left), "reset-requests": "60s"}

    @pytest.mark.parametrize("more", [{}, {"stream": True}])
    async def test_of_tokens_count_what_a_call_may_use_then_what_it_used(
        self, desk: Desk, more: dict[str, Any]
    ) -> None:
        desk.keys.known[TOKEN] = desk.caller(tpm=10_000)
        first, second = told(await ask(desk, more)), told(await ask(desk, more))
        assert (first["limit-tokens"], first["reset-tokens"]) == ("10000", "60s")
        assert int(first["remaining-tokens"]) <= 10_000 - 64
        assert int(first["remaining-tokens"]) - int(second["remaining-tokens"]) == USED

    async def test_that_are_used_up_are_told_with_the_refusal(self, desk: Desk) -> None:
        desk.keys.known[TOKEN] = desk.caller(rpm=1, tpm=10_000)
        await ask(desk, {})
        refused = await desk.chat()
        assert refused.status_code == 429
        rates = told(refused)
        assert (rates["limit-requests"], rates["remaining-requests"], rates["reset-requests"]) == ("1", "0", "60s")
        assert rates["remaining-tokens"] == str(10_000 - USED)

    async def test_that_a_call_can_never_keep_to_are_not_to_be_waited_for(self, desk: Desk) -> None:
        desk.keys.known[TOKEN] = desk.caller(tpm=10_000)
        may = 10_000 - int(told(await ask(desk, {}))["remaining-tokens"])
        answers = []
        for cap in (may, may, may - 1):
            desk.keys.known[TOKEN] = desk.caller(tpm=cap, limit_scope=SCOPE)
            answers.append(await desk.chat())
        assert [answer.status_code for answer in answers] == [200, 429, 429]
        assert ["retry-after" in answer.headers for answer in answers] == [False, True, False]
        assert f"may use {may} tokens" in answers[-1].json()["error"]["message"]

    @pytest.mark.parametrize("limits", [{}, {"budget_day_micro": 10**9}])
    @pytest.mark.parametrize("more", [{}, {"stream": True}])
    async def test_of_a_key_without_any_are_not_told(
        self, desk: Desk, limits: dict[str, Any], more: dict[str, Any]
    ) -> None:
        desk.keys.known[TOKEN] = desk.caller(**limits)
        for _ in range(2):
            assert told(await ask(desk, more)) == {}


class TestLimits:
    async def test_are_counted_in_the_citys_minute_day_and_month_at_what_a_call_came_to(self, desk: Desk) -> None:
        caller = desk.keys.known[TOKEN] = desk.caller(
            rpm=5, tpm=10_000, budget_day_micro=10**9, budget_month_micro=10**9
        )  # fmt: skip
        await ask(desk, {})
        await desk.ledger._counters.housekeep(everything=True)
        rows = await desk.gateway.charges._db.fetch(
            "SELECT name, win, used FROM ledger.counter WHERE scope = $1", caller.limit_scope
        )  # fmt: skip
        assert {row["name"]: (row["win"], row["used"]) for row in rows} == {
            "requests_per_minute": ("2026-11-20T10:00", 1), "tokens_per_minute": ("2026-11-20T10:00", USED),
            "budget_per_day": ("2026-11-20", COST_MICRO), "budget_per_month": ("2026-11", COST_MICRO),
        }  # fmt: skip

    async def test_hold_the_prompt_and_every_answer_that_is_asked_for(self, desk: Desk) -> None:
        held = []
        for answers in (1, 3):
            desk.keys.known[TOKEN] = desk.caller(tpm=10_000)
            held.append(10_000 - int(told(await ask(desk, {"n": answers}))["remaining-tokens"]))
        prompt = prompt_bound(len("Say hello."), 1, CONTEXT)
        assert held == [prompt + 64, prompt + 3 * 64]
