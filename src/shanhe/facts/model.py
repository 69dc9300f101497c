"""A fact, what may be published, and how two parties can be related. Frozen, pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

Value = int | str | bool | None
"""A whole number in the unit of its name, a text (dates as ISO), true or false; None ends what was said before."""


class Standing(StrEnum):
    """How good a fact is, weakest first: said by the subject, checked against a register or document, measured here."""

    DECLARED = "declared"
    CHECKED = "checked"
    MEASURED = "measured"

    @property
    def sound(self) -> bool:
        """Whether somebody other than the subject answers for it."""
        return self is not Standing.DECLARED


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a name means. `keyed`: several at once, told apart by key (`party`: the key is another subject's id)."""

    zh: str
    en: str
    type: str = "number"
    unit: str = "int"
    of: str = "any"
    keyed: str = ""
    personal: bool = False


@dataclass(frozen=True, slots=True)
class NewFact:
    """To publish; idempotent by `id`. `valid_to` is the last day it holds, None: until something else is said."""

    id: UUID
    subject: UUID
    name: str
    value: Value
    valid_from: date
    valid_to: date | None = None
    key: str = ""
    standing: Standing = Standing.DECLARED
    source: str = "self"
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    id: UUID
    subject: UUID
    name: str
    key: str
    value: Value
    valid_from: date
    valid_to: date | None
    known_at: datetime
    standing: Standing
    source: str
    evidence: str

    def holds(self, on: date) -> bool:
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Use:
    """What facts are read for: a purpose that people were told of, who reads, and perhaps which case it is about."""

    purpose: str
    by: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """That names of a person's facts were read, on what ground; for the person to see."""

    person: UUID
    use: Use
    names: frozenset[str]
    ground: str


class Guard(Protocol):
    """Says whether facts of people may be read, and keeps that they were. Facts of organisations are not its matter."""

    async def people(self, subjects: Sequence[UUID]) -> set[UUID]:
        """Which of the subjects are people."""
        ...

    async def allow(self, person: UUID, use: Use, names: Collection[str]) -> str:
        """The ground on which these names may be read; raises when there is none."""
        ...

    async def keep(self, readings: Sequence[Reading]) -> None:
        """Write down what was read, before anything of it leaves."""
        ...


class Unguarded:
    """A guard that minds nothing: for trying out facts alone."""

    async def people(self, subjects: Sequence[UUID]) -> set[UUID]:
        return set()

    async def allow(self, person: UUID, use: Use, names: Collection[str]) -> str:
        return ""

    async def keep(self, readings: Sequence[Reading]) -> None:
        return None


@dataclass(frozen=True, slots=True)
class RelationTerms:
    """R0's numbers: from which common share on organisations are related, and how long a referral relates."""

    ownership_bps: int
    referral_months: int


TermsOf = Callable[[date], RelationTerms]
"""What R0 says on a day; asked whenever it is needed, for a rule may change while the city runs."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Why two parties count as one (R0). `ground`: same, household, ownership, employment or referral."""

    ground: str
    zh: str
    en: str
