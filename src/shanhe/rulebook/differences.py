"""What changed in a rule between two days: in words, in numbers, and when it was announced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from shanhe.kernel.money import said_credits
from shanhe.rulebook.errors import RuleNotInForce
from shanhe.rulebook.model import Band, DatedValue, Formula, Parameter, Rule, Text, canonical
from shanhe.rulebook.resolve import in_force, value_of


@dataclass(frozen=True, slots=True)
class Difference:
    """One change: what (`name`), before and after as JSON values, the two in words, and the dates of the later one."""

    name: str
    title: Text
    before: Any
    after: Any
    words: Text
    start: date
    announced: date
    origin: str
    amendment: str | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title.to_dict(),
            "before": canonical(self.before),
            "after": canonical(self.after),
            "words": self.words.to_dict(),
            "from": self.start.isoformat(),
            "announced": self.announced.isoformat(),
            "origin": self.origin,
            "amendment": self.amendment,
        }


def differences(rule: Rule, first: date, second: date) -> list[Difference]:
    """Every parameter and formula that is another on `second` than on `first`; RuleNotInForce before the first."""
    found = []
    for parameter in rule.parameters:
        old, new = (value_of(parameter, day, None) for day in (first, second))
        if old is None or new is None:
            raise RuleNotInForce(rule.id, parameter.name, first if old is None else second, None)
        if old.value != new.value:
            found.append(_changed(parameter, old, new))
    before, after = (in_force(rule.formulas, day, None) for day in (first, second))
    if before is not None and after is not None and before != after:
        found.append(_formula(before, after))
    return found


def _formula(old: Formula, new: Formula) -> Difference:
    before, after = _lines(old), _lines(new)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    titles = _titles(old) | _titles(new)
    words = Text(
        f"公式有改动：{'、'.join(titles[name].zh for name in names)}",
        f"The formula changed: {', '.join(titles[name].en for name in names)}",
    )
    return Difference(
        name="formula", title=Text("公式", "Formula"), before={name: before.get(name) for name in names},
        after={name: after.get(name) for name in names}, words=words, start=new.start, announced=new.announced,
        origin="given", amendment=new.amendment,
    )  # fmt: skip


def _lines(formula: Formula) -> dict[str, str]:
    steps = {step.name: step.expression for step in formula.steps}
    return steps | {output.name: output.expression for output in formula.outputs}


def _titles(formula: Formula) -> dict[str, Text]:
    return {one.name: one.title for one in formula.steps} | {one.name: one.title for one in formula.outputs}


def _changed(parameter: Parameter, old: DatedValue, new: DatedValue) -> Difference:
    (before, was), (after, becomes) = (
        [shown(dated.value, parameter.unit, zh=zh) for zh in (True, False)] for dated in (old, new)
    )
    zh = _step(old.value, new.value, parameter.unit, "，增加 ", "，减少 ", zh=True)
    en = _step(old.value, new.value, parameter.unit, ", up ", ", down ", zh=False)
    words = Text(
        f"{parameter.title.zh}由 {before} 变为 {after}{zh}", f"{parameter.title.en} goes from {was} to {becomes}{en}"
    )
    return Difference(
        parameter.name, parameter.title, old.value, new.value, words, new.start, new.announced, new.origin,
        new.amendment,
    )  # fmt: skip


def _step(old: Any, new: Any, unit: str, more: str, less: str, *, zh: bool) -> str:
    if isinstance(old, bool) or not isinstance(old, int | Fraction) or not isinstance(new, int | Fraction):
        return ""
    return f"{more if new > old else less}{shown(abs(new - old), unit, zh=zh)}"


def shown(value: Any, unit: str, *, zh: bool) -> str:
    """A value as people write it."""
    match value:
        case bool():
            return ("是" if value else "否") if zh else ("yes" if value else "no")
        case int() if unit in ("fen", "fen_per_credit"):
            return f"¥{value // 100:,}.{value % 100:02d}"
        case int() if unit == "micro":
            return f"{said_credits(value)} {'积分' if zh else 'credits'}"
        case int() if unit == "yuan":
            return f"¥{value:,}"
        case int() if unit in ("bps", "ppm"):
            return f"{value / (100 if unit == 'bps' else 10_000):g} %"
        case int():
            return f"{value:,}"
        case Band():
            upper = "∞" if value.upper is None else f"{value.upper:,}"
            return f"{value.lower:,}–{upper}: {shown(value.value, unit, zh=zh)}"
        case dict():
            return "; ".join(f"{key}: {shown(entry, unit, zh=zh)}" for key, entry in value.items())
        case tuple():
            return ", ".join(shown(entry, unit, zh=zh) for entry in value)
        case _:
            return str(value)
