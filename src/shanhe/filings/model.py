"""Algorithms, interventions, complaints. Frozen, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

EVERYTHING: Final = "*"
"""The subject of the city's own record, which covers what has none of its own."""


class AlgorithmKind(StrEnum):
    """As the provisions on algorithmic recommendation sort them; what generates is `generation`."""

    GENERATION = "generation"
    RECOMMENDATION = "recommendation"
    RANKING = "ranking"
    SEARCH = "search"
    DISPATCH = "dispatch"


class Filing(StrEnum):
    NOT_NEEDED = "not_needed"
    PREPARING = "preparing"
    FILED = "filed"
    CHANGED = "changed"
    """Filed once, and another since: the filing has to be brought up to date."""
    WITHDRAWN = "withdrawn"


MISSING: Final = "missing"


class Decision(StrEnum):
    REFUSED = "refused"
    REMOVED = "removed"
    DECLINED = "declined"
    LABELLED = "labelled"


class Grievance(StrEnum):
    ILLEGAL = "illegal"
    FALSE = "false"
    PERSONAL = "personal"
    RIGHTS = "rights"
    MINORS = "minors"
    UNLABELLED = "unlabelled"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class NewAlgorithm:
    """`subject`: `agent/NAME`, `clone/NAME`, `model/ID`, or `*`."""

    id: UUID
    subject: str
    name_zh: str
    name_en: str
    operator: str
    kind: AlgorithmKind
    purpose_zh: str
    purpose_en: str
    sources_zh: str = ""
    sources_en: str = ""
    responsible: UUID | None = None
    assessed_on: date | None = None


@dataclass(frozen=True, slots=True)
class Document:
    kind: str
    title: str
    sha256: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    was: str
    becomes: str
    number: str | None
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Algorithm:
    id: UUID
    subject: str
    name_zh: str
    name_en: str
    operator: str
    kind: AlgorithmKind
    purpose_zh: str
    purpose_en: str
    sources_zh: str
    sources_en: str
    responsible: UUID | None
    state: Filing
    number: str | None
    reason: str
    filed_on: date | None
    assessed_on: date | None
    made_by: str
    made_at: datetime
    changed_at: datetime
    documents: Sequence[Document] = ()
    history: Sequence[Move] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something may be published, and by whose record."""

    may_publish: bool
    needs_record: bool
    filing: str
    algorithm: Algorithm | None


@dataclass(frozen=True, slots=True)
class Intervention:
    """What a guardrail did. `text`: what it met, kept sealed for a while; none of a label."""

    surface: str
    model: str
    rule: str
    category: str
    decision: Decision
    org_id: UUID
    run_id: UUID | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """`text` is empty once its days are over, or its person was erased."""

    id: UUID
    at: datetime
    surface: str
    model: str
    rule: str
    category: str
    decision: Decision
    run_id: UUID | None
    org_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Month:
    month: str
    surface: str
    category: str
    decision: str
    count: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What a complaint without a receipt is about: whose it is, where it is seen, its words if it is words."""

    owner: UUID
    link: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class NewComplaint:
    """About an output, by its receipt, or about a `listing` of the store or words on its page, by its name."""

    id: UUID
    receipt_id: UUID | None
    category: Grievance
    text: str
    listing: str = ""


@dataclass(frozen=True, slots=True)
class Complaint:
    """`model`: of the receipt; of a complaint without one, the listing."""

    id: UUID
    org_id: UUID
    made_by: str
    receipt_id: UUID | None
    model: str
    category: Grievance
    text: str
    state: str
    made_at: datetime
    due_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    answer: str
    appeal_until: datetime | None
    appeal: str
    final_by: str | None
    final_at: datetime | None
    final_answer: str

    def overdue(self, now: datetime) -> bool:
        return self.state in ("open", "appealed") and self.due_at < now
