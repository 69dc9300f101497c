"""P7: the first three of a month and kind are rewarded in subsidy credits, once each, from a least score on."""

from __future__ import annotations

import pytest

from shanhe.ledger.api import Provenance
from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import CREDIT, City


class TestRankReward:
    async def test_is_paid_once_a_month_and_kind_in_subsidy(self, city: City) -> None:
        await city.fund("rank_credit")
        firm = await city.company("月度第一")
        city.measured["month_place", firm] = 1
        city.measured["month_score", firm] = 6_000
        app = await city.apply("rank_reward", firm, {"round": "2026-02/agent"})
        assert app.state is State.COMPLETED
        assert await city.balance(firm) == 1_000 * CREDIT
        assert {lot.provenance for lot in await city.lots(firm)} == {Provenance.SUBSIDY}
        with pytest.raises(AlreadyClaimed):
            await city.apply("rank_reward", firm, {"round": "2026-02/agent"}, ref="again")

    async def test_is_nothing_below_the_least_score_or_beyond_the_third(self, city: City) -> None:
        for place, score in ((3, 2_499), (4, 9_000)):
            firm = await city.company(f"第 {place} 名")
            city.measured["month_place", firm] = place
            city.measured["month_score", firm] = score
            assert (await city.apply("rank_reward", firm, {"round": "2026-02/agent"})).state is State.REFUSED
