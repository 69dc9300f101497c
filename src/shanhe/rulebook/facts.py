"""Facts as they come from outside: checked strictly against the declaration, every bad field named at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from shanhe.rulebook.errors import FactProblem, RuleFactsInvalid
from shanhe.rulebook.model import Fact, Rule

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
                problems.append(FactProblem(fact.name, "is missing", "缺失"))
            else:
                clean[fact.name] = fact.default
            continue
        value, problem = check_fact(fact, facts[fact.name])
        if problem is not None:
            problems.append(problem)
        clean[fact.name] = value
    if problems:
        raise RuleFactsInvalid(rule.id, problems)
    return clean


def check_fact(fact: Fact, value: Any) -> tuple[Any, FactProblem | None]:
    """The value as the rule uses it, or what is wrong with it."""
    match fact.type:
        case "number":
            return value, _number_problem(fact, value)
        case "bool":
            wrong = not isinstance(value, bool)
            return value, _problem(fact, value, "must be true or false", "必须是 true 或 false") if wrong else None
        case "enum":
            wrong = not isinstance(value, str) or value not in fact.values
            options = ", ".join(fact.values)
            return value, _problem(
                fact, value, f"must be one of {options}", f"必须是 {options} 之一"
            ) if wrong else None
        case "list":
            return _list(fact, value)
        case _:
            return _date(fact, value)


def _sample(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SAMPLE_CHARS else text[: SAMPLE_CHARS - 1] + "…"


def _problem(fact: Fact, value: Any, message: str, message_zh: str) -> FactProblem:
    return FactProblem(fact.name, f"{message}, not {_sample(value)}", f"{message_zh}，而不是 {_sample(value)}")


def _number_problem(fact: Fact, value: Any) -> FactProblem | None:
    unit = "" if fact.unit == "int" else f" ({fact.unit})"
    if isinstance(value, bool) or not isinstance(value, int):
        return _problem(fact, value, f"must be a whole number{unit}", f"必须是整数{unit}")
    if not fact.lo <= value <= fact.hi:
        if abs(value) >= 10**40:
            return FactProblem(fact.name, "is far out of range", "远超允许范围")
        return _problem(
            fact, value, f"must lie between {fact.lo} and {fact.hi}{unit}", f"必须在 {fact.lo} 与 {fact.hi}{unit} 之间"
        )
    return None


def _list(fact: Fact, value: Any) -> tuple[Any, FactProblem | None]:
    if not isinstance(value, list | tuple) or len(value) > fact.max_items:
        most = fact.max_items
        return value, _problem(fact, value, f"must be a list of at most {most} items", f"必须是不超过 {most} 项的列表")
    for item in value:
        problem = _number_problem(fact, item)
        if problem is not None:
            return value, problem
    return tuple(value), None


def _date(fact: Fact, value: Any) -> tuple[Any, FactProblem | None]:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return value, _problem(fact, value, "must be a date like 2026-01-31", "必须是形如 2026-01-31 的日期")
    if isinstance(value, datetime) or not isinstance(value, date):
        return value, _problem(fact, value, "must be a date like 2026-01-31", "必须是形如 2026-01-31 的日期")
    if not fact.lo <= value.toordinal() <= fact.hi:
        first, last = date.fromordinal(fact.lo), date.fromordinal(fact.hi)
        return value, _problem(
            fact, str(value), f"must lie between {first} and {last}", f"必须在 {first} 与 {last} 之间"
        )
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
        "properties": {fact.name: _property(fact) for fact in rule.facts},
    }


def _property(fact: Fact) -> dict[str, Any]:
    body: dict[str, Any] = {"title": fact.title.en, "x-title": fact.title.to_dict()}
    number = {"type": "integer", "minimum": fact.lo, "maximum": fact.hi}
    match fact.type:
        case "number":
            body |= number
        case "list":
            body |= {"type": "array", "items": number, "maxItems": fact.max_items}
        case "bool":
            body["type"] = "boolean"
        case "enum":
            body |= {"type": "string", "enum": list(fact.values)}
        case _:
            first, last = date.fromordinal(fact.lo), date.fromordinal(fact.hi)
            body |= {"type": "string", "format": "date", "x-minimum": str(first), "x-maximum": str(last)}
    if fact.unit != "int":
        body["x-unit"] = fact.unit
    if fact.default is not None:
        body["default"] = fact.default
    if fact.personal:
        body["x-personal"] = True
    return body
