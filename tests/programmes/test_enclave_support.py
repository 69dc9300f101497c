"""I11: a company at a base elsewhere gets tokens, money of its fund and scenes, from that base's own budgets."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from shanhe.ledger.api import Asset
from shanhe.programmes.api import Application, BadAnswers, State, UnknownSite

from .conftest import CREDIT, City

RAISED_FEN = 100_000_000


async def funded(city: City, site: str = "shanghai") -> None:
    await city.fund(f"enclave_{site}_credit", 50_000 * CREDIT)
    await city.fund(f"enclave_{site}_fund", 20_000_000)
    await city.fund(f"enclave_{site}_scenes", 10)


async def granted(city: City) -> tuple[UUID, Application]:
    await funded(city)
    firm = await city.company("飞地企业")
    app = await city.apply("enclave_support", firm, {"site": "shanghai", "raised_fen": RAISED_FEN})
    app = await city.approve(app, {"at_base": True})
    assert app.state is State.ACTIVE
    return firm, app


class TestEnclaveSupport:
    async def test_is_three_in_one_from_the_bases_own_budgets(self, city: City) -> None:
        firm, _ = await granted(city)
        assert await city.balance(firm) == 20_000 * CREDIT
        assert await city.balance(firm, Asset.CNY) == 10_000_000
        assert await city.balance(firm, Asset.TICKET) == 4
        assert (await city.budget("enclave_shanghai_credit"))[0] == 30_000 * CREDIT
        assert (await city.budget("enclave_shenzhen_credit"))[0] == 0
        assert await city.sound()

    async def test_reports_on_the_same_ledger(self, city: City) -> None:
        firm, _ = await granted(city)
        report = await city.programmes.sites.report("shanghai", date(2026, 3, 1), date(2026, 3, 31))
        assert (report.awards, report.companies) == (1, 1)
        tokens = next(flow for flow in report.flows if flow.budget.name == "enclave_shanghai_credit")
        assert (tokens.opening, tokens.funded, tokens.set_aside, tokens.given_back, tokens.closing) == (
            0, 50_000 * CREDIT, 20_000 * CREDIT, 0, 30_000 * CREDIT,
        )  # fmt: skip
        assert tokens.budget.spent == await city.balance(firm)
        later = await city.programmes.sites.report("shanghai", date(2026, 4, 1), date(2026, 4, 30))
        assert [(flow.opening, flow.closing) for flow in later.flows] == [
            (flow.closing, flow.closing) for flow in report.flows
        ]  # fmt: skip
        with pytest.raises(UnknownSite):
            await city.programmes.sites.report("atlantis", date(2026, 3, 1), date(2026, 3, 31))

    async def test_is_renewed_every_year_while_the_company_is_there(self, city: City) -> None:
        firm, _ = await granted(city)
        await city.at(date(2027, 3, 2))
        assert [lot.issued for lot in await city.lots(firm)] == [20_000 * CREDIT] * 2
        assert await city.balance(firm, Asset.TICKET) == 8

    async def test_waits_when_the_base_has_spent_its_budget_whatever_other_bases_have(self, city: City) -> None:
        await funded(city, "shenzhen")
        firm = await city.company("飞地企业")
        app = await city.apply("enclave_support", firm, {"site": "shanghai", "raised_fen": RAISED_FEN})
        app = await city.approve(app, {"at_base": True})
        assert app.state is State.WAITING_BUDGET
        assert await city.balance(firm) == 0

    async def test_who_is_not_admitted_is_refused_with_the_reason(self, city: City) -> None:
        await funded(city)
        app = await city.apply("enclave_support", await city.company(), {"site": "shanghai", "raised_fen": 0})
        app = await city.approve(app, {"at_base": False})
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[-1].reasons
        assert reason["rule"] == "I11_enclave"
        assert reason["nearest"]

    async def test_a_base_that_is_none_is_no_answer(self, city: City) -> None:
        with pytest.raises(BadAnswers, match="one of shanghai"):
            await city.apply("enclave_support", await city.company(), {"site": "atlantis", "raised_fen": 0})

    async def test_ends_and_comes_back_when_the_company_leaves(self, city: City) -> None:
        firm, app = await granted(city)
        await city.spend(firm, 5_000 * CREDIT)
        await city.know(firm, "left_enclave", True, on=date(2026, 8, 1))
        await city.at(date(2026, 8, 1))
        file = await city.programmes.file(app.id)
        assert file.application.state is State.STOPPED
        assert file.history[-1].details["recovered"] == {"credit": 15_000 * CREDIT, "cny": 10_000_000, "ticket": 4}
        assert file.history[-1].details["owed"] == {"credit": 5_000 * CREDIT}
        report = await city.programmes.sites.report("shanghai", date(2026, 3, 1), date(2026, 8, 31))
        assert next(flow.given_back for flow in report.flows if flow.budget.asset == "cny") == 10_000_000
        assert await city.sound()
