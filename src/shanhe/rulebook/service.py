"""The rulebook in memory: resolves, compiles and evaluates; each compiled version is kept by its content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar

from shanhe.rulebook.check import check_rules
from shanhe.rulebook.compiled import ScalarFunction, compile_exact, compile_scalar
from shanhe.rulebook.differences import Difference, differences
from shanhe.rulebook.errors import ParameterNotFound, RuleNotFound
from shanhe.rulebook.facts import json_schema, validated
from shanhe.rulebook.loader import amend, linked, load_rules, parse_rule
from shanhe.rulebook.model import Band, CheckReport, DatedValue, Decision, Rule, RuleAmendment
from shanhe.rulebook.program import Program, build_program
from shanhe.rulebook.resolve import InForce, known_day, parameter_in_force, resolve
from shanhe.rulebook.trace import Explainer
from shanhe.rulebook.vector import VectorKernel

VERSIONS_KEPT = 512
RESOLUTIONS_KEPT = 4_096

Made = TypeVar("Made")
Known = datetime | date | None


class _Edition:
    """The rules at one moment and what was resolved from them; never changed, only succeeded."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = dict(rules)
        self.short = {key.split("_", 1)[0]: key for key, rule in self.rules.items() if not rule.part_of}
        self.resolved: OrderedDict[tuple[str, date, date | None], InForce] = OrderedDict()

    def rule(self, rule_id: str) -> Rule:
        found = self.rules.get(rule_id) or self.rules.get(self.short.get(rule_id, ""))
        if found is None:
            raise RuleNotFound(str(rule_id)[:80])
        return found


