"""Days of the city: where they begin, and which is so many months later."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.kernel.clock import add_months, city_date, midnight
from shanhe.rulebook import calendar

DAYS = st.dates(date(1992, 1, 1), date(2100, 1, 1))


class TestDay:
    def test_begins_eight_hours_before_it_does_in_utc(self) -> None:
        assert midnight(date(2026, 11, 26)).astimezone(UTC) == datetime(2026, 11, 25, 16, tzinfo=UTC)

    @given(DAYS)
    def test_is_the_one_that_its_first_instant_lies_in(self, day: date) -> None:
        assert city_date(midnight(day)) == day


class TestMonths:
    @pytest.mark.parametrize(
        ("day", "months", "wanted"),
        [
            (date(2024, 1, 31), 1, date(2024, 2, 29)),
            (date(2024, 2, 29), 12, date(2025, 2, 28)),
            (date(2026, 3, 31), -1, date(2026, 2, 28)),
            (date(2026, 12, 1), 1, date(2027, 1, 1)),
        ],
    )
    def test_end_on_the_same_day_or_on_the_months_last(self, day: date, months: int, wanted: date) -> None:
        assert add_months(day, months) == wanted

    @pytest.mark.parametrize(("day", "months"), [(date.max, 1), (date.min, -1)])
    def test_ends_with_the_years_there_are(self, day: date, months: int) -> None:
        with pytest.raises(OverflowError):
            add_months(day, months)

    @given(DAYS, st.integers(-600, 600))
    def test_are_those_of_the_rulebook(self, day: date, months: int) -> None:
        assert add_months(day, months).toordinal() == calendar.add_months(day.toordinal(), months)
