"""Finding a listing by the words that somebody types, and the orders a window is shown in. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from shanhe.retrieval.api import tokens
from shanhe.store.model import Listing, Standing

ENOUGH: Final = 0.5
"""From which share of what was asked for a text is shown: Chinese has no spaces, and words come in any order."""


class Order(StrEnum):
    RANK = "rank"
    NEW = "new"
    USED = "used"
    RATED = "rated"
    CHEAP = "cheap"


ORDERS: Final[Mapping[Order, Callable[[Standing], tuple[Any, ...]]]] = {
    Order.RANK: lambda one: (-one.score,),
    Order.NEW: lambda one: (-one.created_at.timestamp(),),
    Order.USED: lambda one: (-one.payers, -one.calls),
    Order.RATED: lambda one: (-(one.stars_sum / one.ratings if one.ratings else 0), -one.ratings),
    Order.CHEAP: lambda one: (one.fee_micro, one.markup_bps),
}
"""What comes first; what is equal comes by name."""


def searched(one: Listing, maker: str = "") -> str:
    """All that a listing is found by."""
    return " ".join((one.slug, one.title_zh, one.title_en, one.summary_zh, one.summary_en, maker))


def share(find: str, text: str) -> float:
    """How much of what was asked for stands in a text: 1 where every word does, else its share of pairs of signs."""
    asked, said = (unicodedata.normalize("NFKC", one).casefold() for one in (find, text))
    if all(word in said for word in asked.split()):
        return 1.0
    wanted = set(tokens(asked))
    return len(wanted & set(tokens(said))) / len(wanted) if wanted else 0.0


def matches(find: str, text: str) -> bool:
    return share(find, text) >= ENOUGH
