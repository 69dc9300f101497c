"""Records of readings, requests of people, impact assessments. Frozen, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """That facts of a person were read: for what, on what ground, by whom, about which case."""

    id: UUID
    at: datetime
    purpose: str
    ground: str
    by: str
    about: str
    names: tuple[str, ...]


class RequestKind(StrEnum):
    """What a person asks of the city about their data (PIPL 44–48)."""

    CORRECTION = "correction"
    EXPLANATION = "explanation"
    RESTRICTION = "restriction"
    OTHER = "other"


class RequestState(StrEnum):
    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """`asked` and `answer` are empty once the person is erased."""

    id: UUID
    person_id: UUID
    kind: RequestKind
    state: RequestState
    asked: str
    answer: str
    asked_at: datetime
    due_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    def overdue(self, now: datetime) -> bool:
        return self.state is RequestState.OPEN and self.due_at < now


class Conclusion(StrEnum):
    ACCEPTABLE = "acceptable"
    WITH_MEASURES = "with_measures"
    NOT_ACCEPTABLE = "not_acceptable"


GROUNDS = ("sensitive", "automated", "entrusted", "abroad", "other")
"""Why an assessment is due (PIPL 55)."""


@dataclass(frozen=True, slots=True)
class NewAssessment:
    """An impact assessment (PIPL 55, 56); idempotent by `id`. A later one of the same purpose succeeds it."""

    id: UUID
    purpose: str
    grounds: tuple[str, ...]
    necessity: str
    impact: str
    safeguards: str
    conclusion: Conclusion


@dataclass(frozen=True, slots=True)
class Assessment:
    id: UUID
    purpose: str
    grounds: tuple[str, ...]
    necessity: str
    impact: str
    safeguards: str
    conclusion: Conclusion
    made_by: str
    made_at: datetime
    keep_until: date


@dataclass(frozen=True, slots=True)
class Standing:
    """How one person stands to one purpose: the notice in force, and whether it is used for them today."""

    purpose: str
    title: Mapping[str, str]
    notice: Mapping[str, str]
    version: str
    basis: str
    article: str
    sensitive: bool
    refusable: bool
    used: bool
    """Whether the person's data may be used for it today."""
    consented: str
    """The version consented to, if any counts; empty otherwise."""
    given_at: datetime | None
    assessed: bool

    @property
    def by_consent(self) -> bool:
        return self.basis == "consent"


@dataclass(frozen=True, slots=True)
class Copy:
    """Everything about a person: `data` for machines, by drawer."""

    person_id: UUID
    made_at: datetime
    data: Mapping[str, Any]
