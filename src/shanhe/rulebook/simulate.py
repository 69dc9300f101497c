"""What another version of a rule would have decided over recorded cases: by the vector kernel, checked by the scalar.

Both versions see the facts that were recorded, and nothing else. What the version in force says must be what was
recorded; a case of which that is not so, or which lacks a fact, is counted and left out. Where another version comes
before the change in any case, that one is what it is compared with. Each case stands by itself: what the change would
have done to facts of later cases is not followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final
from uuid import UUID

import numpy as np

from shanhe.kernel.clock import add_months
from shanhe.rulebook.cases import Case, Stream, Table, digest, tabled, used_facts
from shanhe.rulebook.compiled import compile_scalar
from shanhe.rulebook.effects import Group, Interval, behind, groups_of, interval
from shanhe.rulebook.examples import Illustration, illustrated
from shanhe.rulebook.ir import BOOL, Call, Choose, Compare, Const, FactRef, Lookup, Node, Pick, StepRef, children
from shanhe.rulebook.model import Output, Text, canonical
from shanhe.rulebook.program import BuiltOutput, Program, build_program
from shanhe.rulebook.resolve import InForce
from shanhe.rulebook.vector import VectorKernel

CHECKED_CASES: Final = 200
LIMIT: Final = "limit_"
YES: Final = "yes"

Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Amount:
    """One kind of money, summed over all cases, in minor units. `behind`: for how many it is anything before, anything
    after, and another after than before."""

    name: str
    title: Mapping[str, str]
    unit: str
    before: int
    after: int
    interval: Interval | None
    behind: tuple[int, int, int]

    @property
    def difference(self) -> int:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Limit:
    """A minimum of the formula: how many of those concerned have a case in which `other` is the smaller side."""

    title: Mapping[str, str]
    other: Mapping[str, str]
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Section:
    """One rule over cases of one kind. Counts are of those concerned, not of cases, but for `cases` and `left_out`.

    `main` is the amount by which they gain or lose: the first that changes for anybody. `left_out`: cases of another
    version, not reproduced, erased, or decided by people; `missing`, `invalid`: facts by name, and what
    those are called in `facts`.
    """

    rule: str
    key: str
    title: Mapping[str, str]
    note: Mapping[str, str] | None
    versions: tuple[str, str]
    charged: bool
    cases: int
    people: int
    amounts: Sequence[Amount]
    main: int
    gain: int
    lose: int
    same: int
    begin: int
    end: int
    groups: Sequence[Group]
    limits: Sequence[Limit]
    examples: Sequence[Illustration]
    left_out: Mapping[str, int]
    missing: Mapping[str, int]
    invalid: Mapping[str, int]
    facts: Mapping[str, Mapping[str, str]]
    checked: int
    seed: str
    digest: str


@dataclass(frozen=True)
class Side:
    """One version, ready to be asked."""

    version: InForce
    on: date
    program: Program
    kernel: VectorKernel
    limits: Sequence[tuple[Text, Text]]
    used: frozenset[str]

    @classmethod
    def of(cls, version: InForce, on: date) -> Side:
        program = build_program(version)
        return cls(version, on, program, VectorKernel(version, _with_limits), _titles(program), used_facts(program))


@dataclass
class _Outcome:
    """Outputs of one side by case: values as they are recorded."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    def of(self, index: int, name: str) -> Any:
        return self.rows[index][name]


def simulate(
    stream: Stream, before: Side, after: Side, *, least: int, salt: str, span: str, tell: Tell,
    decided: Side | None = None,
) -> Section:  # fmt: skip
    """One section. `span` says which time it is about, for the seed; `tell` hears of cases that are done; `decided` is
    the version that the cases are of, where it isn't the one before the change."""
    cases, decided = stream.cases, decided or before
    called = decided.version.names
    known = [index for index, case in enumerate(cases) if case.version in called]
    first = tabled(decided.version.rule, decided.used, cases, known)
    now = _evaluated(decided, first)
    like = [index for index in first.rows if _same(cases[index], now.rows[index])]
    unlike, base = len(first.rows) - len(like), first
    if before is not decided:
        base = tabled(before.version.rule, before.used, cases, like)
        now, like = _evaluated(before, base), base.rows
    second = tabled(after.version.rule, after.used, cases, like)
    then = _evaluated(after, second)
    tables = (first, second) if base is first else (first, base, second)
    rows = second.rows
    tell(len(cases))
    seed = hashlib.sha256(
        "|".join((stream.key, before.version.version, after.version.version, span)).encode()
    ).hexdigest()
    checked = _checked(before, now, base, seed) + _checked(after, then, second, seed)
    kinds = _kinds(stream, before)
    names = [name for name, _, _ in kinds]
    values = [(_values(stream, names, cases[i], now.rows[i]), _values(stream, names, cases[i], then.rows[i]))
              for i in rows]  # fmt: skip
    section = _section(stream, before, after, kinds, [cases[i].who for i in rows], values, least, seed)
    return replace(
        section,
        limits=_limits(before, after, cases, rows, now, then),
        examples=illustrated(before, after, cases, {i: second.clean[i] for i in rows},
                             {i: _first(value, section.main) for i, value in zip(rows, values, strict=True)}, least),
        left_out={"other_version": len(cases) - len(known), "unlike": unlike,
                  "erased": stream.erased, "by_people": stream.by_people},
        missing=_summed(*(table.missing for table in tables), stream.unknown),
        invalid=_summed(*(table.invalid for table in tables)), facts=_titled(before, after, tables),
        checked=checked, digest=digest(cases, salt),
    )  # fmt: skip


