"""Every constant of a rule changed a little, one at a time: a change that no example notices is a gap in the examples.

A mutant is a rule with one number one unit off, one entry of a list gone, a date one day off, a truth reversed, or one
comparison, `and`, `or`, `min`, `max`, `+` or `-` of a formula exchanged for its neighbour. A parameter that another
rule owns is mutated there.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from shanhe.kernel.errors import ShanheError
from shanhe.rulebook.facts import validated
from shanhe.rulebook.loader import band_problem, supposed
from shanhe.rulebook.model import Band, DatedValue, Example, Formula, Parameter, Rule, canonical

if TYPE_CHECKING:
    from shanhe.rulebook.service import Rulebook

_SWAPPED: Mapping[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one change, and the change in words."""

    rule: Rule
    change: str


@dataclass(frozen=True, slots=True)
class MutationReport:
    """How many mutants there were and which of them no example noticed."""

    mutants: int
    survivors: tuple[Mutant, ...]

    @property
    def killed_ppm(self) -> int:
        return (self.mutants - len(self.survivors)) * 1_000_000 // self.mutants if self.mutants else 1_000_000

    def to_dict(self) -> dict[str, Any]:
        return {
            "mutants": self.mutants,
            "killed": self.mutants - len(self.survivors),
            "killed_ppm": self.killed_ppm,
            "survivors": [{"rule": mutant.rule.id, "change": mutant.change} for mutant in self.survivors],
        }


def mutate_rules(rulebook: Rulebook, rule_ids: list[str]) -> MutationReport:
    """Run the examples of each rule against each of its mutants."""
    count = 0
    survivors = []
    for rule_id in rule_ids:
        for mutant in mutants(rulebook.rule(rule_id)):
            count += 1
            if not _noticed(rulebook, mutant.rule):
                survivors.append(mutant)
    return MutationReport(count, tuple(survivors))


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every rule that differs from this one in one constant or one operator."""
    for index, parameter in enumerate(rule.parameters):
        for changed, what in () if parameter.of else _parameters(parameter):
            parameters = (*rule.parameters[:index], changed, *rule.parameters[index + 1 :])
            yield Mutant(replace(rule, parameters=parameters), what)
    for index, formula in enumerate(rule.formulas):
        for altered, what in _formulas(formula):
            yield Mutant(replace(rule, formulas=(*rule.formulas[:index], altered, *rule.formulas[index + 1 :])), what)


def _noticed(rulebook: Rulebook, mutant: Rule) -> bool:
    """Whether the mutant can't be loaded or typed, or breaks an example."""
    if any(p.type == "bands" and any(band_problem(v.value) for v in p.values) for p in mutant.parameters):
        return True
    changed = type(rulebook)({mutant.id: mutant})
    return any(_breaks(changed, mutant, example) for example in mutant.examples)


def _breaks(rulebook: Rulebook, rule: Rule, example: Example) -> bool:
    try:
        for name, wanted in example.parameters.items():
            held = rulebook.dated_parameter(rule.id, name, example.on, example.known).value
            if canonical(held) != canonical(wanted):
                return True
        if not rule.formulas or not example.outputs:
            return False
        if example.given:
            rulebook = type(rulebook)({rule.id: supposed(rule, example)})
        function = rulebook.compiled(rule.id, example.on, example.known)
        results = canonical(function(**validated(rule, example.facts)))
    except ShanheError:
        return True
    return any(results[name] != canonical(wanted) for name, wanted in example.outputs.items())


# -- parameters ------------------------------------------------------------------------------------------------------


def _parameters(parameter: Parameter) -> Iterator[tuple[Parameter, str]]:
    for index, dated in enumerate(parameter.values):
        for value, what in _values(dated.value):
            changed: DatedValue = replace(dated, value=value)
            values = (*parameter.values[:index], changed, *parameter.values[index + 1 :])
            yield replace(parameter, values=values), f"{parameter.name} from {dated.start}: {what}"


