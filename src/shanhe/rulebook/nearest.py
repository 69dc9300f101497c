"""The nearest change that would alter a result: which fact, by how much, and what would come out.

For every choice on the path taken (the two sides of a `min`, a comparison) the slopes of both sides give the change of
a single fact at which the choice flips. Each candidate is then really evaluated, and kept only if results differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from shanhe.rulebook.compiled import ScalarFunction
from shanhe.rulebook.evaluate import Evaluation
from shanhe.rulebook.ir import Choose, Compare, FactRef, Logic, Lookup, Member, Node, Pick, StepRef, children
from shanhe.rulebook.model import Fact

CANDIDATES_MAX = 16
ALTERNATIVES_MAX = 12


@dataclass(frozen=True, slots=True)
class Change:
    """One fact changed from `before` to `after` (raw units) and what then comes out."""

    fact: Fact
    before: Any
    after: Any
    outputs: Mapping[str, Any]
    distance: Fraction


def active(roots: list[Node], evaluation: Evaluation) -> Iterator[Node]:
    """Every node that had a say, arms not taken left out."""
    seen: set[int] = set()
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        match node:
            case StepRef(target=target):
                stack.append(target)
            case Choose(test=test, then=then, other=other):
                stack.extend((then if evaluation.value(test) else other, test))
            case Logic(op=op, left=left, right=right):
                stack.append(left)
                if bool(evaluation.value(left)) is (op == "and"):
                    stack.append(right)
            case _:
                stack.extend(reversed(children(node)))


class Search:
    """Looks for changes around one set of facts."""

    def __init__(
        self, facts: Mapping[str, Fact], evaluation: Evaluation, function: ScalarFunction, nodes: list[Node]
    ) -> None:
        self._declared = facts
        self._evaluation = evaluation
        self._function = function
        self._nodes = nodes
        self._now = function(**evaluation.facts)

    def flips(self, amount: str) -> list[Change]:
        """Changes of numbers and dates that flip a choice; one per fact and direction. Those by which the output
        `amount` becomes another come first, of them the nearest (relative to its size)."""

        def rank(change: Change) -> tuple[bool, Fraction]:
            return change.outputs[amount] == self._now[amount], change.distance

        found: dict[tuple[str, bool], Change] = {}
        tried = 0
        for node in self._nodes:
            if not isinstance(node, Pick | Compare):
                continue
            for name, delta in self._candidates(node):
                tried += 1
                if tried > CANDIDATES_MAX:
                    break
                change = self._confirm(node, name, delta)
                if change is None:
                    continue
                key = (name, delta > 0)
                if key not in found or rank(change) < rank(found[key]):
                    found[key] = change
        return sorted(found.values(), key=rank)

    def alternatives(self) -> list[Change]:
        """Other values of enums and conditions that had a say, where the result would differ."""
        names: dict[str, None] = {}
        for node in self._nodes:
            refs = node.refs if isinstance(node, Lookup) else (node.ref,) if isinstance(node, Member) else ()
            names.update({ref.name: None for ref in refs})
            if isinstance(node, FactRef) and self._declared[node.name].type == "bool":
                names[node.name] = None
        changes: list[Change] = []
        for name in names:
            fact, before = self._declared[name], self._evaluation.facts[name]
            for after in (not before,) if fact.type == "bool" else fact.values:
                if after == before or len(changes) >= ALTERNATIVES_MAX:
                    continue
                outputs = self._function(**{**self._evaluation.facts, name: after})
                if outputs != self._now:
                    changes.append(Change(fact, before, after, outputs, Fraction(1)))
        return changes

    def _candidates(self, node: Pick | Compare) -> Iterator[tuple[str, int]]:
        left, right = self._evaluation.slope(node.left), self._evaluation.slope(node.right)
        if not left and not right:
            return
        gap = Fraction(self._evaluation.value(node.left) - self._evaluation.value(node.right))
        for name in dict.fromkeys((*left, *right)):
            slope = left.get(name, Fraction(0)) - right.get(name, Fraction(0))
            if slope == 0:
                continue
            exact = -gap / slope
            if exact > 0 or (exact == 0):
                yield name, max(exact.__ceil__(), 1)
            if exact < 0 or (exact == 0):
                yield name, min(exact.__floor__(), -1)

    def _confirm(self, node: Pick | Compare, name: str, delta: int) -> Change | None:
        fact, before = self._declared[name], self._evaluation.facts[name]
        raw = before.toordinal() if isinstance(before, date) else before
        for step in (delta, delta + (1 if delta > 0 else -1)):  # a tie may need one unit more
            target = raw + step
            if not fact.lo <= target <= fact.hi:
                return None
            after = date.fromordinal(target) if isinstance(before, date) else target
            facts = {**self._evaluation.facts, name: after}
            if not self._flipped(node, Evaluation(facts)):
                continue
            outputs = self._function(**facts)
            if outputs != self._now:
                scale = 365 if isinstance(before, date) else max(abs(raw), 1)
                return Change(fact, before, after, outputs, Fraction(abs(step), scale))
        return None

    def _flipped(self, node: Pick | Compare, other: Evaluation) -> bool:
        if isinstance(node, Compare):
            return bool(other.value(node)) is not bool(self._evaluation.value(node))
        before = self._evaluation.value(node.left) - self._evaluation.value(node.right)
        after = other.value(node.left) - other.value(node.right)
        return bool((before < 0 < after) or (after < 0 < before) or (before == 0 and after != 0))
