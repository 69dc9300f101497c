"""Nouns of open science: deposits, versions, authors, reuses. Frozen and pure."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

TITLE_MAX_CHARS, ABSTRACT_MAX_CHARS, LINK_MAX_CHARS, REF_MAX_CHARS = 200, 4_000, 500, 200
REASON_MAX_CHARS: Final = 500
AUTHORS_MAX: Final = 32
"""As many shares as T17 takes."""
LICENCES: Final = (
    "CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "ODbL-1.0",
    "ODC-By-1.0", "PDDL-1.0", "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "EPL-2.0",
    "MulanPSL-2.0", "MulanPubL-2.0", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "LGPL-3.0-or-later",
    "AGPL-3.0-or-later", "Unlicense", "CERN-OHL-P-2.0", "CERN-OHL-S-2.0",
)  # fmt: skip
"""SPDX identifiers of licences under which others may reuse a thing."""


class Kind(StrEnum):
    DATASET = "dataset"
    INTERMEDIATE = "intermediate"
    NEGATIVE = "negative"
    """A failure, so that nobody has to repeat it."""
    CODE = "code"
    PROTOCOL = "protocol"


class State(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    RETRACTED = "retracted"


class How(StrEnum):
    """What reused a deposit."""

    DEPOSIT = "deposit"
    LISTING = "listing"
    """An agent, a server, a model, a prompt or data of the store."""
    MODEL = "model"
    """A model that the studio made."""
    DATASET = "dataset"
    PAPER = "paper"


class ReuseState(StrEnum):
    DECLARED = "declared"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is deposited. `authors`: (organisation, millionths), a million in all, in their order."""

    title: str
    abstract: str
    licence: str
    sha256: str
    link: str
    authors: tuple[tuple[UUID, int], ...]


@dataclass(frozen=True, slots=True)
class Version:
    n: int
    title: str
    abstract: str
    licence: str
    sha256: str
    link: str
    created_at: datetime
    published_at: datetime | None
    authors: tuple[tuple[UUID, int], ...]
    agreed: frozenset[UUID]

    @property
    def waiting(self) -> list[UUID]:
        """Authors who have not said yet that they are."""
        return [party for party, _ in self.authors if party not in self.agreed]

    @property
    def said(self) -> NewVersion:
        """What an author agrees to."""
        return NewVersion(self.title, self.abstract, self.licence, self.sha256, self.link, self.authors)

    @property
    def digest(self) -> str:
        """Of what an author agrees to: another one once any of it is."""
        return hashlib.sha256(msgspec.json.encode((self.n, self.said))).hexdigest()


@dataclass(frozen=True, slots=True)
class Deposit:
    """`versions` newest first."""

    id: UUID
    n: int
    org_id: UUID
    kind: Kind
    state: State
    dataset: UUID | None
    created_at: datetime
    retracted_at: datetime | None
    retraction: str
    versions: tuple[Version, ...]

    @property
    def name(self) -> str:
        """What it is called for good: `os/000001`."""
        return f"os/{self.n:06d}"

    @property
    def current(self) -> Version | None:
        """The newest published version."""
        return next((one for one in self.versions if one.published_at is not None), None)

    @property
    def draft(self) -> Version | None:
        return next((one for one in self.versions if one.published_at is None), None)

    @property
    def parties(self) -> frozenset[UUID]:
        """Whoever deposits it and whoever is or would be an author."""
        return frozenset({self.org_id}) | {party for one in self.versions for party, _ in one.authors}


@dataclass(frozen=True, slots=True)
class Reuse:
    """`earns` None until it is decided; `why_not` says why a confirmed reuse earns nothing."""

    id: UUID
    deposit: UUID
    n: int
    org_id: UUID
    how: How
    ref: str
    source: str
    state: ReuseState
    earns: bool | None
    why_not: str
    declared_at: datetime
    decided_at: datetime | None
    reason: str
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Happened:
    """A line of a deposit's history; `id` is that of its entry in the transparency log."""

    id: UUID
    event: str
    n: int | None
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """What an award asks of a reuse: whether it counts, the authors' shares, and the place of one of them."""

    counts: bool
    shares: tuple[int, ...]
    place: int


Reviewer = Callable[[UUID], Awaitable[bool]]
Title = Callable[[UUID, str], Awaitable[str | None]]
"""What an organisation's thing of a kind is called; None when it has none of that reference."""
Uses = Callable[[UUID], Awaitable[Sequence[tuple[UUID, str]]]]
"""A data set of this city → (organisation, model) that training used it for."""
Award = Callable[[UUID, UUID], Awaitable[None]]
"""(author, reuse): asks for the points that are due."""
