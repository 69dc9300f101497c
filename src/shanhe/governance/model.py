"""Proposals, their path, figures, projects, duties. Frozen, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final
from uuid import UUID

import msgspec
import yaml

OWNER: Final = "owner"
VETO_DEPARTMENT: Final = "data_group"
RULE_CHANGE: Final = "rulebook_change"


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    zh: str
    en: str


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who decides, by how many different people, within how many days."""

    by: str
    eyes: int
    days: int


class Matter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    zh: str
    en: str
    veto: str
    path: tuple[Step, ...]


class Duties(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The duty matrix: departments, and how each matter is decided."""

    departments: Mapping[str, Text]
    matters: Mapping[str, Matter]

    def owner_of(self, name_zh: str) -> str:
        """The department whose name (or a section of it) a rule gives as its own; the digital office for any other."""
        return next((key for key, text in self.departments.items() if name_zh.startswith(text.zh)), "digital")


@cache
def duties() -> Duties:
    text = (resources.files("shanhe.governance") / "duties.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), Duties)


class State(StrEnum):
    DISCUSSION = "discussion"
    VOTING = "voting"
    APPROVED = "approved"
    ANNOUNCED = "announced"
    ADOPTED = "adopted"
    REJECTED = "rejected"
    VETOED = "vetoed"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


class Vote(StrEnum):
    FOR = "for"
    AGAINST = "against"
    VETO = "veto"


@dataclass(frozen=True, slots=True)
class NewProposal:
    """What somebody with a seat proposes. `content` is an amendment's rows (rule changes) or the matter's facts."""

    id: UUID
    matter: str
    title: str
    why: str
    announced_on: date
    content: Mapping[str, Any]
    rule_id: str | None = None
    department: str = ""
    effective_on: date | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    id: UUID
    matter: str
    department: str
    rule_id: str | None
    title: str
    why: str
    content: Mapping[str, Any]
    state: State
    step: int
    step_due: datetime | None
    overdue_at: datetime | None
    veto: bool
    discuss_until: date
    announced_on: date
    veto_until: date
    effective_on: date
    proposed_by: UUID
    proposed_at: datetime
    decided_by: UUID | None
    changed_at: datetime
    reason: str

    @property
    def path(self) -> Sequence[Step]:
        return duties().matters[self.matter].path

    def at(self, step: int) -> str:
        """The department that decides a step."""
        by = self.path[step].by
        return self.department if by == OWNER else by


@dataclass(frozen=True, slots=True)
class Voice:
    step: int
    person_id: UUID
    vote: Vote
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Comment:
    """`text` is empty once its writer is erased."""

    id: UUID
    person_id: UUID
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class File:
    """A proposal with everything about it; `changes` are a rule's differences, in words and numbers. `following`: the
    comment beyond which more were said; None where these are the last."""

    proposal: Proposal
    changes: Sequence[Mapping[str, Any]]
    votes: Sequence[Voice]
    comments: Sequence[Comment]
    history: Sequence[Mapping[str, Any]]
    following: UUID | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One target of the strategy: how far it is, and how much of its time has passed. `source` names who counted."""

    name: str
    title: Mapping[str, str]
    target: int
    unit: str
    actual: int | None
    source: str
    reached_bps: int | None
    elapsed_bps: int
    at_most: bool = False

    @property
    def behind(self) -> bool:
        """Whether less of the target is reached than of its time has passed."""
        return not self.at_most and self.reached_bps is not None and self.reached_bps < min(self.elapsed_bps, 10_000)


@dataclass(frozen=True, slots=True)
class Project:
    """Something the city invested in; it repays within the months of S3 or goes to the watch list."""

    id: UUID
    name: Mapping[str, str]
    department: str
    started_on: date
    invested_fen: int
    returned_fen: int
    deadline: date
    missing_fen: int
    watched: bool


@dataclass(frozen=True, slots=True)
class Duty:
    """Work of a department with a day by which it is due."""

    department: Mapping[str, str]
    kind: str
    title: Mapping[str, str]
    due_on: date
    overdue: bool
    link: str = ""
