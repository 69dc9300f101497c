"""T4: credits every year by role, for as long as the role stands."""

from __future__ import annotations

from datetime import date

import pytest

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
