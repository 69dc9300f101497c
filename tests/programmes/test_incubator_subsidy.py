"""I5 with C2: half of the paid-in capital in compute over five years; capital that leaves brings it all back."""

from __future__ import annotations

import asyncio
from datetime import date
from types import SimpleNamespace
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import pytest

from shanhe.facts.api import Standing
from shanhe.programmes.api import Application, BadAnswers, State, WrongState
from shanhe.wiring.governance import Accepted

from .conftest import CREDIT, NOON, RULEBOOK, City

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

    async def test_binds_the_capital_for_five_years_and_no_day_longer(self, city: City) -> None:
        for day, state in ((date(2031, 3, 1), State.STOPPED), (date(2031, 3, 2), State.COMPLETED)):
            city.clock.set(NOON)
            firm, app = await granted(city)
            for year in range(2027, 2031):
                await city.at(date(year, 3, 2))
            await city.know(firm, "paid_in_capital_fen", 0, on=day)
            await city.at(day)
            await city.later(days=30)
            assert (await city.programmes.file(app.id)).application.state is state, day

    async def test_suspended_when_its_company_is_erased_ends_and_frees_what_was_set_aside(self, city: City) -> None:
        firm, app = await granted(city)
        for _ in range(2):
            app = await city.programmes.awards.breach(app.id, note="elsewhere", actor="test")
        assert app.state is State.SUSPENDED
        await city.programmes.awards.forget(firm)
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert (await city.budget("incubator_credit"))[1] == 0
        assert await city.sound()

    async def test_knows_a_mistake_of_the_register_that_was_corrected_from_capital_that_left(self, city: City) -> None:
        firm, app = await granted(city)
        for wrong_then_right in (CAPITAL_FEN // 10, CAPITAL_FEN):
            await city.know(firm, "paid_in_capital_fen", wrong_then_right, on=date(2026, 8, 1))
            city.clock.advance(seconds=1)
        await city.know(firm, "paid_in_capital_fen", 1, on=date(2026, 8, 2), standing=Standing.DECLARED)
        await city.at(date(2026, 8, 3))
        assert (await city.programmes.file(app.id)).application.state is State.ACTIVE

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

    async def test_two_breaches_told_of_at_once_are_a_first_and_a_second(self, city: City) -> None:
        _, app = await granted(city)
        both = (city.programmes.awards.breach(app.id, note=note, actor="test") for note in ("五月", "六月"))
        await asyncio.gather(*both)
        file = await city.programmes.file(app.id)
        assert sorted(row.details["measure"] for row in file.history if row.event == "breach") == [1, 2]
        assert (file.application.state, file.application.breaches) == (State.SUSPENDED, 2)

    async def test_third_breach_brings_back_what_is_unspent_though_whoever_said_so_died_then(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        firm, app = await granted(city)
        stopping = city.programmes.awards._stopping
        for note in ("五月", "六月"):
            await stopping.breach(app.id, note=note, actor="test")
        with monkeypatch.context() as patch, pytest.raises(ConnectionError):
            patch.setattr(stopping, "bring_back", AsyncMock(side_effect=ConnectionError))
            patch.setattr(stopping, "claw_back", AsyncMock(side_effect=ConnectionError))
            await stopping.breach(app.id, note="七月", actor="test")
        await city.later(days=1)
        assert (await city.programmes.file(app.id)).application.state is State.STOPPED
        assert await city.balance(firm) == 0
        assert await city.sound()

    async def test_capital_counts_once_through_chains_of_ownership(self, city: City) -> None:
        parent, _ = await granted(city)
        child = await city.company("子公司")
        await city.know(child, "incubated", True)
        await city.know(child, "paid_in_capital_fen", CAPITAL_FEN)
        await city.know(child, "owned_by", 4_000, key=parent)
        app = await city.approve(await city.apply("incubator_subsidy", child, {"platform_first": True}, ref="b"))
        assert app.state is State.ACTIVE
        assert (await city.lots(child))[0].issued == 60_000 * CREDIT  # 40 % of it counts at the parent
        await city.at(date(2027, 3, 2))
        assert (await city.lots(parent))[-1].issued == 100_000 * CREDIT  # and there it goes on counting
        assert (await city.lots(child))[-1].issued == 60_000 * CREDIT
        assert await city.sound()

    async def test_capital_of_a_subsidiary_that_was_first_counts_there(self, city: City) -> None:
        child, _ = await granted(city)
        await city.fund("incubator_credit", 10**12)
        parent = await city.company("母公司")
        await city.know(parent, "incubated", True)
        await city.know(parent, "paid_in_capital_fen", 3 * CAPITAL_FEN)
        await city.know(child, "owned_by", 10_000, key=parent)
        city.clock.advance(days=1)
        await city.approve(await city.apply("incubator_subsidy", parent, {"platform_first": True}, ref="b"))
        assert (await city.lots(parent))[0].issued == 200_000 * CREDIT

    async def test_a_month_spent_mostly_elsewhere_is_found_and_counts_once(self, city: City) -> None:
        firm, app = await granted(city)
        city.measured["captured_last_month_micro", firm] = 1_000 * CREDIT
        await city.know(firm, "outside_use_fen", 100_000, on=date(2026, 4, 1), to=date(2026, 4, 30))
        await city.at(date(2026, 5, 2))
        file = await city.programmes.file(app.id)
        assert [row.details for row in file.history if row.event == "exclusivity_checked"] == [{
            "month": "2026-04", "breach": False, "here_micro": 1_000 * CREDIT, "elsewhere_fen": 100_000,
            "accepted": False,
        }]  # fmt: skip
        await city.know(firm, "outside_use_fen", 100_001, on=date(2026, 5, 1), to=date(2026, 5, 31))
        await city.at(date(2026, 6, 2))
        await city.at(date(2026, 6, 20))
        file = await city.programmes.file(app.id)
        assert [row.details for row in file.history if row.event == "breach"] == [{"measure": 1}]
        await city.know(firm, "outside_use_fen", 10**9, on=date(2026, 6, 1), to=date(2026, 6, 30))
        await city.know(firm, "infeasibility_report", True, on=date(2026, 6, 1), to=date(2026, 6, 30))
        await city.at(date(2026, 7, 2))
        assert (await city.programmes.file(app.id)).application.breaches == 1
        await city.know(firm, "outside_use_fen", 10**9, on=date(2026, 7, 1), to=date(2026, 8, 31))
        await city.at(date(2026, 8, 2))
        assert (await city.programmes.file(app.id)).application.state is State.SUSPENDED
        await city.at(date(2026, 9, 2))
        done = await city.programmes.file(app.id)
        assert (done.application.state, done.application.breaches) == (State.STOPPED, 3)
        assert await city.balance(firm) == 0
        assert await city.sound()

    async def test_an_accepted_infeasibility_report_resumes_what_was_suspended_and_excuses_its_months(
        self, city: City
    ) -> None:
        firm, app = await granted(city)
        for note in ("发现使用其他平台", "再次"):
            await city.programmes.awards.breach(app.id, note=note, actor="test")
        assert (await city.programmes.file(app.id)).application.state is State.SUSPENDED
        accepted = Accepted(city.clock, city.facts, city.programmes, RULEBOOK)
        report = SimpleNamespace(id=uuid4(), content={"org_id": str(firm)})
        async with city.db.transaction() as conn:
            await accepted.infeasibility(conn, report)  # type: ignore[arg-type]
        file = await city.programmes.file(app.id)
        assert file.application.state is State.ACTIVE
        assert file.history[-1].details == {"cause": "infeasibility_accepted"}
        city.measured["captured_last_month_micro", firm] = 0
        await city.know(firm, "outside_use_fen", 10**9, on=date(2026, 4, 1))
        await city.at(date(2026, 5, 2))
        assert (await city.programmes.file(app.id)).application.breaches == 2
        await city.at(date(2027, 4, 2))  # the report was valid for a year
        assert (await city.programmes.file(app.id)).application.state is State.STOPPED

    async def test_the_month_in_which_it_was_applied_for_is_not_judged_for_nobody_was_bound_in_all_of_it(
        self, city: City
    ) -> None:
        firm, app = await granted(city)
        city.measured["captured_last_month_micro", firm] = 0
        await city.know(firm, "outside_use_fen", 10**9, on=date(2026, 2, 1), to=date(2026, 3, 31))
        await city.at(date(2026, 4, 1))
        assert (await city.programmes.file(app.id)).application.breaches == 0
        await city.know(firm, "outside_use_fen", 10**9, on=date(2026, 4, 1), to=date(2026, 4, 30))
        await city.at(date(2026, 5, 1))
        assert (await city.programmes.file(app.id)).application.breaches == 1

    async def test_a_month_that_nobody_declared_says_nothing(self, city: City) -> None:
        _, app = await granted(city)
        await city.at(date(2026, 9, 2))
        assert not [row for row in (await city.programmes.file(app.id)).history if row.event == "exclusivity_checked"]

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