def _titled(before: Side, after: Side, tables: Sequence[Table]) -> dict[str, dict[str, str]]:
    """What the facts that stood in the way are called."""
    titles = {fact.name: fact.title.to_dict() for side in (before, after) for fact in side.version.rule.facts}
    names = {name for table in tables for name in (*table.missing, *table.invalid)}
    return {name: dict(titles[name]) for name in sorted(names & titles.keys())}


def _summed(*counts: Mapping[str, int]) -> dict[str, int]:
    return {name: sum(one.get(name, 0) for one in counts) for name in sorted({name for one in counts for name in one})}


def _first(value: tuple[tuple[int, ...], tuple[int, ...]], main: int) -> tuple[int, int]:
    return value[0][main], value[1][main]


def _evaluated(side: Side, table: Table) -> _Outcome:
    found = _Outcome()
    for rows, columns in table.parts:
        result = side.kernel(columns)
        names = list(result)
        plain = [_listed(result[name]) for name in names]
        for place, index in enumerate(rows):
            found.rows[index] = {name: column[place] for name, column in zip(names, plain, strict=True)}
    return found


def _listed(column: Any) -> list[Any]:
    """Python values: integers, booleans, dates, lists."""
    if column.dtype.kind == "M":
        return list(column.astype("datetime64[D]").astype(object))
    listed: list[Any] = column.tolist()
    return listed


def _same(case: Case, outputs: Mapping[str, Any]) -> bool:
    """Whether the version in force says what was recorded."""
    return all(canonical(outputs.get(name)) == canonical(value) for name, value in case.outputs.items())


def _checked(side: Side, outcome: _Outcome, table: Table, seed: str) -> int:
    """The scalar function over a sample drawn by the seed; how many. ArithmeticError where the two differ."""
    random = np.random.default_rng(int(seed[:16], 16))
    chosen = random.permutation(len(table.rows))[:CHECKED_CASES]
    scalar = compile_scalar(side.program)
    for place in chosen:
        index = table.rows[int(place)]
        for name, value in scalar(**table.clean[index]).items():
            found = outcome.of(index, name)
            if canonical(found) != canonical(value):
                raise ArithmeticError(f"{side.version.rule.id}.{name}: {found} by columns, {value} by the function")
    return len(chosen)


# -- money ------------------------------------------------------------------------------------------------------------


Kind = tuple[str, Mapping[str, str], str]
"""Name, title and unit of one kind of money."""


def _values(stream: Stream, names: Sequence[str], case: Case, outputs: Mapping[str, Any]) -> tuple[int, ...]:
    """What a case is worth, each kind of money; times the units it stands for."""
    if not case.open or (stream.passes and not outputs.get(stream.passes)):
        return (0,) * len(names)
    if stream.passes and not stream.paid:
        return tuple(1 if name == stream.passes else case.worth.get(name, 0) for name in names)
    found = [outputs.get(name) for name in names]
    return tuple(int(value) * case.times if isinstance(value, int) else 0 for value in found)


def _units(stream: Stream) -> list[str]:
    return sorted({unit for case in stream.cases for unit in case.worth})


def _kinds(stream: Stream, before: Side) -> list[Kind]:
    """Kinds of money by the version in force; one that only the other has is not looked at."""
    if stream.passes and not stream.paid:
        return [(unit, stream.title.to_dict(), unit) for unit in _units(stream)] or [
            (stream.passes, stream.title.to_dict(), YES)
        ]
    formula = before.version.formula
    assert formula is not None  # as above
    known = {output.name: output for output in formula.outputs}
    names = [name for name in stream.paid or (formula.amount,) if name in known]
    return [
        (name, known[name].title.to_dict(), stream.unit or (known[name].unit if known[name].type == "number" else YES))
        for name in names
    ]


