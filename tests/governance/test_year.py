"""A year is a year, and three of them end on the day they began, in what the city measures of itself."""

from __future__ import annotations

from datetime import date
from typing import Any

from shanhe.governance.watching import _elapsed_bps
from shanhe.wiring.governance import Counts


class Asked:
    """A gateway that nobody used, which remembers for which days it was asked."""

    def __init__(self) -> None:
        self.days: list[tuple[date, date]] = []

    async def usage_of_all(self, first: date, last: date, _: Any) -> list[Any]:
        self.days.append((first, last))
        return []


class TestYear:
    async def test_of_the_profit_lock_has_no_day_twice(self) -> None:
        for last, first in ((date(2026, 11, 27), date(2025, 11, 28)), (date(2028, 2, 28), date(2027, 3, 1))):
            gateway = Asked()
            counts = Counts(None, gateway)  # type: ignore[arg-type]
            assert (await counts.active_orgs(last), await counts.served_credit_micro(last)) == (0, 0)
            assert gateway.days == [(first, last)] * 2

    def test_the_scorecards_time_is_over_on_the_day_its_last_month_ends(self) -> None:
        start = date(2026, 1, 31)
        assert _elapsed_bps(start, 37, date(2029, 2, 27)) < 10_000
        assert _elapsed_bps(start, 37, date(2029, 2, 28)) == 10_000
        assert _elapsed_bps(start, 36, date(2029, 1, 30)) < 10_000
