"""The door of the incubator."""

from __future__ import annotations

from shanhe.incubator.errors import (
    BadSlot,
    BeyondQuota,
    BookingConflict,
    Taken,
    TooLate,
    UnknownBooking,
    UnknownResource,
)
from shanhe.incubator.jobs import tick
from shanhe.incubator.model import SERVICES, Booking, Quota, Resource, Slot, at
from shanhe.incubator.service import Incubator
from shanhe.incubator.views import booking_view, quota_view, resource_view

__all__ = [
    "SERVICES",
    "BadSlot",
    "BeyondQuota",
    "Booking",
    "BookingConflict",
    "Incubator",
    "Quota",
    "Resource",
    "Slot",
    "Taken",
    "TooLate",
    "UnknownBooking",
    "UnknownResource",
    "at",
    "booking_view",
    "quota_view",
    "resource_view",
    "tick",
]
