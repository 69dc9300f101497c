"""Which version counts: the latest `from` ≤ event date, then the latest announcement, of all announced when known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeVar

from shanhe.kernel.clock import city_date
from shanhe.rulebook.errors import RuleNotInForce, RuleWithheld
from shanhe.rulebook.model import DatedValue, Formula, Parameter, Rule, Withheld, content_hash

Dated = TypeVar("Dated", DatedValue, Formula, Withheld)


@dataclass(frozen=True, slots=True)
class InForce:
    """What of a rule holds for an event date and a knowledge date; `version` is the hash of exactly that."""

    rule: Rule
    formula: Formula | None
    values: Mapping[str, DatedValue]
    version: str

    @property
    def names(self) -> frozenset[str]:
        """Its hash in every format: what was recorded earlier is looked for by what it was called then."""
        return frozenset(version_hash(self.rule, self.formula, self.values, form) for form in _FORMATS)


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


def value_of(parameter: Parameter, on: date, known: date | None) -> DatedValue | None:
    """The dated value in force; None before the first, and where one is withheld."""
    value = in_force(parameter.values, on, known)
    return None if _withheld(parameter.withheld, value, on, known) else value


def _withheld(
    held: Sequence[Withheld], found: DatedValue | Formula | None, on: date, known: date | None
) -> Withheld | None:
    """What is withheld and would be in force instead of what was found."""
    last = next((one for one in held if one.always), None) or in_force(held, on, known)
    return last if last and (found is None or last.always or _dates(last) >= _dates(found)) else None


def _dates(version: DatedValue | Formula | Withheld) -> tuple[date, date]:
    return version.start, version.announced


def parameter_in_force(rule: Rule, parameter: Parameter, on: date, known: date | None) -> DatedValue:
    """The dated value of one parameter; RuleNotInForce where there is none yet, RuleWithheld where it can't be read."""
    value = in_force(parameter.values, on, known)
    if (held := _withheld(parameter.withheld, value, on, known)) is not None:
        raise RuleWithheld(parameter.of or rule.id, held.amendment, held.start)
    if value is None:
        raise RuleNotInForce(rule.id, parameter.name, on, known)
    return value


def resolve(rule: Rule, on: date, known: date | None) -> InForce:
    """Every parameter and the formula of a rule; RuleNotInForce if any is missing, RuleWithheld if any can't be
    read."""
    values = {p.name: parameter_in_force(rule, p, on, known) for p in rule.parameters}
    formula = in_force(rule.formulas, on, known)
    if (held := _withheld(rule.withheld, formula, on, known)) is not None:
        raise RuleWithheld(rule.id, held.amendment, held.start)
    if formula is None and rule.formulas:
        raise RuleNotInForce(rule.id, "the formula", on, known)
    return InForce(rule, formula, values, version_hash(rule, formula, values))


# -- the hash of a version ---------------------------------------------------------------------------------------------

FORMAT: Final = 2
"""Of the hashes that are made now. A hash says its format before a colon; without one it is of format 1. What a format
takes in never changes, for hashes of it are on receipts: what must change is a new one."""

Content = Callable[[Rule, Formula | None, Mapping[str, DatedValue]], Any]


def version_hash(rule: Rule, formula: Formula | None, values: Mapping[str, DatedValue], form: int = FORMAT) -> str:
    """The hash, in one format, of what of a rule is in force."""
    digest = content_hash(_FORMATS[form](rule, formula, values))
    return digest if form == 1 else f"{form}:{digest}"


def _first(rule: Rule, formula: Formula | None, values: Mapping[str, DatedValue]) -> Any:
    """Left out what a parameter's unit is and to which band an edge belongs, which decide as much as its value."""
    return {
        "id": rule.id,
        "facts": [repr(fact) for fact in rule.facts],
        "formula": repr(formula),
        "values": {name: [v.start, v.announced, v.origin, v.article, repr(v.value)] for name, v in values.items()},
    }


def _second(rule: Rule, formula: Formula | None, values: Mapping[str, DatedValue]) -> Any:
    """All that decides, and where it stands in the source; no titles: a word put right is no other rule."""
    return {
        "id": rule.id,
        "facts": [[f.name, f.type, f.unit, f.lo, f.hi, f.values, f.max_items, f.default] for f in rule.facts],
        "formula": formula and {
            "from": formula.start,
            "announced": formula.announced,
            "article": formula.article,
            "amount": formula.amount,
            "steps": [[s.name, s.expression] for s in formula.steps],
            "outputs": [[o.name, o.expression, o.type, o.unit, o.rounding, o.lo, o.hi] for o in formula.outputs],
        },
        "values": {
            p.name: [p.type, p.unit, p.edge_unit, p.closed, v.start, v.announced, v.origin, v.article, v.value]
            for p in rule.parameters
            for v in (values[p.name],)
        },
    }  # fmt: skip


_FORMATS: Final[Mapping[int, Content]] = {1: _first, 2: _second}
