"""I3: 20,000 credits a year and one office room for a DAO registered in the city."""

from __future__ import annotations

from datetime import date

from shanhe.identity.api import OrgKind
from shanhe.programmes.api import State

from .conftest import CREDIT, City


class TestDaoSupport:
    async def test_is_credits_and_a_room_every_year_while_rooms_last(self, city: City) -> None:
        await city.fund("dao_credit")
        await city.fund("office_rooms", 2)
        dao = await city.company("山河 DAO", OrgKind.INSTITUTION)
        await city.know(dao, "dao", True, to=date(2027, 12, 31))
        app = await city.apply("dao_support", dao)
        assert app.state is State.ACTIVE
        assert (await city.balance(dao), await city.balance(dao, "ticket")) == (20_000 * CREDIT, 1)
        assert await city.budget("office_rooms") == (1, 0)
        await city.at(date(2027, 3, 2))
        assert await city.budget("office_rooms") == (0, 0)
        other = await city.company("另一 DAO", OrgKind.INSTITUTION)
        await city.know(other, "dao", True)
        assert (await city.apply("dao_support", other)).state is State.WAITING_BUDGET
        assert await city.balance(other) == 0  # all of the award or nothing
        await city.at(date(2028, 3, 4))
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert await city.sound()

    async def test_is_refused_to_others(self, city: City) -> None:
        app = await city.apply("dao_support", await city.company())
        assert app.state is State.REFUSED
