"""An issue and what it tells of. Frozen, pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Final

import msgspec

ITEMS_MAX: Final = 200
"""A week tells of fewer; what is above is cut off and said."""


class Kind(StrEnum):
    """What an item tells of, in the order of the talk. `open` and what follows is listed, not told."""

    RULE_NOW = "rule_now"
    RULE_COMING = "rule_coming"
    OPENED = "opened"
    CLOSING = "closing"
    CONTEST = "contest"
    OPEN = "open"


TOLD: Final = (Kind.RULE_NOW, Kind.RULE_COMING, Kind.OPENED, Kind.CLOSING, Kind.CONTEST)


class Words(msgspec.Struct, frozen=True):
    zh: str
    en: str


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell: `says` is a whole sentence, `link` a path of this site, `on` the day it is about, `for_` whom
    it is for where it is not for everybody."""

    kind: Kind
    ref: str
    title: Words
    says: Words
    link: str
    on: date | None = None
    for_: tuple[str, ...] = ()


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """What was told on `day` of the days after `since`, as it was said then. `cut` items found no room."""

    day: date
    since: date
    items: tuple[Item, ...]
    talk: tuple[Words, ...]
    cut: int
    made_at: datetime

    def of(self, *kinds: Kind) -> list[Item]:
        """Items of these kinds, in the order of the kinds."""
        return [item for kind in kinds for item in self.items if item.kind is kind]


Source = Callable[[date, date], Awaitable[Sequence[Item]]]
"""(since, until): what happened after the first day up to and on the second, and what stands open then."""
