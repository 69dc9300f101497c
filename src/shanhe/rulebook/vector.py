"""The vector kernel: a version of a rule over columns of millions of rows, equal to the scalar function to the unit.

64-bit arithmetic is used only where interval analysis proves that nothing wraps: for the declared ranges, else for the
ranges the columns really have, else for the rows inside a safe box; the other rows go through exact Python integers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np

from shanhe.rulebook.builtins import BUILTINS
from shanhe.rulebook.calendar import EPOCH
from shanhe.rulebook.compiled import compile_scalar, round_half_up, truncate
from shanhe.rulebook.errors import FactProblem, RuleFactsInvalid
from shanhe.rulebook.ir import BOOL, DATE, ENUM, LIST, FactRef, Lookup, Member
from shanhe.rulebook.lower import INT64_MAX, Code, Lowered, lower
from shanhe.rulebook.model import Fact
from shanhe.rulebook.program import Program, Ranges, build_program
from shanhe.rulebook.resolve import InForce

CHUNK_ROWS = 32_768
KERNELS_KEPT = 16
ROWS_MAX = 100_000_000

Columns = Mapping[str, Any]
Also = Callable[[Program], Program]


def _half_even(numerators: Any, denominators: Any) -> Any:
    quotients = numerators // denominators
    twice = (numerators - quotients * denominators) * 2
    if isinstance(denominators, int) and denominators & 1:  # no ties over an odd denominator
        return quotients + (twice > denominators)
    return quotients + ((twice > denominators) | ((twice == denominators) & ((quotients & 1) == 1)))


def _half_up(numerators: Any, denominators: Any) -> Any:
    return round_half_up(numerators, denominators)


def _truncate(numerators: Any, denominators: Any) -> Any:
    if isinstance(numerators, int):
        return truncate(numerators, denominators)
    return np.where(numerators >= 0, numerators // denominators, -(-numerators // denominators))


def _full(value: Any, rows: int) -> Any:
    return np.broadcast_to(np.asarray(value, dtype=np.int64), (rows,)) if np.ndim(value) == 0 else value


def _full_list(values: tuple[int, ...], rows: int) -> Any:
    return np.broadcast_to(np.array(values, dtype=np.int64), (rows, len(values)))


class VectorDialect:
    """numpy over int64 columns; enums are their index in the declaration."""

    def pick(self, op: str, left: str, right: str) -> str:
        return f"_{op}imum({left}, {right})"

    def choose(self, test: str, then: str, other: str) -> str:
        return f"_where({test}, {then}, {other})"

    def logic(self, op: str, left: str, right: str) -> str:
        return f"_logical_{op}({left}, {right})"

    def negate(self, arg: str) -> str:
        return f"_logical_not({arg})"

    def member(self, code: Code, node: Member) -> str:
        if len(node.options) == 1:
            return f"{node.ref.name} == {node.ref.values.index(node.options[0])}"
        chosen = np.array([value in node.options for value in node.ref.values], dtype=bool)
        return f"_take({code.fixed(chosen)}, {node.ref.name})"

    def lookup(self, code: Code, node: Lookup, denominator: int) -> str:
        shape = [len(ref.values) for ref in node.refs]
        table = np.zeros(shape, dtype=object)
        for path, value in node.table.items():
            index = tuple(ref.values.index(key) for ref, key in zip(node.refs, path, strict=True))
            table[index] = int(value * denominator)
        flat = table.reshape(-1)
        small = all(abs(int(value)) <= INT64_MAX for value in flat)
        position = node.refs[0].name
        for ref, size in zip(node.refs[1:], shape[1:], strict=True):
            position = f"({position} * {size} + {ref.name})"
        return f"_take({code.fixed(flat.astype(np.int64) if small else flat)}, {position})"

    def call(self, code: Code, name: str, args: list[str]) -> str:
        wrapped = []
        for index, arg in enumerate(args):
            plain = (BUILTINS[name].args[0] == "list" and index == 0) or arg.startswith("_list")
            constant = (name, index) in (("decay", 1), ("decay_sum", 2))
            wrapped.append(arg if plain or constant or _is_list(name, index) else f"_full({arg}, _rows)")
        return f"_{name}({', '.join(wrapped)})"

    def list_constant(self, code: Code, values: tuple[int, ...]) -> str:
        return f"_full_list({code.fixed(values)}, _rows)"


def _is_list(name: str, index: int) -> bool:
    # A rate takes two places, so positions are counted over the spread arguments.
    spread = [kind for kind in BUILTINS[name].args for _ in range(2 if kind == "rate" else 1)]
    return spread[index] == "list"


def _scope(lowered: Lowered) -> dict[str, Any]:
    return {
        "__builtins__": {},
        "_minimum": np.minimum,
        "_maximum": np.maximum,
        "_where": np.where,
        "_logical_and": np.logical_and,
        "_logical_or": np.logical_or,
        "_logical_not": np.logical_not,
        "_take": np.take,
        "_half_even": _half_even,
        "_half_up": _half_up,
        "_truncate": _truncate,
        "_full": _full,
        "_full_list": _full_list,
        **{f"_{name}": builtin.vector for name, builtin in BUILTINS.items()},
        **lowered.constants,
    }


class _Kernel:
    """One generated numpy function for one set of fact ranges."""

    def __init__(self, program: Program) -> None:
        lowered = lower(program, VectorDialect())
        self.fits = lowered.fits_int64
        self.largest = lowered.largest
        self._outputs = [(built.output.name, built.rounded.kind) for built in program.outputs]
        names = ", ".join(["_rows", *(fact.name for fact in program.facts)])
        results = ", ".join(lowered.rounded[name] for name, _ in self._outputs)
        body = "\n".join(f"    {line}" for line in (*lowered.lines, f"return ({results},)"))
        scope = _scope(lowered)
        # As in compiled.py: nothing but checked identifiers, integers and our own helpers.
        exec(compile(f"def kernel({names}):\n{body}", f"<columns {program.version.rule.id}>", "exec"), scope)
        self._function: Callable[..., tuple[Any, ...]] = scope["kernel"]

    def run(self, columns: list[Any], rows: int) -> dict[str, Any]:
        """All rows, in chunks that stay in the processor's cache."""
        results: dict[str, Any] = {}
        for start in range(0, rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, rows)
            part = self._function(stop - start, *(column[start:stop] for column in columns))
            for (name, kind), values in zip(self._outputs, part, strict=True):
                if name not in results:
                    shape = (rows, values.shape[1]) if kind == LIST else (rows,)
                    results[name] = np.empty(shape, dtype=bool if kind == BOOL else np.int64)
                results[name][start:stop] = values
        for name, kind in self._outputs:
            results.setdefault(name, np.empty(0, dtype=bool if kind == BOOL else np.int64))
        return results


