"""Everything about the rules that can be proved or run: examples, bands, versions in force, ranges, 64-bit safety.

A schedule of bands can gap or overlap only at its edges, and versions can change only on their own dates; so looking at
every edge and at every pair of dates is a proof for all values and all days, not a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import numpy as np

from shanhe.kernel.errors import ShanheError
from shanhe.rulebook.errors import FormulaInvalid, RuleWithheld
from shanhe.rulebook.facts import validated
from shanhe.rulebook.ir import NUM
from shanhe.rulebook.loader import band_problem, supposed
from shanhe.rulebook.model import CheckFinding, CheckReport, Example, Fact, Rule, Text, Unfit, canonical
from shanhe.rulebook.resolve import in_force
from shanhe.rulebook.trace import recompute

if TYPE_CHECKING:
    from shanhe.rulebook.service import Rulebook

CORNERS_MAX = 4_096
AMENDMENT_FITS = "amendment"
"""The check that a recorded amendment is in force."""


def check_rules(rulebook: Rulebook, rule_ids: Sequence[str], today: date | None) -> CheckReport:
    """All findings about the rules; an overdue review fails only when `today` is given."""
    findings: list[CheckFinding] = []
    for rule_id in rule_ids:
        rule = rulebook.rule(rule_id)
        findings.extend(_versions(rule))
        findings.extend(_bands(rule))
        findings.extend(_programs(rulebook, rule))
        findings.extend(examples_hold(rulebook, rule, rule.examples))
        findings.append(_review(rule, today))
        findings.extend(_unfit(one) for one in rulebook.unfit if one.amendment.rule_id == rule_id)
        if rule.part_of:
            known = rule.part_of in rulebook.ids()
            which, which_zh = ("", "") if known else (", which is no rule", "，但没有这条规则")
            of, of_zh = f"is part of {rule.part_of}{which}", f"属于 {rule.part_of}{which_zh}"
            findings.append(_finding(rule, "part_of", known, of, of_zh, "/part_of"))
    known_rules = rulebook.ids()
    if rule_ids == known_rules:
        findings.extend(_unfit(one) for one in rulebook.unfit if one.amendment.rule_id not in known_rules)
    return CheckReport(tuple(findings))


def _unfit(unfit: Unfit) -> CheckFinding:
    """An amendment that is not in force, and what comes of it."""
    one, since = unfit.amendment, unfit.since
    then = f"; from {since} on the rule decides nothing" if since else ""
    then_zh = f"；自 {since} 起该规则不作决定" if since else ""
    return CheckFinding(
        one.rule_id, AMENDMENT_FITS, False, f"amendment {one.id} is not in force: {unfit.why.en}{then}",
        f"修订 {one.id} 未生效：{unfit.why.zh}{then_zh}",
    )  # fmt: skip


def _finding(rule: Rule, check: str, ok: bool, message: str, message_zh: str, pointer: str = "") -> CheckFinding:
    return CheckFinding(rule.id, check, ok, message, message_zh, pointer)


def _review(rule: Rule, today: date | None) -> CheckFinding:
    ok = today is None or rule.review >= today
    state, state_zh = ("due", "到期") if ok else ("was overdue", "已逾期")
    return _finding(
        rule, "review", ok, f"review {state} on {rule.review}", f"复核于 {rule.review} {state_zh}", "/review"
    )


# -- versions --------------------------------------------------------------------------------------------------------


def _dated(rule: Rule) -> Iterator[tuple[str, Sequence[Any]]]:
    for parameter in rule.parameters:
        yield parameter.name, parameter.values
    if rule.formulas:
        yield "formula", rule.formulas


def _versions(rule: Rule) -> Iterator[CheckFinding]:
    since = min((formula.start for formula in rule.formulas), default=None)
    for name, versions in _dated(rule):
        place = "/formula" if name == "formula" else f"/parameters/{name}"
        first = min(version.start for version in versions)
        if since is not None and first > since:
            message = f"{name} has no value before {first}, but the formula holds from {since}: add one, or move a date"
            zh = f"{name} 在 {first} 之前没有取值，而公式自 {since} 起生效，请补一行或改日期"
            yield _finding(rule, "versions", False, message, zh, place)
        told = min(version.announced for version in versions if version.start == first)
        if told > first:
            message = f"{name} holds from {first} but was announced only on {told}: nothing was known of it until then"
            zh = f"{name} 自 {first} 起生效，却在 {told} 才公布，此前无人知悉，请改日期或补一行"
            yield _finding(rule, "versions", False, message, zh, place)
        days = sorted({version.start for version in versions})
        announcements = sorted({version.announced for version in versions})
        doubled = [(on, known) for on, known in product(days, announcements) if len(_rivals(versions, on, known)) > 1]
        count = len(days) * len(announcements)
        if doubled:
            on, known = doubled[0]
            message = f"{name}: two versions in force on {on} as known on {known}"
            yield _finding(rule, "versions", False, message, f"{name}：{on}（截至 {known}）有两个有效版本", place)
        else:
            message = f"{name}: one version in force at each of {count} pairs of dates, hence on every day"
            zh = f"{name}：{count} 组日期各只有一个有效版本，故每一天都如此"
            yield _finding(rule, "versions", True, message, zh, place)


def _rivals(versions: Sequence[Any], on: date, known: date) -> list[Any]:
    """The versions that would all be in force: those equal to the one chosen in both dates."""
    chosen: Any = in_force(versions, on, known)
    if chosen is None:
        return []
    return [v for v in versions if (v.start, v.announced) == (chosen.start, chosen.announced)]


def _bands(rule: Rule) -> Iterator[CheckFinding]:
    for parameter in rule.parameters:
        if parameter.type != "bands":
            continue
        for value in parameter.values:
            problem = band_problem(value.value)
            what = f"{parameter.name} from {value.start}"
            message = problem or f"{len(value.value)} bands cover every value from {value.value[0].lower} once"
            zh = problem or f"{len(value.value)} 档自 {value.value[0].lower} 起无空隙、无重叠"
            place = f"/parameters/{parameter.name}"
            yield _finding(rule, "bands", not problem, f"{what}: {message}", f"{what}：{zh}", place)


def moments(rule: Rule) -> list[tuple[date, date]]:
    """Every (event date, knowledge date) at which something of a rule changes."""
    days = {version.start for _, versions in _dated(rule) for version in versions}
    known = {version.announced for _, versions in _dated(rule) for version in versions}
    return sorted(product(days, known))


# -- programs --------------------------------------------------------------------------------------------------------


def _programs(rulebook: Rulebook, rule: Rule) -> Iterator[CheckFinding]:
    """Type every version that can be in force; bound its outputs; prove or bound its 64-bit arithmetic."""
    seen: set[str] = set()
    for on, known in moments(rule) if rule.formulas else ():
        if any(in_force(versions, on, known) is None for _, versions in _dated(rule)):
            continue
        try:
            version = rulebook.version(rule.id, on, known)
            if version in seen:
                continue
            seen.add(version)
            kernel = rulebook.vector(rule.id, on, known)
        except RuleWithheld:
            continue  # told of its amendment
        except ShanheError as error:
            place = error.part if isinstance(error, FormulaInvalid) else ""
            yield _finding(rule, "types", False, f"{on}: {error.message}", f"{on}：{error.message_zh}", place)
            continue
        yield _finding(rule, "types", True, f"{on}: units and divisions proved", f"{on}：单位与除法均已证明")
        for place, said in rulebook.program(rule.id, on, known).unsaid:
            yield _finding(rule, "bands", False, f"{on}: {said.en}", f"{on}：{said.zh}", place)
        bits = kernel.largest.bit_length()
        fits = "64-bit columns are proved safe" if kernel.proved else "columns are split where 64 bits could wrap"
        fits_zh = "64 位列运算已证明安全" if kernel.proved else "可能越界的行改用精确整数"
        yield _finding(rule, "overflow", True, f"{on}: at most {bits} bits; {fits}", f"{on}：至多 {bits} 位；{fits_zh}")
        yield from _ranges(rulebook, rule, on, known)


def _ranges(rulebook: Rulebook, rule: Rule, on: date, known: date) -> Iterator[CheckFinding]:
    program = rulebook.program(rule.id, on, known)
    formula = rulebook.in_force(rule.id, on, known).formula  # a program is kept while only titles change
    where = f"/formula/{rule.formulas.index(formula) if formula else 0}/outputs"
    open_ends = []
    for built in program.outputs:
        output, node = built.output, built.rounded
        if node.kind != NUM or (output.lo is None and output.hi is None):
            continue
        if (output.lo is not None and node.lo < output.lo) or (output.hi is not None and node.hi > output.hi):
            open_ends.append(output)
        else:
            message = f"{output.name} stays within its range for all facts"
            yield _finding(
                rule, "range", True, message, f"{output.name} 对所有事实都在允许范围内", f"{where}/{output.name}"
            )
    if not open_ends:
        return
    function = rulebook.compiled(rule.id, on, known)
    points = 0
    for facts in islice(corners(rule), CORNERS_MAX):
        points += 1
        results = function(**facts)
        for output in open_ends:
            value = results[output.name]
            if (output.lo is not None and value < output.lo) or (output.hi is not None and value > output.hi):
                said = ", ".join(f"{name} = {_plain(fact)}" for name, fact in facts.items())
                message = f"{output.name} = {_plain(value)} is out of its min and max for {said}"
                zh = f"{output.name} = {_plain(value)} 超出其 min 与 max：{said}"
                yield _finding(rule, "range", False, message, zh, f"{where}/{output.name}")
                return
    for output in open_ends:
        message = f"{output.name} held its range at {points} corners and edges of the facts"
        yield _finding(rule, "range", True, message, f"{output.name} 在 {points} 个角点与边界上均在范围内")


def corners(rule: Rule) -> Iterator[dict[str, Any]]:
    """Combinations of the ends (and near-ends) of every fact's range."""
    names = [fact.name for fact in rule.facts]
    for values in product(*(_ends(fact) for fact in rule.facts)):
        yield dict(zip(names, values, strict=True))


