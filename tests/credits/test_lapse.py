"""Expiry warnings and the calendar of breakage; loyalty by quarters."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from tests.credits.conftest import City

from shanhe.credits.loyalty import after, before, quarter_of
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger import history
from shanhe.ledger.api import Asset


class TestLapse:
    async def test_the_owner_is_told_thirty_seven_and_one_day_ahead_once_each(self, city: City) -> None:
        await city.buy(10_000)
        await city.buy(20_000, "p2")  # the same day: one notice for both
        told = []
        start = city.clock.now()
        for days in range(330, 367):
            city.clock.set(start + timedelta(days=days))
            for _ in range(2):
                if await city.credits.lapses.run():
                    told.append(365 - days)
        assert told == [30, 7, 1]
        row = await city.db.fetchrow("SELECT * FROM kernel.notice WHERE kind = 'lapse' LIMIT 1")
        assert row["org_id"] == city.org
        assert "90.00" in str(dict(row))

    async def test_a_warning_missed_while_the_city_was_down_is_made_up(self, city: City) -> None:
        await city.buy(10_000)
        city.clock.advance(days=361)
        assert await city.credits.lapses.run() == 1
        assert await city.credits.lapses.run() == 0
        city.clock.advance(days=3)
        assert await city.credits.lapses.run() == 1

    async def test_everybody_is_told_however_many_lose_something_on_one_day(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the city gives to all of its residents at once ends on one day."""
        monkeypatch.setattr(history, "OWNERS_MAX", 2)
        for n in range(5):
            city.org = new_id()
            await city.buy(10_000, f"p{n}")
        (day,) = await city.credits.lapses.calendar(days=400)
        assert (day.owners, day.amount_micro) == (5, 150 * MICRO)
        city.clock.advance(days=340)
        assert await city.credits.lapses.run() == 5
        assert await city.credits.lapses.run() == 0

    async def test_breakage_is_on_the_calendar_before_it_is_booked_and_then_in_the_books(self, city: City) -> None:
        await city.buy(10_000)
        (day,) = await city.credits.lapses.calendar(days=400)
        assert (day.on, day.amount_micro, day.owners) == (date(2027, 11, 24), 30 * MICRO, 1)
        assert await city.credits.lapses.calendar(days=300) == []
        assert [one.on for one in await city.credits.lapses.of(city.org)] == [day.on]
        assert await city.credits.lapses.of(new_id()) == []
        wallet = await city.ledger.ensure_account(city.org, Asset.CREDIT, "wallet")
        later = datetime(2028, 1, 1, tzinfo=UTC)
        await city.ledger.hold(wallet.id, 10 * MICRO, hold_id=new_id(), purpose="order", expires_at=later)
        city.clock.advance(days=366)
        await city.ledger.sweep()
        breakage = await city.ledger.system_account("breakage", Asset.CREDIT)
        assert (await city.ledger.balance(breakage.id)).balance == 20 * MICRO
        (left,) = await city.credits.lapses.calendar()
        assert (left.on, left.amount_micro, left.held_micro) == (day.on, 10 * MICRO, 10 * MICRO)
        city.clock.advance(days=60)
        await city.ledger.sweep()
        await city.ledger.sweep()
        assert (await city.ledger.balance(breakage.id)).balance == 30 * MICRO
        assert await city.credits.lapses.calendar() == []


class TestLoyalty:
    @pytest.fixture
    def active(self, city: City) -> set[date]:
        """Quarters in which the organisation captured a credit."""
        quarters: set[date] = set()

        async def spent(org: UUID, key: UUID | None, start: datetime, end: datetime) -> int:
            first = (start + timedelta(hours=8)).date()
            assert quarter_of(first) == first
            return MICRO if first in quarters else MICRO - 1

        city.credits.loyalty._spent = spent
        return quarters

    async def test_counts_quarters_in_a_row_up_to_the_running_one(self, city: City, active: set[date]) -> None:
        quarter = quarter_of(city.clock.today())
        steps = {0: (1000, 1), 3: (1000, 1), 4: (900, 2), 7: (900, 2), 8: (800, 3), 11: (800, 3), 12: (700, 4)}
        for count in range(13):
            found = await city.credits.loyalty.standing(city.org)
            assert found.quarters == count
            if count in steps:
                assert (found.fee_bps, found.queue_weight) == steps[count]
            city.credits.loyalty._kept.clear()
            active.add(quarter)
            quarter = before(quarter)

    async def test_a_quarter_not_yet_active_breaks_nothing(self, city: City, active: set[date]) -> None:
        quarter = before(quarter_of(city.clock.today()))
        for _ in range(4):
            active.add(quarter)
            quarter = before(quarter)
        assert (await city.credits.loyalty.standing(city.org)).quarters == 4
        active.discard(before(quarter_of(city.clock.today())))
        assert (await city.credits.loyalty.standing(city.org)).quarters == 0, "a gap does"

    async def test_lowers_the_fee_it_is_given(self, city: City, active: set[date]) -> None:
        assert (await city.credits.loyalty.standing(city.org, fee_bps=500)).fee_bps == 500

    def test_quarters_follow_each_other_across_years(self) -> None:
        assert after(date(2026, 10, 1)) == date(2027, 1, 1)
        assert before(date(2026, 1, 1)) == date(2025, 10, 1)
        for month in range(1, 13):
            first = quarter_of(date(2026, month, 15))
            assert before(after(first)) == first <= date(2026, month, 15) < after(first)
