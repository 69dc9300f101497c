"""Nouns of contests (P8), and what is pure about them: phases, places, words that give an entrant away."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

TITLE_MAX_CHARS: Final = 60
CALL_MAX_CHARS: Final = 2_000
WORK_MAX_CHARS: Final = 4_000
NOTE_MAX_CHARS: Final = 500
POOL_MAX_FEN: Final = 1_000_000_000_000
ENTRIES_MAX: Final = 500
JURORS_MAX: Final = 50
PLACES_MAX: Final = 100
NAME_MIN_CHARS: Final = 2
"""A shorter name is too common a word to be looked for."""


class Phase(StrEnum):
    ANNOUNCED = "announced"
    ENTRIES = "entries"
    JURY = "jury"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class NewContest:
    """To call; idempotent by `id`. Days are the city's, each included."""

    id: UUID
    title_zh: str
    title_en: str
    call_zh: str
    call_en: str
    pool_fen: int
    opens_on: date
    entries_until: date
    judged_until: date


@dataclass(frozen=True, slots=True)
class Contest:
    id: UUID
    title_zh: str
    title_en: str
    call_zh: str
    call_en: str
    pool_fen: int
    opens_on: date
    entries_until: date
    judged_until: date
    created_at: datetime
    decided_at: datetime | None
    paid_at: datetime | None

    def phase(self, today: date) -> Phase:
        if self.decided_at is not None:
            return Phase.DECIDED
        if today < self.opens_on:
            return Phase.ANNOUNCED
        return Phase.ENTRIES if today <= self.entries_until else Phase.JURY


@dataclass(frozen=True, slots=True)
class Entry:
    """An organisation's entry, as it and the operators see it."""

    id: UUID
    contest: UUID
    n: int
    org_id: UUID
    listing: UUID
    work: str
    entered_at: datetime
    withdrawn_at: datetime | None
    place: int | None
    mean_bps: int | None
    application: UUID | None


@dataclass(frozen=True, slots=True)
class Blind:
    """An entry as a juror sees it: a number and what was written without names; the juror's own points so far."""

    id: UUID
    n: int
    kind: str
    work: str
    score_bps: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Winner:
    """Who took a place, for everybody; `prize_fen` by P8."""

    place: int
    org_id: UUID
    maker: str
    name: str
    title_zh: str
    title_en: str
    mean_bps: int
    prize_fen: int
    application: UUID | None


@dataclass(frozen=True, slots=True)
class Honour:
    """What stands on a winner's listing."""

    contest: UUID
    title_zh: str
    title_en: str
    place: int
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Judged:
    """An entry with the points it got, for placing."""

    id: UUID
    n: int
    entered_at: datetime
    scores: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placing:
    id: UUID
    place: int
    mean_bps: int


def placed(judged: Sequence[Judged], jurors_min: int) -> list[Placing]:
    """Places by the mean of the points, the earlier entry first among equals; too few jurors give no place."""
    counted = [one for one in judged if len(one.scores) >= jurors_min]
    ordered = sorted(counted, key=lambda one: (-sum(one.scores) * 1_000_000 // len(one.scores), one.entered_at, one.n))
    return [
        Placing(one.id, place, sum(one.scores) // len(one.scores)) for place, one in enumerate(ordered[:PLACES_MAX], 1)
    ]


def gives_away(work: str, names: Iterable[str]) -> str | None:
    """The first of an entrant's names that its text says, whatever its width, case and spaces; None if it says none."""
    text = _plain(work)
    for name in names:
        plain = _plain(name)
        if len(plain) >= NAME_MIN_CHARS and plain in text:
            return name
    return None


def _plain(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", text).casefold() if sign.isalnum())
