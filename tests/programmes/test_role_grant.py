"""T4: credits every year by role, for as long as the role stands."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.kernel.clock import midnight
from shanhe.programmes.api import AlreadyClaimed, NotDecidable, State

from .conftest import CREDIT, City


class TestRoleGrant:
    async def test_is_paid_at_once_and_every_year_until_the_role_ends(self, city: City) -> None:
        await city.fund("talent_credit")
        person = await city.person()
        await city.know(person, "role", "algorithm_engineer", to=date(2028, 1, 1))
        app = await city.apply("role_grant", person)
        assert app.state is State.ACTIVE
        assert await city.balance(person) == 1_000 * CREDIT
        await city.at(date(2027, 3, 1))
        assert await city.balance(person) == 1_000 * CREDIT
        await city.at(date(2027, 3, 2))
        assert [lot.remaining for lot in await city.lots(person)] == [1_000 * CREDIT] * 2
        await city.at(date(2028, 3, 3))
        assert len(await city.lots(person)) == 2
        await city.at(date(2028, 3, 4))
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert await city.sound()

    async def test_asked_for_on_a_leap_day_is_due_on_the_last_of_february_and_on_the_next_leap_day(
        self, city: City
    ) -> None:
        await city.fund("talent_credit")
        person = await city.person()
        await city.know(person, "role", "data_analyst")
        await city.at(date(2028, 2, 29))
        app = await city.apply("role_grant", person)
        for year in (2029, 2030, 2031):
            await city.at(date(year, 2, 28))
        days = [tranche.due_on for tranche in (await city.programmes.file(app.id)).tranches]
        assert days == [date(2028, 2, 29), *(date(year, 2, 28) for year in (2029, 2030, 2031)), date(2032, 2, 29)]

    async def test_that_waited_for_its_budget_expires_a_year_after_it_was_paid(self, city: City) -> None:
        person = await city.person()
        await city.know(person, "role", "data_analyst")
        app = await city.apply("role_grant", person)
        assert app.state is State.WAITING_BUDGET
        await city.fund("talent_credit")
        await city.at(date(2026, 6, 10))
        (lot,) = await city.lots(person)
        assert lot.expires_at == midnight(date(2027, 6, 10))
        assert (await city.programmes.file(app.id)).tranches[1].due_on == date(2027, 3, 2)

    async def test_is_once_a_year(self, city: City) -> None:
        await city.fund("talent_credit")
        person = await city.person()
        await city.know(person, "role", "data_analyst")
        await city.apply("role_grant", person)
        with pytest.raises(AlreadyClaimed, match="this year"):
            await city.apply("role_grant", person, ref="b")
        assert await city.balance(person) == 800 * CREDIT

    async def test_says_what_is_not_known(self, city: City) -> None:
        with pytest.raises(NotDecidable, match="role"):
            await city.apply("role_grant", await city.person())
