"""Recorded decisions as columns: what the city knew when it decided, never a value that nobody recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from shanhe.rulebook.facts import check_fact
from shanhe.rulebook.ir import FactRef, Node, StepRef, children
from shanhe.rulebook.lower import INT64_MAX
from shanhe.rulebook.model import Fact, Rule, Text, canonical
from shanhe.rulebook.program import Program


@dataclass(frozen=True, slots=True)
class Case:
    """One decision as it was recorded.

    `who` is counted and never shown. `open`: whether everything but this rule allows it; what a closed case would get
    is nothing before and after. `worth`: minor units by unit, where the rule only says yes or no. `times`: for how
    many metered units its outputs count.
    """

    who: UUID
    version: str
    facts: Mapping[str, Any]
    outputs: Mapping[str, Any]
    open: bool = True
    worth: Mapping[str, int] = field(default_factory=dict)
    times: int = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """Cases of one kind. `paid`: the outputs that are money (the rule's own amount by default); `passes`: the yes or
    no without which nothing is paid, and which alone decides over `worth` where nothing is `paid`; `charged`: who is
    counted pays it; outputs × times ÷ `per` are in `unit` where that is given. `erased`: recorded once, unreadable
    now; `by_people`: decided against what the rules said; `unknown`: not recorded whole, by what lacks."""

    key: str
    title: Text
    rule_id: str
    cases: Sequence[Case]
    paid: tuple[str, ...] = ()
    passes: str = ""
    charged: bool = False
    per: int = 1
    unit: str = ""
    erased: int = 0
    by_people: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    note: Text | None = None


@dataclass
class Table:
    """The cases that a rule can be asked about, as columns of equal list lengths; `missing` and `invalid` count the
    others by the fact that stood in the way."""

    rows: list[int] = field(default_factory=list)
    parts: list[tuple[list[int], dict[str, Any]]] = field(default_factory=list)
    clean: dict[int, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    invalid: dict[str, int] = field(default_factory=dict)


def used_facts(program: Program) -> frozenset[str]:
    """Names of the facts that any output depends on."""
    found: set[str] = set()
    seen: set[int] = set()

    def walk(node: Node) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, FactRef):
            found.add(node.name)
        for child in (node.target,) if isinstance(node, StepRef) else children(node):
            walk(child)

    for built in program.outputs:
        walk(built.rounded)
    return frozenset(found)


def tabled(rule: Rule, used: frozenset[str], cases: Sequence[Case], rows: Iterable[int]) -> Table:
    """Columns of the cases that recorded everything the rule uses; a fact that it doesn't use needs no value."""
    table = Table()
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index in rows:
        clean = _clean(rule, used, cases[index].facts, table)
        if clean is None:
            continue
        table.rows.append(index)
        table.clean[index] = clean
        shape = tuple(len(clean[fact.name]) for fact in rule.facts if fact.type == "list")
        by_shape.setdefault(shape, []).append(index)
    for part in by_shape.values():
        table.parts.append((part, {fact.name: _column(fact, [table.clean[i][fact.name] for i in part])
                                   for fact in rule.facts}))  # fmt: skip
    return table


def _clean(rule: Rule, used: frozenset[str], given: Mapping[str, Any], table: Table) -> dict[str, Any] | None:
    clean: dict[str, Any] = {}
    whole = True
    for fact in rule.facts:
        if fact.name not in given:
            if fact.name in used:
                table.missing[fact.name] = table.missing.get(fact.name, 0) + 1
                whole = False
            clean[fact.name] = _any(fact)
            continue
        clean[fact.name], problem = check_fact(rule, fact, given[fact.name])
        if problem is not None:
            table.invalid[fact.name] = table.invalid.get(fact.name, 0) + 1
            whole = False
    return clean if whole else None


def _any(fact: Fact) -> Any:
    """A value for a fact that no output looks at."""
    match fact.type:
        case "enum":
            return fact.values[0]
        case "bool":
            return False
        case "date":
            return date.fromordinal(fact.lo)
        case "list":
            return ()
        case _:
            return fact.lo


def _column(fact: Fact, values: list[Any]) -> Any:
    match fact.type:
        case "enum":
            codes = {name: code for code, name in enumerate(fact.values)}
            return np.array([codes[value] for value in values], dtype=np.int64)
        case "bool":
            return np.array(values, dtype=bool)
        case "date":
            return np.array([value.toordinal() for value in values], dtype=np.int64)
        case "list":
            return np.array(values, dtype=np.int64).reshape(len(values), -1)
        case _:
            fits = fact.lo >= -INT64_MAX and fact.hi <= INT64_MAX
            return np.array(values, dtype=np.int64 if fits else object)


def digest(cases: Sequence[Case], salt: str) -> str:
    """SHA-256 over what was read, whatever its order. The salt keeps a guess at one person's facts from being tried."""
    lines = sorted(
        hashlib.sha256(
            salt.encode() + msgspec.json.encode(canonical([one.version, dict(one.facts), dict(one.outputs), one.open,
                                                           dict(one.worth), one.times]), order="sorted")
        ).hexdigest()
        for one in cases
    )  # fmt: skip
    return hashlib.sha256("\n".join([salt, *lines]).encode()).hexdigest()
