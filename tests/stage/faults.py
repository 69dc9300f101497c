"""Faults at the worst moment: after something was done, and before anybody wrote that down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from shanhe.approvals import doing


@contextmanager
def lost_mark() -> Iterator[list[Any]]:
    """The database goes away when a request that two people agreed to is to be marked as done; which it was.

    Whoever is inside sees no answer, as a browser would."""
    lost: list[Any] = []

    async def away(conn: Any, request_id: Any, *_: Any) -> None:
        lost.append(request_id)
        raise ConnectionResetError

    with suppress(ConnectionResetError), patch.object(doing.store, "end", away):
        yield lost
    assert lost, "nothing was done"
