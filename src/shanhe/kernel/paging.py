"""Lists that are read page after page, to their end: whoever has to act on all of a list never acts on a page of it,
and a copy of what is kept of somebody says where it is cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

Row = TypeVar("Row")
COPY_ROWS: Final = 10_000
"""Rows of one list in a copy: so many that people reach them seldom, so few that no copy fills the memory."""


async def every(
    page: Callable[..., Awaitable[Sequence[Row]]], place: Callable[[Row], Any] = attrgetter("id")
) -> AsyncIterator[Row]:
    """All rows of a list that comes in pages: each is asked for `before` the place of the last row of the one before.
    A row that changes or goes meanwhile moves no other one."""
    before = None
    while rows := await page(before=before):
        for row in rows:
            yield row
        before = place(rows[-1])


async def drawn(page: Callable[..., Awaitable[Sequence[Row]]]) -> list[Row]:
    """As much of a list that comes in pages as `whole` wants."""
    found: list[Row] = []
    async for row in every(page):
        found.append(row)
        if len(found) > COPY_ROWS:
            break
    return found


def whole(found: Any) -> Any:
    """What was drawn, as it lies in a copy. A list that is cut, wherever it is, says so in its last row: how many are
    here, where to ask for more. So whoever draws gives one row more than `COPY_ROWS` of what has more."""
    if isinstance(found, Mapping):
        return {name: whole(value) for name, value in found.items()}
    if not isinstance(found, list | tuple):
        return found
    rows = [whole(one) for one in found[:COPY_ROWS]]
    if len(found) > COPY_ROWS:
        rows.append({"left_out": {"newest_kept": COPY_ROWS, "rest_asked_at": "/my-data"}})
    return rows
