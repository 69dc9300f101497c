"""Income by day where there are more calls than are read at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import pytest

from shanhe.ledger.api import PostingView, Transfer
from shanhe.pool import earnings
from shanhe.pool.earnings import Day, Earnings, Income

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
ACCOUNT = UUID(int=1)
NODE = cast("Any", SimpleNamespace(contributor=UUID(int=2), engine="node-a"))
EVIDENCE = msgspec.json.encode({"engine": "node-a", "model": "m", "buckets": {"input": 3, "output": 4}})


class Books:
    """A call every six hours, newest first, as the ledger gives them."""

    def __init__(self, calls: int) -> None:
        self.calls = [
            PostingView(one := uuid4(), "call", at := NOW - timedelta(hours=6 * n), at.date(), "", "", None, EVIDENCE,
                        (Transfer(one, uuid4(), ACCOUNT, 10),), ())
            for n in range(calls)
        ]  # fmt: skip

    async def ensure_account(self, *_: Any) -> Any:
        return SimpleNamespace(id=ACCOUNT)

    async def reversed_among(self, _: Any) -> dict[UUID, UUID]:
        return {}

    async def postings(self, *, since: datetime, cursor: str | None, limit: int, **_: Any) -> Any:
        asked = [one for one in self.calls if one.at >= since]
        first = int(cursor or 0)
        more = str(first + limit) if len(asked) > first + limit else None
        return SimpleNamespace(items=asked[first : first + limit], next=more)


class TestDays:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(earnings, "PAGE", 5)
        monkeypatch.setattr(earnings, "PAGES_MAX", 2)

    async def days(self, calls: int) -> Income:
        asked = Earnings(cast("Any", Books(calls)))
        return await asked.days(NODE, NOW - timedelta(days=30))

    async def test_that_were_not_read_whole_are_left_out_and_said(self) -> None:
        found = await self.days(40)
        assert found.since == date(2026, 11, 19)  # ten calls are read, the last two of the 18th's four
        assert found.days == [Day(date(2026, 11, 20), 3, 21, 30), Day(date(2026, 11, 19), 4, 28, 40)]

    async def test_are_all_there_where_all_was_read(self) -> None:
        found = await self.days(9)
        assert found.since == date(2026, 10, 21)
        assert sum(day.calls for day in found.days) == 9
