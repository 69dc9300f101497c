"""Resources and bookings as plain data: for HTTP, CLI and pages alike."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shanhe.incubator.errors import NAMES
from shanhe.incubator.model import Booking, Quota, Resource


def resource_view(one: Resource) -> dict[str, Any]:
    zh, en = NAMES[one.service]
    return {**asdict(one), "name": {"zh": one.name_zh, "en": one.name_en}, "unit": {"zh": zh, "en": en}}


def booking_view(one: Booking, resource: Resource) -> dict[str, Any]:
    """A booking with what it is of, and the rule's trace."""
    return {**asdict(one), "name": {"zh": resource.name_zh, "en": resource.name_en}, "place": resource.place}


def quota_view(one: Quota) -> dict[str, Any]:
    zh, en = NAMES[one.service]
    return {**asdict(one), "unit": {"zh": zh, "en": en}}
