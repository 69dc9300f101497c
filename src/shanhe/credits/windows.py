"""Calendar windows of the city. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shanhe.kernel import clock


@dataclass(frozen=True)
class Span:
    """A window [start, end) of instants, named by its first day in the city."""

    day: date
    start: datetime
    end: datetime


def day(instant: datetime) -> Span:
    """The city's day around an instant."""
    first = clock.city_date(instant)
    return Span(first, midnight(first), midnight(first + timedelta(days=1)))


def month(instant: datetime) -> Span:
    """The city's calendar month around an instant."""
    first = clock.city_date(instant).replace(day=1)
    return Span(first, midnight(first), midnight((first + timedelta(days=31)).replace(day=1)))


def midnight(on: date) -> datetime:
    """The instant, in UTC, at which a day begins in the city."""
    return clock.midnight(on).astimezone(UTC)
