"""Typical cases that stand for many: why both versions decide as they do, of nobody in particular.

Cases are put together that share every category and answer and change the same way. Where they are of at least as many
people as the threshold says, one is made of the middle of each figure, rounded to two digits, and of each day, taken to
the first of its month; it belongs to none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.rulebook.cases import Case
from shanhe.rulebook.effects import mean
from shanhe.rulebook.model import Decision, Fact, canonical
from shanhe.rulebook.trace import Explainer

if TYPE_CHECKING:
    from shanhe.rulebook.simulate import Side

EXAMPLES_MOST: Final = 4
DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Illustration:
    """`people` and their mean difference; the typical facts, and what each version says of them, with its trace."""

    people: int
    difference: int
    facts: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def illustrated(
    before: Side, after: Side, cases: Sequence[Case], clean: Mapping[int, Mapping[str, Any]],
    values: Mapping[int, tuple[int, int]], least: int,
) -> list[Illustration]:  # fmt: skip
    """The groups with the largest changes in all, the largest first; none of a rule whose facts are lists."""
    facts = after.version.rule.facts
    if any(fact.type == "list" for fact in facts):
        return []
    kinds = [fact.name for fact in facts if fact.type in ("enum", "bool")]
    grouped: dict[tuple[Any, ...], list[int]] = {}
    for index, (one, other) in values.items():
        if one != other:
            key = (other > one, *(clean[index][name] for name in kinds))
            grouped.setdefault(key, []).append(index)
    found = []
    for part in grouped.values():
        people: set[UUID] = {cases[index].who for index in part}
        if len(people) >= least:
            found.append((sum(values[index][1] - values[index][0] for index in part), part, len(people)))
    found.sort(key=lambda one: -abs(one[0]))
    return [_illustration(before, after, facts, [clean[i] for i in part], people, mean(total, people))
            for total, part, people in found[:EXAMPLES_MOST]]  # fmt: skip


def _illustration(
    before: Side, after: Side, facts: Sequence[Fact], rows: Sequence[Mapping[str, Any]], people: int, difference: int
) -> Illustration:
    typical = {fact.name: _typical(fact, [row[fact.name] for row in rows]) for fact in facts}
    own = {fact.name for fact in before.version.rule.facts}
    said = [Explainer(side.program).decide(asked, side.on, None) for side, asked in
            ((before, {name: value for name, value in typical.items() if name in own}), (after, typical))]  # fmt: skip
    return Illustration(people, difference, {name: canonical(value) for name, value in typical.items()},
                        _plain(said[0]), _plain(said[1]))  # fmt: skip


def _plain(decision: Decision) -> dict[str, Any]:
    return {"amount": canonical(decision.amount), "unit": decision.unit, "outputs": canonical(decision.outputs),
            "trace": canonical(decision.trace)}  # fmt: skip


def _typical(fact: Fact, values: Sequence[Any]) -> Any:
    """What is shared, or the middle, coarse."""
    if fact.type in ("enum", "bool"):
        return values[0]
    if fact.type == "date":
        middle: date = median_low(values)
        return date.fromordinal(max(middle.replace(day=1).toordinal(), fact.lo))
    return min(max(coarse(median_low(values)), fact.lo), fact.hi)


def coarse(value: int) -> int:
    """To two digits, half to even."""
    return round(value, DIGITS - len(str(abs(value))))
