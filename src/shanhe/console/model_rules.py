"""What the pages of the rulebook show. Frozen, pure; days in the city."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shanhe.console.model import Bilingual, UnfitRow


@dataclass(frozen=True)
class RuleRow:
    id: str
    title: Bilingual
    article: str
    department: Bilingual
    kind: str
    review: date
    assumed: int

    @property
    def short(self) -> str:
        """The catalogue's number; a part of a rule keeps its whole name elsewhere."""
        return self.id.partition("_")[0]


@dataclass(frozen=True)
class ParameterRow:
    name: str
    title: Bilingual
    since: date
    announced: date
    value: str
    origin: str
    reason: Bilingual
    article: str
    in_force: bool
    unit: str = ""
    """Of a single number; "" where the value says it, or has none."""
    amendment: str = ""
    """The proposal that decided it."""


@dataclass(frozen=True)
class FactField:
    name: str
    title: Bilingual
    type: str
    unit: str
    values: Sequence[tuple[str, Bilingual]]
    default: str
    required: bool


@dataclass(frozen=True)
class FormulaLine:
    title: Bilingual
    name: str
    expression: str
    rounding: str


@dataclass(frozen=True)
class ValueRow:
    """A value of a rule as it stands on a day, and the one that succeeds it, where there are such."""

    rule: RuleRow
    title: Bilingual
    now: ParameterRow | None
    then: ParameterRow | None


@dataclass(frozen=True)
class RuleChange:
    """One value succeeded by another: in words, from when, and since when it was known."""

    words: Bilingual
    since: date
    announced: date


@dataclass(frozen=True)
class RulePage:
    row: RuleRow
    note: Bilingual
    event: Bilingual
    version: str
    parameters: Sequence[ParameterRow]
    facts: Sequence[FactField]
    formula: Sequence[FormulaLine]
    examples: Sequence[tuple[str, Sequence[tuple[Bilingual, str]], Sequence[tuple[Bilingual, str]]]]
    """Name (in English, for who reads the files), what is given, what comes out."""
    changes: Sequence[RuleChange] = ()
    unfit: Sequence[UnfitRow] = ()


@dataclass(frozen=True)
class DecisionView:
    amount: str
    unit: str
    version: str
    article: str
    trace: Mapping[str, Any]
