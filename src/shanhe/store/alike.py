"""Names that read much the same, for whoever reviews a listing. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from shanhe.store.model import Listing, Words

ALIKE_SHARE: Final = 0.6
"""From which share of common pairs of signs on two names are shown as alike."""
CONTAINED_SIGNS: Final = 3
"""A name of so many signs or more is alike to one that contains it."""
ALIKE_MAX: Final = 5
LOOKALIKES: Final = str.maketrans("015аеорсухівкмтαβεικνορτυχѕј", "olsaeopcyxibkmtabeiknoptuxsj")
"""Digits, Cyrillic and Greek that pass for Latin letters."""
BLANK: Final = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")
"""Letters and marks that show nothing, though they count as printable: fillers, an empty braille cell, a joiner."""


def skeleton(text: str) -> str:
    """A name without what the eye passes over: case, width, signs between, letters that only look like others."""
    plain = unicodedata.normalize("NFKD", text).casefold().translate(LOOKALIKES)
    return "".join(sign for sign in plain if sign.isalnum() and sign not in BLANK)


def _pairs(text: str) -> frozenset[str]:
    return frozenset(text[at : at + 2] for at in range(len(text) - 1)) or frozenset((text,))


def closeness(one: str, other: str) -> float:
    """How much two skeletons share, 0 … 1: 1 where they are the same or one contains the other."""
    if not one or not other:
        return 0.0
    short, long = sorted((one, other), key=len)
    if one == other or (len(short) >= CONTAINED_SIGNS and short in long):
        return 1.0
    mine, theirs = _pairs(one), _pairs(other)
    return 2 * len(mine & theirs) / (len(mine) + len(theirs))


class Names:
    """What is offered, by the skeletons of its names."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._known = [(one, _skeletons(one.slug, one.words)) for one in listings]

    def alike(self, listing: Listing, words: Words) -> tuple[Listing, ...]:
        """Others' listings that read much like it, the closest first; a short list."""
        mine, found = _skeletons(listing.slug, words), []
        for one, theirs in self._known:
            if one.owner != listing.owner:
                close = max(closeness(a, b) for a, b in zip(mine, theirs, strict=True))
                if close >= ALIKE_SHARE:
                    found.append((-close, one.name, one))
        return tuple(one for *_, one in sorted(found, key=lambda each: each[:2])[:ALIKE_MAX])


def _skeletons(slug: str, words: Words) -> Sequence[str]:
    return [skeleton(text) for text in (slug, words.title_zh, words.title_en)]
