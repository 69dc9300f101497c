"""One version of a rule as typed trees: its facts, its steps, its outputs before and after rounding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

from shanhe.rulebook.bindings import ENUMS, BandsValue, Binding, TableValue, constant, day, flag, list_constant
from shanhe.rulebook.build import Builder
from shanhe.rulebook.errors import FormulaInvalid
from shanhe.rulebook.functions import FUNCTIONS
from shanhe.rulebook.ir import BOOL, DATE, ENUM, LIST, NUM, Const, FactRef, Node, StepRef
from shanhe.rulebook.model import DatedValue, Fact, Output, Parameter, Step, Text
from shanhe.rulebook.resolve import InForce
from shanhe.rulebook.units import UNITS, describe

Ranges = Mapping[str, tuple[int, int]]
_KINDS = {"number": NUM, "date": DATE, "bool": BOOL, "enum": ENUM, "list": LIST}


@dataclass(frozen=True, slots=True)
class BuiltOutput:
    """`exact` in output units before rounding, `rounded` after, `value` in base units for later outputs to refer to."""

    output: Output
    exact: Node
    rounded: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Program:
    """What every back end computes from."""

    version: InForce
    facts: tuple[FactRef, ...]
    steps: tuple[tuple[Step, Node], ...]
    outputs: tuple[BuiltOutput, ...]
    unsaid: tuple[tuple[str, Text], ...] = ()
    """Where (a JSON pointer within the rule) something is computed of which the rule says nothing, and what."""


def fact_node(fact: Fact, ranges: Ranges) -> FactRef:
    """A fact as a node, with its declared range or a narrower one."""
    unit = UNITS[fact.unit]
    if fact.type == "list" and unit.scale != 1:
        raise FormulaInvalid(fact.name, "a list holds whole base units", "列表只能包含整数基本单位")
    lo, hi = ranges.get(fact.name, (fact.lo, fact.hi))
    return FactRef(
        name=fact.name,
        scale=unit.scale,
        values=fact.values,
        kind=_KINDS[fact.type],
        dims=unit.dims,
        lo=lo * unit.scale,
        hi=hi * unit.scale,
        whole=unit.scale.denominator == 1,
        length=fact.max_items,
    )


def parameter_binding(parameter: Parameter, dated: DatedValue) -> Binding:
    """A parameter's value as it is used in expressions."""
    value, name = dated.value, parameter.name
    if parameter.type == "bands":
        return BandsValue(name, value, parameter.closed, parameter.edge_unit, parameter.unit)
    if parameter.unit == "enum":
        return Const(value=value, kind=ENUMS if isinstance(value, tuple) else ENUM, name=name)
    if isinstance(value, bool):
        return flag(value, name)
    if isinstance(value, date):
        return day(value, name)
    unit = UNITS[parameter.unit]
    if parameter.type == "list":
        if unit.scale.denominator != 1:
            raise FormulaInvalid(name, "a list holds whole base units", "列表只能包含整数基本单位")
        return list_constant([int(item * unit.scale) for item in value], unit.dims, name)
    if parameter.type == "table":
        entries = dict(_flat(value, unit.scale))
        return TableValue(name, len(next(iter(entries))), entries, unit.dims)
    return constant(value * unit.scale, unit.dims, name=name)


def _flat(table: Mapping[str, Any], scale: Fraction) -> list[tuple[tuple[str, ...], Fraction | None]]:
    rows: list[tuple[tuple[str, ...], Fraction | None]] = []
    for key, entry in table.items():
        if isinstance(entry, Mapping):
            rows.extend(((key, *path), value) for path, value in _flat(entry, scale))
        else:
            rows.append(((key,), None if entry is None else entry * scale))
    return rows


def build_program(version: InForce, ranges: Ranges | None = None) -> Program:
    """Type a version of a rule, optionally over narrower ranges of facts; FormulaInvalid if it does not."""
    if version.formula is None:
        raise FormulaInvalid(version.rule.id, "this rule has no formula, only parameters", "该规则只有参数，没有公式")
    facts, names = [], dict[str, Binding]()
    for fact in version.rule.facts:
        with _part(f"/facts/{fact.name}"):
            names[fact.name] = made = fact_node(fact, ranges or {})
            facts.append(made)
    for parameter in version.rule.parameters:
        with _part(f"/parameters/{parameter.name}"):
            names[parameter.name] = parameter_binding(parameter, version.values[parameter.name])
    here = f"/formula/{version.rule.formulas.index(version.formula)}"
    steps, unsaid = [], list[tuple[str, Text]]()
    for step in version.formula.steps:
        with _part(f"{here}/steps/{step.name}/expr") as place:
            builder = Builder(names, FUNCTIONS)
            node = builder.build(step.expression)
            unsaid += [(place, said) for said in builder.unsaid]
        steps.append((step, node))
        names[step.name] = _reference(step.name, node)
    outputs = []
    for output in version.formula.outputs:
        with _part(f"{here}/outputs/{output.name}/expr") as place:
            builder = Builder(names, FUNCTIONS)
            outputs.append(_output(output, builder, names))
            unsaid += [(place, said) for said in builder.unsaid]
    return Program(version, tuple(facts), tuple(steps), tuple(outputs), tuple(unsaid))


@contextlib.contextmanager
def _part(pointer: str) -> Iterator[str]:
    """An expression that is refused says where in its rule it stands."""
    try:
        yield pointer
    except FormulaInvalid as error:
        error.part = error.part or pointer
        raise


def _reference(name: str, node: Node) -> StepRef:
    return StepRef(
        name=name,
        target=node,
        kind=node.kind,
        dims=node.dims,
        lo=node.lo,
        hi=node.hi,
        whole=node.whole,
        length=node.length,
    )


def _output(output: Output, builder: Builder, names: dict[str, Binding]) -> BuiltOutput:
    node = builder.build(output.expression)
    if node.kind != _KINDS.get(output.type):
        builder.refuse(f"{output.name} is {output.type}, the formula gives {node.kind}", f"{output.name} 的类型不符")
    if node.kind != NUM:
        names[output.name] = _reference(output.name, node)
        return BuiltOutput(output, node, node, node)
    unit = UNITS[output.unit]
    zero = isinstance(node, Const) and node.value == 0
    if node.dims != unit.dims and not zero:
        given, wanted = describe(node.dims), describe(unit.dims)
        builder.refuse(f"{output.name} is {wanted}, the formula gives {given}", f"{output.name} 的单位不符")
    exact = node if unit.scale == 1 else builder.arith("*", node, constant(1 / unit.scale))
    rounded = builder.rounded(output.rounding, exact)
    value = rounded if unit.scale == 1 else builder.arith("*", rounded, constant(unit.scale))
    value = replace(value, dims=unit.dims)
    names[output.name] = _reference(output.name, value)
    return BuiltOutput(output, exact, rounded, value)
