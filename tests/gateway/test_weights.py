"""Weights at a full engine: the least until known, asked for once, never waited for."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from shanhe.gateway import weights as module
from shanhe.gateway.weights import Weights


class TestWeight:
    async def test_is_the_least_until_it_is_known_and_asked_for_once(self) -> None:
        asked: list[UUID] = []

        async def ask(org: UUID) -> int:
            asked.append(org)
            await asyncio.sleep(0)
            return 3

        weights, org = Weights(ask), uuid4()
        assert [weights.of(org), weights.of(org)] == [1, 1]
        await asyncio.sleep(0.01)
        assert (weights.of(org), asked) == (3, [org])

    async def test_is_kept_while_it_is_asked_for_again_and_when_that_fails(self, monkeypatch) -> None:
        answers = [2, RuntimeError()]

        async def ask(_: UUID) -> int:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(module, "KEPT_S", -1.0)
        weights, org = Weights(ask), uuid4()
        weights.of(org)
        await asyncio.sleep(0.01)
        assert weights.of(org) == 2  # asks again beside it
        await asyncio.sleep(0.01)
        assert (weights.of(org), answers) == (2, [])
        await weights.stop()

    async def test_is_asked_for_a_few_at_a_time(self) -> None:
        gate, asked = asyncio.Event(), []

        async def ask(org: UUID) -> int:
            asked.append(org)
            await gate.wait()
            return 4

        weights = Weights(ask)
        for _ in range(50):
            weights.of(uuid4())
        await asyncio.sleep(0)
        assert len(asked) == module.ASKING_MAX
        await weights.stop()
        assert weights._asking == {}

    async def test_is_the_same_for_all_without_anybody_to_ask(self) -> None:
        assert Weights().of(uuid4()) == 1
