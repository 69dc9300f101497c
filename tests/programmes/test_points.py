"""Points count when earned, reputation halves in two years, and whole blocks turn into credits (T5, T6, R2)."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from shanhe.ledger.api import InsufficientCredit
from shanhe.programmes.api import NothingToConvert

from .conftest import CREDIT, City


async def earn(city: City, org: UUID, reuses: int, output: str) -> UUID:
    """Five points a checked reuse (T11); the application that earned them."""
    app = await city.apply("open_science", org, {"output": output}, ref=output)
    return (await city.approve(app, {"reuses": reuses})).id


class TestPoints:
    async def test_make_levels_when_earned_and_reputation_while_young(self, city: City) -> None:
        org = await city.person()
        nothing = await city.programmes.points.standing(org)
        assert (nothing.points, nothing.level, nothing.reputation, nothing.coefficient_bps) == (0, 1, 0, 10_000)
        await earn(city, org, 400, "数据集 1")
        now = await city.programmes.points.standing(org)
        assert (now.points, now.lifetime, now.level) == (2000, 2000, 3)
        assert (now.reputation, now.coefficient_bps) == (2000, 15_000)
        await city.later(days=730)
        older = await city.programmes.points.standing(org)
        assert (older.level, older.reputation, older.coefficient_bps) == (3, 1000, 12_500)
        assert older.traces["T6_reputation"]["rule"] == "T6_reputation"

    async def test_that_were_clawed_back_count_for_no_level_and_no_reputation(self, city: City) -> None:
        org = await city.person()
        copied, _ = [await earn(city, org, reuses, f"数据集 {reuses}") for reuses in (400, 100)]
        before = await city.programmes.points.standing(org)
        assert (before.lifetime, before.level, before.coefficient_bps) == (2500, 3, 15_000)
        await city.programmes.awards.claw_back(copied, "error", note="抄袭", actor="test")
        after = await city.programmes.points.standing(org)
        assert (after.points, after.lifetime, after.level, after.reputation) == (500, 500, 2, 500)

    async def test_turn_into_reward_credits_by_whole_blocks_once(self, city: City) -> None:
        org, number = await city.person(), uuid4()
        await earn(city, org, 51, "数据集 1")
        with pytest.raises(InsufficientCredit):
            await city.programmes.points.convert(org, conversion_id=uuid4(), actor="test")
        await city.fund("points_credit", 100 * CREDIT)
        given = [await city.programmes.points.convert(org, conversion_id=number, actor="test") for _ in range(2)]
        coefficient = 10_000 + 255 * 5_000 // 2_000
        assert given == [2 * 10 * CREDIT * coefficient // 10_000] * 2
        assert await city.balance(org) == given[0]
        assert await city.balance(org, "point") == 55
        (lot,) = await city.lots(org)
        assert lot.provenance == "reward"
        after = await city.programmes.points.standing(org)
        assert (after.points, after.lifetime, after.convertible_micro) == (55, 255, 0)
        with pytest.raises(NothingToConvert):
            await city.programmes.points.convert(org, conversion_id=uuid4(), actor="test")
        assert await city.sound()