def _ends(fact: Fact) -> list[Any]:
    match fact.type:
        case "bool":
            return [False, True]
        case "enum":
            return list(fact.values)
        case "date":
            return [date.fromordinal(fact.lo), date.fromordinal(fact.hi)]
        case "list":
            return [(), (fact.lo,) * min(fact.max_items, 2), (fact.hi,) * min(fact.max_items, 2)]
        case _:
            middle = (fact.lo + fact.hi) // 2
            return list(dict.fromkeys((fact.lo, min(fact.lo + 1, fact.hi), middle, fact.hi)))


# -- examples --------------------------------------------------------------------------------------------------------


def examples_hold(rulebook: Rulebook, rule: Rule, examples: Sequence[Example]) -> Iterator[CheckFinding]:
    """What came of each example; of a day for which the rule is withheld nothing can be told."""
    for place, example in enumerate(examples):
        with suppress(RuleWithheld):
            yield _example(rulebook, rule, place, example)


def _example(rulebook: Rulebook, rule: Rule, place: int, example: Example) -> CheckFinding:
    """One example through the evaluator, its own trace, the compiled function and the vector kernel."""
    where = f"/examples/{place}"
    try:
        problem = _differs(rulebook, rule, example)
    except RuleWithheld:
        raise
    except ShanheError as error:
        said, said_zh = f"{example.name}: {error.message}", f"{example.name}：{error.message_zh}"
        return _finding(rule, "example", False, said, said_zh, where)
    message = f"{example.name}: {problem.en if problem else 'holds in all four ways'}"
    zh = f"{example.name}：{problem.zh if problem else '四种算法结果一致'}"
    return _finding(rule, "example", problem is None, message, zh, where)


