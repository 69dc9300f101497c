"""Nouns of evaluation sets: cases, answers, reports. Frozen and pure."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

CASES_MAX: Final = 50
QUESTION_MAX_CHARS: Final = 2_000
EXPECTED_MAX_CHARS: Final = 500
REASON_MAX_CHARS: Final = 500
ANSWER_KEPT_CHARS: Final = 500
KINDS: Final = ("agent", "clone")


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question, and what an answer must be: hold a text, match a pattern, or be the text (width, case and space
    aside). `inputs`: what the agent is told first, where it asks for that."""

    question: str
    expected: str
    form: Literal["contains", "regex", "exact"] = "contains"
    inputs: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Answer(msgspec.Struct, frozen=True):
    """What one version said to one case."""

    text: str
    right: bool
    error: str = ""


class Report(msgspec.Struct, frozen=True):
    """A set run against a draft and, where there is one, against what callers get now."""

    id: UUID
    org_id: UUID
    agent: str
    key: bytes
    asked: int
    draft_right: int
    base_right: int | None
    base_version: int | None
    paid_micro: int
    answers: Any
    made_at: datetime
    reason: str = ""
    excused_by: str = ""
    excused_at: datetime | None = None

    @property
    def worse(self) -> bool:
        return self.base_right is not None and self.draft_right < self.base_right

    @property
    def passed(self) -> bool:
        return not self.worse or self.excused_at is not None


def key_of(cases: Sequence[Case], draft: Mapping[str, Any], base: Mapping[str, Any] | None) -> bytes:
    """What a report is about: the same set on the same two versions needs no second run."""
    order = msgspec.json.Encoder(order="deterministic", enc_hook=str)
    return hashlib.sha256(order.encode([cases, draft, base])).digest()


def plainly(text: str) -> str:
    """A text as answers are compared: width, case and space don't matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def right(case: Case, text: str) -> bool:
    """Whether an answer is right by a case that is no pattern."""
    said, wanted = plainly(text), plainly(case.expected)
    return wanted in said if case.form == "contains" else said == wanted
