"""T9: 500 to 5,000 credits by the tier of the venue for a paper that uses local models or is co-signed here."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import CREDIT, City


class TestPaperGrant:
    @pytest.mark.parametrize(("tier", "credits"), [("top", 5_000), ("other", 500)])
    async def test_is_paid_by_the_tier_a_reviewer_assesses(self, city: City, tier: str, credits: int) -> None:
        await city.fund("science_credit")
        author = await city.person()
        app = await city.apply("paper_grant", author, {"doi": "10.1000/182"})
        app = await city.approve(app, {"tier": tier, "uses_local_model": True, "co_signed": False})
        assert app.state is State.COMPLETED
        assert await city.balance(author) == credits * CREDIT
        with pytest.raises(AlreadyClaimed):
            await city.apply("paper_grant", await city.person("合作者"), {"doi": "10.1000/182"})

    async def test_that_neither_uses_nor_signs_locally_is_refused(self, city: City) -> None:
        app = await city.apply("paper_grant", await city.person(), {"doi": "10.1000/183"})
        app = await city.approve(app, {"tier": "top", "uses_local_model": False, "co_signed": False})
        assert app.state is State.REFUSED
