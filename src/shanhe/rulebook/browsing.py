"""Every value of the rulebook in one list: what is in force on a day, since when, by whom, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from shanhe.rulebook.model import DatedValue, Parameter, Rule, Text
from shanhe.rulebook.resolve import value_of

if TYPE_CHECKING:
    from shanhe.rulebook.service import Rulebook


@dataclass(frozen=True, slots=True)
class Valued:
    """One parameter where it is owned: its value on a day (None before its first, or where it is withheld), and the
    next that is announced."""

    rule: Rule
    parameter: Parameter
    now: DatedValue | None
    then: DatedValue | None


def values(rulebook: Rulebook, on: date, find: str = "", *, coming: bool = False) -> Sequence[Valued]:
    """In the order of the rules. `find` takes words of the name, title, rule, article or department: all of them must
    be there. `coming` keeps what changes later, the soonest first."""
    words = find.casefold().split()
    found = []
    for rule_id in rulebook.ids():
        rule = rulebook.rule(rule_id)
        for parameter in rule.parameters:
            if parameter.of or not all(word in _said(rule, parameter) for word in words):
                continue
            later = [one for one in parameter.values if one.start > on]
            then = min(later, key=lambda one: (one.start, -one.announced.toordinal()), default=None)
            found.append(Valued(rule, parameter, value_of(parameter, on, None), then))
    if coming:
        return sorted((one for one in found if one.then), key=lambda one: one.then.start if one.then else date.max)
    return found


def _said(rule: Rule, parameter: Parameter) -> str:
    texts: tuple[Text, ...] = (rule.title, rule.department, parameter.title)
    said = [rule.id, rule.article, parameter.name, *(words for text in texts for words in (text.zh, text.en))]
    return "\n".join(said).casefold()
