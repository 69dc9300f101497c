"""T12: 5 % of last month's untied usage above 10,000 credits comes back as a subsidy, once a month."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import CREDIT, City


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
