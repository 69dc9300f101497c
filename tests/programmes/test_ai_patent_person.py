"""T15: CNY 10,000 in cash for an AI invention patent held by a person."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import NotForYou, State

from .conftest import City

ANSWERS = {"registration_number": "ZL202610000002.X", "granted_on": "2026-01-20"}


class TestAiPatentOfAPerson:
    async def test_is_paid_in_cash_after_two_people_of_the_science_bureau_agree(self, city: City) -> None:
        await city.fund("ip_cash", 3_000_000)
        person = await city.person()
        app = await city.approve(await city.apply("ai_patent_person", person, ANSWERS), {"is_ai": True})
        assert app.state is State.COMPLETED
        assert await city.balance(person, "cny") == 1_000_000
        assert await city.balance(person) == 0
        assert await city.sound()

    async def test_is_not_for_companies(self, city: City) -> None:
        with pytest.raises(NotForYou, match="person") as told:
            await city.apply("ai_patent_person", await city.company(), ANSWERS)
        assert "申请主体须为 个人" in told.value.message_zh
