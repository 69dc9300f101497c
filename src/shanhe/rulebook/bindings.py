"""What a name stands for in an expression: a node, or a table or schedule whose place is looked up; and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from shanhe.rulebook.ir import BOOL, DATE, LIST, Const, Node
from shanhe.rulebook.model import Band
from shanhe.rulebook.units import NONE, Dims

ENUMS = "enums"


@dataclass(frozen=True, slots=True)
class TableValue:
    """A table parameter in base units: keys (one per level) → value; None where the table says nothing applies."""

    name: str
    levels: int
    entries: Mapping[tuple[str, ...], Fraction | None]
    dims: Dims


@dataclass(frozen=True, slots=True)
class BandsValue:
    """A schedule in raw units with the units of its edges and values."""

    name: str
    bands: tuple[Band, ...]
    closed: str
    edge_unit: str
    unit: str


Binding = Node | TableValue | BandsValue


def constant(value: int | Fraction, dims: Dims = NONE, *, name: str = "") -> Const:
    exact = Fraction(value)
    whole = exact.denominator == 1
    return Const(value=int(exact) if whole else exact, dims=dims, lo=exact, hi=exact, whole=whole, name=name)


def flag(value: bool, name: str = "") -> Const:
    bound = Fraction(int(value))
    return Const(value=value, kind=BOOL, lo=bound, hi=bound, name=name)


def day(value: date, name: str = "") -> Const:
    bound = Fraction(value.toordinal())
    return Const(value=value.toordinal(), kind=DATE, lo=bound, hi=bound, name=name)


def list_constant(values: list[int], dims: Dims = NONE, name: str = "") -> Const:
    """A list of whole numbers as a node."""
    lo, hi = Fraction(min(values, default=0)), Fraction(max(values, default=0))
    return Const(value=tuple(values), kind=LIST, dims=dims, lo=lo, hi=hi, length=len(values), name=name)
