"""Conditions and templates: the rulebook's expression grammar over a run's variables, and `{{name.field}}` in texts.

Nothing here reaches beyond the values it is given: no attribute, no call but the few below, no loop.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

import msgspec

from shanhe.rulebook.api import FormulaInvalid, number_of, parse_formula
from shanhe.workflows.errors import StepFailed
from shanhe.workflows.model import TEXT_MAX_CHARS

PLACE: Final = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)((?:\.[A-Za-z0-9_]{1,64}){0,8})\s*\}\}")
DECIMAL: Final = re.compile(r"^-?\d{1,30}(\.\d{1,30})?$")
WORDS: Final = {"true": True, "false": False}
COMPARE: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
MATHS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: lambda a, b: Fraction(a) / b,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
CALLS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "length": len, "number": lambda value: _number(value), "text": lambda value: shown(value),
    "lower": lambda value: str(value).lower(), "trim": lambda value: str(value).strip(),
}  # fmt: skip
FAULTS: Final = (TypeError, ValueError, KeyError, IndexError, ZeroDivisionError, OverflowError)


def parsed(source: str) -> ast.expr:
    """A condition's tree; FormulaInvalid for what lies outside the language, calls of other names included."""
    tree = parse_formula(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (_name(node.func) not in CALLS or len(node.args) != 1):
            names = "、".join(CALLS)
            raise FormulaInvalid(source, f"only {', '.join(CALLS)} of one value may be called", f"只能调用 {names}")
    return tree


def names_in(source: str) -> set[str]:
    """Variables of a condition."""
    tree = parsed(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and id(node) not in called and node.id not in WORDS
    }


def holds(source: str, variables: Mapping[str, Any]) -> bool:
    """Whether a condition holds; StepFailed when it can't be computed from these values."""
    try:
        return bool(_value(parsed(source), source, variables))
    except FAULTS as error:
        raise StepFailed(
            "condition_failed", f"The condition {source[:80]!r} can't be computed: {str(error)[:120]}",
            f"条件“{source[:80]}”无法计算：{str(error)[:120]}",
        ) from error  # fmt: skip


def _value(node: ast.expr, source: str, known: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.Constant(value=bool() as flag):
            return flag
        case ast.Constant():
            return number_of(node, " ".join(source.split()))
        case ast.Name(id=name):
            return WORDS[name] if name in WORDS else known[name]
        case ast.Subscript(value=of, slice=at):
            return _value(of, source, known)[_at(_value(at, source, known))]
        case ast.List(elts=elts) | ast.Tuple(elts=elts):
            return [_value(one, source, known) for one in elts]
        case ast.Call(func=func, args=[one]):
            return CALLS[_name(func)](_value(one, source, known))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, source, known) else other, source, known)
        case _:
            return _operated(node, source, known)


def _operated(node: ast.expr, source: str, known: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(one, source, known) for one in values)
        case ast.BoolOp(values=values):
            return any(_value(one, source, known) for one in values)
        case ast.UnaryOp(op=ast.Not(), operand=one):
            return not _value(one, source, known)
        case ast.UnaryOp(operand=one):
            return -_counted(_value(one, source, known))
        case ast.BinOp(left=left, op=op, right=right):
            return MATHS[type(op)](_counted(_value(left, source, known)), _counted(_value(right, source, known)))
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_value(one, source, known) for one in (left, *others)]
            return all(COMPARE[type(op)](values[at], values[at + 1]) for at, op in enumerate(ops))
        case _:
            raise TypeError(f"{type(node).__name__} is not known here")


def _number(value: Any) -> Fraction:
    """A plain decimal number out of a text or a number."""
    text = str(value).strip()
    if not DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a plain number")
    return Fraction(text)


def _counted(value: Any) -> Any:
    """Sums are of numbers only: a text times a million is no condition."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        raise TypeError("not a number")
    return value


def _at(value: Any) -> Any:
    return int(value) if isinstance(value, Fraction) else value


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


# -- templates --------------------------------------------------------------------------------------------------------


def places_in(text: str) -> set[str]:
    """Variables that a text asks for."""
    return {found.group(1) for found in PLACE.finditer(text)}


def filled(text: str, variables: Mapping[str, Any], written: Callable[[str], str] = str) -> str:
    """A text with its places filled, by values as they are `written`; StepFailed when a field is not there or the text
    becomes too long."""
    parts, length, end = list[str](), 0, 0
    for found in PLACE.finditer(text):
        parts += text[end : found.start()], written(shown(_of(found, variables)))
        end, length = found.end(), length + len(parts[-2]) + len(parts[-1])
        if length > TEXT_MAX_CHARS:  # looked at as it grows: a short text may name a long value a thousand times
            break
    if length + len(text) - end > TEXT_MAX_CHARS:
        raise _too_long()
    return "".join((*parts, text[end:]))


def filled_json(text: str, variables: Mapping[str, Any]) -> str:
    """A text that is JSON as it stands, filled inside of its strings, which stay what they are whatever a value holds;
    any other text `filled`."""
    try:
        written = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return filled(text, variables)
    if not places_in(text):
        return text
    found = msgspec.json.encode(_filled_all(written, variables)).decode()
    if len(found) > TEXT_MAX_CHARS:
        raise _too_long()
    return found


def _filled_all(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return filled(value, variables)
    if isinstance(value, dict):
        return {filled(name, variables): _filled_all(one, variables) for name, one in value.items()}
    return [_filled_all(one, variables) for one in value] if isinstance(value, list) else value


def _too_long() -> StepFailed:
    return StepFailed("text_too_long", f"A text grew beyond {TEXT_MAX_CHARS} characters",
                      f"文本超过 {TEXT_MAX_CHARS} 字")  # fmt: skip


def taken(text: str, variables: Mapping[str, Any]) -> Any:
    """The value itself where a text is one place and nothing else; else the filled text."""
    whole = PLACE.fullmatch(text.strip())
    return _of(whole, variables) if whole is not None else filled(text, variables)


def taken_all(value: Any, variables: Mapping[str, Any]) -> Any:
    """A value with every text inside of it taken."""
    if isinstance(value, str):
        return taken(value, variables)
    if isinstance(value, dict):
        return {name: taken_all(one, variables) for name, one in value.items()}
    return [taken_all(one, variables) for one in value] if isinstance(value, list) else value


def _of(found: re.Match[str], variables: Mapping[str, Any]) -> Any:
    try:
        value = variables[found.group(1)]
        for field in filter(None, found.group(2).split(".")):
            value = value[int(field)] if isinstance(value, list) else value[field]
    except FAULTS as error:
        name = found.group(0).strip("{} ")
        raise StepFailed("value_missing", f"There is no value {name!r}", f"没有“{name}”的值") from error
    return value


def shown(value: Any) -> str:
    """A value as a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, Fraction):
        return str(value)
    return msgspec.json.encode(value, enc_hook=str).decode()
