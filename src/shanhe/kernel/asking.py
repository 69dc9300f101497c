"""What modules are handed as functions: small questions to others that they do not know, and places to write to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import date
from typing import Any
from uuid import UUID

Announce = Callable[[Any, str, str, Mapping[str, Any]], Awaitable[object]]
"""Writes an event on the caller's connection: (connection, topic, key, payload)."""
Record = Callable[..., Awaitable[Any]]
"""Hands an entry to the log in the caller's transaction: (connection, kind, public, private, id, about)."""
Named = Callable[[UUID], Awaitable[str]]
"""What an organisation is called."""
Names = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, str]]]
"""What each of many organisations is called."""
Related = Callable[[UUID, UUID], Awaitable[bool]]
"""Whether two organisations are related parties (R0)."""
Akin = Callable[[UUID, UUID], Awaitable[bool]]
"""(person, organisation): whether the person belongs to it or to one related to it (R0)."""
Parameter = Callable[[str, date], Any]
"""A parameter of one rule on a day."""
AskSecond = Callable[..., Awaitable[Any]]
"""Asks a second person to agree; the request, or None where one person is enough and it is done."""


def asked_view(asked: Any) -> dict[str, Any]:
    """What waits for the second person, as JSON."""
    return {"id": asked.id, "kind": asked.kind, "state": asked.state, "expires_at": asked.expires_at}
