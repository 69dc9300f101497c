"""The functions of the expression language: what each takes, what it is built of, how far its value can reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction

from shanhe.rulebook import calendar
from shanhe.rulebook.bindings import constant, day
from shanhe.rulebook.build import Builder, Function
from shanhe.rulebook.builtins import BUILTINS, IRR_DENOMINATOR, IRR_HIGHEST
from shanhe.rulebook.ir import BOOL, DATE, LIST, NUM, Arith, Call, Compare, Const, Node
from shanhe.rulebook.units import NONE, UNITS, Dims, multiply

MONTHS_SPAN = 120_000
HALF_LIFE_DAYS_MAX = 4_000
PERIODS_MAX = 1_200
COMPOUND_PERIODS_MAX = 50


def _arity(builder: Builder, name: str, args: list[Node], count: int, at_least: bool = False) -> None:
    if len(args) == count or (at_least and len(args) > count):
        return
    builder.refuse(
        f"{name} takes {count} arguments, not {len(args)}", f"{name} 需要 {count} 个参数，而不是 {len(args)}"
    )


def _extreme(name: str) -> Function:
    def make(builder: Builder, args: list[Node]) -> Node:
        _arity(builder, name, args, 2, at_least=True)
        result = args[0]
        for arg in args[1:]:
            result = builder.pick(name, result, arg)
        return result

    return make


def _clamp(builder: Builder, args: list[Node]) -> Node:
    _arity(builder, "clamp", args, 3)
    return builder.pick("min", builder.pick("max", args[0], args[1]), args[2])


def _ramp(builder: Builder, args: list[Node]) -> Node:
    """ramp(x, x0, x1, y0, y1): y0 below x0, y1 above x1, a straight line between."""
    _arity(builder, "ramp", args, 5)
    x, x0, x1, y0, y1 = args
    run = builder.arith("-", builder.pick("min", builder.pick("max", x, x0), x1), x0)
    slope = builder.arith("/", builder.arith("-", y1, y0), builder.arith("-", x1, x0))
    return builder.arith("+", y0, builder.arith("*", run, slope))


def _ratio(builder: Builder, args: list[Node]) -> Node:
    """ratio(a, b, otherwise): a ÷ b, and `otherwise` where b is zero; b must not be negative."""
    _arity(builder, "ratio", args, 3)
    above, below, otherwise = (builder.number(arg, "ratio") for arg in args)
    if below.lo < 0:
        builder.refuse("the divisor of ratio may be negative", "ratio 的除数可能为负")
    builder.whole(below, "the divisor of ratio")  # a fraction may come arbitrarily near zero: nothing would bound a ÷ b
    if below.hi < 1:
        return otherwise
    known = replace(below, lo=max(below.lo, Fraction(1)))
    test = Compare(op=">", left=below, right=constant(0, below.dims), kind=BOOL, hi=Fraction(1))
    return builder.choose(test, builder.arith("/", above, known), otherwise)


def _share(builder: Builder, args: list[Node]) -> Node:
    """share(amount, part, whole): amount × part ÷ whole, 0 where the whole is zero."""
    _arity(builder, "share", args, 3)
    amount, part, whole = args
    zero = constant(0, multiply(part.dims, whole.dims, -1))
    return builder.arith("*", amount, _ratio(builder, [part, whole, zero]))


def _rounding(op: str) -> Function:
    def make(builder: Builder, args: list[Node]) -> Node:
        _arity(builder, op, args, 1)
        return builder.rounded(op, args[0])

    return make


def _absolute(builder: Builder, args: list[Node]) -> Node:
    _arity(builder, "abs", args, 1)
    return builder.pick("max", args[0], builder.arith("-", constant(0, args[0].dims), args[0]))


def _days(builder: Builder, args: list[Node]) -> Node:
    """days(from, to): days from the first date to the second."""
    _arity(builder, "days", args, 2)
    if any(arg.kind != DATE for arg in args):
        builder.refuse("days(from, to) takes two dates", "days(from, to) 需要两个日期")
    return builder.arith("-", args[1], args[0])


def _date(builder: Builder, args: list[Node]) -> Node:
    _arity(builder, "date", args, 3)
    if not all(isinstance(arg, Const) and arg.kind == NUM and arg.whole for arg in args):
        builder.refuse("date(y, m, d) takes three literal numbers", "date(y, m, d) 需要三个整数字面量")
    year, month, number = (int(arg.value) for arg in args if isinstance(arg, Const))
    try:
        return day(date(year, month, number))
    except (ValueError, OverflowError):
        builder.refuse(f"{year}-{month}-{number} is not a date", f"{year}-{month}-{number} 不是日期")


def _cast(unit: str) -> Function:
    def make(builder: Builder, args: list[Node]) -> Node:
        _arity(builder, unit, args, 1)
        value = builder.number(args[0], unit)
        if value.dims != NONE and not builder.unitless:
            builder.refuse(f"{unit}() takes a plain number", f"{unit}() 只接受无单位的数")
        scaled = value if UNITS[unit].scale == 1 else builder.arith("*", value, constant(UNITS[unit].scale))
        return replace(scaled, dims=UNITS[unit].dims)

    return make


def _number(builder: Builder, args: list[Node]) -> Node:
    """number(x): x in base units (fen, µ, tokens, days) as a plain number."""
    _arity(builder, "number", args, 1)
    return replace(builder.number(args[0], "number"), dims=NONE)


def _bounds_split(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    total, weights = args[0], args[1]
    if total.lo < 0 or weights.lo < 0:
        builder.refuse("a split needs an amount and weights that can't be negative", "拆分的金额与权重不能为负")
    return Fraction(0), max(total.hi, Fraction(0)), total.dims, weights.length


def _bounds_waterfall(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    builder.agree(replace(args[0], kind=NUM), replace(args[1], kind=NUM), "waterfall")
    return Fraction(0), max(args[1].hi, Fraction(0)), args[0].dims, args[1].length


def _bounds_decay(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    half_life = args[1]
    if not isinstance(half_life, Const) or not 1 <= half_life.value <= HALF_LIFE_DAYS_MAX:
        builder.refuse("the half-life is a constant between 1 and 4000", "半衰期必须是 1 到 4000 之间的常量")
    return Fraction(0), Fraction(1), NONE, 0


def _bounds_annuity(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    principal, rate, periods = args
    if principal.lo < 0 or rate.lo < 0 or rate.hi > 10 or periods.lo < 1 or periods.hi > PERIODS_MAX:
        builder.refuse(
            "annuity needs a principal ≥ 0, a rate of 0–10 and 1–1200 periods",
            "annuity 需要本金 ≥ 0、期利率 0–10、期数 1–1200",
        )
    return Fraction(0), Fraction((principal.hi * (1 + rate.hi)).__ceil__()), principal.dims, 0


def _bounds_decay_sum(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    amounts, ages, half_life = args
    _bounds_decay(builder, [ages, half_life])
    if amounts.lo < 0:
        builder.refuse("decay_sum needs amounts that can't be negative", "decay_sum 的数值不能为负")
    return Fraction(0), max(amounts.hi * amounts.length, Fraction(0)), amounts.dims, 0


def _bounds_compound(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    principal, rate, periods = args
    if principal.lo < 0 or rate.lo < 0 or rate.hi > 1 or periods.lo < 0 or periods.hi > COMPOUND_PERIODS_MAX:
        builder.refuse(
            "compound needs a principal ≥ 0, a rate of 0–1 and 0–50 periods",
            "compound 需要本金 ≥ 0、期利率 0–1、期数 0–50",
        )
    grown = principal.hi * (1 + rate.hi) ** int(periods.hi)
    return Fraction(0), Fraction(grown.__ceil__()), principal.dims, 0


def _bounds_item(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    values = args[0]
    return min(values.lo, Fraction(0)), max(values.hi, Fraction(0)), values.dims, 0


def _bounds_sum(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    values = args[0]
    zero = Fraction(0)
    return min(values.lo * values.length, zero), max(values.hi * values.length, zero), values.dims, 0


def _fixed(
    lo: int, hi: int, dims: Dims = NONE
) -> Callable[[Builder, list[Node]], tuple[Fraction, Fraction, Dims, int]]:
    return lambda builder, args: (Fraction(lo), Fraction(hi), dims, 0)


def _bounds_count(builder: Builder, args: list[Node]) -> tuple[Fraction, Fraction, Dims, int]:
    return Fraction(0), Fraction(args[0].length), NONE, 0


_BOUNDS: Mapping[str, Callable[[Builder, list[Node]], tuple[Fraction, Fraction, Dims, int]]] = {
    "add_months": _fixed(calendar.FIRST_DAY, calendar.LAST_DAY),
    "months_between": _fixed(-MONTHS_SPAN, MONTHS_SPAN, UNITS["month"].dims),
    "year": _fixed(1, 9999),
    "month": _fixed(1, 12),
    "quarter": _fixed(1, 4),
    "day_of_month": _fixed(1, 31),
    "split": _bounds_split,
    "split_unbiased": _bounds_split,
    "waterfall": _bounds_waterfall,
    "decay": _bounds_decay,
    "decay_sum": _bounds_decay_sum,
    "annuity": _bounds_annuity,
    "compound": _bounds_compound,
    "irr": _fixed(0, IRR_HIGHEST // IRR_DENOMINATOR),
    "item": _bounds_item,
    "sum": _bounds_sum,
    "count": _bounds_count,
}


def _builtin(name: str) -> Function:
    spec = BUILTINS[name]

    def make(builder: Builder, args: list[Node]) -> Node:
        _arity(builder, name, args, len(spec.args))
        for kind, arg in zip(spec.args, args, strict=True):
            _argument(builder, name, kind, arg)
        lo, hi, dims, length = _BOUNDS[name](builder, args)
        kind = {"date": DATE, "list": LIST}.get(spec.result, NUM)
        whole = spec.denominator == 1
        return Call(
            name=name,
            args=tuple(args),
            denominator=spec.denominator,
            kind=kind,
            dims=dims,
            lo=lo,
            hi=hi,
            whole=whole,
            length=length,
        )

    return make


def _argument(builder: Builder, name: str, kind: str, arg: Node) -> None:
    wanted = {"int": NUM, "rate": NUM, "date": DATE, "list": LIST}[kind]
    if arg.kind != wanted:
        builder.refuse(f"{name} needs a {wanted} where it got {arg.kind}", f"{name} 需要 {wanted}，得到 {arg.kind}")
    if kind == "int":
        builder.whole(arg, f"an argument of {name}")


def _cohort_rank(builder: Builder, args: list[Node]) -> Node:
    """cohort_rank(x, cohort): (number below + ½ other equals) ÷ (N − 1), ½ for a cohort of one.

    In [0, 1] where x belongs to the cohort; at most 2 otherwise.
    """
    _arity(builder, "cohort_rank", args, 2)
    _argument(builder, "cohort_rank", "int", args[0])
    _argument(builder, "cohort_rank", "list", args[1])
    most = Fraction(max(2 * args[1].length, 2))
    above = Call(name="rank_numerator", args=tuple(args), hi=most)
    below = Call(name="rank_denominator", args=(args[1],), lo=Fraction(2), hi=most)
    return Arith(op="/", left=above, right=below, hi=Fraction(2), whole=False)


FUNCTIONS: Mapping[str, Function] = {
    "min": _extreme("min"),
    "max": _extreme("max"),
    "clamp": _clamp,
    "ramp": _ramp,
    "ratio": _ratio,
    "share": _share,
    "floor": _rounding("floor"),
    "ceil": _rounding("ceiling"),
    "round": _rounding("half_even"),
    "round_half_up": _rounding("half_up"),
    "truncate": _rounding("truncate"),
    "abs": _absolute,
    "days": _days,
    "date": _date,
    "number": _number,
    "fen": _cast("fen"),
    "yuan": _cast("yuan"),
    "micro": _cast("micro"),
    "credit": _cast("credit"),
    "tokens": _cast("token"),
    "cohort_rank": _cohort_rank,
    **{name: _builtin(name) for name in _BOUNDS},
}
