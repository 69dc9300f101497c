"""Nouns of the store: listings, their versions, checks, ratings. Frozen and pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

SLUG: Final = re.compile(r"^[a-z0-9][a-z0-9-]{1,62}$")
TITLE_MAX_CHARS: Final = 60
SUMMARY_MAX_CHARS: Final = 1_000
NOTE_MAX_CHARS: Final = 500
CONTENT_MAX_BYTES: Final = 64 * 1024
RATING: Final = "rating"
REPLY: Final = "reply"
"""What words of users and of makers are reported as: `rating/ID`, `reply/ID`, both by the rating's id."""


class Kind(StrEnum):
    AGENT = "agent"
    CLONE = "clone"
    ALLIANCE = "alliance"
    MCP = "mcp"
    MODEL = "model"
    DATA = "data"
    PROMPT = "prompt"


class ListingState(StrEnum):
    DRAFT = "draft"
    """Never offered yet."""
    LISTED = "listed"
    DEPRECATED = "deprecated"
    """Still answers those who know it; no longer shown."""
    WITHDRAWN = "withdrawn"
    """By its maker."""
    REMOVED = "removed"
    """By the city, with a reason; a version that is approved, or a second word of the city, brings it back."""


class VersionState(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    ANNOUNCED = "announced"
    """Approved, and dearer than what its users pay: offered once their notice is over."""
    APPROVED = "approved"
    REJECTED = "rejected"
    RETIRED = "retired"
    """Followed by a later approved version."""


ROLES: Final[Mapping[Kind, str]] = {
    Kind.AGENT: "agent_developer", Kind.MCP: "mcp_developer", Kind.MODEL: "maker", Kind.DATA: "maker",
    Kind.PROMPT: "maker", Kind.CLONE: "clone_owner", Kind.ALLIANCE: "clone_owner",
}  # fmt: skip
"""What the maker of a listing is called on a receipt."""


class Check(msgspec.Struct, frozen=True):
    """One automatic check of a submitted version and what it found."""

    name: str
    passed: bool
    zh: str
    en: str


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a maker asks for. Shares and rates in millionths; `makers` empty = the owner alone.

    `rights`: rights in the IP registry that it uses; who holds them and at which rate, the registry says (T16).
    """

    markup_bps: int
    fee_micro: int = 0
    makers: tuple[tuple[UUID, int], ...] = ()
    holders: tuple[tuple[UUID, int], ...] = ()
    rights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewListing:
    """To open; idempotent by `id`."""

    id: UUID
    kind: Kind
    slug: str
    title_zh: str
    title_en: str
    summary_zh: str = ""
    summary_en: str = ""
    category: str = "general"


@dataclass(frozen=True, slots=True)
class Listing:
    id: UUID
    kind: Kind
    slug: str
    owner: UUID
    title_zh: str
    title_en: str
    summary_zh: str
    summary_en: str
    category: str
    state: ListingState
    created_at: datetime

    @property
    def name(self) -> str:
        """What callers and receipts call it: `agent/translator`."""
        return f"{self.kind}/{self.slug}"

    @property
    def words(self) -> Words:
        return Words(self.title_zh, self.title_en, self.summary_zh, self.summary_en, self.category)


class Words(msgspec.Struct, frozen=True):
    """What a listing is called and described as."""

    title_zh: str
    title_en: str
    summary_zh: str
    summary_en: str
    category: str


@dataclass(frozen=True, slots=True)
class Version:
    """`words`: what its listing is called once this is offered; None where it stays as it is. `starts_on`: the day from
    which an announced version is offered; `offered_at`: since when callers got it."""

    id: UUID
    listing: UUID
    n: int
    content: Mapping[str, Any]
    terms: Terms
    notes: str
    state: VersionState
    checks: tuple[Check, ...]
    created_at: datetime
    submitted_at: datetime | None
    decided_at: datetime | None
    decided_by: str
    decision: str
    words: Words | None = None
    starts_on: date | None = None
    offered_at: datetime | None = None
    notes_public: bool = True
    """Whether its notes were written knowing that everybody reads them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is for sale under a name now."""

    listing: Listing
    version: Version


@dataclass(frozen=True, slots=True)
class Move:
    """A listing came to be offered, or no longer: who did it and why. Their own makers need no reason."""

    was: str
    becomes: str
    reason: str
    moved_at: datetime
    moved_by: str


@dataclass(frozen=True, slots=True)
class Case:
    """What a reviewer has to know: `version` is what waits, if any, `before` what is offered now; versions and moves
    the newest first; `alike` is what others offer under much the same name, `parties` what organisations are called."""

    listing: Listing
    version: Version | None
    before: Version | None
    versions: tuple[Version, ...]
    moves: tuple[Move, ...]
    alike: tuple[Listing, ...]
    parties: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Rating:
    listing: UUID
    org_id: UUID
    stars: int
    text: str
    rated_at: datetime
    id: UUID
    struck: bool = False
    """The city took the words away, upon a complaint; the stars stay."""
    reply: str = ""
    replied_at: datetime | None = None
    reply_struck: bool = False


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words that may be complained about: of which listing, whose, and what they say."""

    listing: str
    author: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a listing in the shop window is ranked and ordered by: what it asks, how it stands (score: 10,000 = 100
    points; payers: unrelated organisations that paid for it). Not what it says."""

    id: UUID
    kind: Kind
    slug: str
    owner: UUID
    category: str
    created_at: datetime
    n: int
    markup_bps: int
    fee_micro: int
    calls: int = 0
    stars_sum: int = 0
    ratings: int = 0
    score: int = 0
    usage_bps: int = 0
    jury_bps: int = 0
    payers: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.slug}"


@dataclass(frozen=True, slots=True)
class Card:
    """A listing in the shop window: who makes it, what it asks, how it stands, as in `Standing`."""

    listing: Listing
    maker: str
    version: int
    markup_bps: int
    fee_micro: int
    calls: int
    stars_sum: int
    ratings: int
    score: int
    usage_bps: int
    jury_bps: int
    payers: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """Some cards of the window, and how many it has."""

    cards: tuple[Card, ...]
    count: int


@dataclass(frozen=True, slots=True)
class IncomeDay:
    """What came in on a day through one listing in one role, µ; reversals are a line of their own, negative."""

    day: date
    role: str
    resource: str
    calls: int
    amount_micro: int
