"""The rulebook as pages: values with their dates and sources, formulas, and what a rule would decide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from shanhe.console import model as m
from shanhe.console import model_rules as mr
from shanhe.console.explain import priced
from shanhe.console.units import form_of
from shanhe.kernel.clock import Clock
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.money import format_fen, said_credits
from shanhe.rulebook.api import Rule, Rulebook, RuleNotInForce, RuleWithheld, display, replay, value_of, values

BPS_A_PERCENT = 100
ITEMS_MAX = 24


class LiveRules:
    """See `ports.Rules`."""

    def __init__(self, rulebook: Rulebook, clock: Clock) -> None:
        self._rulebook = rulebook
        self._clock = clock

    async def list(self) -> Sequence[mr.RuleRow]:
        return [_row(self._rulebook.rule(rule_id)) for rule_id in self._rulebook.ids()]

    async def page(self, rule_id: str) -> mr.RulePage:
        rule = self._rulebook.rule(rule_id)
        today = self._clock.today()
        try:
            version = self._rulebook.version(rule.id, today)
        except (RuleNotInForce, RuleWithheld):
            version = rule.content_hash
        formula = max(rule.formulas, key=lambda one: (one.start <= today, one.start), default=None)
        lines = []
        if formula is not None:
            lines += [mr.FormulaLine((s.title.zh, s.title.en), s.name, s.expression, "") for s in formula.steps]
            lines += [
                mr.FormulaLine((o.title.zh, o.title.en), o.name, o.expression, o.rounding) for o in formula.outputs
            ]
        return mr.RulePage(
            row=_row(rule),
            note=(rule.note.zh, rule.note.en) if rule.note else ("", ""),
            event=(rule.event_title.zh, rule.event_title.en),
            version=version,
            parameters=[line for name in rule.parameters for line in versions(name, today)],
            facts=[
                mr.FactField(
                    fact.name,
                    (fact.title.zh, fact.title.en),
                    fact.type,
                    "" if fact.unit == "int" or fact.type != "number" else form_of(fact.unit).word or fact.unit,
                    [(value, (rule.label(value).zh, rule.label(value).en)) for value in fact.values],
                    ""
                    if fact.default is None
                    else str(fact.default).lower()
                    if fact.type == "bool"
                    else form_of(fact.unit).show(int(fact.default))
                    if fact.type == "number"
                    else str(fact.default),
                    fact.default is None,
                )
                for fact in rule.facts
            ],
            formula=lines,
            examples=[
                (one.name, _shown(rule, one.facts), _shown(rule, one.outputs)) for one in rule.examples if one.outputs
            ],
            changes=_changes(self._rulebook, rule),
            unfit=unfit(self._rulebook, rule.id),
        )

    async def values(self, find: str, on: date, *, coming: bool) -> Sequence[mr.ValueRow]:
        found = []
        for one in values(self._rulebook, on, find, coming=coming):
            rows = {(row.since, row.announced): row for row in versions(one.parameter, on)}
            now, then = [rows[held.start, held.announced] if held else None for held in (one.now, one.then)]
            found.append(mr.ValueRow(_row(one.rule), (one.parameter.title.zh, one.parameter.title.en), now, then))
        return found

    async def evaluate(
        self, rule_id: str, facts: Mapping[str, str], on: date, known: date | None = None
    ) -> mr.DecisionView:
        rule = self._rulebook.rule(rule_id)
        decision = self._rulebook.evaluate(rule.id, _typed(rule, facts), on=on, known=known)
        shown = next((o for o in decision.trace["outputs"] if o["name"] == decision.trace["amount"]), None)
        amount = str(shown["display"]) if shown is not None else value_text(decision.amount, decision.unit)
        return mr.DecisionView(amount, "", decision.version, decision.article, decision.trace)

    def replay(self, trace: Mapping[str, Any]) -> str:
        try:
            return str(replay(self._rulebook, trace).outcome)
        except ShanheError:  # no trace, or of a rule or facts that are here no more
            return ""


def unfit(rulebook: Rulebook, rule_id: str = "") -> Sequence[m.UnfitRow]:
    """Amendments that are not in force, of one rule or of all."""
    return [
        m.UnfitRow(one.amendment.id, one.amendment.rule_id, (one.why.zh, one.why.en), one.since)
        for one in rulebook.unfit
        if rule_id in ("", one.amendment.rule_id)
    ]


def _shown(rule: Rule, values: Mapping[str, Any]) -> list[tuple[m.Bilingual, str]]:
    """What an example is given or what comes out of it, by its title and as people write it."""
    known = {one.name: one for formula in rule.formulas for one in formula.outputs}
    found: list[tuple[m.Bilingual, str]] = []
    for name, value in values.items():
        named = next((fact for fact in rule.facts if fact.name == name), known.get(name))
        title = (named.title.zh, named.title.en) if named is not None else (name, name)
        unit = named.unit if named is not None else ""
        found.append((title, priced(value, unit) or display(value, unit)))
    return found


def _changes(rulebook: Rulebook, rule: Rule) -> Sequence[mr.RuleChange]:
    """Whatever succeeded something else, the latest first."""
    days = sorted({value.start for p in rule.parameters for value in p.values} | {f.start for f in rule.formulas})
    found = []
    for day in days[1:]:
        try:
            changes = rulebook.differences(rule.id, day - timedelta(days=1), day)
        except RuleNotInForce:  # a part of the rule began that day: nothing was succeeded
            continue
        found += [mr.RuleChange((c.words.zh, c.words.en), c.start, c.announced) for c in changes]
    return found[::-1]


def _row(rule: Rule) -> mr.RuleRow:
    assumed = sum(value.origin == "assumed" for parameter in rule.parameters for value in parameter.values)
    title, department = (rule.title.zh, rule.title.en), (rule.department.zh, rule.department.en)
    return mr.RuleRow(rule.id, title, rule.article, department, rule.kind, rule.review, assumed)


def versions(parameter: Any, today: date) -> Sequence[mr.ParameterRow]:
    """Every dated value of a parameter, the newest first."""
    held = value_of(parameter, today, None)
    return [
        mr.ParameterRow(
            parameter.name,
            (parameter.title.zh, parameter.title.en),
            value.start,
            value.announced,
            value_text(value.value, parameter.unit),
            value.origin,
            (value.reason.zh, value.reason.en) if value.reason else ("", ""),
            value.article,
            value is held,
            parameter.unit if isinstance(value.value, int) and not isinstance(value.value, bool) else "",
            value.amendment or "",
        )
        for value in sorted(parameter.values, key=lambda one: one.start, reverse=True)
    ]


def value_text(value: Any, unit: str) -> str:
    """A value of the rulebook as people write it."""
    if isinstance(value, bool) or value is None:
        return {True: "✓", False: "✗", None: "—"}[value]
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {value_text(inner, unit)}" for name, inner in list(value.items())[:ITEMS_MAX])
    if isinstance(value, list | tuple):
        return ", ".join(_item(inner, unit) for inner in value[:ITEMS_MAX])
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}" if value.denominator != 1 else value_text(value.numerator, unit)
    if isinstance(value, int):
        return _number(value, unit)
    return str(value)


def _item(value: Any, unit: str) -> str:
    if hasattr(value, "lower") and hasattr(value, "upper") and not isinstance(value, str):
        upper = "∞" if value.upper is None else f"{value.upper:,}"
        return f"{value.lower:,}–{upper}: {value_text(value.value, unit)}"
    return value_text(value, unit)


def _number(value: int, unit: str) -> str:
    match unit:
        case "fen" | "fen_per_credit":
            return f"¥ {format_fen(value)}"
        case "yuan":
            return f"¥ {value:,}"
        case "bps":
            whole, rest = divmod(value, BPS_A_PERCENT)
            return f"{whole}.{rest:02d} %" if rest else f"{whole} %"
        case "micro" | "micro_per_mtok":
            return said_credits(value)
        case _:
            return f"{value:,}"


def _typed(rule: Rule, facts: Mapping[str, str]) -> dict[str, Any]:
    """Facts of a form as the rule wants them; `Invalid` names the one that cannot be read."""
    known = {fact.name: fact for fact in rule.facts}
    typed: dict[str, Any] = {}
    for name, text in facts.items():
        fact = known.get(name)
        kind = fact.type if fact else "enum"
        try:
            if fact and kind == "number":
                typed[name] = form_of(fact.unit).read(text)
            elif kind == "bool":
                typed[name] = text == "true"
            elif kind == "list":
                typed[name] = json.loads(text)
            else:
                typed[name] = text
        except (ValueError, RecursionError) as error:
            zh, en = (fact.title.zh, fact.title.en) if fact else (name, name)
            raise Invalid(
                "bad_fact", f"{en}: {text!r} cannot be read.", message_zh=f"无法读取“{zh}”的值：{text}。",
                hint="Write a number like 12 or 12.5; lists are JSON.", hint_zh="数字请写作 12 或 12.5，列表用 JSON。",
            ) from error  # fmt: skip
    return typed
