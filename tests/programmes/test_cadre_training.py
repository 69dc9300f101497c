"""B9: an official with sixteen hours of AI training within a year, in a department that films with AI, is certified."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from shanhe.facts.api import Use
from shanhe.identity.api import OrgKind
from shanhe.programmes.api import BadAnswers, State

from .conftest import City


async def trained(city: City, *hours: int, share: int = 9_001, since: int = 1) -> tuple[UUID, UUID]:
    """An official with courses of so many hours in the months from `since` on, and the department."""
    department = await city.company("市文旅局", OrgKind.GOVERNMENT)
    await city.know(department, "policy_video_ai_share", share)
    official = await city.person("周科")
    for index, part in enumerate(hours):
        await city.know(official, "ai_training_hours", part, on=date(2026, since, 5 + index), key=f"course-{index}")
    return official, department


def answers(department: UUID) -> dict[str, object]:
    return {"department": str(department), "division_level": True}


async def certified(city: City, official: UUID) -> bool:
    async with city.facts.reading(Use("programmes", "test")) as reader:
        return bool(await reader.value(await city.subject(official), "cadre_trained"))


class TestCadreTraining:
    async def test_sixteen_hours_are_certified_for_a_year_and_earn_points(self, city: City) -> None:
        official, department = await trained(city, 8, 8)
        app = await city.approve(await city.apply("cadre_training", official, answers(department)))
        assert app.state is State.ACTIVE
        assert await city.balance(official, "point") == 80
        assert await certified(city, official)
        assert await city.sound()

    async def test_fifteen_hours_are_refused_with_the_hour_that_is_missing(self, city: City) -> None:
        official, department = await trained(city, 8, 7)
        app = await city.apply("cadre_training", official, answers(department))
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["rule"] == "B9_cadre"
        assert "16" in reason["nearest"][0]["zh"] or "1" in reason["nearest"][0]["zh"]
        assert await city.balance(official, "point") == 0
        assert not await certified(city, official)

    async def test_ninety_percent_of_the_films_is_not_above_ninety(self, city: City) -> None:
        official, department = await trained(city, 16, share=9_000)
        assert (await city.apply("cadre_training", official, answers(department))).state is State.REFUSED

    async def test_hours_that_one_says_of_oneself_count_nothing(self, city: City) -> None:
        from shanhe.facts.api import Standing

        official, department = await trained(city, 8)
        await city.know(official, "ai_training_hours", 8, on=date(2026, 2, 1), key="own", standing=Standing.DECLARED)
        assert (await city.apply("cadre_training", official, answers(department))).state is State.REFUSED

    async def test_is_renewed_only_with_new_hours(self, city: City) -> None:
        official, department = await trained(city, 16)
        app = await city.approve(await city.apply("cadre_training", official, answers(department)))
        await city.know(official, "ai_training_hours", 16, on=date(2026, 12, 1), key="next-year")
        await city.at(date(2027, 3, 2))
        assert await city.balance(official, "point") == 160
        await city.at(date(2028, 3, 1))
        assert await certified(city, official)  # for the year that was renewed, too
        await city.at(date(2028, 3, 2))  # nothing since December 2026
        await city.at(date(2028, 3, 4))
        assert await city.balance(official, "point") == 160
        assert not await certified(city, official)
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED

    async def test_needs_the_declaration_of_rank(self, city: City) -> None:
        official, department = await trained(city, 16)
        with pytest.raises(BadAnswers):
            await city.apply("cadre_training", official, answers(department) | {"division_level": False})

    async def test_points_of_a_false_record_come_back(self, city: City) -> None:
        official, department = await trained(city, 16)
        app = await city.approve(await city.apply("cadre_training", official, answers(department)))
        done = await city.programmes.awards.claw_back(app.id, "error", note="记录不实", actor="test")
        assert done.state is State.STOPPED
        assert await city.balance(official, "point") == 0
        assert await city.sound()
