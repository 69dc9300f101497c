"""From a rule's document to the frozen model."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

from shanhe.rulebook.documents import FIRST_DATE, LAST_DATE, Reader, each, line_of, read_yaml
from shanhe.rulebook.errors import RuleFileInvalid, place_of
from shanhe.rulebook.facts import check_fact
from shanhe.rulebook.model import (
    Band,
    DatedValue,
    Example,
    Fact,
    FactType,
    Formula,
    Kind,
    Output,
    Parameter,
    Rounding,
    Rule,
    Step,
    Text,
)
from shanhe.rulebook.units import UNITS

RULE_ID = re.compile(r"^[A-Z]\d{1,2}_[a-z0-9_]{3,60}$")
NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
LARGEST = 10**18
LIST_ITEMS_MAX = 10_000
ROUNDINGS = ("half_even", "half_up", "floor", "ceiling", "truncate")
_DECIMAL = re.compile(r"^-?\d{1,18}(\.\d{1,18})?$")


@cache
def packaged_texts() -> Mapping[str, str]:
    """The rule files by rule id, read once in a process: they are part of the program."""
    folder = resources.files("shanhe.rulebook") / "rules"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8") for file in files}


def load_rules() -> dict[str, Rule]:
    """Every packaged rule by id; RuleFileInvalid on the first thing that is wrong."""
    return linked(packaged())


@cache
def packaged() -> Mapping[str, Rule]:
    rules: dict[str, Rule] = {}
    for name, text in packaged_texts().items():
        rules[name] = rule = parse_rule(text, f"{name}.yaml")
        if rule.id != name:
            raise RuleFileInvalid(f"{name}.yaml", f"holds rule {rule.id}", f"文件中的规则编号是 {rule.id}")
    return rules


def linked(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Rules whose shared parameters hold what the rule that owns them says."""
    return {rule.id: with_shared(rule, rules) for rule in rules.values()}


