"""Identifiers: UUIDv7 (RFC 9562), so that keys grow with time and index pages stay warm."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A fresh UUIDv7."""
    return uuid7()


def id_time(identifier: uuid.UUID) -> datetime:
    """The creation time that a UUIDv7 carries, to the millisecond, in UTC."""
    if identifier.version != 7:
        raise ValueError(f"{identifier} is not a UUIDv7")
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)
