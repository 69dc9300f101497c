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
        city.measured["month_payers", firm] = 1
        city.measured["month_own_micro", firm] = 0
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
            city.measured["month_payers", firm] = 9
            city.measured["month_own_micro", firm] = 0
            assert (await city.apply("rank_reward", firm, {"round": "2026-02/agent"})).state is State.REFUSED

    async def test_is_nothing_where_too_few_others_paid_for_it(self, city: City) -> None:
        await city.fund("rank_credit")
        for payers, month, state in ((4, "2026-12", State.REFUSED), (5, "2026-12", State.COMPLETED)):
            firm = await city.company(f"{payers} 家付费")
            city.measured["month_place", firm] = 1
            city.measured["month_score", firm] = 9_000
            city.measured["month_payers", firm] = payers
            city.measured["month_own_micro", firm] = 9_000 * CREDIT
            assert (await city.apply("rank_reward", firm, {"round": f"{month}/prompt"})).state is state

    async def test_is_at_most_a_part_of_what_payers_paid_of_their_own(self, city: City) -> None:
        await city.fund("rank_credit")
        firm = await city.company("五家各付百元")
        for name, value in (("place", 1), ("score", 9_000), ("payers", 5), ("own_micro", 500 * CREDIT)):
            city.measured[f"month_{name}", firm] = value
        app = await city.apply("rank_reward", firm, {"round": "2026-12/prompt"})
        assert app.state is State.COMPLETED
        assert await city.balance(firm) == 100 * CREDIT