class VectorKernel:
    """`kernel(columns) -> columns` for one version of a rule.

    Columns are one-dimensional arrays of one length, named as the facts: integers for numbers, bool for conditions,
    `datetime64[D]` (or ordinals) for dates, texts or declaration indices for enums, two-dimensional integers (rows ×
    items) for lists. Outputs are int64, bool or `datetime64[D]`; a number output is an object column only where a value
    does not fit 64 bits. RuleFactsInvalid names the columns that don't fit. `also` adds outputs to the program.
    """

    def __init__(self, version: InForce, also: Also | None = None) -> None:
        self._version = version
        self._also = also
        self._program = self._build()
        self._scalar = compile_scalar(self._program)
        self._kernels: OrderedDict[tuple[Any, ...], _Kernel] = OrderedDict()
        self._declared = _Kernel(self._program)
        self._box: tuple[dict[str, tuple[int, int]], _Kernel] | None = None

    @property
    def version(self) -> str:
        """Content hash of the version the kernel computes."""
        return self._version.version

    @property
    def proved(self) -> bool:
        """Whether 64 bits suffice for every fact within its declared range."""
        return self._declared.fits

    @property
    def largest(self) -> int:
        """The largest integer any intermediate can reach within the declared ranges."""
        return self._declared.largest

    def __call__(self, columns: Columns) -> dict[str, Any]:
        clean, rows = self._columns(columns)
        if self._declared.fits:
            return self._dated(self._declared.run(clean, rows))
        if rows == 0:
            return self._dated(self._declared.run(clean, 0))
        kernel = self._narrowed(clean)
        if kernel.fits:
            return self._dated(kernel.run([_as_int64(column) for column in clean], rows))
        return self._dated(self._boxed(clean, rows))

    def _build(self, ranges: Ranges | None = None) -> Program:
        program = build_program(self._version, ranges)
        return program if self._also is None else self._also(program)

    # -- columns in ----------------------------------------------------------------------------------------------

    def _columns(self, columns: Columns) -> tuple[list[Any], int]:
        facts = self._version.rule.facts
        problems = [
            FactProblem(name, "the rule knows no such fact", "规则没有这一事实")
            for name in columns
            if name not in {fact.name for fact in facts}
        ]
        lengths = {len(columns[fact.name]) for fact in facts if fact.name in columns}
        rows = max(lengths, default=1)
        if len(lengths) > 1:
            problems.append(FactProblem("columns", "have different lengths", "列的长度不一致"))
        if rows > ROWS_MAX:
            problems.append(FactProblem("columns", f"have more than {ROWS_MAX} rows", f"超过 {ROWS_MAX} 行"))
        clean: list[Any] = []
        for fact, node in zip(facts, self._program.facts, strict=True):
            if fact.name not in columns:
                if fact.default is None:
                    problems.append(FactProblem(fact.name, "is missing", "缺失"))
                else:
                    clean.append(np.full(rows, _code(fact, fact.default)))
                continue
            column, problem = _column(fact, node, np.asarray(columns[fact.name]))
            clean.append(column)
            if problem is not None:
                problems.append(problem)
        if problems:
            raise RuleFactsInvalid(self._version.rule.id, problems)
        return clean, rows

    # -- wide rows -------------------------------------------------------------------------------------------------

    def _narrowed(self, columns: list[Any]) -> _Kernel:
        """A kernel for the ranges the columns have, widened to powers of two so that few are ever built."""
        ranges: dict[str, tuple[int, int]] = {}
        for fact, column in zip(self._version.rule.facts, columns, strict=True):
            if fact.type in ("number", "list") and column.size:
                lo, hi = int(column.min()), int(column.max())
                ranges[fact.name] = (max(_outward(lo), fact.lo), min(_outward(hi), fact.hi))
        return self._kernel(ranges)

    def _kernel(self, ranges: Ranges) -> _Kernel:
        key = tuple(sorted(ranges.items()))
        kernel = self._kernels.get(key)
        if kernel is None:
            kernel = _Kernel(self._build(ranges))
            self._kernels[key] = kernel
            if len(self._kernels) > KERNELS_KEPT:
                self._kernels.popitem(last=False)
        return kernel

    def _safe_box(self) -> tuple[dict[str, tuple[int, int]], _Kernel] | None:
        """The widest ±2ᵏ box of facts in which 64 bits are proved to suffice, found once."""
        if self._box is None:
            for bits in range(62, 0, -1):
                ranges = {
                    fact.name: (max(fact.lo, -(1 << bits)), min(fact.hi, 1 << bits))
                    for fact in self._version.rule.facts
                    if fact.type in ("number", "list")
                }
                if any(lo > hi for lo, hi in ranges.values()):
                    break
                kernel = self._kernel(ranges)
                if kernel.fits:
                    self._box = ranges, kernel
                    break
        return self._box

    def _boxed(self, columns: list[Any], rows: int) -> dict[str, Any]:
        box = self._safe_box()
        inside = np.zeros(rows, dtype=bool)
        results: dict[str, Any] = {}
        if box is not None:
            inside[:] = True
            for fact, column in zip(self._version.rule.facts, columns, strict=True):
                if fact.name in box[0]:
                    lo, hi = box[0][fact.name]
                    fits = np.asarray((column >= lo) & (column <= hi), dtype=bool)
                    inside &= fits.all(axis=1) if fits.ndim == 2 else fits
            part = box[1].run([_as_int64(column[inside]) for column in columns], int(inside.sum()))
        outside = np.flatnonzero(~inside)
        wide = [self._scalar(**self._row(columns, int(index))) for index in outside]
        for built in self._program.outputs:
            name, kind = built.output.name, built.rounded.kind
            values = [row[name].toordinal() if kind == DATE else row[name] for row in wide]
            narrow = part[name] if box is not None else None
            results[name] = _merged(kind, values, narrow, inside, outside)
        return results

    def _row(self, columns: list[Any], index: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for fact, column in zip(self._version.rule.facts, columns, strict=True):
            value = column[index]
            match fact.type:
                case "enum":
                    row[fact.name] = fact.values[int(value)]
                case "date":
                    row[fact.name] = date.fromordinal(int(value))
                case "bool":
                    row[fact.name] = bool(value)
                case "list":
                    row[fact.name] = tuple(int(item) for item in value)
                case _:
                    row[fact.name] = int(value)
        return row

    def _dated(self, results: dict[str, Any]) -> dict[str, Any]:
        for built in self._program.outputs:
            if built.rounded.kind == DATE:
                name = built.output.name
                results[name] = (results[name] - EPOCH).astype("datetime64[D]")
        return results


def _merged(kind: str, wide: list[Any], narrow: Any, inside: Any, outside: Any) -> Any:
    """Rows of both paths in order; an object column when a wide value does not fit."""
    rows = len(inside)
    flat = [item for value in wide for item in value] if kind == LIST else wide
    fits = all(abs(int(value)) <= INT64_MAX for value in flat)
    dtype: Any = bool if kind == BOOL else np.int64 if fits else object
    shape: tuple[int, ...] = (rows,)
    if kind == LIST:
        shape = (rows, len(wide[0]) if wide else narrow.shape[1])
    merged = np.empty(shape, dtype=dtype)
    if narrow is not None and inside.any():
        merged[inside] = narrow
    for index, value in zip(outside, wide, strict=True):
        merged[index] = value
    return merged


def _outward(value: int) -> int:
    """A power of two at least as far from zero, on the same side; 0 stays."""
    if value == 0:
        return 0
    power = 1 << (abs(value) - 1).bit_length()
    return power if value > 0 else -power


def _as_int64(column: Any) -> Any:
    return column.astype(np.int64) if column.dtype == object else column


def _code(fact: Fact, value: Any) -> Any:
    return fact.values.index(value) if fact.type == "enum" else value


def _column(fact: Fact, node: FactRef, column: Any) -> tuple[Any, FactProblem | None]:
    if node.kind == DATE and column.dtype.kind == "M":
        column = column.astype("datetime64[D]").astype(np.int64) + EPOCH
    if node.kind == ENUM and column.dtype.kind in "UOS":
        column = _codes(fact, column)
    if node.kind == BOOL:
        if column.dtype != bool:
            return column, FactProblem(fact.name, "must be a bool column", "必须是布尔列")
        return column, None
    wanted = 2 if node.kind == LIST else 1
    if column.ndim != wanted or (column.dtype.kind not in "iu" and not _whole_objects(column)):
        return column, FactProblem(fact.name, "must be a column of whole numbers", "必须是整数列")
    if wanted == 2 and column.shape[1] > fact.max_items:
        return column, FactProblem(fact.name, f"has more than {fact.max_items} items", f"超过 {fact.max_items} 项")
    lo, hi = (0, len(fact.values) - 1) if node.kind == ENUM else (fact.lo, fact.hi)
    if column.size and (int(column.min()) < lo or int(column.max()) > hi):
        first = int(np.flatnonzero(((column < lo) | (column > hi)).reshape(len(column), -1).any(axis=1))[0])
        return column, FactProblem(
            fact.name,
            f"row {first} is outside {lo} to {hi} (or unknown)",
            f"第 {first} 行超出 {lo} 至 {hi}（或未知取值）",
        )
    return _as_int64(column) if column.dtype.kind != "i" else column.astype(np.int64, copy=False), None


def _whole_objects(column: Any) -> bool:
    return column.dtype == object and all(type(item) is int for item in column.reshape(-1))


def _codes(fact: Fact, column: Any) -> Any:
    """Texts as indices of the declaration; -1 for an unknown one."""
    texts, inverse = np.unique(column.astype(str), return_inverse=True)
    known = {value: index for index, value in enumerate(fact.values)}
    return np.array([known.get(str(text), -1) for text in texts], dtype=np.int64)[inverse.reshape(column.shape)]
