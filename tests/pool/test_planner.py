"""Plans from what the pool knows, and models that move when it says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shanhe.pool.errors import NotMovable
from shanhe.pool.model import Demand
from shanhe.pool.planner import node_of, series

from .conftest import MODEL, Town, ask, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestPlan:
    @pytest.mark.prove
    async def test_keeps_a_model_where_it_is_and_moves_it_when_told(self, town: Town) -> None:
        await town.machine("ban")
        _, client = await town.tenant("planner")
        planner = town.services.pool.planner
        found = await planner.plan()
        assert found.placed["ban"] == (MODEL,)
        assert found.moves == ()
        await planner.move(await town.services.pool.node("ban"), MODEL, load=False, actor="tests")
        await until(lambda: offers(town, "ban", loaded=False))
        assert (await client.post("/v1/chat/completions", json=ask())).status_code in (404, 503)
        assert (await planner.plan()).moves[0].load  # the warm floor wants it back
        assert await planner.apply() == 1
        await until(lambda: offers(town, "ban", loaded=True))
        await until(lambda: town.serves("ban"))
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200

    async def test_refuses_to_move_what_a_node_does_not_have(self, town: Town) -> None:
        await town.machine("wu")
        with pytest.raises(NotMovable):
            await town.services.pool.planner.move(
                await town.services.pool.node("wu"), "another", load=True, actor="tests"
            )

    @pytest.mark.prove
    async def test_reads_hours_without_calls_as_zeros(self, town: Town) -> None:
        now = town.services.clock.now().replace(minute=0, second=0, microsecond=0)
        hours = [Demand(now - timedelta(hours=back), "m", 5, 1, 1) for back in (4, 1)]
        assert series(hours, "m", now) == [5.0, 0.0, 0.0, 5.0, 0.0]
        assert series(hours, "other", now) == []
        assert node_of("not a command") is None


async def offers(town: Town, name: str, *, loaded: bool) -> bool:
    node = await town.services.pool.node(name)
    return [offer.loaded for offer in node.report.offers] == [loaded]
