"""The explaining evaluator: walks the typed trees in exact fractions, independent of the generated code.

It also differentiates: for a choice it can say how the gap between its two sides moves with each fact, which is how the
nearest change that flips the choice is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from shanhe.kernel.money import round_half_even
from shanhe.rulebook.builtins import BUILTINS
from shanhe.rulebook.compiled import round_half_up, truncate
from shanhe.rulebook.ir import (
    Arith,
    Call,
    Choose,
    Compare,
    Const,
    FactRef,
    Logic,
    Lookup,
    Member,
    Node,
    Not,
    Pick,
    StepRef,
    Whole,
)

Slope = dict[str, Fraction]
_COMPARE = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_ROUND = {
    "floor": lambda n, d: n // d,
    "ceiling": lambda n, d: -(-n // d),
    "half_even": round_half_even,
    "half_up": round_half_up,
    "truncate": truncate,
}


class Evaluation:
    """Values (and slopes) of nodes for one set of validated facts; every node is computed once."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self._values: dict[int, Any] = {}
        self._slopes: dict[int, Slope] = {}
        self._keep: list[Node] = []  # ids are only unique while their nodes live

    def value(self, node: Node) -> Any:
        """An int or Fraction in base units; an ordinal for a date; a bool; a tuple for a list."""
        if type(node) is StepRef:
            return self.value(node.target)
        key = id(node)
        if key in self._values:
            return self._values[key]
        value = self._value(node)
        self._values[key] = value
        self._keep.append(node)
        return value

    def _value(self, node: Node) -> Any:
        match node:
            case Const(value=value):
                return value
            case FactRef():
                return self._fact(node)
            case Arith(op=op, left=left, right=right):
                return _arith(op, self.value(left), self.value(right))
            case Pick(op=op, left=left, right=right):
                a, b = self.value(left), self.value(right)
                return (a if a <= b else b) if op == "min" else (a if a >= b else b)
            case Compare(op=op, left=left, right=right):
                return _COMPARE[op](self.value(left), self.value(right))
            case Logic(op=op, left=left, right=right):
                first = self.value(left)
                return first and self.value(right) if op == "and" else first or self.value(right)
            case Not(arg=arg):
                return not self.value(arg)
            case Choose(test=test, then=then, other=other):
                return self.value(then) if self.value(test) else self.value(other)
            case Member(ref=ref, options=options):
                return self.facts[ref.name] in options
            case Lookup(refs=refs, table=table):
                return _plain(table[tuple(self.facts[ref.name] for ref in refs)])
            case Whole(op=op, arg=arg):
                value = self.value(arg)
                return value if isinstance(value, int) else _ROUND[op](value.numerator, value.denominator)
            case Call():
                return self._call(node)
            case _:
                raise TypeError(f"{type(node).__name__} has no value")

    def _fact(self, node: FactRef) -> Any:
        value = self.facts[node.name]
        if isinstance(value, date):
            return value.toordinal()
        if isinstance(value, bool | str | tuple) or node.scale == 1:
            return value
        return _plain(value * node.scale)

    def _call(self, node: Call) -> Any:
        args: list[Any] = []
        builtin = BUILTINS[node.name]
        for kind, arg in zip(builtin.args, node.args, strict=True):
            value = self.value(arg)
            args.extend((value.numerator, value.denominator) if kind == "rate" else (value,))
        result = builtin.scalar(*args)
        return result if node.denominator == 1 else _plain(Fraction(result, node.denominator))

    # -- slopes ----------------------------------------------------------------------------------------------------

    def slope(self, node: Node) -> Slope:
        """d(value)/d(raw fact) along the path taken; roundings count as straight, tables and builtins as flat."""
        if type(node) is StepRef:
            return self.slope(node.target)
        key = id(node)
        if key not in self._slopes:
            self._slopes[key] = self._slope(node)
            self._keep.append(node)
        return self._slopes[key]

    def _slope(self, node: Node) -> Slope:
        match node:
            case FactRef(name=name, scale=scale) if not node.values and not node.length:
                return {name: scale}
            case Arith(op=op, left=left, right=right):
                return self._arith_slope(op, left, right)
            case Pick(left=left, right=right):
                return self.slope(left if self.value(node) == self.value(left) else right)
            case Choose(test=test, then=then, other=other):
                return self.slope(then if self.value(test) else other)
            case Whole(arg=arg):
                return self.slope(arg)
            case _:
                return {}

    def _arith_slope(self, op: str, left: Node, right: Node) -> Slope:
        a, b = self.slope(left), self.slope(right)
        if not a and not b:
            return {}
        match op:
            case "+":
                return _combined(a, 1, b, 1)
            case "-":
                return _combined(a, 1, b, -1)
            case "*":
                return _combined(a, self.value(right), b, self.value(left))
            case _:
                x, y = Fraction(self.value(left)), Fraction(self.value(right))
                return _combined(a, 1 / y, b, -x / (y * y))


def _plain(value: Any) -> Any:
    return value.numerator if value.denominator == 1 else value


def _arith(op: str, a: Any, b: Any) -> Any:
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return _plain(a * b) if type(a) is Fraction or type(b) is Fraction else a * b
    if type(a) is int and type(b) is int and a % b == 0:
        return a // b
    return _plain(Fraction(a) / b)


def _combined(a: Slope, times_a: Any, b: Slope, times_b: Any) -> Slope:
    total = {name: value * times_a for name, value in a.items()}
    for name, value in b.items():
        total[name] = total.get(name, Fraction(0)) + value * times_b
    return {name: value for name, value in total.items() if value}
