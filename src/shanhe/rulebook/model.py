"""Rules as frozen data: what a file says, before anything is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import msgspec

Kind = Literal["amount", "condition", "order", "reference"]
Rounding = Literal["half_even", "half_up", "floor", "ceiling", "truncate"]
FactType = Literal["number", "date", "bool", "enum", "list"]


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    zh: str
    en: str

    def to_dict(self) -> dict[str, str]:
        return {"zh": self.zh, "en": self.en}


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a schedule, in raw units; `upper` None means without end."""

    lower: int
    upper: int | None
    value: int


@dataclass(frozen=True, slots=True)
class DatedValue:
    """A value in force from a day on, announced on a day, with where it comes from.

    `value` holds raw units: an integer, a `Fraction`, a bool, a date, a tuple of strings or integers, a (nested)
    mapping, or a tuple of `Band`.
    """

    start: date
    announced: date
    value: Any
    origin: Literal["given", "assumed"]
    reason: Text | None
    article: str
    amendment: str | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """Where a dated row stands that was decided and can't be read any more: no earlier row answers in its place, and
    with `always` no row at all."""

    start: date
    announced: date
    amendment: str
    always: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """`type` is value | bands | table | list; `unit` names a unit of `units.UNITS`; `edge_unit` that of band edges."""

    name: str
    title: Text
    type: str
    unit: str
    edge_unit: str
    closed: Literal["left", "right"]
    values: tuple[DatedValue, ...]
    of: str = ""
    """The rule whose parameter of this name it is; it has no values of its own then."""
    withheld: tuple[Withheld, ...] = ()
    least: int | None = None
    """The smallest that a value may be, where something divides by it or stops at less."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A declared input: its type, its unit and its range (raw units, inclusive; dates as ordinals)."""

    name: str
    title: Text
    type: FactType
    unit: str
    lo: int
    hi: int
    values: tuple[str, ...] = ()
    max_items: int = 0
    default: int | str | bool | None = None
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    title: Text
    expression: str


@dataclass(frozen=True, slots=True)
class Output:
    """A result: rounded once, by `rounding`, to whole `unit`s. `type` is number, date, bool or list."""

    name: str
    title: Text
    expression: str
    type: str
    unit: str
    rounding: Rounding
    lo: int | None = None
    hi: int | None = None


@dataclass(frozen=True, slots=True)
class Formula:
    start: date
    announced: date
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    amount: str | None
    article: str
    amendment: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """What must come out for these facts, or which values must be in force (`parameters`), on a day.

    `given` holds values that stand in for the rule's own in this example: a formula is also shown at other numbers.
    """

    name: str
    on: date
    known: date | None
    facts: Mapping[str, Any]
    outputs: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A whole rule with every version of everything in it."""

    id: str
    kind: Kind
    title: Text
    article: str
    department: Text
    event: str
    event_title: Text
    review: date
    facts: tuple[Fact, ...]
    parameters: tuple[Parameter, ...]
    formulas: tuple[Formula, ...]
    examples: tuple[Example, ...]
    note: Text | None = None
    part_of: str = ""
    labels: Mapping[str, Text] = field(default_factory=dict)
    """What the choices of its facts, and the names in its lists and tables, are called."""
    withheld: tuple[Withheld, ...] = ()
    """Of its formulas."""

    @cached_property
    def content_hash(self) -> str:
        """The hash of all its text, worked out when it is first asked for. What is withheld is no part of it."""
        content = asdict(self) | {"content_hash": ""}
        for part in (content, *content["parameters"]):
            del part["withheld"]
        for parameter in content["parameters"]:
            if parameter["least"] is None:  # as it was before parameters could have one
                del parameter["least"]
        return content_hash(content)

    @property
    def title_zh(self) -> str:
        return self.title.zh

    @property
    def title_en(self) -> str:
        return self.title.en

    def label(self, choice: str) -> Text:
        """What a choice is called; itself where the rule doesn't say."""
        return self.labels.get(choice) or Text(choice, choice)

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


@dataclass(frozen=True, slots=True)
class RuleAmendment:
    """A change decided by governance, in the form of the file: dated rows to add.

    `content` holds any of `parameters: {name: [dated values]}`, `formula: [dated formulas]`, `examples: [...]` and
    `review`; nothing already there can be changed, only succeeded. `sha256` is the hash it was recorded with, empty
    where it isn't recorded; `aside`: two people set it aside since, and it decides nothing. `completed`: its tables say
    of names that a later release brought what the row before does.
    """

    id: str
    rule_id: str
    content: Mapping[str, Any]
    decided_by: str
    note: str = ""
    sha256: str = ""
    aside: bool = False
    completed: bool = False


@dataclass(frozen=True, slots=True)
class Unfit:
    """A recorded amendment that the rules as they are packaged can't take, and why. `since`: the first day for which
    its rule is withheld; None where it changes nothing that decides."""

    amendment: RuleAmendment
    why: Text
    since: date | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule says about facts on a day.

    `outputs` holds whole units (dates as `date`, conditions as `bool`); `exact` the numbers before rounding, for shares
    whose integers come from another place; `amount` is the rule's main output; `version` the content hash of what was
    in force.
    """

    rule_id: str
    outputs: dict[str, Any]
    exact: dict[str, Fraction]
    amount: Any
    unit: str
    version: str
    article: str
    trace: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What one check found; `pointer` says where in the rule (RFC 6901)."""

    rule_id: str
    check: str
    ok: bool
    message: str
    message_zh: str
    pointer: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule_id,
            "check": self.check,
            "ok": self.ok,
            "message": self.message,
            "message_zh": self.message_zh,
            "pointer": self.pointer,
        }


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Every proof and example that was run; `ok` only when none failed."""

    findings: tuple[CheckFinding, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    def failed(self) -> tuple[CheckFinding, ...]:
        return tuple(finding for finding in self.findings if not finding.ok)

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checks": len(self.findings),
            "failed": [finding.to_dict() for finding in self.failed()],
            "findings": [finding.to_dict() for finding in self.findings],
        }


def content_hash(content: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, dates ISO, fractions n/d)."""
    return hashlib.sha256(msgspec.json.encode(canonical(content), order="sorted")).hexdigest()


def canonical(content: Any) -> Any:
    """The same as JSON values: dates ISO, fractions `n/d`, bands as {from, to, value}."""
    if isinstance(content, Band):
        return {"from": content.lower, "to": content.upper, "value": content.value}
    if isinstance(content, Mapping):
        return {str(key): canonical(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [canonical(item) for item in content]
    if isinstance(content, Fraction):
        return f"{content.numerator}/{content.denominator}"
    if isinstance(content, date):
        return content.isoformat()
    return content
