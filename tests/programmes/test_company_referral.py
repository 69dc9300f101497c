"""I1: cash and credits in yearly instalments for whoever referred a company, while the company stays."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from shanhe.programmes.api import AlreadyClaimed, NotForYou, State, TrancheState

from .conftest import CREDIT, City

SETTLED = date(2025, 12, 1)
CAPITAL_FEN = 300_000_000  # CNY 3,000,000: a reward of 30,000 in three instalments


async def settled(city: City, capital_fen: int = CAPITAL_FEN) -> UUID:
    firm = await city.company("迁入企业")
    await city.know(firm, "paid_in_capital_fen", capital_fen, on=SETTLED)
    await city.know(firm, "registered_here", True, on=SETTLED)
    for budget in ("referral_cash", "referral_credit"):
        await city.fund(budget, 10**12)
    return firm


def form(firm: UUID) -> dict[str, str]:
    return {"company": str(firm), "settled_on": SETTLED.isoformat()}


class TestCompanyReferral:
    async def test_is_paid_half_in_cash_half_in_credits_over_three_anniversaries(self, city: City) -> None:
        firm, citizen = await settled(city), await city.person()
        app = await city.approve(await city.apply("company_referral", citizen, form(firm)))
        assert app.state is State.ACTIVE
        assert await city.balance(citizen, "cny") == 0
        assert (await city.budget("referral_cash"))[1] == 1_500_000
        for year, paid in ((2026, 1), (2027, 2), (2028, 3)):
            await city.at(date(year, 12, 1))
            assert await city.balance(citizen, "cny") == 500_000 * paid
            newest = (await city.lots(citizen))[-1]
            assert (newest.issued, newest.provenance) == (5_000 * CREDIT, "reward")
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert (await city.budget("referral_cash"))[1] == 0
        assert await city.sound()

    async def test_is_not_paid_for_a_year_the_company_is_gone_and_shrinks_with_its_capital(self, city: City) -> None:
        firm, citizen = await settled(city), await city.person()
        app = await city.approve(await city.apply("company_referral", citizen, form(firm)))
        await city.know(firm, "paid_in_capital_fen", CAPITAL_FEN // 2, on=date(2026, 6, 1))
        await city.at(date(2026, 12, 1))
        assert await city.balance(citizen, "cny") == 250_000
        await city.know(firm, "registered_here", False, on=date(2027, 10, 1))
        await city.at(date(2027, 12, 1))
        await city.at(date(2028, 12, 1))
        file = await city.programmes.file(app.id)
        assert [tranche.state for tranche in file.tranches] == [
            TrancheState.RELEASED, TrancheState.CANCELLED, TrancheState.CANCELLED,
        ]  # fmt: skip
        assert await city.balance(citizen, "cny") == 250_000
        assert await city.budget("referral_cash") == (10**12 - 250_000, 0)
        assert await city.sound()

    async def test_rewards_quality_by_the_value_index_at_settlement(self, city: City) -> None:
        firm, citizen = await settled(city), await city.person()
        await city.know(firm, "value_index", 10_000, on=SETTLED)
        await city.approve(await city.apply("company_referral", citizen, form(firm)))
        assert (await city.budget("referral_cash"))[1] == 2_250_000

    async def test_belongs_to_one_referrer_who_owns_nothing_of_the_company(self, city: City) -> None:
        firm, citizen, owner = await settled(city), await city.person(), await city.person("股东")
        await city.know(firm, "owned_by", 3_000, key=await city.subject(owner))
        with pytest.raises(NotForYou, match="common ownership"):
            await city.apply("company_referral", owner, form(firm))
        await city.apply("company_referral", citizen, form(firm))
        with pytest.raises(AlreadyClaimed, match="Company"):
            await city.apply("company_referral", await city.person("后来者"), form(firm))

    async def test_makes_referrer_and_company_related_once_it_is_paid(self, city: City) -> None:
        firm, citizen = await settled(city), await city.person()
        await city.approve(await city.apply("company_referral", citizen, form(firm)))
        await city.at(date(2026, 12, 1))
        found = await city.facts.related(await city.subject(citizen), firm, on=date(2027, 1, 1))
        assert found is not None
        assert found.ground == "referral"
