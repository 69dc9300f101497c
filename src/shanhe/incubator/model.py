"""A resource, a booking, a day's slots. Frozen, pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from shanhe.kernel.clock import CITY_TZ, midnight

Service = Literal["desk", "training", "mentoring", "marketing", "adviser"]
SERVICES: Final[tuple[Service, ...]] = ("desk", "training", "mentoring", "marketing", "adviser")
HOURLY: Final = ("training", "mentoring", "adviser")
"""Booked by the hour; a desk is booked by the month, a campaign by the day."""


@dataclass(frozen=True, slots=True)
class Resource:
    """`seats` may be taken by so many at once, between `opens_hour` and `closes_hour` of the city's day."""

    id: UUID
    service: str
    name_zh: str
    name_en: str
    place: str
    opens_hour: int
    closes_hour: int
    seats: int
    closed_at: datetime | None
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Booking:
    """`units`: desks, hours or campaigns, taken from the quota of `month`. `version`, `trace`: why it was granted."""

    id: UUID
    resource: UUID
    service: str
    org_id: UUID
    month: date
    starts_at: datetime
    ends_at: datetime
    units: int
    state: str
    posted: bool
    reversed: bool
    reason: str
    version: str
    trace: Mapping[str, Any]
    booked_by: str
    booked_at: datetime
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Slot:
    """An hour, a day or a month of a resource, and how many seats are free in it."""

    starts_at: datetime
    free: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What an organisation has of a service in a month, and why."""

    service: str
    month: date
    used: int
    left: int
    version: str
    trace: Mapping[str, Any]


Hours = Callable[[UUID], Awaitable[Any]]
"""The decision (with outputs, version, trace) of what an organisation's value index opens (T13)."""


def month_of(at: datetime) -> date:
    return at.astimezone(CITY_TZ).date().replace(day=1)


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def at(day: date, hour: int = 0) -> datetime:
    """An hour of the city's day as an instant."""
    return midnight(day) + timedelta(hours=hour)


def slots_of(resource: Resource, day: date) -> list[datetime]:
    """Where slots begin on a day: its hours; the day itself; for desks the month."""
    if resource.service == "desk":
        return [at(day.replace(day=1))]
    if resource.service == "marketing":
        return [at(day)]
    return [at(day, hour) for hour in range(resource.opens_hour, resource.closes_hour)]


def span(resource: Resource, starts_at: datetime, units: int) -> tuple[list[datetime], datetime]:
    """The slots that a booking takes, and when it ends."""
    day = starts_at.astimezone(CITY_TZ).date()
    if resource.service == "desk":
        return [starts_at], at(next_month(day))
    if resource.service == "marketing":
        return [starts_at], at(day + timedelta(days=1))
    return [starts_at + timedelta(hours=n) for n in range(units)], starts_at + timedelta(hours=units)
