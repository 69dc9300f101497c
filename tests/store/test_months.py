"""Months' rankings when nobody was there to fix them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from unittest.mock import AsyncMock

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.rulebook.api import Rulebook
from shanhe.store import rank_store
from shanhe.store.ranks import MISSED_MAX, Ranks


def ranks(database: Database, day: datetime) -> tuple[Ranks, AsyncMock]:
    shop: Any = AsyncMock()
    shop.cards.return_value = []
    book = Rulebook.load()
    return Ranks(database, FixedClock(day), shop, book, related=AsyncMock(), reward=AsyncMock()), shop.cards


class TestMonths:
    async def test_in_which_no_worker_ran_are_fixed_by_their_own_days(self, database: Database) -> None:
        first, _ = ranks(database, datetime(2026, 8, 3, tzinfo=UTC))
        await first.tick()
        assert await first.months() == [date(2026, 7, 1)]  # a city that begins has no months before
        later, cards = ranks(database, datetime(2026, 11, 5, tzinfo=UTC))
        for _ in range(2):
            await later.tick()
        assert await later.months() == [date(2026, month, 1) for month in (10, 9, 8, 7)]
        asked = [call.kwargs["on"] for call in cards.await_args_list]
        assert sorted(set(asked)) == [date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31)]
        assert len(asked) == 3 * len({call.args for call in cards.await_args_list})  # each once for each kind

    async def test_are_fixed_for_a_year_back_at_most(self, database: Database) -> None:
        await rank_store.fix(database, date(2020, 1, 1), [], datetime(2020, 2, 1, tzinfo=UTC))
        late, _ = ranks(database, datetime(2026, 11, 5, tzinfo=UTC))
        await late.tick()
        assert len(await late.months()) == MISSED_MAX + 1
