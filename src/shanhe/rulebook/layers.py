"""Amendments laid over the packaged rules: their rows added, or only the places of rows that can't be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from shanhe.rulebook.documents import FIRST_DATE, Reader, as_date
from shanhe.rulebook.errors import RuleFileInvalid, RuleNotFound
from shanhe.rulebook.loader import dated_values, examples_of, formulas_of, linked, sound
from shanhe.rulebook.model import DatedValue, Example, Rule, RuleAmendment, Withheld


def amend(rules: Mapping[str, Rule], amendments: Sequence[RuleAmendment]) -> dict[str, Rule]:
    """Rules with the amendments' dated rows added; an amendment can succeed a version, never change one."""
    return linked(layered(rules, amendments))


def layered(rules: Mapping[str, Rule], amendments: Sequence[RuleAmendment]) -> dict[str, Rule]:
    """The same, before those that share a parameter are told."""
    amended = dict(rules)
    for amendment in amendments:
        rule = amended.get(amendment.rule_id)
        if rule is None:
            raise RuleNotFound(amendment.rule_id)
        amended[rule.id] = _amended(rule, amendment)
    return amended


def withhold(rules: Mapping[str, Rule], amendment: RuleAmendment) -> dict[str, Rule]:
    """Rules in which the rows of an amendment that can't be read keep their places in time, without what they say.

    Rows of a parameter that the rule no longer has stand for all of the rule: nobody can tell what they changed.
    """
    rule = rules.get(amendment.rule_id)
    if rule is None:
        return dict(rules)
    rows = _rows(amendment)
    own = {p.name for p in rule.parameters if not p.of}
    whole = [row for name, found in rows.items() if name and name not in own for row in found]
    formula = rule.withheld + tuple(rows.get("", []) + whole)
    parameters = tuple(
        p if p.of else replace(p, withheld=p.withheld + tuple(rows.get(p.name, []) + whole)) for p in rule.parameters
    )
    return linked({**rules, rule.id: replace(rule, parameters=parameters, withheld=formula)})


def examples_in(amendment: RuleAmendment) -> tuple[Example, ...]:
    """The examples that an amendment brings."""
    where = f"amendment {amendment.id}"
    return examples_of(Reader(amendment.content, where).rows("examples", empty=True), f"{where}.examples")


def since(amendment: RuleAmendment) -> date | None:
    """The first day from which an amendment would decide; None where it has no dated rows."""
    return min((row.start for found in _rows(amendment).values() for row in found), default=None)


def _rows(amendment: RuleAmendment) -> dict[str, list[Withheld]]:
    """Where in time its rows stand, by parameter, and under an empty name those of the formula."""
    content, changes = amendment.content, amendment.content.get("parameters")
    found = dict(changes) if isinstance(changes, Mapping) else {"parameters": changes} if changes else {}
    found[""] = content.get("formula") or []
    return {str(name): [_place(row, amendment.id) for row in _list(rows)] for name, rows in found.items()}


def _list(rows: Any) -> list[Any]:
    return list(rows) if isinstance(rows, list | tuple) else [rows]


def _place(row: Any, amendment: str) -> Withheld:
    """A row's dates; where even they can't be read, nobody knows of a day on which it does not hold."""
    try:
        return Withheld(as_date(row["from"], "from"), as_date(row["announced"], "announced"), amendment)
    except (RuleFileInvalid, KeyError, TypeError):
        return Withheld(FIRST_DATE, FIRST_DATE, amendment, always=True)


def _amended(rule: Rule, amendment: RuleAmendment) -> Rule:
    where = f"amendment {amendment.id}"
    reader = Reader(amendment.content, where)
    changes = reader.mapping("parameters", empty=True)
    shared = next((p for p in rule.parameters if p.of and p.name in changes), None)
    if shared is not None:
        reader.refuse(
            f"{shared.name} belongs to {shared.of}: amend it there", f"{shared.name} 属于 {shared.of}，请在该规则修订"
        )
    unknown = [name for name in changes if rule.parameter(name) is None]
    if unknown:
        reader.refuse(f"{rule.id} has no parameter {unknown[0]!r}", f"{rule.id} 没有参数 {unknown[0]!r}")
    parameters = []
    for parameter in rule.parameters:
        at = f"{where}.parameters.{parameter.name}"
        rows = dated_values(parameter, changes.get(parameter.name, ()), at, rule.article, amendment.id)
        if amendment.completed and parameter.type == "table":
            rows = tuple(_completed(row, parameter.values) for row in rows)
        parameters.append(replace(parameter, values=parameter.values + rows))
    result = replace(
        rule,
        parameters=tuple(parameters),
        formulas=rule.formulas
        + formulas_of(reader.rows("formula", empty=True), f"{where}.formula", rule.article, amendment.id),
        examples=rule.examples + examples_of(reader.rows("examples", empty=True), f"{where}.examples"),
        review=reader.date("review") if reader.has("review") else rule.review,
    )
    reader.done()
    return sound(result, where)


def _completed(row: DatedValue, known: Sequence[DatedValue]) -> DatedValue:
    """A table's row with what the row before it says of names that it says nothing of."""
    before = max((one for one in known if one.start <= row.start), key=lambda one: one.start, default=known[0])
    return replace(row, value=_with(row.value, before.value))


def _with(table: Any, before: Any) -> Any:
    if not (isinstance(table, Mapping) and isinstance(before, Mapping)):
        return table
    return {**before, **{name: _with(value, before.get(name)) for name, value in table.items()}}
