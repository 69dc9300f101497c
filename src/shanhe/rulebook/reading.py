"""Arithmetic as people read it: amounts with their currency, rates in percent, choices by name, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any, Final

from shanhe.rulebook.evaluate import Evaluation
from shanhe.rulebook.ir import (
    BOOL,
    DATE,
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
from shanhe.rulebook.model import Rule, Text
from shanhe.rulebook.units import UNITS
from shanhe.rulebook.wording import ROUNDING_TEXT, display, outermost, said, unit_of

SIGNS: Final[Mapping[str, str]] = {"*": "×", "/": "÷", "-": "−", "<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}
RATES: Final = ("bps", "ppm")
PRICES: Final[Mapping[str, Text]] = {
    "fen_per_credit": Text("/积分", " a credit"),
    "micro_per_mtok": Text("积分/百万词元", " credits per million tokens"),
}


class Reading:
    """Reads the trees of one decision along the path taken."""

    def __init__(self, rule: Rule, evaluation: Evaluation) -> None:
        self._rule = rule
        self._evaluation = evaluation
        self._units = {fact.name: fact.unit for fact in rule.facts} | {p.name: p.unit for p in rule.parameters}

    def read(self, node: Node) -> Text:
        """A tree in words and signs, without brackets around the whole."""
        text = self._read(node)
        return Text(outermost(text.zh), outermost(text.en))

    def value(self, node: Node) -> Text:
        """What a tree came to, as people read it: a share of something is a percentage."""
        return self._shown(self._evaluation.value(node), node, self._unit(node))

    def _unit(self, node: Node) -> str:
        """The unit in which a value is read: a rate stays one through choices and steps."""
        match node:
            case Const(name=name) | FactRef(name=name) | Lookup(name=name) if name in self._units:
                return self._units[name]
            case StepRef(target=target):
                return self._unit(target)
            case Choose(test=test, then=then, other=other):
                holds, both = bool(self._evaluation.value(test)), (then, other)
                taken = both[not holds]
                return self._unit(taken) if not _bare(taken) else self._unit(both[holds])
            case Pick(left=left, right=right) | Arith(op="+" | "-", left=left, right=right):
                units = {self._unit(side) for side in (left, right) if not _bare(side)}
                return units.pop() if len(units) == 1 else unit_of(node.dims)
            case _:
                return unit_of(node.dims)

    def _shown(self, value: Any, node: Node, unit: str) -> Text:
        if node.kind == DATE:
            day = str(date.fromordinal(value))
            return Text(day, day)
        if node.kind == BOOL:
            return said(bool(value), "int", self._rule.label)
        if unit in RATES and isinstance(value, int | Fraction):
            shown = display(Fraction(value) / UNITS[unit].scale, unit)
            return Text(shown, shown)
        if unit in PRICES and isinstance(value, int | Fraction):
            base = "fen" if unit == "fen_per_credit" else "micro"
            shown, per = display(Fraction(value) / UNITS[unit].scale, base), PRICES[unit]
            return Text(shown + per.zh, shown + per.en)
        return said(value, unit_of(node.dims), self._rule.label)

    def _read(self, node: Node) -> Text:
        match node:
            case Const() | FactRef() | StepRef() | Lookup():
                return self.value(node)
            case Arith(op=op, left=left, right=right) | Compare(op=op, left=left, right=right):
                return self._joined(left, Text(f" {SIGNS.get(op, op)} ", f" {SIGNS.get(op, op)} "), right)
            case Pick(op=op, left=left, right=right):
                a, b = self.read(left), self.read(right)
                least = op == "min"
                return Text(f"{'取小' if least else '取大'}（{a.zh}，{b.zh}）",
                            f"the {'smaller' if least else 'larger'} of ({a.en}, {b.en})")  # fmt: skip
            case Logic(op=op, left=left, right=right):
                if bool(self._evaluation.value(left)) is (op == "or"):
                    return self._read(left)
                return self._joined(left, Text(" 且 ", " and ") if op == "and" else Text(" 或 ", " or "), right)
            case Not(arg=arg):
                inner = self._read(arg)
                return Text(f"非 {inner.zh}", f"not {inner.en}")
            case Choose(test=test, then=then, other=other):
                return self._read(then if self._evaluation.value(test) else other)
            case Member(ref=ref, options=options):
                names = [self._rule.label(option) for option in options]
                here = self.value(ref)
                if len(names) == 1:
                    return Text(f"({here.zh} = {names[0].zh})", f"({here.en} = {names[0].en})")
                return Text(f"（{here.zh} 属于 {'、'.join(n.zh for n in names)}）",
                            f"({here.en} is one of {', '.join(n.en for n in names)})")  # fmt: skip
            case Whole(op=op, arg=arg):
                inner, way = self.read(arg), ROUNDING_TEXT[op]
                return Text(f"取整（{inner.zh}，{way.zh}）", f"rounded {way.en} ({inner.en})")
            case Call(name=name, args=args):
                parts = [self.read(arg) for arg in args]
                return Text(f"{name}（{'，'.join(p.zh for p in parts)}）", f"{name}({', '.join(p.en for p in parts)})")
            case _:
                return self.value(node)

    def _joined(self, left: Node, sign: Text, right: Node) -> Text:
        a, b = self._read(left), self._read(right)
        return Text(f"({a.zh}{sign.zh}{b.zh})", f"({a.en}{sign.en}{b.en})")


def _bare(node: Node) -> bool:
    """A number written into the formula: it takes the unit of what stands beside it."""
    return isinstance(node, Const) and not node.name
