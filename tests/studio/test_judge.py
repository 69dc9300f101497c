"""A model that judges: blind to the order, read strictly, paid for as a call, shown beside the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from tests.studio.house import BASE, House

from shanhe.studio import judging
from shanhe.studio.errors import BadRecipe
from shanhe.studio.judging import Heard, Verdict
from shanhe.studio.model import Job, Recipe

PAIR = {"question": "第1道工序几度？", "answer": "预热到1十度。"}
COST_MICRO = 7


class Judge:
    """A scripted judge. It finds the better answer by the reference or, when biased, likes what stands first."""

    def __init__(self, *, biased: bool = False, mute: bool = False, cancelled: int = 0) -> None:
        self._cancelled = cancelled
        self.calls: list[Mapping[str, Any]] = []
        self.asked: list[tuple[UUID, str]] = []
        self.forgot: list[str] = []
        self._biased = biased
        self._mute = mute

    def says(self, call: Mapping[str, Any]) -> str:
        text = call["messages"][1]["content"]
        wanted = part(text, "参考答案")
        first, second = [9 if part(text, name) == wanted else 3 for name in ("回答一（first）", "回答二（second）")]
        if self._biased:
            first, second = 8, 4
        return json.dumps({"reason": "与参考一致者为佳", "first": first, "second": second})

    async def ask(self, org_id: UUID, ref: str, calls: Sequence[Mapping[str, Any]], going: Any) -> list[Heard] | None:
        self.asked.append((org_id, ref))
        self.calls += calls
        if self._cancelled or not await going():
            self._cancelled -= 1
            return None
        return [Heard("我觉得都好" if self._mute else self.says(call), COST_MICRO) for call in calls]

    async def forget(self, ref: str) -> None:
        self.forgot.append(ref)


def part(text: str, name: str) -> str:
    return text.partition(f"【{name}】\n")[2].partition("\n\n【")[0]


async def ordered(house: House, judge: Judge) -> Job:
    """A job whose answers were judged."""
    house.models.answering["wise"] = "somewhere"
    job = await house.order(recipe=Recipe(BASE, epochs=1, judge="wise", rubric="只看安全"))
    await house.foreman(judge).work_once()
    return await house.studio.job(job.id, house.org)


class TestVerdict:
    def test_is_read_strictly(self) -> None:
        assert judging.verdict('{"reason": "好", "first": 3, "second": 10}') == Verdict("好", 3, 10)
        for text in (None, "好", '{"first": 3, "second": 4}', '{"reason": "x", "first": 0, "second": 4}',
                     '{"reason": "x", "first": 3.5, "second": 4}'):  # fmt: skip
            assert judging.verdict(text) is None

    def test_of_both_orders_is_their_mean_and_says_whether_they_agreed(self) -> None:
        fair = judging.judged(0, Verdict("a", 3, 9), Verdict("b", 8, 4))
        assert fair is not None
        assert (fair.before, fair.after, fair.agreed) == (3.5, 8.5, True)
        biased = judging.judged(0, Verdict("a", 8, 4), Verdict("b", 8, 4))
        assert biased is not None
        assert (biased.before, biased.after, biased.agreed) == (6.0, 6.0, False)
        assert judging.judged(0, Verdict("a", 8, 4), None) is None

    def test_names_nobody(self) -> None:
        straight, turned = judging.requests("m", "R", PAIR, "甲", "乙")
        texts = [one["messages"][1]["content"] for one in (straight, turned)]
        assert [part(text, "回答一（first）") for text in texts] == ["甲", "乙"]
        assert not any(word in text for text in texts for word in ("微调", "before", "after", "基座"))
        assert straight["response_format"]["json_schema"]["schema"] == judging.SCHEMA

    def test_is_asked_for_where_answers_differ_spread_over_all(self) -> None:
        before = [{"said": str(n)} for n in range(100)]
        after = [{"said": str(n) if n % 2 else "x"} for n in range(100)]
        assert judging.worth_judging(before, after, 5) == [0, 20, 40, 60, 80]
        assert len(judging.worth_judging(before, after, 100)) == 50


class TestJudge:
    async def test_stands_beside_the_answers_with_scores_reasons_and_its_cost(self, house: House) -> None:
        judge = Judge()
        job = await ordered(house, judge)
        step = (await house.studio.steps(job))[-1]
        assert step.hash is not None
        differing = 6  # of twelve questions the base answers six as the model does
        assert (step.kind, step.state) == ("judge", "done")
        assert step.metrics == {
            "judged": differing, "unread": 0, "score_before": 3.0, "score_after": 9.0, "better": differing, "worse": 0,
            "agreed": differing, "cost_micro": 2 * differing * COST_MICRO,
        }  # fmt: skip
        found = [one["judge"] for one in await house.studio.compare(job.id, house.org)]
        assert [one and (one["before"], one["after"], one["reason"]) for one in found] == (
            [(3.0, 9.0, "与参考一致者为佳")] * differing + [None] * differing
        )
        assert judge.asked == [(house.org, judge.forgot[0])]
        assert judge.forgot == [f"judge {step.hash.hex()}"]
        assert all(part(call["messages"][1]["content"], "评分标准") == "只看安全" for call in judge.calls)
        assert "只看安全" not in str(job.recipe)

    async def test_that_likes_what_stands_first_changes_nothing_and_shows(self, house: House) -> None:
        job = await ordered(house, Judge(biased=True))
        metrics = (await house.studio.steps(job))[-1].metrics
        assert (metrics["score_before"], metrics["score_after"], metrics["agreed"]) == (6.0, 6.0, 0)

    async def test_that_can_not_be_read_costs_nobody_the_model(self, house: House) -> None:
        job = await ordered(house, Judge(mute=True))
        step = (await house.studio.steps(job))[-1]
        assert (job.state, step.state, "verdict" in step.metrics["reason"]) == ("done", "failed", True)
        assert [one.name for one in await house.studio.models(house.org)] == ["helper"]

    async def test_is_not_asked_twice_about_the_same_answers(self, house: House) -> None:
        judge = Judge()
        await ordered(house, judge)
        again = await ordered(house, judge)
        assert len(judge.asked) == 1
        assert (await house.studio.steps(again))[-1].state == "cached"

    async def test_of_a_job_that_was_cancelled_meanwhile_goes_on_about_the_same_model(self, house: House) -> None:
        judge = Judge(cancelled=1)
        job = await ordered(house, judge)
        assert job.state == "cancelled"
        again = await house.studio.resume(job.id, house.org, by="tests")
        await house.foreman(judge).work_once()
        again = await house.studio.job(again.id, house.org)
        assert (again.state, (await house.studio.steps(again))[-1].state) == ("done", "done")
        assert judge.asked[0] == judge.asked[1]  # so that what was heard before counts
        made = await house.studio.models(house.org)
        assert [(one.name, one.number, one.job_id) for one in made] == [("helper", 1, job.id)]
        assert await house.studio.made_by(again) == made[0]

    async def test_has_to_be_a_model_of_the_city(self, house: House) -> None:
        with pytest.raises(BadRecipe):
            await house.order(recipe=Recipe(BASE, judge="nobody"))
