"""The only source of time. SQL receives the clock as a parameter; nothing else reads the machine's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

CITY_TZ = ZoneInfo("Asia/Shanghai")


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


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def today(self) -> date:
        return city_date(self.now())


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
