"""Nouns of clones: mandates and feedback. Frozen and pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
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
PURPOSES_ZH: Final[Mapping[str, str]] = {
    "consultation": "咨询", "teaching": "教学", "service": "服务", "promotion": "宣传", "alliance": "联盟作答",
    "voice": "语音", "training": "训练",
}  # fmt: skip
"""What the person reads in a message."""
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
    held: bool | None = None
    """Whether it is only ever asked, never taught; decided when it is first taken."""

    @property
    def lesson(self) -> str:
        """What the clone should have said; empty where that is not known."""
        return self.correction or (self.answer if self.good else "")


@dataclass(frozen=True, slots=True)
class Compared:
    """A trained version beside the one in service (`number`), on questions that neither learnt from: how many were
    asked and rightly answered, newly right and newly wrong, and the difference in points with its 95 % interval."""

    number: int
    asked: int
    right: int
    base_right: int
    other_right: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a trained version may be offered (T2), and why not: its score, its base's, and that of the version in
    service, bps; all of the same questions where a version is in service (`compared`)."""

    number: int
    score_bps: int
    base_bps: int
    standing_bps: int
    passed: bool
    why_zh: str = ""
    why_en: str = ""
    compared: Compared | None = None


def hold_out(lessons: Sequence[Feedback], share_bps: int) -> dict[UUID, bool]:
    """Which lessons are asked and never taught, at least `share_bps` of all where enough are new; what was decided
    stays, and a question that is known goes where it went before. Pure."""
    fixed: dict[str, bool] = {}
    for one in lessons:
        if one.state is FeedbackState.TAKEN or one.held is not None:
            asked = plainly(one.question)
            fixed[asked] = fixed.get(asked, False) or bool(one.held)
    new = {plainly(one.question) for one in lessons} - fixed.keys()
    fresh = sorted(new, key=lambda text: hashlib.sha256(text.encode()).digest())
    have = sum(fixed.values())
    wanted = max(1, len(lessons) * share_bps // 10_000) - have
    held = set(fresh[: max(0, min(wanted, len(fresh) // 2 if have else max(1, len(fresh) // 2)))])
    fixed |= {text: text in held for text in fresh}
    return {one.id: bool(one.held) if one.held is not None else fixed[plainly(one.question)] for one in lessons}


def plainly(question: str) -> str:
    """A question as it is compared: width, case, marks and spaces don't matter."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", question).casefold() if sign.isalnum())
