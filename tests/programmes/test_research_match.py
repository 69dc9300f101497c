"""T10: 500 credits for each side of a match that both accepted, at most ten a year a side, never between related ones.

That the board's own acceptance leads here is tests/board/test_match.py's.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from shanhe.programmes.api import AlreadyClaimed, Application, NotDecidable, State

from .conftest import CREDIT, City


async def match(city: City, need: UUID, partner: UUID, name: str, *, related: bool = False) -> Application:
    """As the board reports a match: whose need, whose solution, and whether the two are related."""
    city.measured["match_need_accepts", need] = True
    city.measured["match_solution_accepts", partner] = True
    city.measured["match_related", need] = related
    return await city.apply("research_match", need, {"partner": str(partner), "match": name}, ref=name, evidence={})


class TestResearchMatch:
    async def test_rewards_both_sides_at_once_and_once(self, city: City) -> None:
        await city.fund("science_credit")
        factory, lab = await city.company("工厂"), await city.company("实验室")
        app = await match(city, factory, lab, "视觉质检")
        assert app.state is State.COMPLETED
        assert (await city.balance(factory), await city.balance(lab)) == (500 * CREDIT, 500 * CREDIT)
        with pytest.raises(AlreadyClaimed):
            answers = {"partner": str(lab), "match": "视觉质检"}
            await city.apply("research_match", factory, answers, ref="again", evidence={})

    async def test_counts_ten_a_year_for_each_side(self, city: City) -> None:
        await city.fund("science_credit")
        lab = await city.company("实验室")
        for number in range(10):
            await match(city, await city.company(f"工厂{number}"), lab, "x")
        factory = await city.company("第十一家")
        await match(city, factory, lab, "x")
        assert (await city.balance(factory), await city.balance(lab)) == (500 * CREDIT, 5_000 * CREDIT)

    async def test_between_related_parties_is_refused_with_the_reason(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        app = await match(city, one, two, "x", related=True)
        assert app.state is State.REFUSED
        (decision,) = (await city.programmes.file(app.id)).decisions
        assert "between related parties" in decision.reasons[0]["en"]
        assert (await city.balance(one), await city.balance(two)) == (0, 0)

    async def test_is_not_decided_without_a_match(self, city: City) -> None:
        one, two = await city.company("甲"), await city.company("乙")
        with pytest.raises(NotDecidable):
            await city.apply("research_match", one, {"partner": str(two), "match": "x"}, evidence={})

    async def test_comes_back_when_it_was_made_up(self, city: City) -> None:
        await city.fund("science_credit")
        one, two = await city.company("甲"), await city.company("乙")
        app = await match(city, one, two, "x")
        stopped = await city.programmes.awards.claw_back(app.id, "error", note="虚构", actor="test")
        assert stopped.state is State.STOPPED
        assert (await city.balance(one), await city.balance(two)) == (0, 0)
        assert await city.sound()
