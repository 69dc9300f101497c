"""What a programme file says, as frozen data; unknown keys are fatal. Numbers are in the rule the programme names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import msgspec

Subject = Literal["person", "company", "institution", "government"]
AskType = Literal["text", "number", "date", "choice", "flag", "party", "application", "plan"]
AssetName = Literal["credit", "cny", "voucher", "ticket", "point"]
ScheduleKind = Literal["once", "instalments", "yearly", "milestones", "guarantee"]
ABSENT: Any = msgspec.UNSET


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    zh: str
    en: str


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A field of the form. `by` reviewer: filled in during review. `must`: a declaration that has to be true."""

    zh: str
    en: str
    type: AskType = "text"
    min: int | None = None
    max: int | None = None
    unit: str = ""
    options: Mapping[str, Text] = {}
    by: Literal["applicant", "reviewer"] = "applicant"
    optional: bool = False
    must: bool = False


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Evidence the applicant names: a document by its reference and, when given, its SHA-256."""

    zh: str
    en: str
    optional: bool = False


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where one fact of a rule comes from: exactly one of the first group; `of` names the party (an answer) meant.

    `fell`: whether a fact is lower now than on the day of application. `past`: earlier awards of this programme:
    the number of this one, their value at list price, how many a party received this year. `award`: what the
    application named in an answer was paid, if it is of `programme` and of that party. `whether`: only if it is known.
    `key`: the answer that names which of the party's things is measured.
    `otherwise` is used when nothing is known; without it the fact counts as missing.
    """

    is_: Any = msgspec.field(default=ABSENT, name="is")
    asked: str = ""
    fact: str = ""
    fell: str = ""
    measured: str = ""
    key: str = ""
    day: Literal["", "applied", "due"] = ""
    tranche: bool = False
    past: Literal["", "ordinal", "value_fen", "received_this_year"] = ""
    budget: str = ""
    award: str = ""
    relation: Literal["", "related", "same", "cycle"] = ""

    of: str = ""
    programme: str = ""
    whether: bool = False
    declared: bool = False
    on: str = ""
    otherwise: Any = ABSENT

    def kinds(self) -> list[str]:
        """Which of the group is given; a programme with another number than one is refused."""
        given = [name for name in ("asked", "fact", "fell", "measured", "day", "tranche", "past", "budget", "award",
                                   "relation")
                 if getattr(self, name)]  # fmt: skip
        return ([] if self.is_ is ABSENT else ["is"]) + given


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule's yes or no, and what to say when it is no. `page`: where in the console one brings it about."""

    rule: str
    when: str
    facts: Mapping[str, Source]
    zh: str
    en: str
    page: str = ""


class Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rule that says how much, and what to say when it gives nothing.

    `month`, where a whole month is judged: `last`, the one before the application, or the answer that begins with it
    (`2026-10/…`). The rule is then the one of that month's last day, however late people decide.
    """

    rule: str
    facts: Mapping[str, Source]
    month: str = ""
    nothing: Text | None = None


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One asset of the award: which output of the amount rule, from which budget, to whom (default: the applicant).

    A budget `enclave_{site}` is the one that the answer `site`, a choice, names.
    """

    output: str
    budget: str
    provenance: Literal["subsidy", "reward"] | None = None
    to: str = ""
    earmark: Mapping[str, Any] | None = None

    @property
    def named_by(self) -> str:
        """The answer that says which budget it is; none for most."""
        return self.budget.partition("{")[2].partition("}")[0]

    def budget_for(self, answer: str) -> str:
        """The budget's name, given that answer."""
        return self.budget.replace("{" + self.named_by + "}", answer) if self.named_by else self.budget

    def budgets(self, asks: Mapping[str, Ask]) -> list[str]:
        """Every budget it may pay from."""
        asked = asks.get(self.named_by)
        return [self.budget_for(option) for option in asked.options] if asked else [self.budget]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A step of the review: who, within how many days, by how many different people."""

    zh: str
    en: str
    by: str
    days: int
    eyes: int = 1


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When it is paid.

    `count` and `due` are outputs of the amount rule. `count` may instead name a parameter (`I5.years`), as `grace`
    does: days within which a lapsed condition of a yearly award may be mended. Milestones follow the answer `plan` by
    `rule`. A guarantee stays set aside until it is called, by `rule`, or until the day of the answer `due`.
    """

    kind: ScheduleKind = "once"
    count: str = ""
    due: str = ""
    grace: str = ""
    plan: str = ""
    rule: str = ""


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fact that an award makes true of the applicant, or of the party `of`; a relation is to the applicant.

    It holds until an output of the amount rule (a date), if one is named.
    """

    fact: str
    of: str = ""
    until: str = ""


class Programme(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A promise of the city.

    `once` lists what may happen once: answers, `applicant`, `year`, `month`; programmes with one `once_with` share it.
    `unrelated` names parties that must not be related to the applicant (R0). `bound` is the rule by which the
    applicant uses this platform first (C2). `stop`, when true, ends the award and brings back what was paid.
    """

    id: str
    title: Text
    summary: Text
    department: str
    opens: date
    closes: date | None = None
    for_: tuple[Subject, ...] = msgspec.field(name="for")
    asks: Mapping[str, Ask] = {}
    evidence: Mapping[str, Proof] = {}
    conditions: tuple[Condition, ...] = ()
    amount: Amount
    grants: tuple[Grant, ...]
    schedule: Schedule = Schedule()
    once: tuple[tuple[str, ...], ...] = ()
    once_with: str = ""
    review: tuple[Step, ...] = ()
    appeal: tuple[Step, ...]
    unrelated: tuple[str, ...] = ()
    publishes: Publish | None = None
    bound: str = ""
    stop: Source | None = None
    clawback: Text | None = None
    announce: str = ""

    def open_on(self, day: date) -> bool:
        return self.opens <= day and (self.closes is None or day <= self.closes)

    @property
    def family(self) -> str:
        """Whose claims it shares."""
        return self.once_with or self.id

    def path(self, round_: int) -> tuple[Step, ...]:
        """The steps of the first review, or of an appeal. What rules alone decide, people decide by the way of appeals
        for those who refuse to be judged by rules alone (PIPL 24)."""
        return (self.review or self.appeal) if round_ == 1 else self.appeal

    @property
    def remembers(self) -> bool:
        """Whether what was awarded before counts, so that two approvals at once must not overlook each other."""
        parts: tuple[Amount | Condition, ...] = (self.amount, *self.conditions)
        return any(source.past for part in parts for source in part.facts.values())

    @property
    def rules(self) -> tuple[str, ...]:
        """Every rule it stands on, the amount first."""
        return tuple(dict.fromkeys((self.amount.rule, *(condition.rule for condition in self.conditions))))


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named account of the city that awards are paid from; `unlimited` only for what is not money."""

    zh: str
    en: str
    asset: AssetName
    department: str
    sponsor: bool = False
    unlimited: bool = False
    public: bool = False


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A base outside the city (I11): which budgets are its own."""

    zh: str
    en: str
    budgets: tuple[str, ...]


class Catalogue(msgspec.Struct, frozen=True):
    """Every programme, budget and department; `sites` are bases elsewhere with budgets of their own."""

    programmes: Mapping[str, Programme]
    budgets: Mapping[str, Budget]
    departments: Mapping[str, Text]
    sites: Mapping[str, Site] = {}
