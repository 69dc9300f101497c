"""The rulebook in memory: resolves, compiles and evaluates; each compiled version is kept by its content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from typing import Any, TypeVar

from shanhe.kernel.errors import ShanheError
from shanhe.rulebook.check import check_rules, examples_hold
from shanhe.rulebook.compiled import ScalarFunction, compile_exact, compile_scalar
from shanhe.rulebook.differences import Difference, differences
from shanhe.rulebook.errors import ParameterNotFound, RuleFileInvalid, RuleNotFound, RuleWithheld
from shanhe.rulebook.facts import json_schema, validated
from shanhe.rulebook.layers import amend, examples_in, since, withhold
from shanhe.rulebook.loader import linked, load_rules, parse_rule
from shanhe.rulebook.model import (
    Band,
    CheckReport,
    DatedValue,
    Decision,
    Rule,
    RuleAmendment,
    Text,
    Unfit,
    content_hash,
)
from shanhe.rulebook.program import Program, build_program
from shanhe.rulebook.resolve import InForce, known_day, parameter_in_force, resolve
from shanhe.rulebook.texts import Source, read, source_of
from shanhe.rulebook.trace import Explainer
from shanhe.rulebook.vector import VectorKernel

VERSIONS_KEPT = 512
RESOLUTIONS_KEPT = 4_096

Made = TypeVar("Made")
Known = datetime | date | None


class _Edition:
    """The rules at one moment and what was resolved from them; never changed, only succeeded."""

    def __init__(
        self, rules: Mapping[str, Rule], amendments: Sequence[RuleAmendment] = (), unfit: Sequence[Unfit] = ()
    ) -> None:
        self.rules = dict(rules)
        self.amendments, self.unfit = tuple(amendments), tuple(unfit)
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

    def __init__(
        self,
        rules: Mapping[str, Rule],
        made: Mapping[tuple[str, str], Any] | None = None,
        *,
        amendments: Sequence[RuleAmendment] = (),
        unfit: Sequence[Unfit] = (),
    ) -> None:
        self._edition = _Edition(rules, amendments, unfit)
        self._made: OrderedDict[tuple[str, str], Any] = OrderedDict(made or {})
        self._former: Mapping[str, tuple[str, Source]] = {}
        self._read: dict[str, Rulebook | None] = {}

    @property
    def _rules(self) -> Mapping[str, Rule]:
        return self._edition.rules

    @property
    def edition(self) -> object:
        """The rules as they stand: another object once an amendment was taken over."""
        return self._edition

    def adopt(self, other: Rulebook) -> None:
        """Go over to the rules of another rulebook: from the next question on, all at once."""
        edition = other._edition
        self._edition = _Edition(edition.rules, edition.amendments, edition.unfit)
        self._former = other._former

    @property
    def unfit(self) -> Sequence[Unfit]:
        """Recorded amendments that are not in force because these rules can't take them."""
        return self._edition.unfit

    def sources(self) -> dict[str, tuple[str, Source]]:
        """The text of every rule, by its hash: the rule's id and what it is made of."""
        edition = self._edition
        return {rule.content_hash: (rule.id, source_of(rule, edition.amendments)) for rule in edition.rules.values()}

    def remember(self, former: Mapping[str, tuple[str, Source]]) -> None:
        """Texts by which decisions were made before, by their hashes."""
        self._former = former

    def as_it_was(self, rule_id: str, rule_hash: str) -> Rulebook | None:
        """A rulebook in which the rule stands in the very text of that hash; None where nobody kept it, or it was
        altered since."""
        current = self._rules.get(rule_id)
        if current is not None and current.content_hash == rule_hash:
            return self
        if (kept := self._former.get(rule_hash)) is None or kept[0] != rule_id:
            return None
        if rule_hash not in self._read:
            rule = read(rule_id, rule_hash, kept[1])
            self._read[rule_hash] = None if rule is None else Rulebook({rule.id: rule})
        return self._read[rule_hash]

    @classmethod
    def load(cls, extra: Sequence[RuleAmendment] = ()) -> Rulebook:
        """The packaged rules with amendments layered on; RuleFileInvalid or FormulaInvalid if a packaged one is wrong.

        Every version of every formula is typed here, so that nothing in force later can fail to compile. An amendment
        that does not load, type or do what its own examples say is `unfit`: the others count, and what it decided is
        withheld, for no other row may answer in its place. One that was set aside counts for nothing.
        """
        packaged, extra = _packaged(), [one for one in extra if not one.aside]
        if not extra:
            rulebook = cls(packaged._rules)
            rulebook._edition, rulebook._made = packaged._edition, packaged._made
            return rulebook
        try:
            together = packaged.amended(extra)
            for amendment in extra:
                together._fits(amendment)
        except ShanheError:
            return packaged._one_by_one(extra)
        return together

    def _one_by_one(self, extra: Sequence[RuleAmendment]) -> Rulebook:
        book = self
        for amendment in extra:
            try:
                book = book._taken(amendment)
            except ShanheError as error:
                with suppress(ShanheError):  # it may be older than a name that its tables have by now
                    book = book._taken(replace(amendment, completed=True))
                    continue
                unfit = Unfit(amendment, _why(error, amendment), since(amendment))
                edition = book._edition
                rules = withhold(edition.rules, amendment)
                book = Rulebook(rules, book._made, amendments=edition.amendments, unfit=(*edition.unfit, unfit))
        return book

    def _taken(self, amendment: RuleAmendment) -> Rulebook:
        trial = self.amended([amendment])
        trial._fits(amendment)
        return trial

    def _fits(self, amendment: RuleAmendment) -> None:
        """Raises where an amendment, layered on, isn't what was recorded, does not type, or not do what its own
        examples say."""
        if amendment.sha256 and content_hash(amendment.content) != amendment.sha256:
            raise RuleFileInvalid(
                f"amendment {amendment.id}", "is not what was recorded: its hash is another", "与记录时不同，哈希不符"
            )
        rule = self.rule(amendment.rule_id)
        for rule_id in (rule.id, *self.sharing(rule.id, amendment.content.get("parameters", {}))):
            self._type(self.rule(rule_id), amendment.id)
        for finding in examples_hold(self, rule, examples_in(amendment)):
            if not finding.ok:
                raise RuleFileInvalid(f"amendment {amendment.id}", finding.message, finding.message_zh)

    def _type(self, rule: Rule, amendment: str = "") -> None:
        """On the first day of each formula, and of what an amendment says."""
        first = max((min(v.start for v in p.values) for p in rule.parameters), default=date.min)
        days = {max(formula.start, first) for formula in rule.formulas}
        if amendment:
            said = {v.start for p in rule.parameters for v in p.values if v.amendment == amendment}
            days |= {day for day in said if day > min(days)}
        for on in sorted(days):
            with suppress(RuleWithheld):
                self.program(rule.id, on)

    def amended(self, extra: Sequence[RuleAmendment]) -> Rulebook:
        """A rulebook with more amendments on top of this one."""
        edition = self._edition
        rules = amend(edition.rules, extra)
        return Rulebook(rules, self._made, amendments=(*edition.amendments, *extra), unfit=edition.unfit)

    def with_file(self, text: str, where: str = "proposed") -> tuple[Rulebook, str]:
        """A rulebook in which a whole rule file, of a rule that is known or new, stands for what is there; its id."""
        rule = parse_rule(text, where)
        book = self.with_rules([rule])
        book._type(book.rule(rule.id))
        return book, rule.id

    def with_rules(self, rules: Sequence[Rule]) -> Rulebook:
        """A rulebook in which these rules, known or new, stand for what is there; RuleFileInvalid where one shares a
        parameter that no rule has."""
        edition = self._edition
        placed = linked({**edition.rules, **{rule.id: rule for rule in rules}})
        return Rulebook(placed, self._made, amendments=edition.amendments, unfit=edition.unfit)

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
        return self._explainer(version).decide(clean, on, known)

    def _explainer(self, version: InForce) -> Explainer:
        """It says the titles of its rule's text, of which the version says nothing: so it is kept by both."""
        program: Program = self._keep("program", version, build_program)
        text = version.rule.content_hash
        if program.version.rule.content_hash != text:
            return self._keep(f"explain {text}", version, lambda v: Explainer(build_program(v)))
        return self._keep(f"explain {text}", version, lambda _: Explainer(program))

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


def _why(error: ShanheError, amendment: RuleAmendment) -> Text:
    """What is wrong with an amendment, and where in it."""
    if not isinstance(error, RuleFileInvalid):
        return Text(error.message_zh, error.message)
    place = error.where.removeprefix(f"amendment {amendment.id}").removeprefix(".")
    return Text(f"{place}：{error.problem_zh}", f"{place}: {error.problem}") if place else Text(
        error.problem_zh, error.problem
    )  # fmt: skip


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
