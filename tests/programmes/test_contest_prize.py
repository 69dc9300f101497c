"""P8: the first three of a contest share its pool, each once, by a rule that decides at once."""

from __future__ import annotations

import pytest

from shanhe.programmes.api import AlreadyClaimed, NotDecidable, State

from .conftest import City


class TestContestPrize:
    async def test_pays_the_place_its_share_once(self, city: City) -> None:
        await city.fund("contest_cash")
        firm = await city.company("获奖者")
        city.measured["contest_pool_fen", firm] = 1_000_000
        city.measured["contest_place", firm] = 2
        app = await city.apply("contest_prize", firm, {"contest": "c1"})
        assert app.state is State.COMPLETED
        file = await city.programmes.file(app.id)
        assert [item.released for item in file.tranches[0].payments] == [300_000]
        assert file.tranches[0].posting is not None
        with pytest.raises(AlreadyClaimed):
            await city.apply("contest_prize", firm, {"contest": "c1"}, ref="again")

    async def test_gives_nothing_beyond_the_third_and_nothing_without_a_place(self, city: City) -> None:
        firm, other = await city.company("第四名"), await city.company("未获奖")
        city.measured["contest_pool_fen", firm] = 1_000_000
        city.measured["contest_place", firm] = 4
        assert (await city.apply("contest_prize", firm, {"contest": "c1"})).state is State.REFUSED
        with pytest.raises(NotDecidable):
            await city.apply("contest_prize", other, {"contest": "c1"})