def _values(value: Any) -> Iterator[tuple[Any, str]]:
    match value:
        case bool():
            yield not value, f"{value} → {not value}"
        case int() | Fraction():
            for other in (value - 1, value + 1):
                yield other, f"{value} → {other}"
        case date():
            for days in (-1, 1):
                yield value + timedelta(days=days), f"{value} {days:+d} day"
        case Mapping():
            for key, entry in value.items():
                for other, what in _values(entry):
                    yield {**value, key: other}, f"[{key}] {what}"
        case tuple():
            yield from _bands(value) if isinstance(value[0], Band) else _lists(value)
        case _:
            return


def _bands(bands: tuple[Band, ...]) -> Iterator[tuple[Any, str]]:
    for index, band in enumerate(bands):
        for step in (-1, 1):
            changed = replace(band, value=band.value + step)
            yield (*bands[:index], changed, *bands[index + 1 :]), f"band {index + 1}: value {step:+d}"
            if band.upper is not None:
                edge = band.upper + step
                after = (replace(band, upper=edge), replace(bands[index + 1], lower=edge))
                yield (*bands[:index], *after, *bands[index + 2 :]), f"edge {band.upper} → {edge}"


def _lists(values: tuple[Any, ...]) -> Iterator[tuple[Any, str]]:
    for index, entry in enumerate(values):
        rest = (*values[:index], *values[index + 1 :])
        if rest:
            yield rest, f"without {entry}"
        if isinstance(entry, int):
            for step in (-1, 1):
                yield (*values[:index], entry + step, *values[index + 1 :]), f"{entry} → {entry + step}"


# -- formulas --------------------------------------------------------------------------------------------------------


def _formulas(formula: Formula) -> Iterator[tuple[Formula, str]]:
    for index, step in enumerate(formula.steps):
        for text, what in _expressions(step.expression):
            steps = (*formula.steps[:index], replace(step, expression=text), *formula.steps[index + 1 :])
            yield replace(formula, steps=steps), f"{step.name}: {what}"
    for index, output in enumerate(formula.outputs):
        for text, what in _expressions(output.expression):
            outputs = (*formula.outputs[:index], replace(output, expression=text), *formula.outputs[index + 1 :])
            yield replace(formula, outputs=outputs), f"{output.name}: {what}"


def _expressions(source: str) -> Iterator[tuple[str, str]]:
    """Each expression that differs from `source` in one literal or one operator."""
    tree = ast.parse(" ".join(source.split()), mode="eval")
    places = len(list(ast.walk(tree)))
    for place in range(places):
        for variant in range(_MOST_VARIANTS):
            changed = copy.deepcopy(tree)
            what = _exchange(list(ast.walk(changed))[place], variant)
            if what:
                yield ast.unparse(changed), what


_MOST_VARIANTS = 4


def _exchange(node: ast.AST, variant: int) -> str:
    """Change a node in its variant-th way; empty when it has none."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool) and variant < 2:
            node.value = value + (1 if variant else -1)
            return f"{value} → {node.value}"
        case ast.Compare() if variant < len(node.ops):
            before = node.ops[variant]
            node.ops[variant] = _SWAPPED[type(before)]()  # type: ignore[call-overload]
            return f"{type(before).__name__} → {type(node.ops[variant]).__name__}"
        case ast.BoolOp() | ast.BinOp() if variant == 0 and type(node.op) in _SWAPPED:
            before_op = type(node.op).__name__
            node.op = _SWAPPED[type(node.op)]()  # type: ignore[assignment]
            return f"{before_op} → {type(node.op).__name__}"
        case ast.Call(func=ast.Name(id=name)) if variant == 0 and name in _CALLS:
            node.func = ast.Name(id=_CALLS[name], ctx=ast.Load())
            return f"{name} → {_CALLS[name]}"
        case _:
            return ""
