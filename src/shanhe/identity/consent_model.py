"""Frozen data of consent: purposes, what people are told of them, and what they agreed to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import msgspec


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent: `apart` from others, as sensitive data needs it; `given_by` a guardian, for a child; `about` one
    thing among several that the purpose is for."""

    id: UUID
    purpose: str
    basis: str
    article: str
    notice_version: str
    given_at: datetime
    withdrawn_at: datetime | None
    apart: bool = False
    given_by: UUID | None = None
    about: str = ""


class PurposeNotice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What people are told of a purpose from a day on. `again`: an earlier consent no longer counts."""

    version: str
    from_: date = msgspec.field(name="from")
    zh: str
    en: str
    notice_zh: str
    notice_en: str
    again: bool = False


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What personal data is used for, and why that is lawful (PIPL 13)."""

    basis: str
    article: str
    versions: tuple[PurposeNotice, ...]
    facts: frozenset[str] = frozenset()
    sensitive: bool = False
    refusable: bool = False

    def notice(self, on: date) -> PurposeNotice:
        """The version in force on a day; the first one before it began."""
        return next((one for one in reversed(self.versions) if one.from_ <= on), self.versions[0])

    def counts(self, version: str, on: date) -> bool:
        """Whether a consent to a version still counts on a day: nothing that asks again came since."""
        numbers = [one.version for one in self.versions]
        if version not in numbers:
            return False
        since = self.versions[numbers.index(version) + 1 :]
        return not any(one.again and one.from_ <= on for one in since)

    def covers(self, names: Collection[str]) -> bool:
        """Whether it is for reading all of these facts."""
        return "all" in self.facts or set(names) <= self.facts


@dataclass(frozen=True, slots=True)
class Lawful:
    """Why data of a person may be used for a purpose: its basis, and the consent where that is the basis."""

    basis: str
    article: str
    consent: UUID | None = None
