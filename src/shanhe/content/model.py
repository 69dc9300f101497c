"""Nouns of content: kinds, forms, requests, drafts, profiles, and who pays. Frozen and pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

DRAFTS_MAX: Final = 3
NAME_MAX_CHARS: Final = 60
TEXT_MAX_CHARS: Final = 8_000
TITLE_MAX_CHARS: Final = 120
FREE_RULE: Final = "B10_content_hub"
LANGUAGES: Final = ("zh", "en")
Own = Literal["none", "month", "always"]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something said in both languages."""

    zh: str
    en: str


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a form asks. `profile`: it stays the same from text to text, so that a profile keeps it."""

    zh: str
    en: str
    max_chars: int
    lines: int = 1
    required: bool = False
    profile: bool = False


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of a draft: a text, or (with `items`, by length) a list of texts of at most `chars` each."""

    zh: str
    en: str
    chars: int
    items: dict[str, tuple[int, int]] | None = None
    label: bool = False
    numbered: bool = False
    form: Literal["text", "tags"] = "text"


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A filled form and what is written from it: shown to the model, because small ones learn more from one example
    than from any instruction."""

    fields: dict[str, str]
    parts: dict[str, str | list[str]]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that the hub can write."""

    zh: str
    en: str
    about: Words
    fields: tuple[str, ...]
    instructions: str
    angles: tuple[str, ...]
    parts: dict[str, Part]
    example: Example
    optional: tuple[str, ...] = ()


class Kinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in `kinds.yaml`."""

    fields: dict[str, Field]
    tones: dict[str, Words]
    lengths: dict[str, Words]
    kinds: dict[str, Kind]


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A filled form."""

    fields: dict[str, str]
    tone: str = "plain"
    length: str = "medium"
    language: Literal["zh", "en"] = "zh"


class Profile(msgspec.Struct, frozen=True):
    """What is the same from text to text, kept under a name."""

    id: UUID
    org_id: UUID
    name: str
    fields: Mapping[str, str]
    made_by: str
    made_at: datetime
    changed_at: datetime


class Job(msgspec.Struct, frozen=True):
    """A request for drafts."""

    id: UUID
    org_id: UUID
    kind: str
    form: Any
    model: str
    asked: int
    made_by: str
    made_at: datetime


class Draft(msgspec.Struct, frozen=True):
    """One draft: who pays, by which receipt, what was written, and what became of it.

    `payer_org` pays: the city's organisation while `payer` is "city". `why` says a failure in both languages.
    """

    id: UUID
    job: UUID
    org_id: UUID
    n: int
    kind: str
    model: str
    state: str
    payer: str
    payer_org: UUID
    key_id: UUID
    month: date
    decision: Any
    receipt_id: UUID | None
    paid_micro: int
    title: str
    text: str
    written: Any
    why: Any
    error: str
    made_at: datetime
    ended_at: datetime | None
    edited_at: datetime | None

    @property
    def open(self) -> bool:
        return self.state in ("waiting", "writing")


class Terms(msgspec.Struct, frozen=True):
    """What an organisation agreed to: whether its own credits pay beyond the free tier."""

    own: Own = "none"
    own_month: date | None = None
    set_by: str = ""

    def may_pay(self, month: date) -> bool:
        return self.own == "always" or (self.own == "month" and self.own_month == month)


class Standing(msgspec.Struct, frozen=True):
    """Where an organisation stands this month."""

    month: date
    eligible: bool
    designated: bool
    used: int
    free_left: int
    city: str
    own: Own
    own_now: bool
    basic_model: str
    models: tuple[str, ...]
    trace: Any


class Finding(msgspec.Struct, frozen=True):
    """Something in a text that should be looked at: [start, end) of it, why, and what to do."""

    kind: str
    start: int
    end: int
    text: str
    category: Words
    reason: Words
    suggestion: Words
