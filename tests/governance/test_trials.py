"""P12: the best of enough bidders, once a place. P13: an experiment ends on a day, and its rule is looked at then."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.governance.api import BadProposal, State, tick
from shanhe.governance.sampling import Case, chance, drawn, effect_of

from .conftest import Hall, change

BIDS = [
    {"name": "甲智云", "technical": 9_000, "operation": 8_000, "price": 7_000},
    {"name": "乙数科", "technical": 8_000, "operation": 9_000, "price": 7_000},
    {"name": "丙算力", "technical": 5_000, "operation": 5_000, "price": 9_900},
]


def tender(**more: Any) -> Any:
    content = {"role": "operator", "bids": BIDS, "winner": "甲智云"} | more
    return change(content, matter="tender", rule_id=None, title="合资公司运营方定标")


class TestTender:
    async def test_is_won_by_the_best_score_and_once(self, hall: Hall) -> None:
        clerk, finance = await hall.person("data_group"), await hall.person("finance")
        other = await hall.person("data_group")
        ranked = hall.governance.trials.scores(tender().content, date(2026, 3, 2))
        assert [one[:2] for one in ranked] == [("甲智云", 8_100), ("乙数科", 8_000), ("丙算力", 6_470)]
        made = await hall.governance.deciding.propose(tender(), person_id=clerk)
        assert (await hall.adopt(made, [other, finance])).state is State.ADOPTED
        again = change(tender().content, matter="tender", rule_id=None, announced_on=date(2027, 4, 1))
        with pytest.raises(BadProposal, match="awarded already"):
            await hall.governance.deciding.propose(again, person_id=clerk)

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"winner": "乙数科"}, "the best is 甲智云"),
            ({"bids": BIDS[:2]}, "fewer bidders"),
            ({"bids": [*BIDS, BIDS[0]]}, "bids once"),
            ({"bids": [{**BIDS[0], "price": 10_001}, *BIDS[1:]]}, "each bid has"),
            ({"bids": []}, "lists its bids"),
            ({"role": "mayor"}, "what is awarded"),
        ],
    )
    async def test_that_breaks_the_rule_is_not_proposed(self, hall: Hall, wrong: dict[str, Any], says: str) -> None:
        clerk = await hall.person("data_group")
        with pytest.raises(BadProposal, match=says):
            await hall.governance.deciding.propose(tender(**wrong), person_id=clerk)


class TestExperiment:
    async def test_ends_on_a_day_and_waits_for_a_review_of_its_rule(self, hall: Hall) -> None:
        clerk, other = await hall.person("digital"), await hall.person("digital")
        third = await hall.person("digital")
        content = {"instrument": "data_sandbox", "started_on": "2026-06-01", "rule_id": "H7_data_exchange"}
        made = await hall.governance.deciding.propose(
            change(content, matter="policy_lab", rule_id=None, title="数据流通沙盒"), person_id=clerk
        )
        assert (await hall.adopt(made, [other, third])).state is State.ADOPTED
        duties = hall.governance.trials.duties
        await hall.until(date(2026, 11, 30))
        assert await duties() == []
        await hall.until(date(2026, 12, 1))
        (due,) = await duties()
        assert (due.due_on, due.overdue) == (date(2026, 12, 1), False)
        hall.later(days=1)
        assert [one.overdue for one in await duties()] == [True]
        assert any(one.link == f"/governance/{made.id}" for one in await hall.governance.watching.duties())
        await hall.governance.watching.review(
            "H7_data_exchange", on=hall.clock.today(), finding="三家试点，未见泄露，建议转正", review_id=uuid4(),
            by="person:1",
        )  # fmt: skip
        assert await duties() == []

    @pytest.mark.parametrize("wrong", [{"instrument": "magic"}, {"started_on": "soon"}, {"rule_id": "Z9"}])
    async def test_names_instrument_day_and_rule(self, hall: Hall, wrong: dict[str, str]) -> None:
        clerk = await hall.person("digital")
        content = {"instrument": "data_sandbox", "started_on": "2026-06-01", "rule_id": "H7_data_exchange"} | wrong
        with pytest.raises(BadProposal):
            await hall.governance.deciding.propose(change(content, matter="policy_lab", rule_id=None), person_id=clerk)

    async def test_is_measured_by_something_the_city_measures(self, hall: Hall) -> None:
        clerk = await hall.person("digital")
        content = {"instrument": "data_sandbox", "started_on": "2026-06-01", "rule_id": "H7_data_exchange",
                   "outcome": "happiness"}  # fmt: skip
        with pytest.raises(BadProposal, match="captured_micro"):
            await hall.governance.deciding.propose(change(content, matter="policy_lab", rule_id=None), person_id=clerk)


class TestSample:
    async def test_is_drawn_by_lot_at_the_end_and_shown_with_what_chance_alone_does(self, hall: Hall) -> None:
        clerk, other, third = [await hall.person("digital") for _ in range(3)]
        content = {"instrument": "data_sandbox", "started_on": "2026-06-01", "rule_id": "H7_data_exchange",
                   "outcome": "captured_micro"}  # fmt: skip
        made = await hall.governance.deciding.propose(
            change(content, matter="policy_lab", rule_id=None, title="数据流通沙盒"), person_id=clerk
        )
        await hall.adopt(made, [other, third])
        firms = [UUID(int=n) for n in range(1, 101)]
        hall.members.update(firms[:40])
        hall.used[False] = dict.fromkeys(firms, 100)
        hall.used[True] = {firm: 150 if firm in hall.members else 110 for firm in firms}
        sampling = hall.governance.sampling
        await hall.until(date(2026, 11, 30))
        assert await tick(hall.governance) == 0
        assert await sampling.get(made.id) is None
        await hall.until(date(2026, 12, 1))
        assert await tick(hall.governance) == 1
        found = await sampling.get(made.id)
        assert found is not None
        assert (found.first, found.last, found.treated, found.untreated) == (
            date(2026, 6, 1), date(2026, 11, 30), 40, 60,
        )  # fmt: skip
        assert (len(found.cases), sum(one.treated for one in found.cases)) == (60, 30)
        assert (found.treated_change, found.untreated_change, found.effect) == (50, 10, 40)
        assert found.chance_bps == 0  # no shuffle of the labels comes near it
        assert [one.org_id for one in found.cases if one.treated] == sorted(drawn(found.seed, firms[:40], 30))
        hall.used[True] = {}
        assert await tick(hall.governance) == 0  # drawn once
        assert await sampling.get(made.id) == found

    def test_of_no_effect_is_nothing_that_chance_does_not_do(self) -> None:
        cases = [Case(UUID(int=n), n < 20, 100, 100 + n % 7) for n in range(40)]
        effect = effect_of(cases)
        assert effect is not None
        assert chance("seed", cases, effect) > 1_000

    def test_of_one_side_only_says_nothing(self) -> None:
        assert effect_of([Case(UUID(int=1), True, 1, 2)]) is None
