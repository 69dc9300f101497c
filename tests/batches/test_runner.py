"""Lines are run, charged and delivered once, whatever ends in between."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from shanhe.batches import store
from shanhe.batches.errors import BatchEnded, FileInUse, NotKept, TooManyBatches, UnknownFile
from shanhe.batches.model import Batch
from shanhe.batches.runner import LAPSED_AFTER, LOOKED_AT_AFTER, TRIES_MAX, Runner
from shanhe.batches.service import OPEN_MAX, Batches
from shanhe.gateway.api import Answered, Errand
from shanhe.identity.api import Caller
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound
from shanhe.kernel.ids import new_id

CHAT = "/v1/chat/completions"
NUMBERS = {"file_days": 30, "window_hours": 24, "kept_share": 5000}


class Crash(BaseException):
    """The process ends here."""


class House:
    """Batches over a real database; the gateway is a script, the ledger a set of receipts."""

    def __init__(self, database: Database, clock: FixedClock, folder: Path) -> None:
        self.db, self.clock = database, clock
        self.batches = Batches(database, clock, folder=folder, parameter=self.number)
        self.org, self.key = new_id(), new_id()
        self.charged: dict[UUID, str] = {}
        self.asked: list[str] = []
        self.plan: dict[str, list[Any]] = {}
        self.spare = 16

    def number(self, name: str, on: date) -> int:
        return NUMBERS[name]

    async def posting(self, receipt_id: UUID) -> str:
        if receipt_id not in self.charged:
            raise NotFound("none", "There is none.")
        return self.charged[receipt_id]

    async def caller(self, key_id: UUID) -> UUID:
        return key_id

    async def run(self, path: str, body: bytes, errand: Errand) -> Answered:
        """What `plan` says of this question, else an answer: keep, charge, tell."""
        question = json.loads(body)["messages"][0]["content"]
        self.asked.append(question)
        step = self.plan[question].pop(0) if self.plan.get(question) else "answer"
        if isinstance(step, Answered):
            return step
        if step == "crash first":
            raise Crash
        await errand.keep(json.dumps({"about": question}).encode())
        if step == "crash kept":
            raise Crash
        if step == "charge refused":
            return refused(409, "lease_reclaimed")
        if step == "disk full":
            return refused(503, "disk_full")
        if step == "unsettled":
            return refused(503, "ledger_unavailable")
        assert errand.receipt_id not in self.charged
        self.charged[errand.receipt_id] = question
        if step == "crash charged":
            raise Crash
        return Answered(200, b"{}")

    def runner(self, worker: str = "w0") -> Runner:
        return Runner(
            self.db, self.clock, self.batches, worker=worker, run=self.run, caller_of=self.caller,
            charged=self.posting, fate=self.posting, spare=lambda model, kept: self.spare, parameter=self.number,
        )  # fmt: skip

    async def order(self, *questions: str, **changes: Any) -> Batch:
        rows = [
            {"custom_id": f"c{at}", "method": "POST", "url": CHAT,
             "body": {"model": "m", "messages": [{"role": "user", "content": question}]}}
            for at, question in enumerate(questions)
        ]  # fmt: skip
        data = b"\n".join(msgspec.json.encode(row) for row in rows)
        file = await self.batches.keep(self.org, "in.jsonl", "batch", data, by="tests")
        fields: dict[str, Any] = {"input_file": file.id, "endpoint": CHAT, "window": "24h", "allowed": lambda _: True}
        return await self.batches.create(self.org, self.key, **fields | changes)

    async def drain(self, runner: Runner) -> None:
        """Run what is due until nothing is, as far as crashes allow."""
        while await runner.fill():
            await asyncio.gather(*runner._crew._running, return_exceptions=True)

    async def results(self, batch: Batch) -> tuple[Batch, list[Any], list[Any]]:
        await self.batches.tick()
        found = await self.batches.batch(batch.id, self.org)
        return found, await self._rows(found.output_file), await self._rows(found.error_file)

    async def _rows(self, file: UUID | None) -> list[Any]:
        if file is None:
            return []
        return [json.loads(row) for row in (await self.batches.content(file, self.org)).splitlines()]


def refused(status: int, code: str) -> Answered:
    return Answered(status, json.dumps({"error": {"code": code, "message": code}}).encode())


@pytest.fixture
def house(database: Database, clock: FixedClock, tmp_path: Path) -> House:
    return House(database, clock, tmp_path)


class TestBatch:
    async def test_answers_every_line_in_order(self, house: House) -> None:
        batch = await house.order("one", "two", "three")
        await house.drain(house.runner())
        ended, good, bad = await house.results(batch)
        assert (ended.state, ended.done, ended.failed, bad) == ("completed", 3, 0, [])
        assert [(row["custom_id"], row["response"]["body"]["about"]) for row in good] == [
            ("c0", "one"), ("c1", "two"), ("c2", "three"),
        ]  # fmt: skip
        assert {UUID(row["response"]["request_id"]) for row in good} == set(house.charged)
        left = [path for path in house.batches.blobs._folder.rglob("*") if path.is_file()]
        assert len(left) == 2  # the input and the output: answers are not kept twice

    async def test_counts_each_of_its_lines_under_the_tags_of_its_own_metadata(self, house: House) -> None:
        seen: list[tuple[str, ...]] = []
        caller = Caller(
            house.key, house.org, "k", None, None, None, None, None, None, "general", new_id(), tags=("night",)
        )

        async def caller_of(key_id: UUID) -> Any:
            return caller

        async def run(path: str, body: bytes, errand: Errand) -> Answered:
            seen.append(errand.caller.tags)
            return await House.run(house, path, body, errand)

        house.caller, house.run = caller_of, run  # type: ignore[method-assign]
        await house.order("one", "two", metadata={"shift": "late", "tags": "team=blue, 试点"})
        await house.drain(house.runner())
        assert seen == [("night", "team=blue", "试点")] * 2

    async def test_says_of_each_line_that_its_tags_are_too_many(self, house: House) -> None:
        """As a key's own tags may make them after the batch was taken."""
        batch = await house.order("one", metadata={"tags": ",".join(f"t{n}" for n in range(9))})
        await house.drain(house.runner())
        ended, _, bad = await house.results(batch)
        assert (ended.state, ended.done, ended.failed) == ("completed", 0, 1)
        assert bad[0]["response"]["body"]["error"]["param"] == "metadata.tags"

    async def test_puts_refusals_into_the_error_file(self, house: House) -> None:
        house.plan["bad"] = [refused(400, "invalid_value")]
        batch = await house.order("good", "bad")
        await house.drain(house.runner())
        ended, good, bad = await house.results(batch)
        assert (ended.state, ended.done, ended.failed) == ("completed", 1, 1)
        assert [row["custom_id"] for row in good] == ["c0"]
        assert [(row["custom_id"], row["response"]["status_code"]) for row in bad] == [("c1", 400)]
        assert bad[0]["response"]["body"]["error"]["code"] == "invalid_value"

    async def test_with_a_bad_file_has_failed_and_says_why(self, house: House) -> None:
        batch = await house.order("one", allowed=lambda _: False)
        assert batch.state == "failed"
        assert batch.errors is not None
        assert [(one["code"], one["line"]) for one in batch.errors] == [("model_not_found", 1)]

    async def test_is_ordered_once_for_each_key_of_the_client(self, house: House) -> None:
        first = await house.order("one", request_key="k")
        assert (await house.order("two", request_key="k")).id == first.id

    async def test_is_seen_by_its_organisation_only(self, house: House) -> None:
        batch = await house.order("one")
        with pytest.raises(NotFound):
            await house.batches.batch(batch.id, new_id())
        with pytest.raises(UnknownFile):
            await house.batches.file(batch.input_file, new_id())

    async def test_that_is_cancelled_runs_nothing_more(self, house: House) -> None:
        house.spare = 1
        batch = await house.order("one", "two", "three")
        runner = house.runner()
        await runner.fill()
        await asyncio.gather(*runner._crew._running)
        assert (await house.batches.cancel(batch.id, house.org)).state == "cancelling"
        await house.drain(runner)
        ended, good, bad = await house.results(batch)
        assert (ended.state, house.asked) == ("cancelled", ["one"])
        assert [row["custom_id"] for row in good] == ["c0"]
        assert [row["error"]["code"] for row in bad] == ["batch_cancelled", "batch_cancelled"]
        with pytest.raises(BatchEnded):
            await house.batches.cancel(batch.id, house.org)

    async def test_whose_time_is_over_expires(self, house: House) -> None:
        house.spare = 1
        batch = await house.order("one", "two")
        runner = house.runner()
        await runner.fill()
        await asyncio.gather(*runner._crew._running)
        house.clock.advance(hours=24)
        assert await runner.fill() == 0
        ended, good, bad = await house.results(batch)
        assert (ended.state, len(good), [row["error"]["code"] for row in bad]) == ("expired", 1, ["batch_expired"])

    async def test_takes_turns_with_others(self, house: House) -> None:
        house.spare = 1
        await house.order("a1", "a2", "a3")
        await house.order("b1")
        await house.drain(house.runner())
        assert house.asked == ["a1", "b1", "a2", "a3"]

    async def test_waits_while_people_need_the_engine(self, house: House) -> None:
        house.spare = 0
        await house.order("one")
        assert await house.runner().fill() == 0
        assert house.asked == []

    async def test_is_bounded_for_each_organisation(self, house: House) -> None:
        for number in range(OPEN_MAX):
            await house.order(str(number))
        with pytest.raises(TooManyBatches):
            await house.order("one more")


