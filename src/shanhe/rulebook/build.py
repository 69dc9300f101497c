"""From an admitted expression to typed nodes: names resolved, units checked, every interval proved."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import NoReturn

from shanhe.rulebook import intervals, language
from shanhe.rulebook.bindings import ENUMS, BandsValue, Binding, TableValue, constant, flag, list_constant
from shanhe.rulebook.errors import FormulaInvalid, meant
from shanhe.rulebook.intervals import Interval
from shanhe.rulebook.ir import (
    BOOL,
    DATE,
    ENUM,
    NUM,
    Arith,
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
from shanhe.rulebook.model import Text
from shanhe.rulebook.units import NONE, UNITS, Dims, describe, multiply

DAY: Dims = (("day", 1),)
_ARITH = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_FLIP = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}

Function = Callable[["Builder", list[Node]], Node]


def span(node: Node) -> Interval:
    return node.lo, node.hi


class Builder:
    """Builds one expression at a time over `names`; `unitless` turns unit checks off (for re-computing a trace)."""

    def __init__(
        self, names: Mapping[str, Binding], functions: Mapping[str, Function], *, unitless: bool = False
    ) -> None:
        self.names = dict(names)
        self.unitless = unitless
        self.source = ""
        self.unsaid: list[Text] = []
        """What the expression computes though its rule says nothing of it: below the first band of a schedule."""
        self._narrow: dict[str, Interval] = {}
        self._allowed: dict[str, frozenset[str]] = {}
        self._functions = functions

    def build(self, source: str) -> Node:
        """The typed tree of a source text; FormulaInvalid says what is wrong."""
        self.source = " ".join(source.split())
        self._narrow, self._allowed = {}, {}
        try:
            return self._node(language.parse(source))
        except RecursionError as error:
            raise FormulaInvalid(source, "nested too deeply", "嵌套过深") from error

    def refuse(self, problem: str, problem_zh: str) -> NoReturn:
        raise FormulaInvalid(self.source, problem, problem_zh)

    # -- checks --------------------------------------------------------------------------------------------------

    def number(self, node: Node, what: str) -> Node:
        if node.kind != NUM:
            self.refuse(f"{what} must be a number, not {node.kind}", f"{what} 必须是数，而不是 {node.kind}")
        return node

    def truth(self, node: Node, what: str) -> Node:
        if node.kind != BOOL:
            self.refuse(f"{what} must be a condition, not {node.kind}", f"{what} 必须是条件，而不是 {node.kind}")
        return node

    def whole(self, node: Node, what: str) -> Node:
        if not node.whole:
            self.refuse(f"{what} must be whole: round it first", f"{what} 必须是整数：请先取整")
        return node

    def agree(self, left: Node, right: Node, what: str) -> tuple[Node, Node]:
        """Both of one kind and unit; a literal 0 takes the other's unit."""
        if left.kind != right.kind:
            self.refuse(f"{what} mixes {left.kind} and {right.kind}", f"{what} 混用了 {left.kind} 与 {right.kind}")
        if self.unitless or left.dims == right.dims:
            return left, right
        if _zero(left):
            return replace(left, dims=right.dims), right
        if _zero(right):
            return left, replace(right, dims=left.dims)
        a, b = describe(left.dims), describe(right.dims)
        raise FormulaInvalid(self.source, f"{what} mixes units {a} and {b}", f"{what} 混用了单位 {a} 与 {b}")

    # -- nodes ---------------------------------------------------------------------------------------------------

    def _node(self, tree: ast.expr) -> Node:
        match tree:
            case ast.Constant():
                return self._literal(tree)
            case ast.Name(id=name):
                return self._name(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self.arith(_ARITH[type(op)], self._node(left), self._node(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._negate(self._node(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(arg=self.truth(self._node(operand), "not"), kind=BOOL, hi=Fraction(1))
            case ast.BoolOp(op=op, values=values):
                return self._logic("and" if isinstance(op, ast.And) else "or", values)
            case ast.Compare():
                return self._comparison(tree)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._choose(test, body, orelse)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._call(name, args)
            case ast.Subscript():
                return self._subscript(tree)
            case ast.List(elts=items):
                return self._list([self._node(item) for item in items])
            case _:
                raise FormulaInvalid(
                    self.source, f"{type(tree).__name__} can't stand here", f"{type(tree).__name__} 不能出现在此处"
                )

    def _literal(self, tree: ast.Constant) -> Node:
        if isinstance(tree.value, bool):
            return flag(tree.value)
        if isinstance(tree.value, str):
            return Const(value=tree.value, kind=ENUM)
        return constant(language.number(tree, self.source))

    def _name(self, name: str) -> Node:
        found = self.names.get(name)
        if found is None:
            like = meant(name, self.names)
            self.refuse(f"there is no {name!r}{like.en}", f"没有 {name!r}{like.zh}")
        if isinstance(found, TableValue | BandsValue):
            self.refuse(
                f"{name!r} is a table: use it as table[key] or in band()", f"{name!r} 是表，请用 表[键] 或 band()"
            )
        if isinstance(found, FactRef | StepRef) and name in self._narrow:
            lo, hi = self._narrow[name]
            return replace(found, lo=lo, hi=hi)
        return found

    def _list(self, items: list[Node]) -> Node:
        values = []
        for item in items:
            if not isinstance(item, Const) or item.kind != NUM or not item.whole:
                self.refuse("a list literal holds whole numbers only", "列表字面量只能包含整数")
            values.append(int(item.value))
        return list_constant(values)

    def _negate(self, node: Node) -> Node:
        if isinstance(node, Const) and node.kind == NUM and not node.name:
            return constant(-node.value, node.dims)
        return self.arith("-", replace(constant(0), dims=node.dims), node)

    def arith(self, op: str, left: Node, right: Node) -> Node:
        """One of + - * / // %, with dates as far as they make sense."""
        if DATE in (left.kind, right.kind):
            return self._date_arith(op, left, right)
        self.number(left, f"left of {op}")
        self.number(right, f"right of {op}")
        if op in "+-":
            left, right = self.agree(left, right, op)
            lo, hi = (intervals.add if op == "+" else intervals.subtract)(span(left), span(right))
            return Arith(op=op, left=left, right=right, dims=left.dims, lo=lo, hi=hi, whole=left.whole and right.whole)
        if op == "*":
            lo, hi = intervals.multiply(span(left), span(right))
            dims = multiply(left.dims, right.dims)
            return Arith(op=op, left=left, right=right, dims=dims, lo=lo, hi=hi, whole=left.whole and right.whole)
        quotient = self._divide(left, right)
        if op == "/":
            return quotient
        floored = self.rounded("floor", quotient)
        return floored if op == "//" else self.arith("-", left, self.arith("*", right, floored))

    def _divide(self, left: Node, right: Node) -> Node:
        if right.lo <= 0 <= right.hi:
            self.refuse(
                "the divisor may be zero: guard it, as in `a / b if b > 0 else 0`, or use ratio(a, b, otherwise)",
                "除数可能为零：请加条件，如 `a / b if b > 0 else 0`，或使用 ratio(a, b, otherwise)",
            )
        lo, hi = intervals.divide(span(left), span(right))
        dims = multiply(left.dims, right.dims, -1)
        return Arith(op="/", left=left, right=right, dims=dims, lo=lo, hi=hi, whole=False)

    def _date_arith(self, op: str, left: Node, right: Node) -> Node:
        if op == "-" and left.kind == right.kind == DATE:
            lo, hi = intervals.subtract(span(left), span(right))
            return Arith(op="-", left=left, right=right, dims=DAY, lo=lo, hi=hi)
        if op == "+" and left.kind == NUM:
            left, right = right, left
        if op not in "+-" or right.kind != NUM:
            self.refuse(f"{op} has no meaning for these dates", f"{op} 对这些日期没有意义")
        self.whole(right, "a number of days")
        if right.dims not in (NONE, DAY) and not self.unitless:
            self.refuse("only days can be added to a date", "日期只能加减天数")
        lo, hi = (intervals.add if op == "+" else intervals.subtract)(span(left), span(right))
        return Arith(op=op, left=left, right=right, kind=DATE, lo=lo, hi=hi)

    def rounded(self, op: str, node: Node) -> Node:
        self.number(node, op)
        if node.whole:
            return node
        lo, hi = Fraction(node.lo.__floor__()), Fraction(node.hi.__ceil__())
        return Whole(op=op, arg=node, dims=node.dims, lo=lo, hi=hi)

    def pick(self, op: str, left: Node, right: Node) -> Node:
        left, right = self.agree(left, right, op)
        if left.kind not in (NUM, DATE):
            self.refuse(f"{op} needs numbers or dates", f"{op} 只能用于数或日期")
        lo, hi = intervals.pick(op, span(left), span(right))
        whole = left.whole and right.whole
        return Pick(op=op, left=left, right=right, kind=left.kind, dims=left.dims, lo=lo, hi=hi, whole=whole)

    # -- conditions ----------------------------------------------------------------------------------------------

    def _logic(self, op: str, values: list[ast.expr]) -> Node:
        saved = dict(self._narrow), dict(self._allowed)
        result = self.truth(self._node(values[0]), op)
        for value in values[1:]:
            self._assume(result, op == "and")  # the right side is only asked when the left did not decide
            right = self.truth(self._node(value), op)
            result = Logic(op=op, left=result, right=right, kind=BOOL, hi=Fraction(1))
        self._narrow, self._allowed = saved
        return result

    def _comparison(self, tree: ast.Compare) -> Node:
        parts = [tree.left, *tree.comparators]
        links = [self._compare(op, parts[i], parts[i + 1]) for i, op in enumerate(tree.ops)]
        result = links[0]
        for link in links[1:]:
            result = Logic(op="and", left=result, right=link, kind=BOOL, hi=Fraction(1))
        return result

    def _compare(self, op: ast.cmpop, left_tree: ast.expr, right_tree: ast.expr) -> Node:
        left = self._node(left_tree)
        if isinstance(op, ast.In | ast.NotIn):
            return self._member(left, self._options(right_tree), isinstance(op, ast.In))
        right = self._node(right_tree)
        name = _COMPARE[type(op)]
        if ENUM in (left.kind, right.kind):
            if isinstance(left, Const):
                left, right = right, left
            if name not in ("==", "!=") or not isinstance(right, Const) or right.kind != ENUM:
                self.refuse(
                    "an enum is compared by == or != with one of its values", "枚举只能用 == 或 != 与其取值比较"
                )
            return self._member(left, (right.value,), name == "==")
        left, right = self.agree(left, right, name)
        if left.kind not in (NUM, DATE):
            self.refuse(f"{name} needs numbers or dates", f"{name} 只能用于数或日期")
        return Compare(op=name, left=left, right=right, kind=BOOL, hi=Fraction(1))

    def _options(self, tree: ast.expr) -> tuple[str, ...]:
        if isinstance(tree, ast.Name):
            found = self.names.get(tree.id)
            if isinstance(found, Const) and found.kind == ENUMS:
                return tuple(found.value)
        if isinstance(tree, ast.Tuple | ast.List):
            items = [self._node(item) for item in tree.elts]
            if all(isinstance(item, Const) and item.kind == ENUM for item in items):
                return tuple(item.value for item in items if isinstance(item, Const))
        raise FormulaInvalid(self.source, "`in` needs a list of enum values", "`in` 右侧必须是枚举值列表")

    def _member(self, left: Node, options: tuple[str, ...], positive: bool) -> Node:
        if isinstance(left, Const) and left.kind == ENUM:
            return flag((left.value in options) is positive)
        if not isinstance(left, FactRef) or left.kind != ENUM:
            self.refuse("only an enum fact can be tested for its value", "只有枚举事实才能判断取值")
        unknown = [option for option in options if option not in left.values]
        if unknown:
            self.refuse(f"{left.name} has no value {unknown[0]!r}", f"{left.name} 没有取值 {unknown[0]!r}")
        member = Member(ref=left, options=options, kind=BOOL, hi=Fraction(1))
        return member if positive else Not(arg=member, kind=BOOL, hi=Fraction(1))

    def _choose(self, test_tree: ast.expr, body: ast.expr, orelse: ast.expr) -> Node:
        test = self.truth(self._node(test_tree), "if")
        then = self._under(test, True, body)
        other = self._under(test, False, orelse)
        return self.choose(test, then, other)

    def choose(self, test: Node, then: Node, other: Node) -> Node:
        then, other = self.agree(then, other, "if … else")
        if then.kind not in (NUM, DATE, BOOL):
            self.refuse(f"a choice can't give {then.kind}", f"条件表达式不能给出 {then.kind}")
        lo, hi = intervals.union(span(then), span(other))
        whole = then.whole and other.whole
        return Choose(test=test, then=then, other=other, kind=then.kind, dims=then.dims, lo=lo, hi=hi, whole=whole)

    def _under(self, test: Node, holds: bool, tree: ast.expr) -> Node:
        saved = dict(self._narrow), dict(self._allowed)
        self._assume(test, holds)
        node = self._node(tree)
        self._narrow, self._allowed = saved
        return node

    def _assume(self, test: Node, holds: bool) -> None:
        """Narrow what is known of facts and steps by a test that came out as `holds`."""
        match test:
            case Not(arg=arg):
                self._assume(arg, not holds)
            case Logic(op=op, left=left, right=right) if (op == "and") is holds:
                self._assume(left, holds)
                self._assume(right, holds)
            case Member(ref=ref, options=options):
                known = self._allowed.get(ref.name, frozenset(ref.values))
                self._allowed[ref.name] = known & frozenset(options) if holds else known - frozenset(options)
            case Compare(op=op, left=left, right=right):
                self._assume_order(op if holds else _FLIP[op], left, right)
            case _:
                pass

    def _assume_order(self, op: str, left: Node, right: Node) -> None:
        whole = left.whole and right.whole
        a, b = span(left), span(right)
        if op in (">", ">="):
            b, a = intervals.below(b, a, op == ">", whole)
        elif op in ("<", "<="):
            a, b = intervals.below(a, b, op == "<", whole)
        elif op == "==":
            meet = max(a[0], b[0]), min(a[1], b[1])
            a, b = (meet, meet) if meet[0] <= meet[1] else (a, b)
        else:  # != only helps at an edge, as in `n != 0` with n ≥ 0
            a = _without(a, b) if whole else a
            b = _without(b, a) if whole else b
        for node, bounds in ((left, a), (right, b)):
            if isinstance(node, FactRef | StepRef):
                self._narrow[node.name] = bounds

    # -- calls and tables ----------------------------------------------------------------------------------------

    def _call(self, name: str, trees: list[ast.expr]) -> Node:
        if name in ("band", "band_whole"):
            return self._band(name, trees)
        function = self._functions.get(name)
        if function is None:
            like = meant(name, self._functions)
            self.refuse(f"there is no function {name!r}{like.en}", f"没有函数 {name!r}{like.zh}")
        return function(self, [self._node(tree) for tree in trees])

    def _band(self, name: str, trees: list[ast.expr]) -> Node:
        if len(trees) != 2 or not isinstance(trees[1], ast.Name):
            self.refuse(f"{name}(x, bands) takes a number and a schedule", f"{name}(x, bands) 需要一个数和一张分档表")
        schedule = self.names.get(trees[1].id)
        if not isinstance(schedule, BandsValue):
            self.refuse(f"{trees[1].id!r} is not a schedule of bands", f"{trees[1].id!r} 不是分档表")
        x = self.number(self._node(trees[0]), name)
        least = self._edge(schedule.bands[0].lower, schedule)
        if x.lo < least.lo:
            low, first = f"{float(x.lo):,g}", f"{float(least.lo):,g}"
            self.unsaid.append(Text(
                f"{schedule.name} 首档自 {first} 起，而该数可能为 {low}，请降低首档起点",
                f"{schedule.name} begins at {first}, but the number may be {low}: let the first band begin lower",
            ))  # fmt: skip
        return self._marginal(x, schedule) if name == "band" else self._by_band(x, schedule)

    def _edge(self, raw: int, schedule: BandsValue) -> Const:
        unit = UNITS[schedule.edge_unit]
        return constant(raw * unit.scale, unit.dims)

    def _marginal(self, x: Node, schedule: BandsValue) -> Node:
        """Each part of x in its own band: Σ value × clamp(x − lower, 0, width)."""
        unit = UNITS[schedule.unit]
        total: Node | None = None
        for band in schedule.bands:
            part = self.pick("max", self.arith("-", x, self._edge(band.lower, schedule)), constant(0))
            if band.upper is not None:
                part = self.pick("min", part, self._edge(band.upper - band.lower, schedule))
            term = self.arith("*", part, constant(band.value * unit.scale, unit.dims))
            total = term if total is None else self.arith("+", total, term)
        assert total is not None  # the loader refuses a schedule without bands
        return total

    def _by_band(self, x: Node, schedule: BandsValue) -> Node:
        """The value of the one band x falls into."""
        unit = UNITS[schedule.unit]
        op = "<" if schedule.closed == "left" else "<="
        result: Node = constant(schedule.bands[-1].value * unit.scale, unit.dims)
        for band in reversed(schedule.bands[:-1]):
            assert band.upper is not None  # only the last band is open: proved by the loader
            left, right = self.agree(x, self._edge(band.upper, schedule), "band_whole")
            test = Compare(op=op, left=left, right=right, kind=BOOL, hi=Fraction(1))
            result = self.choose(test, constant(band.value * unit.scale, unit.dims), result)
        return result

    def _subscript(self, tree: ast.Subscript) -> Node:
        keys: list[ast.expr] = []
        base: ast.expr = tree
        while isinstance(base, ast.Subscript):
            keys.insert(0, base.slice)
            base = base.value
        table = self.names.get(base.id) if isinstance(base, ast.Name) else None
        if not isinstance(table, TableValue):
            self.refuse("only a table parameter can be looked up by [key]", "只有表参数可以用 [键] 查询")
        if len(keys) != table.levels:
            self.refuse(f"{table.name} takes {table.levels} keys", f"{table.name} 需要 {table.levels} 个键")
        return self._lookup(table, [self._node(key) for key in keys])

    def _lookup(self, table: TableValue, keys: list[Node]) -> Node:
        refs: list[FactRef] = []
        choices: list[tuple[str, ...]] = []
        for key in keys:
            if isinstance(key, FactRef) and key.kind == ENUM:
                refs.append(key)
                choices.append(tuple(v for v in key.values if v in self._allowed.get(key.name, key.values)))
            elif isinstance(key, Const) and key.kind == ENUM:
                choices.append((key.value,))
            else:
                self.refuse("a table key is an enum fact or one of its values", "表的键必须是枚举事实或其取值")
        found: dict[tuple[str, ...], Fraction] = {}
        for path in product(*choices):
            value = table.entries.get(path)
            if value is None:
                self.refuse(
                    f"{table.name} has no value for {'/'.join(path)}", f"{table.name} 缺少 {'/'.join(path)} 的值"
                )
            found[tuple(p for p, key in zip(path, keys, strict=True) if isinstance(key, FactRef))] = value
        if not found:
            self.refuse(f"{table.name} is never looked up here", f"此处永远不会查询 {table.name}")
        lo, hi = min(found.values()), max(found.values())
        if not refs:
            return constant(lo, table.dims, name=table.name)
        whole = all(value.denominator == 1 for value in found.values())
        return Lookup(refs=tuple(refs), table=found, name=table.name, dims=table.dims, lo=lo, hi=hi, whole=whole)


def _zero(node: Node) -> bool:
    return isinstance(node, Const) and node.kind == NUM and not node.name and node.value == 0 and node.dims == NONE


def _without(a: Interval, b: Interval) -> Interval:
    if b[0] != b[1] or a[0] == a[1]:
        return a
    return (a[0] + 1 if a[0] == b[0] else a[0], a[1] - 1 if a[1] == b[0] else a[1])
