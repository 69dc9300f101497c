"""Break-glass: openings, acts, reviews. Frozen, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

READING: Final = "access.audit"
"""The class that moves no money: reading the audit of one object without the permission for it."""
REVERSAL: Final = "approvals.reversal"


class FollowUp(StrEnum):
    """What a review wants done."""

    NONE = "none"
    PROCEDURE = "procedure"
    STAFFING = "staffing"
    RIGHTS = "rights"
    REVERSAL = "reversal"


class GlassState(StrEnum):
    OPEN = "open"
    ENDED = "ended"
    REVIEWED = "reviewed"


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that the person is there now: a code of their authenticator, or a passkey's answer to `ceremony`."""

    code: str = ""
    ceremony: UUID | None = None
    answer: object = None


@dataclass(frozen=True, slots=True)
class NewGlass:
    """What somebody opens: one class of act on one object. `limit_fen` is their own, None: as much as the rule says."""

    id: UUID
    kind: str
    object: str
    reason: str
    limit_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Worth:
    """What a request would move, and on what: `objects` are the names by which an opening may mean it."""

    objects: frozenset[str]
    cash_fen: int = 0
    credit_micro: int = 0
    beneficiary: UUID | None = None
    posting: UUID | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One thing done under an opening. `reversal` is the request to undo it, if a review asked for that."""

    id: UUID
    n: int
    kind: str
    object: str
    value_fen: int
    posting: UUID | None
    at: datetime
    reversal: UUID | None = None
    reversal_state: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    by: UUID
    at: datetime
    justified: bool
    follow_up: FollowUp
    findings: str


@dataclass(frozen=True, slots=True)
class Glass:
    id: UUID
    person_id: UUID
    kind: str
    object: str
    reason: str
    factor: str
    opened_at: datetime
    expires_at: datetime
    cap_fen: int
    spent_fen: int
    review_due: datetime
    ended_at: datetime | None
    review: Review | None
    acts: Sequence[Act] = ()

    def state(self, now: datetime) -> GlassState:
        """What ended by its time is ended, whether or not somebody has written that down."""
        if self.review is not None:
            return GlassState.REVIEWED
        return GlassState.ENDED if self.ended_at is not None or self.expires_at <= now else GlassState.OPEN

    def overdue(self, now: datetime) -> bool:
        return self.review is None and self.review_due < now


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are open, wait for their review, and wait too long."""

    open: int
    unreviewed: int
    overdue: int
