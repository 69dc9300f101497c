"""An application and what becomes of it. Frozen, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class State(StrEnum):
    IN_REVIEW = "in_review"
    RETURNED = "returned"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    APPROVED = "approved"
    WAITING_BUDGET = "waiting_budget"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    STOPPED = "stopped"


class TrancheState(StrEnum):
    PLANNED = "planned"
    COMMITTED = "committed"
    DUE = "due"
    RELEASED = "released"
    CANCELLED = "cancelled"


class Verdict(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Party:
    """Whoever applies or is named. `subject` is whose facts count: a person's own id, else the organisation's."""

    org_id: UUID
    subject: UUID
    kind: str
    name: str
    person_id: UUID | None = None
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """A document named by the applicant: how the issuer refers to it, and its content's SHA-256 in hexadecimal."""

    reference: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not. `nearest` are the smallest changes that would alter it, in words; `rule` is what said so, if a rule."""

    code: str
    zh: str
    en: str
    rule: str = ""
    nearest: tuple[Mapping[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"code": self.code, "zh": self.zh, "en": self.en, "rule": self.rule, "nearest": list(self.nearest)}


@dataclass(frozen=True, slots=True)
class Payment:
    """One asset to one party, in minor units; `released` of it so far."""

    to_org: UUID
    asset: str
    budget: str
    amount: int
    provenance: str | None = None
    released: int = 0
    earmark: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rules say now. Entitled when there is no reason against and nothing missing.

    `missing` names answers and facts without which a rule can't decide; `payments` are of one tranche.
    """

    reasons: tuple[Reason, ...] = ()
    missing: tuple[str, ...] = ()
    payments: tuple[Payment, ...] = ()
    count: int = 1
    due_on: date | None = None
    until: date | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    traces: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entitled(self) -> bool:
        return not self.reasons and not self.missing


@dataclass(frozen=True, slots=True)
class Application:
    id: UUID
    programme: str
    org_id: UUID
    subject: UUID
    person_id: UUID | None
    client_ref: str
    state: State
    round: int
    step: int
    step_due: datetime | None
    overdue_at: datetime | None
    applied_on: date
    answers: Mapping[str, Any]
    evidence: Mapping[str, Evidence]
    breaches: int
    actor: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Tranche:
    application: UUID
    n: int
    state: TrancheState
    due_on: date
    planned_on: date
    met_on: date | None
    committed: bool
    posting: UUID | None
    reason: str
    changed_at: datetime
    freed: bool
    payments: tuple[Payment, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryRow:
    at: datetime
    event: str
    actor: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """`reasons` and `traces` are empty when the person they concern was erased."""

    id: UUID
    kind: str
    at: datetime
    actor: str
    versions: Mapping[str, str]
    reasons: tuple[Mapping[str, Any], ...]
    traces: Mapping[str, Any]
    note: str


@dataclass(frozen=True, slots=True)
class File:
    """Everything about one application, for whoever may see it. `turn`: how often it was returned; never newer than
    the answers with it."""

    turn: int
    application: Application
    tranches: tuple[Tranche, ...]
    decisions: tuple[DecisionRow, ...]
    history: tuple[HistoryRow, ...]


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What one programme means to one party today. `standing`: entitled, not_yet, needs_answers, applied."""

    programme: str
    standing: str
    outcome: Outcome
    application: UUID | None = None


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget's account in minor units: free, promised to awards, and paid out of it so far."""

    name: str
    asset: str
    free: int
    committed: int
    spent: int
    account: UUID
