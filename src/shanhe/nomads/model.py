"""Venues, days, cards and what they open. Frozen, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class VenueKind(StrEnum):
    """What a venue is; every one may prove presence, the rest follows from the kind."""

    SPACE = "space"
    LODGING = "lodging"
    ATTRACTION = "attraction"
    MERCHANT = "merchant"
    ACADEMY = "academy"
    CLINIC = "clinic"


class Proof(StrEnum):
    """How a day was proved."""

    CODE = "code"
    CLERK = "clerk"
    LODGING = "lodging"
    COWORKING = "coworking"
    REVIEW = "review"
    """A person of the office believed it, on appeal."""


class Purpose(StrEnum):
    """What days are read for; every reading is written down."""

    OWN = "own"
    QUALIFY = "qualify"


class Benefit(StrEnum):
    """What a year of the card opens, counted on the ledger."""

    ATTRACTION = "attraction"
    NIGHT = "night"
    COURSE = "course"


@dataclass(frozen=True, slots=True)
class NewVenue:
    """To register; `public` when the venue keeps its own private key, else the city keeps one for it. `certified`: a
    second person is asked whether it shall be."""

    name: str
    kind: VenueKind
    org_id: UUID
    address: str = ""
    public: bytes | None = None
    certified: bool = False


@dataclass(frozen=True, slots=True)
class Venue:
    """`certified`: its courses are city-certified (N6)."""

    id: UUID
    org_id: UUID
    name: str
    kind: VenueKind
    address: str
    public: bytes
    own_key: bool
    certified: bool
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Nomad:
    """A person as venues know them: an opaque handle in codes and a short number for lists."""

    person_id: UUID
    handle: UUID
    number: str


@dataclass(frozen=True, slots=True)
class CheckIn:
    """`counted`: the day is new; otherwise it counted before. `days` in the rule's window up to today."""

    day: date
    counted: bool
    days: int
    venue: str


class Standing(StrEnum):
    """A card on a day."""

    NONE = "none"
    COMING = "coming"
    VALID = "valid"
    GRACE = "grace"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Card:
    """One year of the ID. `year` counts from 1; `days_required` is what it vouches for."""

    id: UUID
    person_id: UUID
    year: int
    rule: str
    credential: UUID
    valid_from: date
    valid_until: date
    days_required: int
    issued_at: datetime
    revoked_at: datetime | None
    settled: bool
    ended: bool

    def valid_on(self, day: date) -> bool:
        return self.revoked_at is None and self.valid_from <= day <= self.valid_until


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not, in both languages; `code` is stable: days, insured, resident, early, undeclared."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules said of an application for the card or its renewal."""

    id: UUID
    person_id: UUID
    kind: str
    client_ref: str
    granted: bool
    at: datetime
    card: UUID | None
    reasons: tuple[Reason, ...]
    days: int
    days_required: int
    traces: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Redemption:
    """A ticket that was used: how many it admitted and when."""

    ticket: UUID
    number: int
    admitted: int
    at: datetime
    left: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanner without a network kept: `at` is its own clock, (`scanner`, `seq`) its own count."""

    code: str
    at: datetime
    scanner: str
    seq: int
    companions: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """One scan after synchronising. `outcome`: settled, known, double or refused."""

    scanner: str
    seq: int
    outcome: str
    admitted: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One row of a feed. `outcome`: counted, known, conflict or refused."""

    row: int
    nomad: str
    day: str
    outcome: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Spent:
    """A voucher payment: what the venue got and what is left."""

    id: UUID
    fen: int
    left_fen: int


@dataclass(frozen=True, slots=True)
class CourseTaken:
    """A subsidised course (N6)."""

    id: UUID
    subsidy_fen: int
    pays_fen: int
    left: int


@dataclass(frozen=True, slots=True)
class Stay:
    """Nights or cover at a partner (N8)."""

    id: UUID
    offer: str
    nights: int
    left: int
