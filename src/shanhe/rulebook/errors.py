"""What can go wrong with a rule, its file, its formula or the facts given to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from shanhe.kernel.errors import Field, Invalid, NotFound, ShanheError, Unavailable


def pointed(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def place_of(where: str) -> str:
    """`P1_x.yaml.parameters.rate[0].value` as a JSON pointer within the rule: `/parameters/rate/0/value`."""
    _, _, inside = where.removesuffix(".yaml").replace(".yaml.", ".").partition(".")
    return "".join(f"/{pointed(part)}" for part in inside.replace("[", ".").replace("]", "").split(".") if part)


class Near(NamedTuple):
    """The name that was perhaps meant, and the question for it; all empty where none is near."""

    name: str
    zh: str
    en: str


def meant(name: str, others: Iterable[str]) -> Near:
    """Of other names the one that is written most like this one."""
    near = next(iter(get_close_matches(name, list(others), 1)), "")
    return Near(near, f"；是否指 {near!r}？", f"; did you mean {near!r}?") if near else Near("", "", "")


def named(title: str, name: str) -> str:
    return title if title == name else f"{title} ({name})"


@dataclass(frozen=True, slots=True)
class FactProblem:
    """One fact that can't be used: its name, what is wrong in both languages, and what the rule says of it if it
    knows it."""

    field: str
    message: str
    message_zh: str
    of: Field | None = None

    @property
    def told(self) -> Field:
        return self.of or Field(pointer=f"/facts/{pointed(self.field)}", zh=self.field, en=self.field)


class RuleFactsInvalid(Invalid):
    """The facts don't fit the rule; `problems` names every field, not just the first."""

    def __init__(self, rule_id: str, problems: Sequence[FactProblem]) -> None:
        self.problems = tuple(problems)
        fields = "; ".join(f"{named(p.told.en, p.field)}: {p.message}" for p in self.problems)
        fields_zh = "；".join(f"{named(p.told.zh, p.field)}：{p.message_zh}" for p in self.problems)
        super().__init__(
            "rule_facts_invalid",
            f"The facts do not fit rule {rule_id}. {fields}",
            message_zh=f"事实不符合规则 {rule_id}。{fields_zh}",
            hint=f"`shanhe rules schema {rule_id}` prints what the rule needs.",
            hint_zh=f"`shanhe rules schema {rule_id}` 会列出该规则所需的事实。",
            details={
                "rule": rule_id,
                "fields": [problem.told.wrong(problem.message_zh, problem.message) for problem in self.problems],
            },
        )


class RuleNotFound(NotFound):
    def __init__(self, rule_id: str) -> None:
        super().__init__(
            "rule_not_found",
            f"There is no rule {rule_id!r}.",
            message_zh=f"没有规则 {rule_id!r}。",
            hint="`shanhe rules list` shows every rule.",
            hint_zh="`shanhe rules list` 会列出全部规则。",
        )


class RuleNotInForce(NotFound):
    """Nothing of the rule was in force on the event date, as far as was known on the knowledge date."""

    def __init__(self, rule_id: str, what: str, on: object, known: object) -> None:
        super().__init__(
            "rule_not_in_force",
            f"{what} of rule {rule_id} has no version in force on {on} known by {known or 'now'}.",
            message_zh=f"规则 {rule_id} 的 {what} 在 {on} 没有（截至 {known or '现在'} 已公布的）有效版本。",
            hint="Choose a later event date, or a later knowledge date.",
            hint_zh="请选择更晚的事件日期或知悉日期。",
        )


class RuleWithheld(Unavailable):
    """An amendment decides that day, and this program can't read it: nothing else may decide in its place."""

    RETRY_AFTER_S = 3_600

    def __init__(self, rule_id: str, amendment: str, since: object) -> None:
        self.amendment = amendment
        super().__init__(
            "rule_withheld",
            f"Rule {rule_id} decides nothing for {since} and later: amendment {amendment} was decided for that time "
            "and does not fit this program's rule.",
            message_zh=f"规则 {rule_id} 对 {since} 及以后暂不作决定：修订 {amendment} 已就该时段作出决定，"
            "但与本程序的规则不相容。",
            hint="Amend the rule again from its day on, or set the amendment aside; `shanhe rules check --data DIR` "
            "says why it does not fit.",
            hint_zh="请就该日起重新修订规则，或搁置该修订；`shanhe rules check --data DIR` 会说明原因。",
            retry_after_s=self.RETRY_AFTER_S,
            details={"rule": rule_id, "amendment": amendment},
        )


class ParameterNotFound(NotFound):
    def __init__(self, rule_id: str, name: str, names: Sequence[str]) -> None:
        known = ", ".join(names)
        super().__init__(
            "rule_parameter_not_found",
            f"Rule {rule_id} has no parameter {name!r}.",
            message_zh=f"规则 {rule_id} 没有参数 {name!r}。",
            hint=f"It has: {known}.",
            hint_zh=f"它的参数有：{known}。",
        )


class RuleFileInvalid(ShanheError, ValueError):
    """A rule file or an amendment breaks the format; nothing of it is loaded. `line` counts from 1, 0 where unknown."""

    def __init__(self, where: str, problem: str, problem_zh: str, *, line: int = 0) -> None:
        self.where, self.problem, self.problem_zh, self.line = where, problem, problem_zh, line
        place, place_zh = (f"line {line}, {where}", f"第 {line} 行，{where}") if line else (where, where)
        super().__init__(
            "rule_file_invalid",
            f"{place}: {problem}",
            message_zh=f"{place_zh}：{problem_zh}",
            status=422,
            details={"fields": [Field(pointer=place_of(where), zh=where, en=where).wrong(problem_zh, problem)]},
            hint="Correct the rule and run `shanhe rules check FILE`.",
            hint_zh="请改正后运行 `shanhe rules check FILE`。",
        )


class FormulaInvalid(ShanheError, ValueError):
    """An expression is outside the language, does not type, or can't be proved safe."""

    def __init__(self, source: str, problem: str, problem_zh: str) -> None:
        self.source, self.problem, self.problem_zh = source, problem, problem_zh
        self.part = ""
        """Where in a rule it stands, as a JSON pointer; empty where it stands alone."""
        super().__init__(
            "rule_formula_invalid",
            f"The expression `{source[:120]}` is refused: {problem}",
            message_zh=f"表达式 `{source[:120]}` 被拒绝：{problem_zh}",
            status=422,
            hint="The language is described in docs/rulebook.md.",
            hint_zh="语言说明见 docs/rulebook.md。",
        )
