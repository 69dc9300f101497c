"""Typed trees to straight-line integer code: every number is a numerator over a denominator, rounded only at the end.

The same walk writes plain Python (for one row) and numpy (for columns). While it writes, it bounds every intermediate
integer; `largest` below 2⁶³ is the proof that 64-bit columns can't wrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, Protocol

from shanhe.rulebook.builtins import BUILTINS
from shanhe.rulebook.ir import (
    DATE,
    NUM,
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
from shanhe.rulebook.program import Program

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Num:
    """A number in code: `num` over `den` (an int when constant), with bounds of both; `den` is positive."""

    num: str
    lo: int
    hi: int
    den: int | str = 1
    den_lo: int = 1
    den_hi: int = 1


class Dialect(Protocol):
    """How one back end spells what differs."""

    def pick(self, op: str, left: str, right: str) -> str: ...
    def choose(self, test: str, then: str, other: str) -> str: ...
    def logic(self, op: str, left: str, right: str) -> str: ...
    def negate(self, arg: str) -> str: ...
    def member(self, code: Code, node: Member) -> str: ...
    def lookup(self, code: Code, node: Lookup, denominator: int) -> str: ...
    def call(self, code: Code, name: str, args: list[str]) -> str: ...
    def list_constant(self, code: Code, values: tuple[int, ...]) -> str: ...


class Code:
    """The lines written so far, the constants they use, and the largest integer any of them can hold."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.largest = 0
        self._numbers: dict[int, Num] = {}
        self._texts: dict[int, str] = {}
        self._steps: dict[str, Num | str] = {}
        self._keep: list[Node] = []  # ids are only unique while their nodes live
        self._count = 0

    # -- writing -------------------------------------------------------------------------------------------------

    def bind(self, expression: str) -> str:
        """Give an expression a name, so that it is computed once."""
        if expression.isidentifier() or expression.lstrip("-").isdigit() or expression in ("True", "False"):
            return expression
        self._count += 1
        name = f"_t{self._count}"
        self.lines.append(f"{name} = {expression}")
        return name

    def fixed(self, value: Any) -> str:
        """A constant object the code refers to."""
        self._count += 1
        name = f"_k{self._count}"
        self.constants[name] = value
        return name

    def bounded(self, lo: int, hi: int) -> None:
        self.largest = max(self.largest, abs(lo), abs(hi))

    def scaled(self, number: Num, factor: int) -> tuple[str, int, int]:
        """The numerator times a positive constant, with its bounds."""
        lo, hi = number.lo * factor, number.hi * factor
        self.bounded(lo, hi)
        if factor == 1:
            return number.num, lo, hi
        if number.num.lstrip("-").isdigit():
            return str(int(number.num) * factor), lo, hi
        return self.bind(f"{number.num} * {factor}"), lo, hi

    def _make(self, num: str, lo: int, hi: int, den: int | str = 1, den_lo: int = 1, den_hi: int = 1) -> Num:
        self.bounded(lo, hi)
        self.bounded(den_lo, den_hi)
        if isinstance(den, int):
            den_lo = den_hi = den
            self.bounded(den, den)
        else:
            den = self.bind(den)
        return Num(self.bind(num), lo, hi, den, den_lo, den_hi)

    # -- numbers -------------------------------------------------------------------------------------------------

    def step(self, name: str, node: Node) -> None:
        """Compute a step under its name, for later references."""
        self._steps[name] = self.number(node) if node.kind in (NUM, DATE) else self.text(node)

    def number(self, node: Node) -> Num:
        """The code of a number or a date."""
        made = self._numbers.get(id(node))
        if made is None:
            made = self._tightened(self._number(node), node)
            self._numbers[id(node)] = made
            self._keep.append(node)
        return made

    def _tightened(self, made: Num, node: Node) -> Num:
        """With a constant denominator the node's own interval bounds the numerator exactly."""
        if not isinstance(made.den, int):
            return made
        lo, hi = node.lo * made.den, node.hi * made.den
        return Num(made.num, max(made.lo, lo.__floor__()), min(made.hi, hi.__ceil__()), made.den, made.den, made.den)

    def _number(self, node: Node) -> Num:
        match node:
            case Const(value=value):
                exact = Fraction(value)
                return self._make(str(exact.numerator), exact.numerator, exact.numerator, exact.denominator)
            case FactRef(name=name, scale=scale):
                raw = f"{name} * {scale.numerator}" if scale.numerator != 1 else name
                den = scale.denominator
                return self._make(raw, int(node.lo * den), int(node.hi * den), den)
            case StepRef(name=name):
                found = self._steps[name]
                assert isinstance(found, Num)  # the builder keeps numbers and conditions apart
                return found
            case Arith(op=op, left=left, right=right):
                return self._arith(op, self.number(left), self.number(right))
            case Pick(op=op, left=left, right=right):
                return self._pick(op, self.number(left), self.number(right))
            case Choose(test=test, then=then, other=other):
                return self._choose(self.text(test), self.number(then), self.number(other))
            case Whole(op=op, arg=arg):
                return self._round(op, self.number(arg))
            case Lookup(table=table):
                den = lcm(*(value.denominator for value in table.values()))
                lo, hi = int(node.lo * den), int(node.hi * den)
                for value in table.values():
                    self.bounded(int(value * den), 0)
                return self._make(self.dialect.lookup(self, node, den), lo, hi, den)
            case Call():
                den = node.denominator
                return self._make(self._call(node), int(node.lo * den), int(node.hi * den), den)
            case _:
                raise TypeError(f"{type(node).__name__} is not a number")

    def _arith(self, op: str, a: Num, b: Num) -> Num:
        if op == "*":
            return self._product(a, b.num, b.lo, b.hi, b)
        if op == "/":
            return self._quotient(a, b)
        if isinstance(a.den, int) and isinstance(b.den, int):
            den = lcm(a.den, b.den)
            left, left_lo, left_hi = self.scaled(a, den // a.den)
            right, right_lo, right_hi = self.scaled(b, den // b.den)
            lo, hi = (left_lo + right_lo, left_hi + right_hi) if op == "+" else (left_lo - right_hi, left_hi - right_lo)
            return self._make(f"{left} {op} {_operand(right)}", lo, hi, den)
        left_num, right_num = self._times(a.num, a.lo, a.hi, b), self._times(b.num, b.lo, b.hi, a)
        lo, hi = (
            (left_num.lo + right_num.lo, left_num.hi + right_num.hi)
            if op == "+"
            else (left_num.lo - right_num.hi, left_num.hi - right_num.lo)
        )
        return self._make(
            f"{left_num.num} {op} {_operand(right_num.num)}", lo, hi, f"{a.den} * {b.den}",
            a.den_lo * b.den_lo, a.den_hi * b.den_hi,
        )  # fmt: skip

    def _times(self, num: str, lo: int, hi: int, other: Num) -> Num:
        """A numerator times another number's denominator."""
        corners = [x * y for x in (lo, hi) for y in (other.den_lo, other.den_hi)]
        return self._make(f"{num} * {other.den}", min(corners), max(corners))

    def _product(self, a: Num, num: str, lo: int, hi: int, b: Num) -> Num:
        corners = [x * y for x in (a.lo, a.hi) for y in (lo, hi)]
        den: int | str = a.den * b.den if isinstance(a.den, int) and isinstance(b.den, int) else f"{a.den} * {b.den}"
        text = a.num if num == "1" else num if a.num == "1" else f"{a.num} * {_operand(num)}"
        return self._make(text, min(corners), max(corners), den, a.den_lo * b.den_lo, a.den_hi * b.den_hi)

    def _quotient(self, a: Num, b: Num) -> Num:
        if b.num.lstrip("-").isdigit() and isinstance(b.den, int):
            inverse = Fraction(b.den, int(b.num))
            n, d = inverse.numerator, inverse.denominator
            return self._product(a, str(n), n, n, Num(str(n), n, n, d, d, d))
        if b.hi < 0:
            a = Num(self.bind(f"-{_operand(a.num)}"), -a.hi, -a.lo, a.den, a.den_lo, a.den_hi)
            b = Num(self.bind(f"-{_operand(b.num)}"), -b.hi, -b.lo, b.den, b.den_lo, b.den_hi)
        above = self._times(a.num, a.lo, a.hi, b)
        # The divisor is positive where the result is used; a branch not taken may hold anything, so it is kept ≥ 1.
        divisor = self.bind(self.dialect.pick("max", b.num, "1"))
        low = max(b.lo, 1)
        den = divisor if a.den == 1 else f"{divisor} * {a.den}"
        return self._make(above.num, above.lo, above.hi, den, low * a.den_lo, max(b.hi, 1) * a.den_hi)

    def aligned(self, a: Num, b: Num) -> tuple[Num, Num]:
        """Both over one denominator (or cross-multiplied when it varies), fit to be compared."""
        if isinstance(a.den, int) and isinstance(b.den, int):
            den = lcm(a.den, b.den)
            return Num(*self.scaled(a, den // a.den), den, den, den), Num(*self.scaled(b, den // b.den), den, den, den)
        return self._times(a.num, a.lo, a.hi, b), self._times(b.num, b.lo, b.hi, a)

    def _pick(self, op: str, a: Num, b: Num) -> Num:
        left, right = self.aligned(a, b)
        if isinstance(a.den, int) and isinstance(b.den, int):
            chosen = min if op == "min" else max
            lo, hi = chosen(left.lo, right.lo), chosen(left.hi, right.hi)
            return self._make(self.dialect.pick(op, left.num, right.num), lo, hi, left.den)
        test = self.bind(f"{left.num} {'<=' if op == 'min' else '>='} {right.num}")
        return self._choose(test, a, b)

    def _choose(self, test: str, a: Num, b: Num) -> Num:
        if isinstance(a.den, int) and isinstance(b.den, int):
            a, b = self.aligned(a, b)
            num = self.dialect.choose(test, a.num, b.num)
            return self._make(num, min(a.lo, b.lo), max(a.hi, b.hi), a.den)
        num = self.bind(self.dialect.choose(test, a.num, b.num))
        den = self.dialect.choose(test, str(a.den), str(b.den))
        lo, hi = min(a.lo, b.lo), max(a.hi, b.hi)
        return self._make(num, lo, hi, den, min(a.den_lo, b.den_lo), max(a.den_hi, b.den_hi))

    def _round(self, op: str, a: Num) -> Num:
        if a.den == 1:
            return a
        lo, hi = min(a.lo // a.den_lo, a.lo // a.den_hi), max(-(-a.hi // a.den_lo), -(-a.hi // a.den_hi))
        if op == "floor":
            return self._make(f"{a.num} // {a.den}", lo, hi)
        if op == "ceiling":
            return self._make(f"-(-{_operand(a.num)} // {a.den})", lo, hi)
        # Helpers look at twice the rest (half_even) or twice the numerator (half_up).
        self.bounded(2 * a.den_hi, 2 * max(abs(a.lo), abs(a.hi)) + a.den_hi if op == "half_up" else 0)
        return self._make(f"_{op}({a.num}, {a.den})", lo, hi)

    # -- conditions, lists and calls -------------------------------------------------------------------------------

    def text(self, node: Node) -> str:
        """The code of a condition, a list or an enum."""
        made = self._texts.get(id(node))
        if made is None:
            made = self.bind(self._text(node))
            self._texts[id(node)] = made
            self._keep.append(node)
        return made

    def _text(self, node: Node) -> str:
        match node:
            case Const(value=value):
                return self.dialect.list_constant(self, value) if isinstance(value, tuple) else str(value)
            case FactRef(name=name):
                if node.length:
                    self.bounded(int(node.lo), int(node.hi))
                return name
            case StepRef(name=name):
                found = self._steps[name]
                assert isinstance(found, str)  # see number()
                return found
            case Compare(op=op, left=left, right=right):
                a, b = self.aligned(self.number(left), self.number(right))
                return f"{a.num} {op} {b.num}"
            case Logic(op=op, left=left, right=right):
                return self.dialect.logic(op, self.text(left), self.text(right))
            case Not(arg=arg):
                return self.dialect.negate(self.text(arg))
            case Choose(test=test, then=then, other=other):
                return self.dialect.choose(self.text(test), self.text(then), self.text(other))
            case Member():
                return self.dialect.member(self, node)
            case Call():
                self.bounded(int(node.lo), int(node.hi))
                return self._call(node)
            case _:
                raise TypeError(f"{type(node).__name__} is not a condition or a list")

    def _call(self, node: Call) -> str:
        args: list[str] = []
        for kind, arg in zip(BUILTINS[node.name].args, node.args, strict=True):
            if kind == "list":
                args.append(self.text(arg))
                self.bounded(int(arg.lo) * max(arg.length, 1), int(arg.hi) * max(arg.length, 1))
                continue
            number = self.number(arg)
            args.append(number.num)
            if kind == "rate":
                args.append(str(number.den))
        return self.dialect.call(self, node.name, args)


def _operand(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


@dataclass(frozen=True, slots=True)
class Lowered:
    """Code of a whole program: lines, constants, the name of every output (and its exact numerator, denominator)."""

    lines: tuple[str, ...]
    constants: Mapping[str, Any]
    rounded: Mapping[str, str]
    exact: Mapping[str, tuple[str, str]]
    largest: int

    @property
    def fits_int64(self) -> bool:
        return self.largest <= INT64_MAX


def lower(program: Program, dialect: Dialect) -> Lowered:
    """Write a program in one dialect."""
    code = Code(dialect)
    for step, node in program.steps:
        code.step(step.name, node)
    rounded: dict[str, str] = {}
    exact: dict[str, tuple[str, str]] = {}
    for built in program.outputs:
        name = built.output.name
        if built.rounded.kind in (NUM, DATE):
            before = code.number(built.exact)
            exact[name] = (before.num, str(before.den))
            number = code.number(built.rounded)
            rounded[name] = number.num
            code.step(name, built.value)
        else:
            code.step(name, built.rounded)
            rounded[name] = code.text(built.rounded)
    return Lowered(tuple(code.lines), code.constants, rounded, exact, code.largest)