def with_shared(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    """One rule with what the owners of its shared parameters say."""
    if not any(p.of for p in rule.parameters):
        return rule
    return replace(rule, parameters=tuple(_owned(rule, p, rules) if p.of else p for p in rule.parameters))


def _owned(rule: Rule, parameter: Parameter, rules: Mapping[str, Rule]) -> Parameter:
    where = f"{rule.id}.parameters.{parameter.name}"
    owner = rules.get(parameter.of)
    if owner is None:
        raise RuleFileInvalid(where, f"there is no rule {parameter.of}", f"没有规则 {parameter.of}")
    found = owner.parameter(parameter.name)
    if found is None or found.of:
        raise RuleFileInvalid(where, f"{owner.id} has no such parameter of its own", f"{owner.id} 自身没有该参数")
    return replace(found, of=owner.id)


def parse_rule(text: str, where: str) -> Rule:
    """One rule out of the text of its file; RuleFileInvalid with the line and the field."""
    try:
        return _parsed(text, where)
    except RuleFileInvalid as error:
        raise located(error, text, where) from error.__cause__


def located(error: RuleFileInvalid, text: str, where: str) -> RuleFileInvalid:
    """The same with the line of its place in the text of the file."""
    if error.line or not error.where.startswith(where):
        return error
    pointer = place_of(f"file{error.where.removeprefix(where)}")
    return RuleFileInvalid(error.where, error.problem, error.problem_zh, line=line_of(text, pointer))


def _parsed(text: str, where: str) -> Rule:
    reader = Reader(read_yaml(text, where), where)
    rule_id = reader.text("id")
    if not RULE_ID.match(rule_id):
        reader.refuse(
            f"the id {rule_id!r} is not like P1_resident_discount: a letter, one or two digits, a name in lower case",
            f"编号 {rule_id!r} 应形如 P1_resident_discount：一个字母、一至两位数字、小写名称", "id",
        )  # fmt: skip
    event = Reader(reader.take("event"), f"{where}.event")
    article = reader.text("article")
    rule = Rule(
        id=rule_id,
        kind=cast(Kind, reader.one_of("kind", ("amount", "condition", "order", "reference"))),
        title=reader.both("title"),
        article=article,
        department=reader.both("department"),
        event=_name(event.text("name"), event.where),
        event_title=event.both(),
        review=reader.date("review"),
        facts=each(reader.mapping("facts", empty=True), f"{where}.facts", _fact),
        parameters=each(
            reader.mapping("parameters", empty=True),
            f"{where}.parameters",
            lambda name, row: _parameter(name, row, article),
        ),
        formulas=formulas_of(reader.rows("formula", empty=True), f"{where}.formula", article),
        examples=examples_of(reader.rows("examples", empty=True), f"{where}.examples"),
        note=reader.both("note") if reader.has("note") else None,
        part_of=reader.text("part_of") if reader.has("part_of") else "",
        labels={
            name: Reader(row, f"{where}.labels.{name}").only_both()
            for name, row in reader.mapping("labels", empty=True).items()
        },
    )
    event.done()
    reader.done()
    return sound(rule, where)


def _name(name: str, where: str) -> str:
    if not NAME.match(name) or keyword.iskeyword(name):
        raise RuleFileInvalid(where, f"the name {name!r} must be lower_case", f"名称 {name!r} 必须是小写下划线形式")
    return name


def _fact(name: str, reader: Reader) -> Fact:
    kind = reader.one_of("type", ("number", "date", "bool", "enum", "list"), default="number")
    unit = reader.one_of("unit", UNITS, default="int")
    lo, hi = 0, 1
    if kind == "date":
        lo = (reader.date("min") if reader.has("min") else FIRST_DATE).toordinal()
        hi = (reader.date("max") if reader.has("max") else LAST_DATE).toordinal()
    elif kind in ("number", "list"):
        lo, hi = reader.integer("min"), reader.integer("max")
    if lo > hi or max(abs(lo), abs(hi)) > LARGEST:
        reader.refuse("needs min ≤ max within ±10¹⁸", "需要 min ≤ max，且不超过 ±10¹⁸")
    values = tuple(reader.rows("values")) if kind == "enum" else ()
    if any(not isinstance(value, str) for value in values) or len(set(values)) != len(values):
        reader.refuse("the values of an enum are different texts", "枚举取值必须是互不相同的文本")
    items = reader.integer("max_items") if kind == "list" else 0
    if not 0 <= items <= LIST_ITEMS_MAX:
        reader.refuse(f"max_items is at most {LIST_ITEMS_MAX}", f"max_items 最多 {LIST_ITEMS_MAX}")
    default = reader.maybe("default")
    fact = Fact(
        _name(name, reader.where), reader.both(), cast(FactType, kind), unit, lo, hi, values, items, default,
        bool(reader.maybe("personal", False)),
    )  # fmt: skip
    if default is not None and kind in ("date", "list"):
        reader.refuse(f"a {kind} has no default", f"{kind} 类型不能有默认值", "default")
    return fact


def _parameter(name: str, reader: Reader, article: str) -> Parameter:
    if reader.has("of"):
        return Parameter(_name(name, reader.where), Text("", ""), "value", "int", "int", "left", (), reader.text("of"))
    kind = reader.one_of("type", ("value", "bands", "table", "list"), default="value")
    plain = {"value": ("date", "bool"), "list": ("enum",)}.get(kind, ())
    unit = reader.one_of("unit", (*UNITS, *plain), default="int")
    parameter = Parameter(
        name=_name(name, reader.where),
        title=reader.both(),
        type=kind,
        unit=unit,
        edge_unit=reader.one_of("edge_unit", UNITS, default="int"),
        closed=cast(Literal["left", "right"], reader.one_of("closed", ("left", "right"), default="left")),
        values=(),
        least=reader.integer("min") if kind == "value" and unit not in plain and reader.has("min") else None,
    )
    rows = reader.rows("values")
    return replace(parameter, values=dated_values(parameter, rows, f"{reader.where}.values", article))


def dated_values(
    parameter: Parameter, rows: Iterable[Any], where: str, article: str, amendment: str | None = None
) -> tuple[DatedValue, ...]:
    """The dated rows of one parameter."""
    made = []
    for index, row in enumerate(rows):
        reader = Reader(row, f"{where}[{index}]")
        given, assumed = reader.maybe("given", False), reader.maybe("assumed", False)
        if (given is True) == (assumed is True):
            reader.refuse(
                "say either `given: true` or `assumed: true`", "必须写明 `given: true` 或 `assumed: true` 之一"
            )
        reason = reader.both("reason") if reader.has("reason") else None
        if assumed and reason is None:
            reader.refuse("an assumed value needs a reason", "assumed 的数值必须写明理由")
        own_article = reader.text("article") if reader.has("article") else article
        made.append(
            DatedValue(
                start=reader.date("from"),
                announced=reader.date("announced"),
                value=_value(parameter, reader),
                origin="given" if given else "assumed",
                reason=reason,
                article=own_article,
                amendment=amendment,
            )
        )
        reader.done()
    return tuple(made)


def _value(parameter: Parameter, reader: Reader) -> Any:
    raw = reader.take("value")
    match parameter.type:
        case "bands":
            return _bands(raw, f"{reader.where}.value")
        case "table":
            return _table(parameter, raw, reader)
        case "list":
            if not isinstance(raw, list | tuple) or not raw:
                reader.refuse("the value must be a list", "取值必须是列表", "value")
            kind = str if parameter.unit == "enum" else int
            if any(not isinstance(item, kind) or isinstance(item, bool) for item in raw):
                what, what_zh = ("a text", "文本") if kind is str else ("a whole number", "整数")
                reader.refuse(f"each item of the list must be {what}", f"列表的每一项必须是{what_zh}", "value")
            if kind is str and len(set(raw)) < len(raw):
                reader.refuse("each name stands in the list once", "列表中每个名称只能出现一次", "value")
            return tuple(raw)
        case _:
            made = _scalar(parameter.unit, raw, reader)
            if parameter.least is not None and made < parameter.least:
                reader.refuse(f"the value is at least {parameter.least}", f"取值不得小于 {parameter.least}", "value")
            return made


def _scalar(unit: str, raw: Any, reader: Reader) -> Any:
    if unit == "date":
        return Reader({"value": raw}, reader.where).date("value")
    if unit == "bool":
        if not isinstance(raw, bool):
            reader.refuse("the value must be true or false", "取值必须是 true 或 false", "value")
        return raw
    if isinstance(raw, str) and _DECIMAL.match(raw):
        return Fraction(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > LARGEST:
        reader.refuse(
            "the value must be a whole number (or a quoted decimal)", "取值必须是整数（或加引号的小数）", "value"
        )
    return raw


def _table(parameter: Parameter, raw: Any, reader: Reader) -> dict[str, Any]:
    if not isinstance(raw, Mapping) or not raw:
        reader.refuse("a table is a mapping", "表必须是映射", "value")
    table: dict[str, Any] = {}
    for key, entry in raw.items():
        if isinstance(entry, Mapping):
            table[str(key)] = _table(parameter, entry, reader)
        else:
            table[str(key)] = None if entry is None else _scalar(parameter.unit, entry, reader)
    if len({isinstance(entry, dict) for entry in table.values()}) != 1:
        reader.refuse("every branch of a table has the same depth", "表的每个分支深度必须相同", "value")
    return table


def _bands(raw: Any, where: str) -> tuple[Band, ...]:
    if not isinstance(raw, list | tuple) or not raw:
        raise RuleFileInvalid(where, "bands are a list of {from, to, value}", "分档是 {from, to, value} 的列表")
    bands = []
    for index, row in enumerate(raw):
        reader = Reader(row, f"{where}[{index}]")
        upper = None if reader.maybe("to") is None else reader.integer("to")
        bands.append(Band(reader.integer("from"), upper, reader.integer("value")))
        reader.done()
    problem = band_problem(bands)
    if problem:
        raise RuleFileInvalid(where, problem, f"分档有空隙或重叠：{problem}")
    return tuple(bands)


def band_problem(bands: Sequence[Band]) -> str:
    """Why bands don't tile [first lower, ∞): empty when they do. Exhaustive, for only edges can gap or overlap."""
    for index, band in enumerate(bands):
        if band.upper is None:
            if index != len(bands) - 1:
                return f"band {index + 1} has no end but others follow"
            return ""
        if band.upper <= band.lower:
            return f"band {index + 1} is empty ({band.lower} to {band.upper})"
        if index + 1 < len(bands) and bands[index + 1].lower > band.upper:
            return f"a gap between {band.upper} and {bands[index + 1].lower}"
        if index + 1 < len(bands) and bands[index + 1].lower < band.upper:
            return f"an overlap between {bands[index + 1].lower} and {band.upper}"
    return "the last band must have no end (to: null)"


def formulas_of(rows: Iterable[Any], where: str, article: str, amendment: str | None = None) -> tuple[Formula, ...]:
    made = []
    for index, row in enumerate(rows):
        reader = Reader(row, f"{where}[{index}]")
        outputs: tuple[Output, ...] = each(reader.mapping("outputs"), f"{reader.where}.outputs", _output)
        amount = reader.maybe("amount", outputs[0].name if outputs else None)
        if not outputs or amount not in [output.name for output in outputs]:
            reader.refuse("`amount` names one of the outputs", "`amount` 必须是某个输出的名称")
        made.append(
            Formula(
                start=reader.date("from"),
                announced=reader.date("announced"),
                steps=each(reader.mapping("steps", empty=True), f"{reader.where}.steps", _step),
                outputs=outputs,
                amount=amount,
                article=reader.text("article") if reader.has("article") else article,
                amendment=amendment,
            )
        )
        reader.done()
    return tuple(made)


def _step(name: str, reader: Reader) -> Step:
    return Step(_name(name, reader.where), reader.both(), reader.text("expr"))


def _output(name: str, reader: Reader) -> Output:
    kind = reader.one_of("type", ("number", "date", "bool", "list"), default="number")
    rounding = cast(Rounding, reader.one_of("round", ROUNDINGS, default="half_even"))
    lo = reader.integer("min") if reader.has("min") else None
    hi = reader.integer("max") if reader.has("max") else None
    if lo is not None and hi is not None and lo > hi:
        reader.refuse("needs min ≤ max", "需要 min ≤ max", "min")
    unit = reader.one_of("unit", UNITS, default="int")
    return Output(_name(name, reader.where), reader.both(), reader.text("expr"), kind, unit, rounding, lo, hi)


def examples_of(rows: Iterable[Any], where: str) -> tuple[Example, ...]:
    made = []
    for index, row in enumerate(rows):
        reader = Reader(row, f"{where}[{index}]")
        pinned = reader.has("parameters")
        made.append(
            Example(
                name=reader.text("name"),
                on=reader.date("on"),
                known=reader.date("known") if reader.has("known") else None,
                facts=reader.mapping("facts", empty=pinned),
                outputs=reader.mapping("outputs", empty=pinned),
                parameters=reader.mapping("parameters", empty=True),
                given=reader.mapping("with", empty=True),
            )
        )
        reader.done()
    return tuple(made)


def supposed(rule: Rule, example: Example) -> Rule:
    """The rule with the values that the example supposes in place of its own."""
    if not example.given:
        return rule
    where = f"{rule.id}, example {example.name}"
    unknown = [name for name in example.given if rule.parameter(name) is None]
    if unknown:
        raise RuleFileInvalid(where, f"there is no parameter {unknown[0]!r}", f"没有参数 {unknown[0]!r}")
    row = {"from": FIRST_DATE, "announced": FIRST_DATE, "given": True}
    parameters = tuple(
        replace(p, values=dated_values(p, [row | {"value": example.given[p.name]}], where, rule.article))
        if p.name in example.given
        else p
        for p in rule.parameters
    )
    return replace(rule, parameters=parameters)


def sound(rule: Rule, where: str) -> Rule:
    """What can be told of a rule without computing: names differ, versions differ, everything has a start."""
    if rule.formulas and not rule.examples:
        raise RuleFileInvalid(
            f"{where}.examples", "a formula needs at least one example", "有公式的规则至少要有一个示例"
        )
    if not rule.formulas and rule.kind in ("amount", "condition"):
        raise RuleFileInvalid(f"{where}.formula", f"kind {rule.kind} needs a formula", f"{rule.kind} 类规则必须有公式")
    dated: list[tuple[str, Sequence[DatedValue | Formula]]] = [(p.name, p.values) for p in rule.parameters]
    dated.append(("formula", rule.formulas))
    for name, versions in dated:
        keys = [(version.start, version.announced) for version in versions]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice:
            what = f"{name} has two versions from {twice[0]} announced {twice[1]}"
            place = "formula" if name == "formula" else f"parameters.{name}"
            raise RuleFileInvalid(f"{where}.{place}", what, f"{name} 有两个自 {twice[0]} 起、{twice[1]} 公布的版本")
    names = [fact.name for fact in rule.facts] + [parameter.name for parameter in rule.parameters]
    for formula in rule.formulas:
        all_names = names + [step.name for step in formula.steps] + [output.name for output in formula.outputs]
        twice_named = next((name for name in all_names if all_names.count(name) > 1), None)
        if twice_named:
            raise RuleFileInvalid(where, f"the name {twice_named!r} is used twice", f"名称 {twice_named!r} 重复使用")
    for fact in rule.facts:
        problem = None if fact.default is None else check_fact(rule, fact, fact.default)[1]
        if problem is not None:
            raise RuleFileInvalid(f"{where}.facts.{fact.name}.default", problem.message, problem.message_zh)
    return rule
