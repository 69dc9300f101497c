"""T15: 1,000 credits as a reward for an invention patent; the same number earns nothing else."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import CREDIT, City

ANSWERS = {"registration_number": "ZL202610000001.2", "granted_on": "2026-01-20"}


class TestInventionPatent:
    async def test_is_paid_1000_credits_as_a_reward_that_may_trade_after_a_lock(self, city: City) -> None:
        await city.fund("ip_credit")
        firm = await city.company()
        app = await city.approve(await city.apply("invention_patent", firm, ANSWERS))
        assert app.state is State.COMPLETED
        (lot,) = await city.lots(firm)
        assert (lot.remaining, lot.provenance, lot.cost_fen) == (1_000 * CREDIT, "reward", 100_000)
        assert lot.unlock_at is not None

    async def test_that_earned_credits_earns_no_cash(self, city: City) -> None:
        firm = await city.company()
        await city.apply("invention_patent", firm, ANSWERS)
        with pytest.raises(AlreadyClaimed):
            await city.apply("ai_patent_company", firm, ANSWERS, ref="b")
