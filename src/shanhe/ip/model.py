"""Nouns of the registry of rights: entries, terms, numbers. Frozen and pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

TITLE_MAX_CHARS, ABSTRACT_MAX_CHARS, OFFICE_MAX_CHARS, NUMBER_MAX_CHARS = 100, 2_000, 100, 60
REASON_MAX_CHARS: Final = 500
PARTIES_MAX: Final = 32
"""Holders of one right: as many shares as T17 takes."""


class Kind(StrEnum):
    SOFTWARE_COPYRIGHT = "software_copyright"
    INVENTION_PATENT = "invention_patent"
    AI_INVENTION_PATENT = "ai_invention_patent"
    TRADE_SECRET = "trade_secret"
    OTHER = "other"


NUMBERED: Final = frozenset({Kind.SOFTWARE_COPYRIGHT, Kind.INVENTION_PATENT, Kind.AI_INVENTION_PATENT})
"""Kinds that an office registers: they have a number and a day of grant."""


class State(StrEnum):
    DRAFT = "draft"
    FILED = "filed"
    """Waits for the office."""
    VERIFIED = "verified"
    REFUSED = "refused"
    LAPSED = "lapsed"
    """It was verified and is a right no more."""
    WITHDRAWN = "withdrawn"


SHOWN: Final = frozenset({State.VERIFIED, State.LAPSED})
"""What everybody may look at."""


class TermsState(StrEnum):
    OPEN = "open"
    IN_FORCE = "in_force"
    DECLINED = "declined"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """To register. `shares`: (organisation, millionths), a million in all; `rate_ppm` None: calls may not use it."""

    id: UUID
    kind: Kind
    number: str
    title: str
    abstract: str
    office: str
    applied_on: date | None
    granted_on: date | None
    document_sha256: str
    shares: tuple[tuple[UUID, int], ...]
    rate_ppm: int | None = None

    def says(self, entry: Entry) -> bool:
        """Whether an entry says the same already, shares and rate apart."""
        return all(getattr(self, name) == getattr(entry, name) for name in CONTENT)


CONTENT = ("kind", "number", "title", "abstract", "office", "applied_on", "granted_on", "document_sha256")
"""What an entry says of a right."""


@dataclass(frozen=True, slots=True)
class Entry:
    id: UUID
    n: int
    org_id: UUID
    kind: Kind
    number: str
    title: str
    abstract: str
    office: str
    applied_on: date | None
    granted_on: date | None
    document_sha256: str
    state: State
    reason: str
    created_at: datetime
    filed_at: datetime | None
    decided_at: datetime | None

    @property
    def name(self) -> str:
        """What receipts and listings call it: `ip/000001`."""
        return f"ip/{self.n:06d}"


@dataclass(frozen=True, slots=True)
class Terms:
    """Shares and rate that were proposed as one. `consents` by party: what each said so far."""

    n: int
    rate_ppm: int | None
    state: TermsState
    proposed_by: UUID
    proposed_at: datetime
    shares: tuple[tuple[UUID, int], ...]
    consents: tuple[tuple[UUID, bool], ...]

    @property
    def parties(self) -> frozenset[UUID]:
        return frozenset(party for party, _ in self.shares)


@dataclass(frozen=True, slots=True)
class Happened:
    """A line of an entry's history; `id` is that of its entry in the transparency log."""

    id: UUID
    event: str
    terms: int | None
    actor: str
    at: datetime


Shares = Sequence[tuple[UUID, int]]


@dataclass(frozen=True, slots=True)
class File:
    """An entry with its terms, newest first."""

    entry: Entry
    terms: tuple[Terms, ...]
    gone: frozenset[UUID] = frozenset()
    """Parties who were erased: nobody can consent for them, and nobody takes their share."""

    @property
    def n(self) -> int:
        """What it is called by, and its place in the register."""
        return self.entry.n

    @property
    def in_force(self) -> Terms | None:
        return next((one for one in self.terms if one.state is TermsState.IN_FORCE), None)

    @property
    def open(self) -> Terms | None:
        return next((one for one in self.terms if one.state is TermsState.OPEN), None)

    @property
    def holders(self) -> frozenset[UUID]:
        """Parties of the terms in force."""
        return self.in_force.parties if self.in_force else frozenset()

    @property
    def concerned(self) -> frozenset[UUID]:
        """Whose consent the open terms need: of those who hold now and those who would. For whoever was erased nobody
        can consent, and nobody needs to where they keep what they hold."""
        if self.open is None:
            return frozenset()
        return (self.holders | self.open.parties) - (self.gone if self.keeps(self.open.shares) else frozenset())

    @property
    def waiting(self) -> frozenset[UUID]:
        """Who has not consented to the open terms yet."""
        said = {party for party, accept in self.open.consents if accept} if self.open else set()
        return self.concerned - said

    def keeps(self, shares: Shares) -> bool:
        """Whether others' shares leave whoever was erased exactly what they hold."""
        held = dict(self.in_force.shares) if self.in_force else {}
        wanted = dict(shares)
        return all(wanted.get(party) == held.get(party) for party in self.gone)

    def touches(self, org_id: UUID) -> bool:
        """Whether an organisation holds, would hold or registers it."""
        return org_id == self.entry.org_id or org_id in self.holders or org_id in self.concerned


@dataclass(frozen=True, slots=True)
class RightDay:
    """What a right paid one holder on a day, µ."""

    day: date
    party: UUID
    calls: int
    amount_micro: int


def written(number: str) -> str:
    """A number as claims compare it: spaces, dashes, points, case and width do not matter."""
    return re.sub(r"[\s\-–—·.]", "", unicodedata.normalize("NFKC", number).casefold())


def canonical(number: str) -> str:
    """A number as the registry keeps and shows it: letters and digits only, in capitals."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", number)).upper()


def same_as(number: str) -> str:
    """What two ways of writing one number have in common: a patent's `ZL` may be left out."""
    return re.sub(r"^(ZL|CN)(?=\d)", "", canonical(number))


Officer = Callable[[UUID], Awaitable[bool]]
"""Whether a person decides for the office."""
