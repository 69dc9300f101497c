"""Days that somebody asks about: from one to another, both included."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from shanhe.kernel.clock import DAY, midnight
from shanhe.kernel.errors import Invalid

DAYS: Final = 30
"""Up to the last one, where nobody says since when."""
DAYS_MAX: Final = 366


def days_asked(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """The days that are asked for, `DAYS` up to today where nothing is said; Invalid, see `checked_days`."""
    end = last or today
    return checked_days(first or end - (DAYS - 1) * DAY, end)


def checked_days(first: date, last: date) -> tuple[date, date]:
    """The same days; Invalid where they end before they begin, or are more than DAYS_MAX."""
    if not timedelta() <= last - first <= DAYS_MAX * DAY:
        raise Invalid(
            "period_invalid",
            f"The period must begin before it ends and last at most {DAYS_MAX} days.",
            message_zh=f"起始日期须早于结束日期，且不超过 {DAYS_MAX} 天。",
        )
    return first, last


def span(first: date, last: date) -> tuple[datetime, datetime]:
    """The instants at which the first day begins and the last one ends, in the city."""
    return midnight(first), midnight(last + DAY)