def _section(
    stream: Stream, before: Side, after: Side, kinds: Sequence[Kind], whose: Sequence[UUID],
    values: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], least: int, seed: str,
) -> Section:  # fmt: skip
    sums: dict[UUID, list[list[int]]] = {}
    for who, (one, other) in zip(whose, values, strict=True):
        own = sums.setdefault(who, [[0, 0] for _ in kinds])
        for at in range(len(kinds)):
            own[at][0] += one[at]
            own[at][1] += other[at]
    pairs = [[(_per(own[at][0], stream.per), _per(own[at][1], stream.per)) for own in sums.values()]
             for at in range(len(kinds))]  # fmt: skip
    main = next((at for at in range(len(kinds)) if any(a != b for a, b in pairs[at])), 0)
    amounts = []
    for at, (name, title, unit) in enumerate(kinds):
        whole = [_per(sum(own[at][side] for own in sums.values()), stream.per) for side in (0, 1)]
        spread = interval(pairs[at], least, seed)
        amounts.append(Amount(name, title, unit, whole[0], whole[1], spread, behind(pairs[at])))
    sign = -1 if stream.charged else 1
    steps = [(b - a) * sign for a, b in pairs[main]]
    return Section(
        rule=before.version.rule.id, key=stream.key, title=stream.title.to_dict(),
        note=stream.note.to_dict() if stream.note else None,
        versions=(before.version.version, after.version.version), charged=stream.charged, cases=len(whose),
        people=len(sums), amounts=amounts, main=main, gain=sum(step > 0 for step in steps),
        lose=sum(step < 0 for step in steps), same=sum(step == 0 for step in steps),
        begin=sum(a == 0 and b != 0 for a, b in pairs[main]), end=sum(a != 0 and b == 0 for a, b in pairs[main]),
        groups=groups_of(pairs[main], least), limits=(), examples=(), left_out={}, missing={}, invalid={}, facts={},
        checked=0, seed=seed, digest="",
    )  # fmt: skip


def _per(value: int, per: int) -> int:
    """Half to even, once, at the end."""
    if per == 1:
        return value
    whole, rest = divmod(value, per)
    return whole + (2 * rest > per or (2 * rest == per and whole % 2 == 1))


# -- limits -----------------------------------------------------------------------------------------------------------


def _minima(program: Program) -> list[Pick]:
    """Every minimum that is always worked out, in the order of the formula; what stands in a branch is not."""
    found: list[Pick] = []
    seen: set[int] = set()

    def walk(node: Node) -> None:
        if id(node) in seen or isinstance(node, Choose | Call):
            return
        seen.add(id(node))
        if isinstance(node, Pick) and node.op == "min" and _named(program, node.right) and _named(program, node.left):
            found.append(node)
        for child in (node.target,) if isinstance(node, StepRef) else children(node):
            walk(child)

    for built in program.outputs:
        walk(built.rounded)
    return found


def _with_limits(program: Program) -> Program:
    """The program with one more yes or no for each minimum: whether its other side is the smaller one."""
    more = []
    for n, pick in enumerate(_minima(program)):
        node = Compare(op="<", left=pick.right, right=pick.left, kind=BOOL)
        empty = Text("", "")
        more.append(BuiltOutput(Output(f"{LIMIT}{n}", empty, "", "bool", "int", "half_even"), node, node, node))
    return replace(program, outputs=(*program.outputs, *more))


def _titles(program: Program) -> list[tuple[Text, Text]]:
    return [(_named(program, pick.left) or Text("", ""), _named(program, pick.right) or Text("", ""))
            for pick in _minima(program)]  # fmt: skip


def _named(program: Program, node: Node) -> Text | None:
    """The title of a side, where it has one."""
    name = getattr(node, "name", "") if isinstance(node, FactRef | StepRef | Const | Lookup) else ""
    rule = program.version.rule
    titles = {fact.name: fact.title for fact in rule.facts} | {one.name: one.title for one in rule.parameters}
    titles |= {step.name: step.title for step, _ in program.steps}
    titles |= {built.output.name: built.output.title for built in program.outputs}
    return titles.get(name)


def _limits(
    before: Side, after: Side, cases: Sequence[Case], rows: Sequence[int], now: _Outcome, then: _Outcome
) -> list[Limit]:
    """Minima that both versions have, by the titles of their sides."""
    found, order = [], {pair: n for n, pair in enumerate(after.limits)}
    for n, pair in enumerate(before.limits):
        other = order.get(pair)
        if other is None:
            continue
        met = [len({cases[i].who for i in rows if outcome.of(i, f"{LIMIT}{at}")})
               for outcome, at in ((now, n), (then, other))]  # fmt: skip
        found.append(Limit(pair[0].to_dict(), pair[1].to_dict(), met[0], met[1]))
    return found


def last_month(today: date) -> tuple[date, date]:
    """First and last day of the calendar month before a day's."""
    first = add_months(today.replace(day=1), -1)
    return first, date.fromordinal(today.replace(day=1).toordinal() - 1)
