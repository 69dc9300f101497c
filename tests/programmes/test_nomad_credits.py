"""N5: CNY 1,000 in credits for whoever holds a valid nomad ID, once a year, for as long as it is renewed."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import CREDIT, City


class TestNomadCredits:
    async def test_are_paid_every_year_the_id_is_valid_and_end_after_the_grace(self, city: City) -> None:
        await city.fund("nomad_credit")
        nomad = await city.person()
        await city.know(nomad, "nomad_id", True, on=date(2026, 3, 1), to=date(2027, 2, 28))
        app = await city.apply("nomad_credits", nomad)
        assert await city.balance(nomad) == 1_000 * CREDIT
        await city.at(date(2027, 3, 20))  # the ID has lapsed; within the grace nothing is lost
        assert (await city.programmes.file(app.id)).application.state is State.ACTIVE
        await city.know(nomad, "nomad_id", True, on=date(2027, 3, 21), to=date(2028, 2, 28))
        await city.at(date(2027, 3, 21))
        assert [lot.issued for lot in await city.lots(nomad)] == [1_000 * CREDIT] * 2
        await city.at(date(2028, 4, 1))
        assert (await city.programmes.file(app.id)).application.state is State.ACTIVE
        await city.at(date(2028, 4, 3))
        file = await city.programmes.file(app.id)
        assert file.application.state is State.COMPLETED
        assert file.decisions[-1].reasons[0]["zh"] == "没有有效的数字游民身份"
        await city.know(nomad, "nomad_id", True, on=date(2028, 4, 3))
        again = await city.apply("nomad_credits", nomad, ref="b")  # the year that was not renewed was not had
        assert (again.state, len(await city.lots(nomad))) == (State.ACTIVE, 3)

    async def test_without_an_id_are_refused_with_what_would_change_it(self, city: City) -> None:
        nomad = await city.person()
        app = await city.apply("nomad_credits", nomad)
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["en"] == "there is no valid digital nomad ID"
        assert reason["nearest"]
        await city.know(nomad, "nomad_id", True)
        await city.fund("nomad_credit")
        assert (await city.apply("nomad_credits", nomad, ref="b")).state is State.ACTIVE

    async def test_are_not_had_twice_in_twelve_months_over_a_new_year(self, city: City) -> None:
        await city.fund("nomad_credit")
        nomad = await city.person()
        await city.know(nomad, "nomad_id", True, on=date(2026, 3, 1), to=date(2028, 2, 28))
        await city.at(date(2026, 12, 31))
        await city.apply("nomad_credits", nomad)
        await city.at(date(2027, 1, 1))
        with pytest.raises(AlreadyClaimed, match="the last twelve months"):
            await city.apply("nomad_credits", nomad, ref="b")
        checked = await city.programmes.checking.check("nomad_credits", nomad, answers={}, evidence={})
        assert checked.taken == ("本申请人、近十二个月", "this applicant, the last twelve months")
        await city.at(date(2027, 12, 31))
        assert await city.balance(nomad) == 2_000 * CREDIT
        await city.at(date(2028, 1, 1))
        with pytest.raises(AlreadyClaimed, match="the last twelve months"):  # what was renewed was had, too
            await city.apply("nomad_credits", nomad, ref="c")
