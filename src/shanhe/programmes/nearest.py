"""The smallest change of a single fact that would alter a refusal, where the rule's own trace names none.

A trace looks at the places where a choice flips; a result that rounding keeps at zero beyond such a place is found
here, by widening steps and then halving them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from shanhe.kernel.money import format_fen, said_credits
from shanhe.rulebook.api import Decision, Rulebook

STEPS_MAX: Final = 64
Helps = Callable[[Mapping[str, Any]], bool]


def search(rulebook: Rulebook, decision: Decision, on: date, helps: Helps) -> Iterator[Mapping[str, str]]:
    """Changes in words, one a fact at most: a number raised or lowered, a yes for a no, another choice."""
    rule, function = rulebook.rule(decision.rule_id), rulebook.compiled(decision.rule_id, on)
    given = {row["name"]: row["value"] for row in decision.trace["inputs"]}
    facts: dict[str, Any] = {}
    for fact in rule.facts:
        facts[fact.name] = date.fromisoformat(given[fact.name]) if fact.type == "date" else given[fact.name]

    def tried(name: str, value: Any) -> bool:
        return helps(function(**facts | {name: value}))

    for fact in rule.facts:
        now = facts[fact.name]
        if fact.type == "bool" and tried(fact.name, not now):
            yield _words(fact.title.zh, fact.title.en, "是" if not now else "否", "yes" if not now else "no")
        elif fact.type == "enum":
            better = next((value for value in fact.values if value != now and tried(fact.name, value)), None)
            if better is not None:
                yield _words(fact.title.zh, fact.title.en, rule.label(better).zh, rule.label(better).en)
        elif fact.type == "number":
            name = fact.name
            found = _step(now, fact.lo, fact.hi, lambda value, name=name: tried(name, value))  # type: ignore[misc]
            if found is not None:
                yield _words(fact.title.zh, fact.title.en, *_shown(found, fact.unit))


def _step(now: int, low: int, high: int, helps: Callable[[int], bool]) -> int | None:
    """The value nearest to `now` that helps, upwards first; exact where helping begins once and stays."""
    for end, sign in ((high, 1), (low, -1)):
        step, short = 1, 0
        for _ in range(STEPS_MAX):
            far = min(step, abs(end - now))
            if far > short and helps(now + sign * far):
                while far - short > 1:
                    middle = (short + far) // 2
                    short, far = (short, middle) if helps(now + sign * middle) else (middle, far)
                return now + sign * far
            if far < step:
                break
            short, step = far, step * 2
    return None


def _shown(value: int, unit: str) -> tuple[str, str]:
    if unit in ("fen", "yuan"):
        text = format_fen(value)
        return f"¥{text}", f"¥{text}"
    if unit in ("micro", "credit"):
        text = said_credits(value)
        return f"{text} 积分", f"{text} credits"
    if unit == "bps":
        text = f"{value // 100}.{value % 100:02d} %"
        return text, text
    return f"{value:,}", f"{value:,}"


def _words(zh: str, en: str, value_zh: str, value_en: str) -> Mapping[str, str]:
    return {"zh": f"若{zh}为 {value_zh}", "en": f"With “{en}” {value_en}"}
