"""Webhooks as they are shown: an address without what only its robot may know."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from shanhe.webhooks.model import Delivery, Endpoint


def endpoint_view(one: Endpoint) -> dict[str, Any]:
    """An address by its host: the rest of a robot's address is a secret of its own."""
    return {
        "id": str(one.id), "form": str(one.form), "host": urlsplit(one.url).hostname or "", "kinds": list(one.kinds),
        "state": one.state, "made_at": one.made_at, "failing_since": one.failing_since,
        "turned_at": one.turned_at,
    }  # fmt: skip


def delivery_view(one: Delivery) -> dict[str, Any]:
    """A delivery and what became of it."""
    found: dict[str, Any] = msgspec.to_builtins(one, builtin_types=(type(one.made_at),), enc_hook=str)
    return found
