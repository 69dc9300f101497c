"""Which version counts: the latest `from` ≤ event date, then the latest announcement, of all announced when known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from shanhe.kernel.clock import city_date
from shanhe.rulebook.errors import RuleNotInForce
from shanhe.rulebook.model import DatedValue, Formula, Parameter, Rule, content_hash

Dated = TypeVar("Dated", DatedValue, Formula)


@dataclass(frozen=True, slots=True)
class InForce:
    """What of a rule holds for an event date and a knowledge date; `version` is the hash of exactly that."""

    rule: Rule
    formula: Formula | None
    values: Mapping[str, DatedValue]
    version: str


def known_day(known: datetime | date | None) -> date | None:
    """The city's day of a knowledge instant; None means everything announced so far, even for a later day."""
    if isinstance(known, datetime):
        if known.tzinfo is None:
            raise ValueError("a knowledge instant needs a time zone")
        return city_date(known)
    return known


def in_force(versions: Sequence[Dated], on: date, known: date | None) -> Dated | None:
    """The one version in force, or None before the first."""
    held = [v for v in versions if v.start <= on and (known is None or v.announced <= known)]
    return max(held, key=lambda version: (version.start, version.announced)) if held else None


def parameter_in_force(rule: Rule, parameter: Parameter, on: date, known: date | None) -> DatedValue:
    """The dated value of one parameter; RuleNotInForce where there is none yet."""
    value = in_force(parameter.values, on, known)
    if value is None:
        raise RuleNotInForce(rule.id, parameter.name, on, known)
    return value


def resolve(rule: Rule, on: date, known: date | None) -> InForce:
    """Every parameter and the formula of a rule; RuleNotInForce if any is missing."""
    values = {p.name: parameter_in_force(rule, p, on, known) for p in rule.parameters}
    formula = in_force(rule.formulas, on, known)
    if formula is None and rule.formulas:
        raise RuleNotInForce(rule.id, "the formula", on, known)
    return InForce(rule, formula, values, content_hash(_content(rule, formula, values)))


def _content(rule: Rule, formula: Formula | None, values: Mapping[str, DatedValue]) -> Any:
    return {
        "id": rule.id,
        "facts": [repr(fact) for fact in rule.facts],
        "formula": repr(formula),
        "values": {name: [v.start, v.announced, v.origin, v.article, repr(v.value)] for name, v in values.items()},
    }
