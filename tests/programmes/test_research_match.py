"""T10: 500 credits for each side of a match, at most ten a year a side, never between related parties."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import Application, NotForYou, State

from .conftest import CREDIT, City


async def match(city: City, need: object, partner: object, name: str) -> Application:
    answers = {"partner": str(partner), "need": name, "accepts": True}
    return await city.apply("research_match", need, answers, ref=name)  # type: ignore[arg-type]


class TestResearchMatch:
    async def test_rewards_both_sides(self, city: City) -> None:
        await city.fund("science_credit")
        factory, lab = await city.company("工厂"), await city.company("实验室")
        app = await city.approve(await match(city, factory, lab, "视觉质检"), {"partner_accepts": True})
        assert app.state is State.COMPLETED
        assert (await city.balance(factory), await city.balance(lab)) == (500 * CREDIT, 500 * CREDIT)

    async def test_counts_ten_a_year_for_each_side(self, city: City) -> None:
        await city.fund("science_credit")
        lab = await city.company("实验室")
        for number in range(10):
            factory = await city.company(f"工厂{number}")
            await city.approve(await match(city, factory, lab, "x"), {"partner_accepts": True})
        factory = await city.company("第十一家")
        await city.approve(await match(city, factory, lab, "x"), {"partner_accepts": True})
        assert (await city.balance(factory), await city.balance(lab)) == (500 * CREDIT, 5_000 * CREDIT)

    async def test_between_sister_companies_is_refused(self, city: City) -> None:
        one, two, owner = await city.company("甲"), await city.company("乙"), await city.person("股东")
        for firm in (one, two):
            await city.know(firm, "owned_by", 5_000, key=await city.subject(owner))
        with pytest.raises(NotForYou, match="common ownership"):
            await match(city, one, two, "x")
