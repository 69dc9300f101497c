"""The one syntax tree: typed, unit-checked nodes, each with an exact interval that its value can't leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from shanhe.rulebook.units import NONE, Dims

NUM, BOOL, DATE, ENUM, LIST = "num", "bool", "date", "enum", "list"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Node:
    """`lo`/`hi` bound the value in base units (dates as ordinals, items for lists); `whole` says it is an integer."""

    kind: str = NUM
    dims: Dims = NONE
    lo: Fraction = Fraction(0)
    hi: Fraction = Fraction(0)
    whole: bool = True
    length: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Const(Node):
    """A literal or a parameter's value: an int or Fraction, a bool, a string (enum) or a tuple of integers (list)."""

    value: Any
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FactRef(Node):
    """A fact; raw value × `scale` is its value. `values` are an enum's."""

    name: str
    scale: Fraction = Fraction(1)
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StepRef(Node):
    """An earlier step, or an earlier output as rounded."""

    name: str
    target: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arith(Node):
    op: str  # + - * /
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pick(Node):
    """`min` or `max` of two."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Compare(Node):
    op: str  # < <= > >= == !=
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Logic(Node):
    op: str  # and or
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Not(Node):
    arg: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Choose(Node):
    test: Node
    then: Node
    other: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Member(Node):
    """An enum fact is one of `options`."""

    ref: FactRef
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lookup(Node):
    """A table by one or more enum facts."""

    refs: tuple[FactRef, ...]
    table: Mapping[tuple[str, ...], Fraction]
    name: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Whole(Node):
    """Rounding inside a formula: floor, ceiling, half_even, half_up, truncate."""

    op: str
    arg: Node


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Call(Node):
    """A named builtin with a scalar and a vector twin; its integer result ÷ `denominator` is the value."""

    name: str
    args: tuple[Node, ...]
    denominator: int = 1


def children(node: Node) -> tuple[Node, ...]:
    """The nodes a node is computed from, in order."""
    match node:
        case Arith(left=left, right=right) | Pick(left=left, right=right):
            return (left, right)
        case Compare(left=left, right=right) | Logic(left=left, right=right):
            return (left, right)
        case Not(arg=arg) | Whole(arg=arg):
            return (arg,)
        case Choose(test=test, then=then, other=other):
            return (test, then, other)
        case Member(ref=ref):
            return (ref,)
        case Lookup(refs=refs):
            return refs
        case Call(args=args):
            return args
        case _:
            return ()
