"""Values as people read them, and trees as arithmetic with the numbers filled in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

from shanhe.kernel.money import format_credits, format_fen
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
from shanhe.rulebook.model import Band, Text
from shanhe.rulebook.units import UNITS, Dims

DECIMALS = 6
ITEMS_SHOWN = 12
_ROUND_NAMES = {
    "floor": "floor",
    "ceiling": "ceil",
    "half_even": "round",
    "half_up": "round_half_up",
    "truncate": "truncate",
}
ROUNDING_TEXT = {
    "half_even": Text("四舍六入五成双", "half to even"),
    "half_up": Text("四舍五入", "half up"),
    "floor": Text("向下取整", "down"),
    "ceiling": Text("向上取整", "up"),
    "truncate": Text("向零取整", "towards zero"),
}


def decimal(value: int | Fraction) -> str:
    """A number for reading: grouped, at most six decimals, `…` where more are cut."""
    exact = Fraction(value)
    if exact.denominator == 1:
        return f"{exact.numerator:,}"
    scaled = abs(exact) * 10**DECIMALS
    whole, part = divmod(scaled.__floor__(), 10**DECIMALS)
    digits = f"{part:0{DECIMALS}d}".rstrip("0")
    more = "…" if scaled.denominator != 1 else ""
    return f"{'-' if exact < 0 else ''}{whole:,}.{digits or '0'}{more}"


def display(value: Any, unit: str, edge_unit: str = "int") -> str:
    """A raw value of a unit for reading, the same in both languages: `¥9,000.00`, `12.500000`, `30%`, `2026-01-31`.

    `edge_unit`: of the edges of bands."""
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, str | date):
        return str(value)
    if isinstance(value, tuple | list):
        return ", ".join(
            f"[{display(item.lower, edge_unit)}, {'∞' if item.upper is None else display(item.upper, edge_unit)}) "
            f"{display(item.value, unit)}"
            if isinstance(item, Band)
            else display(item, unit)
            for item in value[:ITEMS_SHOWN]
        )
    if isinstance(value, dict):
        return ", ".join(f"{key}: {display(entry, unit)}" for key, entry in list(value.items())[:ITEMS_SHOWN])
    if value is None:
        return "–"
    if unit == "fen" and Fraction(value).denominator == 1:
        return f"¥{format_fen(int(value))}"
    if unit == "micro" and Fraction(value).denominator == 1:
        return format_credits(int(value))
    if unit in ("bps", "ppm"):
        return f"{decimal(Fraction(value) * UNITS[unit].scale * 100)}%"
    return decimal(value)


def said(value: Any, unit: str, label: Callable[[str], Text]) -> Text:
    """A raw value of a unit as people say it: yes or no, choices by what their rule calls them, the rest as shown."""
    match value:
        case bool():
            return Text("是", "yes") if value else Text("否", "no")
        case str():
            return label(value)
        case tuple() | list() if any(isinstance(item, str) for item in value):
            parts = [said(item, unit, label) for item in value[:ITEMS_SHOWN]]
            return Text("、".join(part.zh for part in parts), ", ".join(part.en for part in parts))
        case dict():
            rows = [(label(key), said(entry, unit, label)) for key, entry in list(value.items())[:ITEMS_SHOWN]]
            return Text("；".join(f"{key.zh} {entry.zh}" for key, entry in rows),
                        "; ".join(f"{key.en} {entry.en}" for key, entry in rows))  # fmt: skip
        case _:
            return Text(display(value, unit), display(value, unit))


def base_display(value: Any, node: Node) -> str:
    """A value in base units for reading."""
    if node.kind == DATE:
        return str(date.fromordinal(value))
    return display(value, unit_of(node.dims))


def unit_of(dims: Dims) -> str:
    """The base unit that has these dimensions; `int` where none has."""
    if len(dims) == 1 and dims[0][1] == 1 and dims[0][0] in UNITS:
        return dims[0][0]
    return "int"


def exact(value: Any) -> str:
    """A value as text that loses nothing: `900000`, `3/10`, `true`, `2026-01-31`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def literal(value: Any, kind: str) -> str:
    """A value as an expression of the language."""
    if isinstance(value, bool) or kind == BOOL:
        return "1 == 1" if value else "1 == 0"
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    if kind == DATE:
        day = date.fromordinal(value)
        return f"date({day.year}, {day.month}, {day.day})"
    if isinstance(value, Fraction):
        return f"({value.numerator}/{value.denominator})"
    return f"({value})" if value < 0 else str(value)


class Writer:
    """Writes a tree as closed arithmetic along the path taken; the conditions decided on the way are in `tests`."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self.tests: list[tuple[str, bool]] = []

    def write(self, node: Node) -> str:
        match node:
            case Const() | FactRef() | StepRef() | Lookup():
                return literal(self._evaluation.value(node), node.kind)
            case Arith(op=op, left=left, right=right):
                return f"({self.write(left)} {op} {self.write(right)})"
            case Pick(op=op, left=left, right=right):
                return f"{op}({self.write(left)}, {self.write(right)})"
            case Compare(op=op, left=left, right=right):
                return f"({self.write(left)} {op} {self.write(right)})"
            case Logic():
                return self._logic(node)
            case Not(arg=arg):
                return f"(not {self.write(arg)})"
            case Choose(test=test, then=then, other=other):
                holds = bool(self._evaluation.value(test))
                self.tests.append((outermost(self.write(test)), holds))
                return self.write(then if holds else other)
            case Member(ref=ref, options=options):
                chosen = ", ".join(repr(option) for option in options)
                return f"({self._evaluation.facts[ref.name]!r} in [{chosen}])"
            case Whole(op=op, arg=arg):
                return f"{_ROUND_NAMES[op]}({outermost(self.write(arg))})"
            case Call(name="rank_numerator" | "rank_denominator"):
                return literal(self._evaluation.value(node), node.kind)
            case Call(name=name, args=args):
                return f"{name}({', '.join(self.write(arg) for arg in args)})"
            case _:
                raise TypeError(f"{type(node).__name__} can't be written")

    def _logic(self, node: Logic) -> str:
        left = self.write(node.left)
        if bool(self._evaluation.value(node.left)) is (node.op == "or"):
            return left  # the right side was not asked, and may make no sense
        return f"({left} {node.op} {self.write(node.right)})"


def outermost(text: str) -> str:
    """Without one pair of brackets around the whole."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for position, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]
