"""How a judge is asked in a city: by a batch under the job's name, metered line by line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from tests.batches.test_runner import House, refused

from shanhe.gateway.api import Answered, Errand
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound
from shanhe.studio.api import Heard
from shanhe.wiring.judges import Judges

COST_MICRO = 5


class City(House):
    """The house of batches, whose model answers a chat with what it was asked."""

    async def run(self, path: str, body: bytes, errand: Errand) -> Answered:
        asked = json.loads(body)["messages"][0]["content"]
        self.asked.append(asked)
        if asked == "too dear":
            return refused(402, "insufficient_quota")
        await errand.keep(json.dumps({"choices": [{"message": {"content": f"on {asked}"}}]}).encode())
        self.charged[errand.receipt_id] = asked
        return Answered(200, b"{}")

    async def receipt(self, receipt_id: UUID, org_id: UUID) -> Any:
        if self.charged.get(receipt_id) == "free":
            raise NotFound("none", "It cost nothing.")
        return SimpleNamespace(amount_micro=COST_MICRO)

    async def key_of(self, org_id: UUID) -> UUID:
        return self.key

    def judges(self) -> Judges:
        payers: Any = SimpleNamespace(key_of=self.key_of)
        compute: Any = SimpleNamespace(model=lambda name: object())
        gateway: Any = SimpleNamespace(receipt=self.receipt)
        return Judges(self.batches, payers, compute, gateway)

    async def asks(self, *questions: str, ref: str = "judge 1", patience: int = 100) -> list[Heard] | None:
        """What the judge says while the city works on its batches; told to stop after so many looks."""
        looks = 0

        async def going() -> bool:
            nonlocal looks
            looks += 1
            await self.drain(self.runner())
            await self.batches.tick()
            return looks < patience

        calls = [{"model": "m", "messages": [{"role": "user", "content": question}]} for question in questions]
        judges = self.judges()
        heard = await judges.ask(self.org, ref, calls, going)
        await judges.forget(ref)
        return heard


@pytest.fixture
def city(database: Database, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setattr("shanhe.wiring.judges.POLL_S", 0.0)
    return City(database, clock, tmp_path)


class TestJudges:
    async def test_give_the_answers_in_order_with_what_each_cost(self, city: City) -> None:
        assert await city.asks("a", "too dear", "free", "b") == [
            Heard("on a", COST_MICRO), Heard(None), Heard("on free", 0), Heard("on b", COST_MICRO),
        ]  # fmt: skip
        files, _ = await city.batches.files(city.org)
        assert files == []  # questions and answers are not kept beside the job

    async def test_ask_and_pay_once_for_a_job_that_is_taken_up_again(self, city: City) -> None:
        one = asyncio.create_task(
            city.judges().ask(city.org, "judge 1", [self.call("a"), self.call("b")], self.forever)
        )
        await asyncio.sleep(0.05)
        one.cancel()  # the foreman's process ends
        await asyncio.gather(one, return_exceptions=True)
        assert await city.asks("a", "b") == [Heard("on a", COST_MICRO), Heard("on b", COST_MICRO)]
        assert sorted(city.asked) == ["a", "b"]

    async def test_that_are_told_to_stop_ask_no_more(self, city: City) -> None:
        city.spare = 0
        assert await city.asks("a", "b", patience=1) is None
        city.spare = 16
        await city.drain(city.runner())
        assert city.asked == []

    async def test_that_were_cancelled_half_way_are_asked_the_rest_alone(self, city: City) -> None:
        runner, city.spare = city.runner(), 1

        async def once() -> bool:
            await runner.fill()
            await asyncio.gather(*runner._crew._running)
            return False

        calls = [self.call(one) for one in "abc"]
        assert await city.judges().ask(city.org, "judge 1", calls, once) is None
        assert city.asked == ["a"]
        city.spare = 16
        answers = [Heard(f"on {one}", COST_MICRO) for one in "abc"]
        assert await city.asks("a", "b", "c") == answers
        assert sorted(city.asked) == ["a", "b", "c"]
        assert await city.asks("a", "b", "c") == answers  # thrown away meanwhile: asked anew, not refused

    def call(self, question: str) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": question}]}

    async def forever(self) -> bool:
        return True
