"""Nouns of clones: mandates and feedback. Frozen and pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

NAME: Final = re.compile(r"^clone/[a-z0-9][a-z0-9-]{1,33}$")
USES: Final = ("consultation", "teaching", "service", "promotion")
"""What an asker may say that a clone is asked for."""
MEANS: Final = ("alliance", "voice", "training")
"""What is done with a clone besides: answering among others, speaking, learning from feedback."""
PURPOSES: Final = USES + MEANS
CALLED_MAX_CHARS: Final = 40
TEXT_MAX_CHARS: Final = 8_000
CODE_BYTES: Final = 18


class State(StrEnum):
    ASKED = "asked"
    GRANTED = "granted"
    DECLINED = "declined"
    REVOKED = "revoked"
    EXPIRED = "expired"
    DROPPED = "dropped"
    """Taken back by the maker."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """A person's consent to one clone. `called` is empty before it is given and once the person is erased."""

    id: UUID
    name: str
    org_id: UUID
    asked: tuple[str, ...]
    asked_until: date
    asked_at: datetime
    state: State
    person_id: UUID | None
    consent_id: UUID | None
    called: str
    purposes: tuple[str, ...]
    until: date | None
    decided_at: datetime | None
    ended_at: datetime | None
    cleared_at: datetime | None
    cleared: Mapping[str, Any]

    @property
    def slug(self) -> str:
        return self.name.partition("/")[2]

    @property
    def model(self) -> str:
        """What its adapters are called in the studio; no key may call them."""
        return f"clone-{self.slug}"


class FeedbackState(StrEnum):
    NEW = "new"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    TAKEN = "taken"
    """In a version of the data set."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user said of an answer; texts are empty once they are deleted or their giver is erased."""

    id: UUID
    name: str
    mandate: UUID
    run_id: UUID
    person_id: UUID
    org_id: UUID
    good: bool
    question: str
    answer: str
    correction: str
    state: FeedbackState
    given_at: datetime
    decided_at: datetime | None
    version_id: UUID | None

    @property
    def lesson(self) -> str:
        """What the clone should have said; empty where that is not known."""
        return self.correction or (self.answer if self.good else "")


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a trained version may be offered: its score, its base's, and that of the version in service, bps (T2)."""

    number: int
    score_bps: int
    base_bps: int
    standing_bps: int
    passed: bool
