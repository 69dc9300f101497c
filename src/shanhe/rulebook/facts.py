"""Facts as they come from outside: checked strictly against the declaration, every bad field named at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from shanhe.kernel.errors import Field
from shanhe.rulebook.errors import FactProblem, RuleFactsInvalid
from shanhe.rulebook.model import Fact, Rule, Text
from shanhe.rulebook.units import UNITS

SAMPLE_CHARS = 60


def validated(rule: Rule, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts with defaults filled in and ISO dates parsed; RuleFactsInvalid naming every field that does not fit."""
    problems: list[FactProblem] = []
    clean: dict[str, Any] = {}
    declared = {fact.name for fact in rule.facts}
    for name in facts:
        if name not in declared:
            problems.append(FactProblem(str(name)[:SAMPLE_CHARS], "the rule knows no such fact", "规则没有这一事实"))
    for fact in rule.facts:
        if fact.name not in facts:
            if fact.default is None:
                problems.append(FactProblem(fact.name, "is missing", "缺失", field_of(rule, fact)))
            else:
                clean[fact.name] = fact.default
            continue
        value, problem = check_fact(rule, fact, facts[fact.name])
        if problem is not None:
            problems.append(problem)
        clean[fact.name] = value
    if problems:
        raise RuleFactsInvalid(rule.id, problems)
    return clean


def field_of(rule: Rule, fact: Fact) -> Field:
    """A fact as an error tells of it."""
    unit = "" if fact.unit == "int" else fact.unit
    return Field(pointer=f"/facts/{fact.name}", zh=fact.title.zh, en=fact.title.en, unit=unit, allowed=allowed(fact))


def check_fact(rule: Rule, fact: Fact, value: Any) -> tuple[Any, FactProblem | None]:
    """The value as the rule uses it, or what is wrong with it."""
    value, wrong = _checked(rule, fact, value)
    return value, FactProblem(fact.name, wrong.en, wrong.zh, field_of(rule, fact)) if wrong else None


def _checked(rule: Rule, fact: Fact, value: Any) -> tuple[Any, Text | None]:
    match fact.type:
        case "number":
            return value, _number_problem(fact, value)
        case "bool":
            wrong = not isinstance(value, bool)
            return value, _problem(value, "must be true or false", "必须是 true 或 false") if wrong else None
        case "enum":
            if isinstance(value, str) and value in fact.values:
                return value, None
            named = [(option, rule.label(option)) for option in fact.values]
            zh = "、".join(option if label.zh == option else f"{option}（{label.zh}）" for option, label in named)
            en = ", ".join(option if label.en == option else f"{option} ({label.en})" for option, label in named)
            return value, _problem(value, f"must be one of {en}", f"必须是 {zh} 之一")
        case "list":
            return _list(fact, value)
        case _:
            return _date(fact, value)


def _sample(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SAMPLE_CHARS else text[: SAMPLE_CHARS - 1] + "…"


def _problem(value: Any, message: str, message_zh: str) -> Text:
    return Text(f"{message_zh}，而不是 {_sample(value)}", f"{message}, not {_sample(value)}")


def _number_problem(fact: Fact, value: Any) -> Text | None:
    unit = UNITS[fact.unit]
    zh, en = (f"（单位：{unit.zh}）", f" ({unit.en})") if unit.en else ("", "")
    if isinstance(value, bool) or not isinstance(value, int):
        return _problem(value, f"must be a whole number{en}", f"必须是整数{zh}")
    if not fact.lo <= value <= fact.hi:
        if abs(value) >= 10**40:
            return Text("远超允许范围", "is far out of range")
        low, high = (f"{bound:,}" for bound in (fact.lo, fact.hi))
        return _problem(value, f"must lie between {low} and {high}{en}", f"必须在 {low} 与 {high} 之间{zh}")
    return None


def _list(fact: Fact, value: Any) -> tuple[Any, Text | None]:
    if not isinstance(value, list | tuple) or len(value) > fact.max_items:
        most = fact.max_items
        return value, _problem(value, f"must be a list of at most {most} items", f"必须是不超过 {most} 项的列表")
    for place, item in enumerate(value, 1):
        problem = _number_problem(fact, item)
        if problem is not None:
            return value, Text(f"第 {place} 项{problem.zh}", f"item {place} {problem.en}")
    return tuple(value), None


def _date(fact: Fact, value: Any) -> tuple[Any, Text | None]:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return value, _problem(value, "must be a date like 2026-01-31", "必须是形如 2026-01-31 的日期")
    if isinstance(value, datetime) or not isinstance(value, date):
        return value, _problem(value, "must be a date like 2026-01-31", "必须是形如 2026-01-31 的日期")
    if not fact.lo <= value.toordinal() <= fact.hi:
        first, last = date.fromordinal(fact.lo), date.fromordinal(fact.hi)
        return value, _problem(str(value), f"must lie between {first} and {last}", f"必须在 {first} 与 {last} 之间")
    return value, None


def json_schema(rule: Rule) -> dict[str, Any]:
    """JSON Schema (2020-12) of a rule's facts, with units and titles in both languages."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:shanhe:rule:{rule.id}",
        "title": rule.title.en,
        "x-title": rule.title.to_dict(),
        "type": "object",
        "additionalProperties": False,
        "required": [fact.name for fact in rule.facts if fact.default is None],
        "properties": {fact.name: _property(fact, rule) for fact in rule.facts},
    }


def _property(fact: Fact, rule: Rule) -> dict[str, Any]:
    body: dict[str, Any] = {"title": fact.title.en, "x-title": fact.title.to_dict(), **allowed(fact)}
    if fact.type == "enum":
        body["x-labels"] = {value: rule.label(value).to_dict() for value in fact.values}
    if fact.unit != "int":
        body["x-unit"] = fact.unit
    if fact.default is not None:
        body["default"] = fact.default
    if fact.personal:
        body["x-personal"] = True
    return body


def allowed(fact: Fact) -> dict[str, Any]:
    """What a fact may be, in the words of JSON Schema; the range of a date as `x-minimum` and `x-maximum`."""
    number = {"type": "integer", "minimum": fact.lo, "maximum": fact.hi}
    match fact.type:
        case "number":
            return number
        case "list":
            return {"type": "array", "items": number, "maxItems": fact.max_items}
        case "bool":
            return {"type": "boolean"}
        case "enum":
            return {"type": "string", "enum": list(fact.values)}
        case _:
            first, last = date.fromordinal(fact.lo), date.fromordinal(fact.hi)
            return {"type": "string", "format": "date", "x-minimum": str(first), "x-maximum": str(last)}
