"""T15: CNY 30,000 in cash for an AI invention patent held by a company; four eyes before money moves."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyJudged, State, Verdict

from .conftest import City

ANSWERS = {"registration_number": "ZL202610000003.8", "granted_on": "2026-01-20"}


class TestAiPatentOfACompany:
    async def test_is_paid_only_when_a_second_person_agrees(self, city: City) -> None:
        await city.fund("ip_cash", 3_000_000)
        firm = await city.company()
        app = await city.apply("ai_patent_company", firm, ANSWERS)
        decide = city.programmes.reviewing.decide
        await decide(app.id, await city.reviewer("ip_office"), Verdict.PASS)
        first = await city.reviewer("science")
        await decide(app.id, first, Verdict.PASS, assessed={"is_ai": True})
        assert await city.balance(firm, "cny") == 0
        with pytest.raises(AlreadyJudged):
            await decide(app.id, first, Verdict.PASS)
        app = await decide(app.id, await city.reviewer("science", 1), Verdict.PASS)
        assert app.state is State.COMPLETED
        assert await city.balance(firm, "cny") == 3_000_000
        assert await city.budget("ip_cash") == (0, 0)
