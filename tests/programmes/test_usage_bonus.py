"""T12: 5 % of last month's untied usage above 10,000 credits comes back as a subsidy, once a month."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from shanhe.programmes.api import AlreadyClaimed, Party, State
from shanhe.rulebook.api import RuleAmendment

from .conftest import CREDIT, RULEBOOK, City

USED = "untied_last_month_micro"


def by_month(city: City, used: Mapping[str, int]) -> None:
    """What a company used in the last full month before a day, by month."""

    async def measure(party: Party, day: date) -> int:
        return used.get(f"{day.year}-{day.month:02}", 0)

    city.measures[USED] = measure


async def appealed(city: City, org: UUID) -> Any:
    app = await city.apply("usage_bonus", org)
    assert app.state is State.REFUSED
    return await city.programmes.applying.appeal(app.id, org, why="账单有误", actor=f"org:{org}")


class TestUsageBonus:
    async def test_is_five_per_cent_of_what_exceeds_the_threshold(self, city: City) -> None:
        await city.fund("usage_credit")
        firm = await city.company()
        city.measured["untied_last_month_micro", firm] = 12_000 * CREDIT
        app = await city.apply("usage_bonus", firm)
        assert app.state is State.COMPLETED
        (lot,) = await city.lots(firm)
        assert (lot.remaining, lot.provenance) == (100 * CREDIT, "subsidy")
        with pytest.raises(AlreadyClaimed, match="this month"):
            await city.apply("usage_bonus", firm, ref="b")
        await city.later(days=31)
        assert (await city.apply("usage_bonus", firm, ref="c")).state is State.COMPLETED

    async def test_at_the_threshold_is_refused_and_says_what_is_missing(self, city: City) -> None:
        firm = await city.company()
        city.measured["untied_last_month_micro", firm] = 10_000 * CREDIT
        app = await city.apply("usage_bonus", firm)
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["nearest"]

    async def test_of_a_month_is_not_paid_again_by_an_appeal_that_is_decided_in_the_next(self, city: City) -> None:
        await city.fund("usage_credit")
        firm = await city.company()
        by_month(city, {"2026-03": 9_000 * CREDIT, "2026-04": 50_000 * CREDIT})
        again = await appealed(city, firm)
        await city.at(date(2026, 4, 2))
        assert (await city.approve(again)).state is State.REFUSED
        assert (await city.apply("usage_bonus", firm, ref="april")).state is State.COMPLETED
        assert await city.balance(firm) == 2_000 * CREDIT

    async def test_is_by_the_rule_that_held_when_the_month_ended(self, city: City, monkeypatch: Any) -> None:
        await city.fund("usage_credit")
        firm = await city.company()
        by_month(city, dict.fromkeys(("2026-03", "2026-04"), 12_000 * CREDIT))
        row = {"from": "2026-03-01", "announced": "2026-01-01", "value": 1_000, "assumed": True,
               "reason": {"zh": "试验", "en": "A trial"}}  # fmt: skip
        double = RULEBOOK.amended([RuleAmendment("x", "T12_usage_bonus", {"parameters": {"rate": [row]}}, "council")])
        monkeypatch.setattr(RULEBOOK, "_edition", double._edition)
        for day, due in ((date(2026, 3, 2), 100), (date(2026, 4, 2), 300)):
            await city.at(day)
            assert (await city.apply("usage_bonus", firm, ref=str(day))).state is State.COMPLETED
            assert await city.balance(firm) == due * CREDIT