def _differs(rulebook: Rulebook, rule: Rule, example: Example) -> Text | None:
    """What does not come out as the example says; None when all does."""
    if not example.outputs and not example.parameters:
        return Text(
            "示例没有写明应得的结果，请列出输出或取值", "says nothing that must come out: name an output or a value"
        )
    for name, wanted in example.parameters.items():
        held = rulebook.dated_parameter(rule.id, name, example.on, example.known).value
        if canonical(held) != canonical(wanted):
            return _unlike(name, canonical(held), canonical(wanted))
    if not rule.formulas or not example.outputs:
        return None
    if example.given:
        rulebook = type(rulebook)({rule.id: supposed(rule, example)})
    decision = rulebook.evaluate(rule.id, example.facts, on=example.on, known=example.known)
    unknown = [name for name in example.outputs if name not in decision.outputs]
    if unknown:
        return Text(f"没有输出 {unknown[0]}", f"there is no output {unknown[0]}")
    for name, wanted in example.outputs.items():
        if _same(decision.outputs[name]) != _same(wanted):
            return _unlike(name, decision.outputs[name], wanted)
    clean = validated(rule, example.facts)
    scalar = rulebook.compiled(rule.id, example.on, example.known)(**clean)
    vector = rulebook.vector(rule.id, example.on, example.known)(columns([clean]))
    again = recompute(decision.trace)
    for name, value in decision.outputs.items():
        rows = {"compiled": scalar[name], "vector": vector[name][0], "trace": again[name]}
        for way, result in rows.items():
            if _same(result) != _same(value):
                return Text(
                    f"{name} 逐步求值为 {value}，{way} 为 {result}",
                    f"{name} is {value} evaluated but {result} by {way}",
                )
    return None


def _unlike(name: str, found: Any, wanted: Any) -> Text:
    found, wanted = _plain(found), _plain(wanted)
    return Text(f"{name} 算得 {found}，示例写的是 {wanted}", f"{name} is {found}, the example says {wanted}")


def _plain(value: Any) -> str:
    """A value as a rule file writes it."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return str(value.tolist() if isinstance(value, np.generic | np.ndarray) else value)


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Validated rows of facts as columns for a vector kernel."""
    made: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(first, tuple):
            made[name] = np.array(values, dtype=np.int64).reshape(len(rows), len(first))
        else:
            made[name] = np.array(values, dtype="datetime64[D]" if isinstance(first, date) else None)
    return made


def _same(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple):
        return [int(item) if isinstance(item, int | np.integer) else str(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, np.integer | int):
        return int(value)
    return str(value)
