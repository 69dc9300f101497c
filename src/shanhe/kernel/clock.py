"""The only source of time. SQL receives the clock as a parameter; nothing else reads the machine's."""

from __future__ import annotations

from calendar import monthrange
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

CITY_TZ = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)


class Clock(Protocol):
    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...

    def today(self) -> date:
        """The current date in the city (Asia/Shanghai)."""
        ...


def city_date(instant: datetime) -> date:
    """The date in the city at an aware instant."""
    return instant.astimezone(CITY_TZ).date()


def midnight(day: date) -> datetime:
    """The instant at which a day begins in the city."""
    return datetime.combine(day, time(), CITY_TZ)


def add_months(day: date, months: int) -> date:
    """The same day so many months later (earlier if negative), or that month's last.

    OverflowError beyond the years there are, as adding days to a date has it.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise OverflowError("date value out of range")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._day = date.min
        self._begins = self._ends = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def today(self) -> date:
        """Worked out once a day, because everything asks."""
        now = self.now()
        if not self._begins <= now < self._ends:
            self._day = city_date(now)
            self._begins, self._ends = (midnight(day).astimezone(UTC) for day in (self._day, self._day + DAY))
        return self._day


class FixedClock:
    """A clock that moves only when told to; for tests and replays."""

    def __init__(self, instant: datetime) -> None:
        if instant.tzinfo is None:
            raise ValueError("a clock needs an aware instant")
        self._instant = instant.astimezone(UTC)

    def now(self) -> datetime:
        return self._instant

    def today(self) -> date:
        return city_date(self._instant)

    def advance(self, **parts: float) -> None:
        """Move forward by a `timedelta(**parts)`."""
        self._instant += timedelta(**parts)

    def set(self, instant: datetime) -> None:
        """Jump to an aware instant, backwards too."""
        self._instant = instant.astimezone(UTC)
