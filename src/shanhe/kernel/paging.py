"""Lists that are read page after page, to their end: whoever has to act on all of a list never acts on a page of it,
whoever looks for words is told where to go on, and a copy of what is kept of somebody says where it is cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

Row = TypeVar("Row")
LOOKED_PAGES: Final = 20
"""Of a list, that are looked through for one leaf."""
PLACE_MAX: Final = 2**63 - 1
"""Of places that are numbers, the last one that the database knows."""
COPY_ROWS: Final = 10_000
"""Rows of one list in a copy: so many that people reach them seldom, so few that no copy fills the memory."""


def place_of(text: str) -> int | None:
    """The place that an address names; None for an empty one, or for one that is none."""
    fits = text.isascii() and text.isdigit() and len(text) < len(str(PLACE_MAX))
    return int(text) if fits else None


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


@dataclass(frozen=True)
class Leaf(Generic[Row]):
    """Some rows of a list, and the place before which it goes on; None where this was its end."""

    rows: list[Row]
    following: Any


def cut(rows: Sequence[Row], most: int, place: Callable[[Row], Any] = attrgetter("id")) -> Leaf[Row]:
    """The leaf of rows of which one more than `most` was asked for."""
    return Leaf(list(rows[:most]), place(rows[most - 1]) if len(rows) > most else None)


async def leaf(
    page: Callable[..., Awaitable[Sequence[Any]]], opened: Callable[[Sequence[Any]], Awaitable[Sequence[Row]]],
    fits: Callable[[Row], bool], *, before: Any, most: int, place: Callable[[Any], Any],
) -> Leaf[Row]:  # fmt: skip
    """The next `most` rows that fit, of a list whose words have to be opened before they can be searched: page after
    page, of which none is kept. After `LOOKED_PAGES` it ends, however few were found, and the next one goes on."""
    found: list[Row] = []
    for _ in range(LOOKED_PAGES):
        rows = await page(before=before)
        if not rows:
            return Leaf(found, None)
        found += [one for one in await opened(rows) if fits(one)]
        if len(found) > most:
            return Leaf(found[:most], place(found[most - 1]))
        before = place(rows[-1])
    return Leaf(found, before)


async def leaves(shown: Callable[..., Awaitable[Leaf[Row]]]) -> list[Row]:
    """The rows of all leaves, for whoever prints a list."""
    found, before = list[Row](), None
    while True:
        one = await shown(before=before)
        found += one.rows
        if (before := one.following) is None:
            return found


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
