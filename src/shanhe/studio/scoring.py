"""Whether an answer is right, and how sure one can be that a model got better. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

RECALL_BPS: Final = 6_000
"""Share of the right answer's pairs of signs that an answer has to have."""
Z_95: Final = 1.959964


class Score(msgspec.Struct, frozen=True):
    """How many of the questions were answered rightly."""

    right: int
    asked: int

    @property
    def bps(self) -> int:
        return self.right * 10_000 // self.asked if self.asked else 0


def asked_as(question: str) -> str:
    """A question as it is compared with others: width, case, marks and spaces don't matter."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", question).casefold() if sign.isalnum())


def grams(text: str) -> Counter[str]:
    """Pairs of neighbouring signs, without spaces, marks, case and width."""
    plain = asked_as(text)
    return Counter(plain[at : at + 2] for at in range(max(1, len(plain) - 1)))


def overlap(answer: str, wanted: str) -> float:
    """Share of what is wanted that the answer has."""
    have, want = grams(answer), grams(wanted)
    return sum((have & want).values()) / max(1, sum(want.values()))


def is_right(answer: str, wanted: str, wrong: str = "") -> bool:
    """Whether an answer says what is wanted, and not what is wrong: most of it, and more of it than of the other."""
    good = overlap(answer, wanted)
    return good * 10_000 >= RECALL_BPS and (not wrong or good > overlap(answer, wrong))


def gain(before: Sequence[bool], after: Sequence[bool]) -> tuple[float, float, float]:
    """(difference, lower, upper) in points of 100: the 95 % interval of a paired difference of proportions.

    The normal one with the paired variance; it says nothing on fewer than 30 questions.
    """
    gained = sum(not one and other for one, other in zip(before, after, strict=True))
    lost = sum(one and not other for one, other in zip(before, after, strict=True))
    return gain_of(len(before), gained, lost)


def gain_of(count: int, gained: int, lost: int) -> tuple[float, float, float]:
    """As `gain`, from how many were asked, newly right and newly wrong."""
    difference = (gained - lost) / count
    variance = (gained + lost - (gained - lost) ** 2 / count) / count**2
    half = Z_95 * math.sqrt(max(variance, 0.0))
    return 100 * difference, 100 * max(-1.0, difference - half), 100 * min(1.0, difference + half)
