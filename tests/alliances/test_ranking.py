"""What the value index counts is read from the city itself: calls, other people's use of listings, registers (C9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.identity.api import OrgKind
from shanhe.kernel.db import Database
from shanhe.programmes.api import Counted
from shanhe.wiring.value_index import Ranking

from .conftest import City

FIRST, LAST = date(2025, 1, 1), date(2025, 12, 31)


async def used(city: City, org: UUID, micro: int, resource: str = "") -> None:
    """What the meter would have summed up."""
    db, day = city.services.db, LAST - timedelta(days=30)
    if resource:
        await db.execute(
            """INSERT INTO gateway.resource_day (day, resource, org_id, calls, tokens, amount_micro)
               VALUES ($1, $2, $3, 3, 10, $4)""", day, resource, org, micro,
        )  # fmt: skip
        return
    await db.execute(
        """INSERT INTO gateway.usage_day (day, org_id, key_id, model, calls, input, cached_input, output,
             reasoning, tool, amount_micro) VALUES ($1, $2, $3, 'm', 1, 1, 0, 1, 0, 0, $4)""", day, org, uuid4(), micro,
    )  # fmt: skip


class TestRanking:
    async def test_counts_use_by_strangers_and_what_registers_say(self, city: City) -> None:
        services = city.services
        firm, stranger, sister = await city.local("甲"), await city.local("乙"), await city.local("丙")
        school = await city.company("学院", OrgKind.INSTITUTION)
        await city.know(sister, "owned_by", 6_000, key=firm, on=date(2024, 1, 1))
        for org in (firm, stranger, school):
            await used(city, org, 7_000_000)
        for org in (firm, stranger, sister):
            await used(city, org, 100, "agent/sorter")
            await used(city, org, 100, "data/parts")
        await city.know(firm, "insured_jobs", 12)
        await city.know(firm, "patent", "分拣方法", key="ZL2025001")

        async def listings(owners: Sequence[UUID]) -> dict[UUID, list[tuple[str, str]]]:
            return {firm: [("agent", "agent/sorter"), ("data", "data/parts")]}

        async def related(one: UUID, other: UUID) -> bool:
            return await services.facts.related(one, other) is not None

        ranking = Ranking(services.gateway, services.facts, services.identity, services.rulebook, related)
        ranking.listings = listings
        found: Any = await ranking.count(FIRST, LAST)
        asked = await questions(services.db, ranking)
        assert found == {  # an institution is no company; its own and its sister's use counts nothing
            firm: Counted(7_000_000, 3 + 1, 12, 15), stranger: Counted(7_000_000, 0, 0, 0),
        }  # fmt: skip
        for n in range(10):
            await used(city, await city.local(f"丁{n}"), 1_000_000)
        # nothing is asked for each of ten more; what the city asks by itself meanwhile is counted too
        assert await questions(services.db, ranking) < asked + 5


async def questions(db: Database, ranking: Ranking) -> int:
    """How many statements counting takes."""
    asked = 0

    def counted(ask: Any) -> Any:
        async def asks(*args: Any, **kw: Any) -> Any:
            nonlocal asked
            asked += 1
            return await ask(*args, **kw)

        return asks

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fetch", "fetchrow", "fetchval"):
            patch.setattr(db, name, counted(getattr(db, name)))
        await ranking.count(FIRST, LAST)
    return asked
