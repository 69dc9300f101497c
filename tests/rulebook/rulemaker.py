"""Small rules for tests, written as files are; and random facts for any rule."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from shanhe.rulebook.api import Rulebook
from shanhe.rulebook.loader import parse_rule
from shanhe.rulebook.model import Fact, Rule

ON = date(2026, 3, 1)
ONE_IN = 4


def some(rules: list[str]) -> list[Any]:
    """Rules to try random facts on: one in four by default, the others in `make prove`. What each rule says is held
    by its own examples; random facts try the evaluators, which all rules share."""
    return [name if not n % ONE_IN else pytest.param(name, marks=pytest.mark.prove) for n, name in enumerate(rules)]


def document(**changes: Any) -> dict[str, Any]:
    """A sound rule as a document; keys given replace or (None) remove its own."""
    content: dict[str, Any] = {
        "id": "X1_test_rule",
        "kind": "amount",
        "title": {"zh": "试验", "en": "Trial"},
        "article": "四·1.3",
        "department": {"zh": "试验处", "en": "Trials"},
        "event": {"name": "on_day", "zh": "当日", "en": "that day"},
        "review": date(2027, 1, 1),
        "facts": {"x": {"unit": "fen", "min": 0, "max": 10**9, "zh": "数", "en": "x"}},
        "parameters": {
            "rate": {
                "unit": "bps",
                "zh": "率",
                "en": "Rate",
                "values": [{"from": date(2026, 1, 1), "announced": date(2025, 12, 1), "value": 1000, "given": True}],
            }
        },
        "formula": [
            {
                "from": date(2026, 1, 1),
                "announced": date(2025, 12, 1),
                "outputs": {"y": {"unit": "fen", "zh": "额", "en": "y", "expr": "x * rate"}},
            }
        ],
        "examples": [{"name": "ten percent", "on": ON, "facts": {"x": 100}, "outputs": {"y": 10}}],
    }
    content.update(changes)
    return {key: value for key, value in content.items() if value is not None}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_Plain, allow_unicode=True, sort_keys=False)


def made(**changes: Any) -> Rule:
    return parse_rule(text(document(**changes)), "test.yaml")


def book(**changes: Any) -> Rulebook:
    rule = made(**changes)
    return Rulebook({rule.id: rule})


def numbers(**ranges: tuple[str, int, int]) -> dict[str, Any]:
    """Declarations of number facts: name → (unit, min, max)."""
    return {
        name: {"unit": unit, "min": lo, "max": hi, "zh": name, "en": name} for name, (unit, lo, hi) in ranges.items()
    }


def formula(steps: dict[str, str] | None = None, **outputs: Any) -> list[dict[str, Any]]:
    """One formula since 2026; outputs are expressions or whole declarations."""
    return [
        {
            "from": date(2026, 1, 1),
            "announced": date(2025, 12, 1),
            "steps": {name: {"zh": name, "en": name, "expr": expr} for name, expr in (steps or {}).items()},
            "outputs": {
                name: {"zh": name, "en": name, **(output if isinstance(output, dict) else {"expr": output})}
                for name, output in outputs.items()
            },
        }
    ]


def parameter(value: Any, **more: Any) -> dict[str, Any]:
    row = {"from": date(2026, 1, 1), "announced": date(2025, 12, 1), "value": value, "given": True}
    return {"zh": "参", "en": "parameter", "values": [row], **more}


def values(fact: Fact, items: int = 3) -> st.SearchStrategy[Any]:
    """Random values of a fact, its ends and near-ends among them."""
    match fact.type:
        case "bool":
            return st.booleans()
        case "enum":
            return st.sampled_from(fact.values)
        case "date":
            return st.dates(date.fromordinal(fact.lo), date.fromordinal(fact.hi))
        case "list":
            return st.lists(st.integers(fact.lo, fact.hi), min_size=items, max_size=items).map(tuple)
        case _:
            small = st.integers(max(fact.lo, -100), min(fact.hi, 1000)) if fact.lo <= 1000 else st.just(fact.lo)
            return st.one_of(small, st.integers(fact.lo, fact.hi), st.sampled_from([fact.lo, fact.hi]))


def facts_of(rule: Rule) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({fact.name: values(fact) for fact in rule.facts})
