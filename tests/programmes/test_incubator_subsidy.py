"""I5 with C2: half of the paid-in capital in compute over five years; capital that leaves brings it all back."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from shanhe.programmes.api import Application, BadAnswers, State, WrongState

from .conftest import CREDIT, City

CAPITAL_FEN = 100_000_000  # CNY 1,000,000: 500,000 credits in five tranches


async def granted(city: City) -> tuple[UUID, Application]:
    await city.fund("incubator_credit", 10**12)
    firm = await city.company("在孵企业")
    await city.know(firm, "incubated", True)
    await city.know(firm, "paid_in_capital_fen", CAPITAL_FEN)
    app = await city.approve(await city.apply("incubator_subsidy", firm, {"platform_first": True}))
    assert app.state is State.ACTIVE
    return firm, app


class TestIncubatorSubsidy:
    async def test_is_paid_in_five_equal_yearly_tranches(self, city: City) -> None:
        firm, app = await granted(city)
        issued = [(await city.lots(firm))[0].issued]
        for year in range(2027, 2031):
            await city.at(date(year, 3, 2))
            issued.append((await city.lots(firm))[-1].issued)
        assert issued == [100_000 * CREDIT] * 5
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert (await city.budget("incubator_credit"))[1] == 0
        assert await city.sound()

    async def test_ends_and_comes_back_when_capital_leaves(self, city: City) -> None:
        firm, app = await granted(city)
        await city.spend(firm, 30_000 * CREDIT)
        await city.know(firm, "paid_in_capital_fen", CAPITAL_FEN - 1, on=date(2026, 8, 1))
        await city.at(date(2026, 8, 1))
        file = await city.programmes.file(app.id)
        assert file.application.state is State.STOPPED
        assert file.history[-1].details == {
            "recovered": {"credit": 70_000 * CREDIT}, "owed": {"credit": 30_000 * CREDIT},
        }  # fmt: skip
        assert await city.balance(firm) == 0
        assert (await city.budget("incubator_credit"))[1] == 0
        await city.at(date(2027, 3, 2))
        assert await city.balance(firm) == 0
        assert await city.sound()

    async def test_breaches_of_exclusivity_warn_then_freeze_then_take_back_what_is_unspent(self, city: City) -> None:
        firm, app = await granted(city)
        await city.spend(firm, 30_000 * CREDIT)
        breach = city.programmes.awards.breach
        assert (await breach(app.id, note="发现使用其他平台", actor="test")).state is State.ACTIVE
        assert (await breach(app.id, note="再次", actor="test")).state is State.SUSPENDED
        await city.at(date(2027, 3, 2))
        assert (await city.programmes.file(app.id)).tranches[1].posting is None
        await city.at(date(2026, 4, 2))
        app = await breach(app.id, note="第三次", actor="test")
        assert app.state is State.STOPPED
        assert (await city.programmes.file(app.id)).history[-1].details == {
            "recovered": {"credit": 70_000 * CREDIT}, "owed": {},
        }  # fmt: skip
        with pytest.raises(WrongState):
            await breach(app.id, note="第四次", actor="test")
        assert await city.sound()

    async def test_needs_the_promise_to_use_this_platform_first(self, city: City) -> None:
        with pytest.raises(BadAnswers, match="declared"):
            await city.apply("incubator_subsidy", await city.company(), {"platform_first": False})

    async def test_outside_the_incubator_is_refused_with_what_would_change_it(self, city: City) -> None:
        firm = await city.company()
        await city.know(firm, "paid_in_capital_fen", CAPITAL_FEN)
        app = await city.apply("incubator_subsidy", firm, {"platform_first": True})
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["nearest"]
