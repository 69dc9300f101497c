"""T11: five points for every reuse of open data and results, reported month by month."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyClaimed, State

from .conftest import City


class TestOpenScience:
    async def test_earns_five_points_a_reuse_again_in_the_next_month(self, city: City) -> None:
        author = await city.person()
        app = await city.approve(await city.apply("open_science", author, {"output": "数据集-7"}), {"reuses": 12})
        assert app.state is State.COMPLETED
        assert await city.balance(author, "point") == 60
        with pytest.raises(AlreadyClaimed, match="this month"):
            await city.apply("open_science", author, {"output": "数据集-7"}, ref="b")
        await city.later(days=31)
        await city.approve(await city.apply("open_science", author, {"output": "数据集-7"}, ref="c"), {"reuses": 1})
        assert await city.balance(author, "point") == 65
        assert await city.sound()
