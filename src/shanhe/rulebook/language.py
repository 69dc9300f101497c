"""The gate of the expression language: what of Python's expression grammar is let in, and how large it may be."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

from shanhe.rulebook.errors import FormulaInvalid

SOURCE_CHARS = 2_000
SYNTAX_NODES = 400
SYNTAX_DEPTH = 32
NUMBER_DIGITS = 30
STRING_CHARS = 64

_ALLOWED: tuple[type[ast.AST], ...] = (
    ast.Expression,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.FloorDiv,
    ast.Mod,
    ast.UnaryOp,
    ast.USub,
    ast.Not,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.Compare,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.Eq,
    ast.NotEq,
    ast.In,
    ast.NotIn,
    ast.IfExp,
    ast.Call,
    ast.Subscript,
    ast.Tuple,
    ast.List,
)
_DECIMAL = re.compile(r"^\d+(\.\d+)?$")
_IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


def parse(source: str) -> ast.expr:
    """The syntax tree of a source text inside the language; FormulaInvalid for anything else, never another error."""
    if len(source) > SOURCE_CHARS:
        raise FormulaInvalid(source, f"longer than {SOURCE_CHARS} characters", f"超过 {SOURCE_CHARS} 个字符")
    try:
        tree = ast.parse(" ".join(source.split()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaInvalid(source, f"not an expression ({type(error).__name__})", "不是合法的表达式") from error
    _admit(tree, " ".join(source.split()))
    return tree.body


def _admit(tree: ast.Expression, source: str) -> None:
    count = 0
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > SYNTAX_NODES or depth > SYNTAX_DEPTH:
            raise FormulaInvalid(
                source,
                f"larger than {SYNTAX_NODES} nodes or deeper than {SYNTAX_DEPTH}; split it into steps",
                f"超过 {SYNTAX_NODES} 个节点或 {SYNTAX_DEPTH} 层；请拆分为多个步骤",
            )
        if not isinstance(node, _ALLOWED):
            name = type(node).__name__
            raise FormulaInvalid(source, f"{name} is outside the language", f"{name} 不在规则语言之内")
        _admit_leaf(node, source)
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _admit_leaf(node: ast.AST, source: str) -> None:
    if isinstance(node, ast.Name) and not _IDENTIFIER.match(node.id):
        raise FormulaInvalid(source, f"the name {node.id[:64]!r} is not allowed", f"不允许的名称 {node.id[:64]!r}")
    if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.keywords):
        raise FormulaInvalid(source, "only plain calls by position are allowed", "只允许按位置传参的普通调用")
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > STRING_CHARS:
        raise FormulaInvalid(source, "a text is too long", "文本过长")
    if isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str):
        kind = type(node.value).__name__
        raise FormulaInvalid(source, f"a literal of type {kind} is outside the language", f"不支持 {kind} 字面量")


def number(node: ast.Constant, source: str) -> Fraction:
    """The exact value of a numeric literal, read from its text: no float is ever made of it."""
    text = (ast.get_source_segment(source, node) or "").replace("_", "")
    if not _DECIMAL.match(text) or len(text) > NUMBER_DIGITS:
        raise FormulaInvalid(source, f"{text[:40]!r} is not a plain decimal number", f"{text[:40]!r} 不是普通十进制数")
    return Fraction(text)
