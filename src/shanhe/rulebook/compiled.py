"""The fast scalar: one generated Python function per version, plain integers, no trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from shanhe.kernel.money import round_half_even
from shanhe.rulebook.builtins import BUILTINS
from shanhe.rulebook.ir import DATE, NUM, Lookup, Member
from shanhe.rulebook.lower import Code, Lowered, lower
from shanhe.rulebook.program import Program

ScalarFunction = Callable[..., dict[str, Any]]


def round_half_up(numerator: int, denominator: int) -> int:
    """Nearest integer; a tie goes up."""
    return (2 * numerator + denominator) // (2 * denominator)


def truncate(numerator: int, denominator: int) -> int:
    """Towards zero."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


class ScalarDialect:
    """Plain Python over integers, booleans, strings and tuples."""

    def pick(self, op: str, left: str, right: str) -> str:
        return f"{left} if {left} {'<=' if op == 'min' else '>='} {right} else {right}"

    def choose(self, test: str, then: str, other: str) -> str:
        return f"{then} if {test} else {other}"

    def logic(self, op: str, left: str, right: str) -> str:
        return f"{left} {op} {right}"

    def negate(self, arg: str) -> str:
        return f"not {arg}"

    def member(self, code: Code, node: Member) -> str:
        if len(node.options) == 1:
            return f"{node.ref.name} == {node.options[0]!r}"
        return f"{node.ref.name} in {code.fixed(frozenset(node.options))}"

    def lookup(self, code: Code, node: Lookup, denominator: int) -> str:
        names = [ref.name for ref in node.refs]
        rows = {path: int(value * denominator) for path, value in node.table.items()}
        if len(names) == 1:
            table = code.fixed({path[0]: value for path, value in rows.items()})
            return f"{table}.get({names[0]}, 0)"
        return f"{code.fixed(rows)}.get(({', '.join(names)}), 0)"

    def call(self, code: Code, name: str, args: list[str]) -> str:
        return f"_{name}({', '.join(args)})"

    def list_constant(self, code: Code, values: tuple[int, ...]) -> str:
        return code.fixed(values)


def _helpers() -> dict[str, Any]:
    return {
        "__builtins__": {},
        "_half_even": round_half_even,
        "_half_up": round_half_up,
        "_truncate": truncate,
        "_fraction": Fraction,
        "_date": date.fromordinal,
        **{f"_{name}": builtin.scalar for name, builtin in BUILTINS.items()},
    }


def _define(program: Program, lowered: Lowered, name: str, results: Mapping[str, str]) -> ScalarFunction:
    defaults = {fact.name: fact.default for fact in program.version.rule.facts}
    scope = _helpers() | dict(lowered.constants)
    parameters = []
    for fact in program.facts:
        default = defaults[fact.name]
        parameters.append(fact.name if default is None else f"{fact.name}={default!r}")
    head = [f"{fact.name} = {fact.name}.toordinal()" for fact in program.facts if fact.kind == DATE]
    pairs = ", ".join(f"{key!r}: {value}" for key, value in results.items())
    body = [*head, *lowered.lines, f"return {{{pairs}}}"]
    signature = f"*, {', '.join(parameters)}" if parameters else ""
    source = f"def {name}({signature}):\n" + "\n".join(f"    {line}" for line in body)
    # The source holds nothing but checked identifiers, integers and our own helpers: see language.py and lower.py.
    exec(compile(source, f"<rule {program.version.rule.id}>", "exec"), scope)
    function: ScalarFunction = scope[name]
    function.__doc__ = f"{program.version.rule.id} at {program.version.version}; keyword facts in, whole units out."
    return function


def compile_scalar(program: Program) -> ScalarFunction:
    """`f(**facts) -> {output: whole units}`; dates as `date`, conditions as `bool`. Facts are not validated."""
    lowered = lower(program, ScalarDialect())
    results = {}
    for built in program.outputs:
        name = built.output.name
        results[name] = f"_date({lowered.rounded[name]})" if built.rounded.kind == DATE else lowered.rounded[name]
    return _define(program, lowered, "decide", results)


def compile_exact(program: Program) -> ScalarFunction:
    """`f(**facts) -> {output: Fraction}` before rounding, for numbers only."""
    lowered = lower(program, ScalarDialect())
    results = {}
    for built in program.outputs:
        name = built.output.name
        if built.rounded.kind == NUM:
            numerator, denominator = lowered.exact[name]
            results[name] = f"_fraction({numerator}, {denominator})"
    return _define(program, lowered, "weigh", results)
