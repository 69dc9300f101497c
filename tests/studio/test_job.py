"""Jobs over a real database and ledger, their steps in real processes that only pretend to train."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.studio.house import BASE, FUNDS, RECIPE, STEP_MS, STEPS, House

from shanhe.datasets.api import NewDataset
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import InsufficientCredit
from shanhe.studio import store
from shanhe.studio.api import sample_of, template, templates
from shanhe.studio.errors import BadRecipe, JobEnded, JobNotResumable, NameOfAnother, TooManyJobs
from shanhe.studio.model import Recipe
from shanhe.studio.service import JOBS_MAX


class TestJob:
    async def test_holds_its_budget_and_pays_for_what_it_used(self, house: House) -> None:
        job = await house.order()
        assert await house.money() == (FUNDS, FUNDS - job.budget_micro)
        assert await house.foreman().work_once()
        done = await house.studio.job(job.id, house.org)
        assert (done.state, done.error, done.core_ms) == ("done", None, STEPS * STEP_MS)
        assert done.spent_micro == house.price(STEPS * STEP_MS) > 0
        assert await house.money() == (FUNDS - done.spent_micro, FUNDS - done.spent_micro)
        assert (await house.ledger.posting(done.hold_id)).kind == "studio"
        assert (await house.ledger.verify()).clean

    async def test_draws_its_loss_curve_and_notes_its_lineage(self, house: House) -> None:
        job = await house.order()
        await house.foreman().work_once()
        curve = [point for point in await house.studio.points(job) if point.at == 1]
        assert [(point.n, point.loss) for point in curve] == [(n, 6.0 / n) for n in range(1, 6)]
        dataset = await house.datasets.dataset("错题集", house.org)
        assert {use.purpose for use in await house.datasets.uses(dataset)} == {"train", "evaluate"}

    async def test_does_nothing_twice(self, house: House) -> None:
        await house.order()
        await house.foreman().work_once()
        again = await house.order("other", Recipe(BASE, epochs=1, drop_layers=2, quantum="Q8_0"))
        await house.foreman().work_once()
        steps = await house.studio.steps(again)
        assert [step.state for step in steps] == ["cached"] * 6 + ["done"] * 2
        assert (await house.studio.job(again.id, None)).core_ms == 2 * STEP_MS

    async def test_is_ordered_once_for_each_key_of_the_client(self, house: House) -> None:
        first = await house.order(request_key="k")
        assert (await house.order(request_key="k")).id == first.id
        assert len(await house.studio.jobs(house.org)) == 1

    async def test_that_is_ordered_twice_at_once_under_one_key_is_one_whose_budget_is_held(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the second gives back is its own: without a budget the job would be had for nothing."""
        hold, one_by_one, both = house.ledger.hold, asyncio.Lock(), asyncio.Barrier(2)

        async def holds(*some: Any, **more: Any) -> Any:
            async with one_by_one:
                held = await hold(*some, **more)
            await both.wait()
            return held

        monkeypatch.setattr(house.ledger, "hold", holds)
        one, other = await asyncio.gather(*(house.order(request_key="k") for _ in range(2)))
        assert one == other
        assert await house.money() == (FUNDS, FUNDS - one.budget_micro)
        assert await house.foreman().work_once()
        done = await house.studio.job(one.id, None)
        assert await house.money() == (FUNDS - done.spent_micro, FUNDS - done.spent_micro)
        assert done.spent_micro > 0

    async def test_that_is_not_kept_in_the_end_holds_nothing_and_one_that_is_keeps_its_budget(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection may break just as the job is kept, or before."""
        keep, kept = store.insert_job, False

        async def insert(*some: Any) -> None:
            if kept:
                async with house.studio.db.transaction() as conn:
                    await keep(conn, *some[1:])
            raise OSError("away")

        monkeypatch.setattr(store, "insert_job", insert)
        with pytest.raises(OSError, match="away"):
            await house.order(request_key="k")
        assert await house.money() == (FUNDS, FUNDS)
        kept = True
        with pytest.raises(OSError, match="away"):
            await house.order(request_key="k")
        job = await house.order(request_key="k")
        assert await house.money() == (FUNDS, FUNDS - job.budget_micro)

    async def test_goes_on_from_its_checkpoint_after_a_crash(self, house: House) -> None:
        house.tell(hang=3)
        job = await house.order()
        first = asyncio.create_task(house.foreman().work_once())
        async with asyncio.timeout(20):
            while len(await house.studio.points(job)) < 3:  # noqa: ASYNC110 - another task writes them
                await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await house.studio.job(job.id, None)).state == "running"
        house.tell()
        await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert done.state == "done"
        assert [point.n for point in await house.studio.points(job) if point.at == 1] == [1, 2, 3, 4, 5]
        assert await house.money() == (FUNDS - done.spent_micro, FUNDS - done.spent_micro)

    async def test_that_is_cancelled_pays_for_what_it_used(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.studio.foreman.LOOK_EVERY_S", 0.0)
        job = await house.order()
        await house.studio.cancel(job.id, house.org)
        await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert done.state == "cancelled"
        assert done.core_ms < STEPS * STEP_MS
        assert await house.money() == (FUNDS - done.spent_micro, FUNDS - done.spent_micro)
        with pytest.raises(JobEnded):
            await house.studio.cancel(job.id, house.org)

    async def test_that_was_cancelled_goes_on_when_it_is_asked_to(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shanhe.studio.foreman.LOOK_EVERY_S", 0.0)
        job = await house.order()
        with pytest.raises(JobNotResumable):
            await house.studio.resume(job.id, house.org, by="t")
        await house.studio.cancel(job.id, house.org)
        await house.foreman().work_once()
        again = await house.studio.resume(job.id, house.org, by="t")
        assert (again.recipe, (await house.studio.resume(job.id, house.org, by="t")).id) == (job.recipe, again.id)
        await house.foreman().work_once()
        assert (await house.studio.job(again.id, None)).state == "done"

    async def test_whose_step_fails_says_why_and_pays_for_the_others(self, house: House) -> None:
        house.tell(fail=True)
        job = await house.order()
        await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert (done.state, done.core_ms) == ("failed", STEP_MS)
        assert done.error is not None
        assert (done.error["code"], done.spent_micro) == ("training_diverged", house.price(STEP_MS))
        assert await house.money() == (FUNDS - done.spent_micro, FUNDS - done.spent_micro)

    async def test_whose_step_is_killed_pays_nothing_for_it_and_goes_on_from_its_checkpoint(self, house: House) -> None:
        house.tell(die=3)
        job = await house.order()
        await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert done.error is not None
        assert (done.state, done.error["code"], done.spent_micro) == ("failed", "step_died", house.price(STEP_MS))
        house.tell()
        again = await house.studio.resume(job.id, house.org, by="t")
        await house.foreman().work_once()
        assert (await house.studio.job(again.id, None)).state == "done"
        assert [point.n for point in await house.studio.points(again) if point.at == 1] == [4, 5]

    async def test_that_finds_the_disk_full_ends_and_goes_on_once_there_is_room(self, house: House) -> None:
        job = await house.order()
        lessons = house.studio.shelf.folder(job.id.bytes) / "train.jsonl"
        lessons.parent.mkdir(parents=True)
        lessons.symlink_to("/dev/full")
        assert await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert done.error is not None
        assert (done.state, done.error["code"], done.spent_micro) == ("failed", "disk_full", 0)
        assert await house.money() == (FUNDS, FUNDS)
        again = await house.studio.resume(job.id, house.org, by="t")
        await house.foreman().work_once()
        assert (await house.studio.job(again.id, None)).state == "done"

    async def test_that_meets_a_mistake_of_ours_ends_and_stops_nobody(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(model: str) -> Path:
            raise RuntimeError("ours")

        monkeypatch.setattr(house.models, "model_file", broken)
        job = await house.order()
        assert await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert done.error is not None
        assert (done.state, done.error["code"], done.spent_micro) == ("failed", "internal_error", 0)
        assert await house.money() == (FUNDS, FUNDS)

    async def test_ends_when_its_budget_is_used_up(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.studio.foreman.LOOK_EVERY_S", 0.0)
        job = await house.order(budget_micro=house.price(STEP_MS) + 1)
        await house.foreman().work_once()
        done = await house.studio.job(job.id, None)
        assert done.error is not None
        assert (done.state, done.error["code"]) == ("failed", "budget_used_up")
        assert done.spent_micro <= job.budget_micro
        assert (await house.money())[0] == FUNDS - done.spent_micro

    async def test_needs_credits_before_it_waits(self, house: House) -> None:
        with pytest.raises(InsufficientCredit):
            await house.order(budget_micro=FUNDS + 1)
        assert await house.studio.jobs(None) == []
        assert await house.money() == (FUNDS, FUNDS)

    async def test_that_can_not_wait_gives_its_hold_back(self, house: House) -> None:
        for number in range(JOBS_MAX):
            await house.order(f"helper-{number}", budget_micro=1)
        with pytest.raises(TooManyJobs):
            await house.order("one-more", budget_micro=1)
        assert await house.money() == (FUNDS, FUNDS - JOBS_MAX)

    @pytest.mark.parametrize(
        ("name", "changes", "error"),
        [
            ("taken", {}, NameOfAnother),
            ("No", {}, BadRecipe),
            ("ok", {"epochs": 0}, BadRecipe),
            ("ok", {"quantum": "Q1"}, BadRecipe),
            ("ok", {"base": "multilingual-e5-small"}, BadRecipe),
            ("ok", {"adapter": True, "drop_layers": 2}, BadRecipe),
        ],
    )
    async def test_of_a_bad_recipe_is_refused(
        self, house: House, name: str, changes: dict[str, Any], error: type[ShanheError]
    ) -> None:
        with pytest.raises(error):
            await house.order(name, Recipe(**{"base": BASE} | changes))

    async def test_leaves_nothing_that_nobody_needs(self, house: House, clock: FixedClock) -> None:
        await house.order()
        await house.foreman().work_once()
        assert await house.studio.tidy() == 0
        clock.set(datetime.now(UTC) + timedelta(days=15))
        # All steps but the one that is a model; the job's own texts went with its end.
        assert await house.studio.tidy() == STEPS - 1
        (made,) = await house.studio.models(house.org)
        assert house.studio.shelf.file(made.step_hash, "model.gguf").exists()


class TestModel:
    async def test_is_deployed_and_rolled_back(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.studio.service.check", lambda file: None)
        for quantum in ("Q4_K", "Q8_0"):
            await house.order("helper", Recipe(BASE, epochs=1, quantum=quantum))
            await house.foreman().work_once()
            made = await house.studio.deploy("helper", house.org, by="t")
            assert (made.state, made.score_bps, made.base_bps) == ("deployed", 10_000, 5_000)
        assert house.models.answering == {"helper": "local-helper.2"}
        back = await house.studio.roll_back("helper", house.org, by="t")
        assert (back.number, house.models.answering) == (1, {"helper": "local-helper.1"})
        assert {one.number: one.state for one in await house.studio.models(house.org)} == {1: "deployed", 2: "retired"}
        assert (await house.studio.roll_back("helper", house.org, by="t")).number == 2

    async def test_is_tried_on_a_share_of_the_calls(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.studio.service.check", lambda file: None)
        for quantum in ("Q4_K", "Q8_0"):
            await house.order("helper", Recipe(BASE, epochs=1, quantum=quantum, deploy=quantum == "Q4_K"))
            await house.foreman().work_once()
        tried = await house.studio.deploy("helper", house.org, by="t", share_bps=1_000)
        assert (tried.state, tried.share_bps) == ("trial", 1_000)
        assert house.models.answering == {"helper": "local-helper.1"}
        assert house.models.trials == {"helper": ("local-helper.2", 1_000)}
        assert (await house.studio.roll_back("helper", house.org, by="t")).number == 1
        states = {one.number: one.state for one in await house.studio.models(house.org)}
        assert states == {1: "deployed", 2: "retired"}
        whole = await house.studio.deploy("helper", house.org, 2, by="t")
        assert (whole.state, house.models.answering) == ("deployed", {"helper": "local-helper.2"})

    async def test_is_compared_with_its_base_question_by_question(self, house: House) -> None:
        job = await house.order("helper", Recipe(BASE, epochs=1))
        await house.foreman().work_once()
        found = await house.studio.compare(job.id, house.org)
        assert [(one["right_before"], one["right_after"]) for one in found] == [(False, True)] * 6 + [(True, True)] * 6
        assert (found[0]["before"], found[0]["after"]) == ("不知道", found[0]["answer"])

    async def test_may_be_an_adapter_beside_its_base(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.studio.service.check", lambda file: None)
        await house.order("helper", Recipe(BASE, epochs=1, adapter=True))
        await house.foreman().work_once()
        made = await house.studio.deploy("helper", house.org, by="t")
        assert house.models.answering == {"helper": f"{BASE} with helper.1"}
        (job,) = await house.studio.jobs(house.org)
        assert [step.title for step in await house.studio.steps(job)] == ["before", "tune", "after"]
        assert (made.score_bps, made.base_bps, made.card["sha256"] == made.sha256.hex()) == (10_000, 5_000, False)

    async def test_has_a_name_that_no_other_organisation_takes(self, house: House) -> None:
        await house.order()
        with pytest.raises(NameOfAnother):
            await house.studio.order(new_id(), "helper", house.version, RECIPE, by="t")


class TestTemplate:
    @pytest.mark.parametrize("name", sorted(templates()))
    async def test_brings_a_sample_that_its_recipe_can_learn(self, house: House, name: str) -> None:
        one = template(name)
        new = NewDataset(name, one.form, "CC0-1.0", "own")
        version = await house.datasets.bring(house.org, new, one.file, sample_of(one), by="t")
        wanted = await house.studio.estimate(house.org, version.id, Recipe(BASE, **one.recipe))
        assert wanted["lessons"] >= 8
        assert wanted["questions"] >= 2


class TestComparison:
    async def pairs(self, house: House, name: str, rows: Sequence[tuple[int, str]]) -> UUID:
        table = "\n".join(["question,answer,held", *(f"第{n}道工序？,先预热到{n}十度,{held}" for n, held in rows)])
        new = NewDataset(name, "pairs", "CC0-1.0", "own")
        return (await house.datasets.bring(house.org, new, "a.csv", table.encode(), by="t")).id

    async def test_is_on_questions_that_neither_version_learnt_from(self, house: House) -> None:
        house.version = await self.pairs(house, "一", [(n, "1" if n > 16 else "") for n in range(1, 21)])
        await house.order(recipe=Recipe(BASE, epochs=1, adapter=True))
        await house.foreman().work_once()
        with pytest.raises(BadRecipe):
            await house.order(recipe=Recipe(BASE, epochs=1, adapter=True, against=2))
        # the next one asks what the first one had learnt (1, 2), and what neither saw
        house.version = await self.pairs(house, "二", [(n, "1" if n > 16 or n < 3 else "") for n in range(1, 25)])
        house.tell(right_bps=2_500)
        job = await house.order(recipe=Recipe(BASE, epochs=1, adapter=True, against=1))
        await house.foreman().work_once()
        assert (await house.studio.job(job.id, house.org)).state == "done"
        first, second = sorted(await house.studio.models(house.org), key=lambda one: one.number)
        (found,) = await house.studio.comparisons(second)
        assert (found.model_id, found.against_id, found.asked) == (second.id, first.id, 8)
        assert await house.studio.comparisons(first) == [found]
        steps = [(one.kind, one.title) for one in await house.studio.steps(job)]
        assert steps == [("evaluate", "before"), ("evaluate", "against"), ("tune", "tune"), ("evaluate", "after")]
        # two of the ten were right for both, the first ones, which the first version had learnt; five for the base
        assert (found.base_right, found.model_right, found.against_right, found.gained, found.lost) == (3, 0, 0, 0, 0)
