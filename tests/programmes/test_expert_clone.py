"""T1: fine-tuning a clone is sponsored in full up to CNY 100,000 once it is deployed here."""

from __future__ import annotations

from shanhe.programmes.api import State

from .conftest import CREDIT, City


class TestExpertClone:
    async def test_is_sponsored_in_full_up_to_the_cap_once_it_is_deployed(self, city: City) -> None:
        await city.fund("talent_credit")
        expert = await city.person()
        await city.know(expert, "senior_talent", True)
        city.measured.update({("tuned_deployed", "lin"): True, ("tuned_cost_fen", "lin"): 10_000_001})
        app = await city.apply("expert_clone", expert, {"clone": "lin"})
        assert app.state is State.COMPLETED
        assert await city.balance(expert) == 100_000 * CREDIT

    async def test_is_not_paid_before_it_is_deployed(self, city: City) -> None:
        expert = await city.person()
        await city.know(expert, "senior_talent", True)
        city.measured.update({("tuned_deployed", "lin"): False, ("tuned_cost_fen", "lin"): 500_000})
        app = await city.apply("expert_clone", expert, {"clone": "lin"})
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[-1].reasons
        assert reason["nearest"]
