"""Identifiers: UUIDv7 (RFC 9562), so that keys grow with time and index pages stay warm."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import uuid_utils
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A fresh UUIDv7."""
    return uuid7()


def made_at(identifier: uuid.UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=identifier.int >> 80)


def id_in(text: object) -> uuid.UUID | None:
    """The id that a text is; None for an empty one, or for one that is none."""
    try:
        return uuid.UUID(str(text)) if text else None
    except ValueError:
        return None


def new_id_and_text() -> tuple[uuid.UUID, str]:
    """A fresh UUIDv7 and how it is written: half the price of asking for the one, then for the other."""
    native = uuid_utils.uuid7()
    identifier = uuid.UUID.__new__(uuid.UUID)
    object.__setattr__(identifier, "int", native.int)
    object.__setattr__(identifier, "is_safe", uuid.SafeUUID.unknown)
    return identifier, str(native)