class TestLine:
    async def test_waits_longer_each_time_its_engine_fails(self, house: House) -> None:
        house.plan["one"] = [refused(502, "engine_failed")] * TRIES_MAX
        batch = await house.order("one")
        runner = house.runner()
        for _ in range(20):
            await house.drain(runner)
            house.clock.advance(seconds=60)
        ended, _, bad = await house.results(batch)
        assert len(house.asked) == TRIES_MAX
        assert (ended.failed, bad[0]["response"]["status_code"]) == (1, 502)

    async def test_waits_for_an_engine_as_long_as_its_batch_does(self, house: House) -> None:
        house.plan["one"] = [refused(503, "no_engine")] * 30
        await house.order("one")
        runner = house.runner()
        for _ in range(30):
            await house.drain(runner)
            house.clock.advance(minutes=10)
        await house.drain(runner)
        assert len(house.asked) == 31
        assert len(house.charged) == 1

    async def test_that_was_charged_is_not_run_again(self, house: House) -> None:
        house.plan["one"] = ["crash charged"]
        batch = await house.order("one")
        await house.drain(house.runner())
        assert await house.runner().recover("w0") == 1
        _, good, _ = await house.results(batch)
        assert good[0]["response"]["body"] == {"about": "one"}
        assert house.asked == ["one"]

    @pytest.mark.parametrize("crash", ["crash first", "crash kept"])
    async def test_that_was_not_charged_is_run_again_under_another_receipt(self, house: House, crash: str) -> None:
        house.plan["one"] = [crash]
        batch = await house.order("one")
        await house.drain(house.runner())
        runner = house.runner()
        await runner.recover("w0")
        await house.drain(runner)
        _, good, _ = await house.results(batch)
        assert (len(good), len(house.charged), house.asked) == (1, 1, ["one", "one"])

    async def test_of_another_worker_is_left_alone_until_nothing_can_be_charged(self, house: House) -> None:
        house.plan["one"] = ["crash kept"]
        await house.order("one")
        await house.drain(house.runner("w0"))
        other = house.runner("w1")
        house.clock.advance(minutes=5)
        assert await other.recover(None) == 0
        house.clock.advance(seconds=LAPSED_AFTER.total_seconds())
        assert await other.recover(None) == 1
        await house.drain(other)
        assert len(house.charged) == 1

    @pytest.mark.parametrize("refusal", ["charge refused", "disk full"])
    async def test_whose_charge_is_known_not_to_be_booked_is_run_again_soon(self, house: House, refusal: str) -> None:
        house.plan["one"] = [refusal] * (TRIES_MAX + 1)
        await house.order("one")
        runner = house.runner()
        for _ in range(TRIES_MAX + 2):
            await house.drain(runner)
            house.clock.advance(seconds=60)
        assert (len(house.asked), len(house.charged)) == (TRIES_MAX + 2, 1)

    async def test_whose_charge_is_unknown_waits_until_it_could_have_been_booked(self, house: House) -> None:
        house.plan["one"] = ["unsettled"]
        await house.order("one")
        runner = house.runner()
        await house.drain(runner)
        house.clock.advance(seconds=LAPSED_AFTER.total_seconds() - 1)
        assert await runner.recover(None) == 0
        house.clock.advance(seconds=2)
        await runner.recover(None)
        await house.drain(runner)
        assert len(house.charged) == 1

    @pytest.mark.parametrize("step", ["seal_of", "put_back"])
    async def test_that_met_a_database_away_goes_on_within_minutes_of_its_return(
        self, house: House, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(*_: Any) -> Any:
            raise OSError("away")

        house.plan["one"] = ["disk full"] if step == "put_back" else []
        await house.order("one")
        runner = house.runner()
        with monkeypatch.context() as patch:
            owner: Any = house.batches if step == "seal_of" else store
            patch.setattr(owner, step, away)
            await house.drain(runner)
        house.clock.advance(seconds=LOOKED_AT_AFTER.total_seconds())
        assert await runner.recover(None) == 1
        await house.drain(runner)
        assert len(house.charged) == 1

    async def test_whose_answer_finds_no_room_waits_as_long_as_its_batch_does(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        async def run(path: str, body: bytes, errand: Errand) -> Answered:
            try:
                return await house.run(path, body, errand)
            except NotKept as error:
                return refused(error.status, error.code)

        await house.order("one")
        runner = house.runner()
        runner._run = run
        with monkeypatch.context() as patch:
            patch.setattr(house.batches, "put", full)
            for _ in range(TRIES_MAX + 3):
                await house.drain(runner)
                house.clock.advance(minutes=10)
        await house.drain(runner)
        assert len(house.charged) == 1

    async def test_is_charged_once_whatever_crashes(self, house: House) -> None:
        dice = random.Random(7)
        questions = [f"q{number}" for number in range(40)]
        steps = ["answer", "crash first", "crash kept", "crash charged", refused(502, "engine_failed")]
        for question in questions:
            house.plan[question] = [dice.choice(steps) for _ in range(dice.randrange(4))]
        batch = await house.order(*questions)
        for _ in range(12):
            runner = house.runner()
            await runner.recover("w0")
            await house.drain(runner)
            house.clock.advance(minutes=1)
        ended, good, _ = await house.results(batch)
        assert (ended.state, ended.done) == ("completed", 40)
        assert sorted(house.charged.values()) == sorted(questions)
        assert [row["response"]["body"]["about"] for row in good] == questions
        assert {UUID(row["response"]["request_id"]) for row in good} == set(house.charged)


class TestFile:
    async def test_is_gone_when_it_is_deleted(self, house: House) -> None:
        file = await house.batches.keep(house.org, "notes", "user_data", b"secret", by="tests")
        await house.batches.delete_file(file.id, house.org)
        assert not house.batches.blobs.path(file.id).exists()
        with pytest.raises(UnknownFile):
            await house.batches.content(file.id, house.org)

    async def test_is_not_deleted_under_a_batch_that_reads_it(self, house: House) -> None:
        batch = await house.order("one")
        with pytest.raises(FileInUse):
            await house.batches.delete_file(batch.input_file, house.org)

    async def test_is_forgotten_when_its_time_is_over(self, house: House) -> None:
        file = await house.batches.keep(house.org, "notes", "user_data", b"x", by="tests", lasts=timedelta(hours=2))
        house.clock.advance(hours=2)
        assert await house.batches.tick() == 1
        assert not house.batches.blobs.path(file.id).exists()

    async def test_is_kept_once_for_each_key_of_the_client(self, house: House) -> None:
        one, two = [
            await house.batches.keep(house.org, "n", "user_data", b"x", by="tests", request_key="k") for _ in range(2)
        ]
        assert one.id == two.id
        assert (await store.kept(house.db, house.org))[0] == 1
