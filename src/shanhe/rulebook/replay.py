"""A decision made again, for whoever audits it: by the version that decided, from the facts that it was told.

The text is the one that the trace names, which the city kept; the version in it is found by its hash, whatever was
announced since. What it says now must be what the trace says, part by part and to the last digit; a trace of another
program's version can still be worked out from its own arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.rulebook.errors import RuleNotInForce, RuleWithheld
from shanhe.rulebook.model import canonical
from shanhe.rulebook.trace import recompute

if TYPE_CHECKING:
    from shanhe.rulebook.service import Rulebook

COMPARED: Final = (
    "rule", "article", "event", "on", "inputs", "parameters", "steps", "outputs", "amount", "binding", "nearest",
    "alternatives",
)  # fmt: skip
DEPTH_MOST: Final = 32


class Outcome(StrEnum):
    """`same`: every part comes out again; `differs`: some do not; `unknown`: no rule here ever had that version."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Replay:
    """`parts`: of the trace, those that come out otherwise. `now`: the version that would decide the same day today."""

    rule: str
    on: str
    version: str
    outcome: Outcome
    parts: tuple[str, ...]
    now: str


def replay(rulebook: Rulebook, trace: Mapping[str, Any]) -> Replay:
    """Decide a trace's case again. RuleNotFound; Invalid for what is no trace; RuleFactsInvalid where its facts are not
    ones that the version takes."""
    try:
        name, text = str(trace["rule"]), str(trace.get("rule_hash", ""))
        on, version = date.fromisoformat(str(trace["on"])), str(trace["version"])
        facts = {str(one["name"]): one["value"] for one in trace["inputs"]}
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(
            "not_a_trace", "This is no trace of a decision.", message_zh="这不是决定的推导。",
            hint="Give the `trace` of an answer of `rules eval`, or one of a case's `traces`.",
            hint_zh="请给出 `rules eval` 结果中的 `trace`，或申请中 `traces` 的一项。",
        ) from error  # fmt: skip
    then = rulebook.as_it_was(name, text) or rulebook
    rule = then.rule(name)
    now = "" if rule.id not in rulebook.ids() else _version(rulebook, rule.id, on, None)
    for book in (then, rulebook) if then is not rulebook and now else (then,):
        rule = book.rule(rule.id)
        announced = {one.announced for one in rule.formulas}
        announced |= {value.announced for one in rule.parameters for value in one.values}
        for known in (None, *sorted(announced, reverse=True)):
            if version in _names(book, rule.id, on, known):
                again = canonical(book.evaluate(rule.id, facts, on=on, known=known).trace)
                parts = tuple(part for part in COMPARED if again[part] != canonical(trace.get(part)))
                outcome = Outcome.DIFFERS if parts else Outcome.SAME
                return Replay(rule.id, on.isoformat(), version, outcome, parts, now)
    return Replay(rule.id, on.isoformat(), version, Outcome.UNKNOWN, (), now)


def _names(rulebook: Rulebook, rule: str, on: date, known: date | None) -> Collection[str]:
    try:
        return rulebook.in_force(rule, on, known).names
    except (RuleNotInForce, RuleWithheld):
        return ()


def _version(rulebook: Rulebook, rule: str, on: date, known: date | None) -> str:
    try:
        return rulebook.version(rule, on, known)
    except (RuleNotInForce, RuleWithheld):
        return ""


def adds_up(trace: Mapping[str, Any]) -> bool:
    """Whether a trace's own arithmetic gives what it says, whatever rule it is of.

    The expressions are the trace's own and nothing bounds how long one takes: never ask this of a stranger's trace in
    a process that serves others.
    """
    try:
        return recompute(trace) == {str(one["name"]): canonical(one["value"]) for one in trace["outputs"]}
    except (ShanheError, KeyError, TypeError, ValueError, ArithmeticError):
        return False


def traces_in(document: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every trace in a JSON document, wherever it stands."""
    if depth > DEPTH_MOST:
        return
    if isinstance(document, Mapping):
        if {"trace_version", "rule", "version", "inputs"} <= document.keys():
            yield document
            return
        for value in document.values():
            yield from traces_in(value, depth + 1)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from traces_in(value, depth + 1)