class Rulebook:
    """Every rule of the city. `amended` gives a new one; `adopt` lets a running process go over to it in one step.

    Whatever is asked reads one edition from beginning to end, so that a reader never sees half a change. What was
    compiled is kept by content and stays true in every edition.
    """

    def __init__(self, rules: Mapping[str, Rule], made: Mapping[tuple[str, str], Any] | None = None) -> None:
        self._edition = _Edition(rules)
        self._made: OrderedDict[tuple[str, str], Any] = OrderedDict(made or {})

    @property
    def _rules(self) -> Mapping[str, Rule]:
        return self._edition.rules

    @property
    def edition(self) -> object:
        """The rules as they stand: another object once an amendment was taken over."""
        return self._edition

    def adopt(self, other: Rulebook) -> None:
        """Go over to the rules of another rulebook: from the next question on, all at once."""
        self._edition = _Edition(other._edition.rules)

    @classmethod
    def load(cls, extra: Sequence[RuleAmendment] = ()) -> Rulebook:
        """The packaged rules with amendments layered on; RuleFileInvalid or FormulaInvalid if anything is wrong.

        Every version of every formula is typed here, so that nothing in force later can fail to compile.
        """
        packaged = _packaged()
        if not extra:
            rulebook = cls(packaged._rules)
            rulebook._edition, rulebook._made = packaged._edition, packaged._made
            return rulebook
        rulebook = cls(load_rules(extra), packaged._made)
        for rule in rulebook._rules.values():
            if rule.content_hash != packaged._rules[rule.id].content_hash:
                rulebook._type(rule)
        return rulebook

    def _type(self, rule: Rule) -> None:
        for formula in rule.formulas:
            on = max([formula.start, *(min(v.start for v in p.values) for p in rule.parameters)])
            self.program(rule.id, on)

    def amended(self, extra: Sequence[RuleAmendment]) -> Rulebook:
        """A rulebook with more amendments on top of this one."""
        return Rulebook(amend(self._rules, extra), self._made)

    def with_file(self, text: str, where: str = "proposed") -> tuple[Rulebook, str]:
        """A rulebook in which a whole rule file, of a rule that is known or new, stands for what is there; its id."""
        rule = parse_rule(text, where)
        book = self.with_rules([rule])
        book._type(book.rule(rule.id))
        return book, rule.id

    def with_rules(self, rules: Sequence[Rule]) -> Rulebook:
        """A rulebook in which these rules, known or new, stand for what is there; RuleFileInvalid where one shares a
        parameter that no rule has."""
        return Rulebook(linked({**self._rules, **{rule.id: rule for rule in rules}}), self._made)

    def kept(self, make: Callable[[date], Made]) -> Callable[[date], Made]:
        """`make`, asked again only on another day or once the rules have changed."""
        known: tuple[date, object, Made] | None = None

        def answer(on: date) -> Made:
            nonlocal known
            if known is None or known[0] != on or known[1] is not self._edition:
                known = on, self._edition, make(on)
            return known[2]

        return answer

    # -- reading -------------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """All rule ids in natural order (P6 before P10)."""
        return sorted(self._rules, key=_natural)

    def rule(self, rule_id: str) -> Rule:
        """By full id or its short form (`P1`); a rule that is part of another has no short form."""
        return self._edition.rule(rule_id)

    def differences(self, rule_id: str, first: date, second: date) -> list[Difference]:
        """What of a rule is another on the second day than on the first."""
        return differences(self.rule(rule_id), first, second)

    def sharing(self, rule_id: str, names: Collection[str] | None = None) -> list[str]:
        """The rules that share a parameter of this one (one of these names, if given)."""
        owner = self.rule(rule_id).id

        def shared(key: str) -> bool:
            found = [p.name for p in self._rules[key].parameters if p.of == owner]
            return bool(found) if names is None else not set(names).isdisjoint(found)

        return [key for key in self.ids() if shared(key)]

    def schema(self, rule_id: str, on: date | None = None) -> dict[str, Any]:
        """JSON Schema of the facts. Facts are not dated; `on` checks that the rule is in force that day."""
        rule = self.rule(rule_id)
        if on is not None:
            self.in_force(rule_id, on)
        return json_schema(rule)

    def parameter(self, rule_id: str, name: str, on: date, known: Known = None) -> Any:
        """A parameter's value in raw units: int (or Fraction), bool, date, list, nested dict, or a list of bands."""
        return _public(self.dated_parameter(rule_id, name, on, known).value)

    def dated_parameter(self, rule_id: str, name: str, on: date, known: Known = None) -> DatedValue:
        """The same with its dates, origin, reason and article."""
        rule = self.rule(rule_id)
        parameter = rule.parameter(name)
        if parameter is None:
            raise ParameterNotFound(rule.id, name, [p.name for p in rule.parameters])
        return parameter_in_force(rule, parameter, on, known_day(known))

    def in_force(self, rule_id: str, on: date, known: Known = None) -> InForce:
        """What of the rule holds on `on` as announced by `known`; RuleNotInForce where nothing does."""
        edition = self._edition
        rule = edition.rule(rule_id)
        key = (rule.id, on, known_day(known))
        found = edition.resolved.get(key)
        if found is None:
            found = resolve(rule, on, key[2])
            edition.resolved[key] = found
            if len(edition.resolved) > RESOLUTIONS_KEPT:
                edition.resolved.popitem(last=False)
        return found

    def version(self, rule_id: str, on: date, known: Known = None) -> str:
        """Content hash of what of the rule is in force: formula, facts and parameter values."""
        return self.in_force(rule_id, on, known).version

    # -- computing -----------------------------------------------------------------------------------------------

    def program(self, rule_id: str, on: date, known: Known = None) -> Program:
        """The typed trees in force."""
        return self._keep("program", self.in_force(rule_id, on, known), build_program)

    def compiled(self, rule_id: str, on: date, known: Known = None) -> ScalarFunction:
        """`f(**facts) -> {output: value}` without validation or trace, for hot paths."""
        return self._by_program("compiled", rule_id, on, known, compile_scalar)

    def exact(self, rule_id: str, on: date, known: Known = None) -> ScalarFunction:
        """`f(**facts) -> {output: Fraction}` before rounding, for shares whose integers a split decides."""
        return self._by_program("exact", rule_id, on, known, compile_exact)

    def vector(self, rule_id: str, on: date, known: Known = None) -> VectorKernel:
        """`kernel(columns) -> columns` for millions of rows."""
        return self._keep("vector", self.in_force(rule_id, on, known), VectorKernel)

    def evaluate(self, rule_id: str, facts: Mapping[str, Any], *, on: date, known: Known = None) -> Decision:
        """Decide with a trace. RuleFactsInvalid names every bad fact; RuleNotInForce when there is no version."""
        version = self.in_force(rule_id, on, known)
        clean = validated(version.rule, facts)
        explainer = self._keep("explain", version, lambda v: Explainer(self._keep("program", v, build_program)))
        decision: Decision = explainer.decide(clean, on, known)
        return decision

    def check(self, rule_id: str | None = None, *, today: date | None = None) -> CheckReport:
        """Run every example and every proof (of one rule, or of all)."""
        return check_rules(self, [self.rule(rule_id).id] if rule_id else self.ids(), today)

    def _by_program(self, kind: str, rule_id: str, on: date, known: Known, make: Callable[[Program], Made]) -> Made:
        version = self.in_force(rule_id, on, known)
        return self._keep(kind, version, lambda v: make(self._keep("program", v, build_program)))

    def _keep(self, kind: str, version: InForce, make: Callable[[InForce], Made]) -> Made:
        key = (kind, version.version)
        made: Made | None = self._made.get(key)
        if made is None:
            made = self._made[key] = make(version)
            if len(self._made) > VERSIONS_KEPT:
                self._made.popitem(last=False)
        return made


@cache
def _packaged() -> Rulebook:
    """The rules as they are packaged, typed once in a process. Who has the same rules shares what was made of them;
    who has others begins with a copy."""
    rulebook = Rulebook(load_rules())
    for rule in rulebook._rules.values():
        rulebook._type(rule)
    return rulebook


def _natural(rule_id: str) -> tuple[str, int, str]:
    head = rule_id.split("_", 1)[0]
    return head[0], int(head[1:]), rule_id


def _public(value: Any) -> Any:
    if isinstance(value, tuple):
        return [
            {"from": item.lower, "to": item.upper, "value": item.value} if isinstance(item, Band) else item
            for item in value
        ]
    if isinstance(value, dict):
        return {key: _public(entry) for key, entry in value.items()}
    return value
