"""The catalogue out of its files: read strictly, and checked against the rules it stands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeVar

import msgspec

from shanhe.facts.api import names
from shanhe.kernel.clock import add_months
from shanhe.programmes.errors import CatalogueInvalid
from shanhe.programmes.model import ABSENT, Amount, Budget, Catalogue, Condition, Programme, Site, Source, Text
from shanhe.rulebook.api import Rulebook, read_yaml

PROVENANCE_ASSET: Final = "credit"
USED: Final = "captured_since_micro"
"""The measure by which milestones see what an applicant has used since its award."""
CLAIM_WORDS: Final = frozenset({"applicant", "year", "month"})
LAST: Final = "last"
MONTH_CHARS: Final = len("2026-10")
T = TypeVar("T")


def load_catalogue(rulebook: Rulebook, folder: Traversable | None = None) -> Catalogue:
    """Every programme; CatalogueInvalid names the file and what is wrong with it."""
    catalogue = _packaged() if folder is None else _read(folder)
    for programme in catalogue.programmes.values():
        for problem in problems(programme, catalogue, rulebook):
            raise CatalogueInvalid(programme.id, problem)
    return catalogue


@cache
def _packaged() -> Catalogue:
    """What comes with the program, read once in a process."""
    return _read(resources.files("shanhe.programmes") / "catalogue")


def _read(root: Traversable) -> Catalogue:
    departments = _convert(root / "departments.yaml", dict[str, Text])
    budgets = _convert(root / "budgets.yaml", dict[str, Budget])
    programmes: dict[str, Programme] = {}
    for file in sorted((root / "programmes").iterdir(), key=lambda item: item.name):
        if file.name.endswith(".yaml"):
            programme = _convert(file, Programme)
            if f"{programme.id}.yaml" != file.name:
                raise CatalogueInvalid(file.name, f"holds programme {programme.id}")
            programmes[programme.id] = programme
    sites = _convert(root / "sites.yaml", dict[str, Site]) if (root / "sites.yaml").is_file() else {}
    for name, site in sites.items():
        for wanted in site.budgets:
            if wanted not in budgets:
                raise CatalogueInvalid(name, f"there is no budget {wanted!r}")
    return Catalogue(programmes, budgets, departments, sites)


def _convert(file: Traversable, kind: type[T]) -> T:
    document = read_yaml(file.read_text(encoding="utf-8"), file.name)
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise CatalogueInvalid(file.name, str(error)) from error


def measured(catalogue: Catalogue) -> set[str]:
    """The names of what the city has to measure for these programmes."""
    found = set()
    for programme in catalogue.programmes.values():
        parts: tuple[Amount | Condition, ...] = (programme.amount, *programme.conditions)
        found |= {source.measured for part in parts for source in part.facts.values() if source.measured}
        if programme.schedule.kind == "milestones":
            found.add(USED)
    return found


def problems(programme: Programme, catalogue: Catalogue, rulebook: Rulebook) -> Iterator[str]:
    """What is wrong with a programme, sentence by sentence."""
    for department in {programme.department, *(step.by for step in (*programme.review, *programme.appeal))}:
        if department not in catalogue.departments:
            yield f"there is no department {department!r}"
    if not programme.appeal:
        yield "every refusal can be appealed: `appeal` needs a step"
    for step in (*programme.review, *programme.appeal):
        if step.days < 1 or step.eyes < 1:
            yield "a step has at least one day and one reviewer"
    parties = {name for name, ask in programme.asks.items() if ask.type == "party"}
    for grant in programme.grants:
        for name in grant.budgets(programme.asks):
            budget = catalogue.budgets.get(name)
            if budget is None:
                yield f"there is no budget {name!r}"
            elif (budget.asset == PROVENANCE_ASSET) != (grant.provenance is not None):
                yield f"{grant.output}: credits have a provenance (subsidy or reward), nothing else has"
        if grant.to and grant.to not in parties:
            yield f"{grant.output} goes to {grant.to!r}, which is no party the form asks for"
    if programme.publishes is not None:
        yield from _publish_problems(programme, parties)
    for name in programme.unrelated:
        if name not in parties:
            yield f"`unrelated` names {name!r}, which is no party the form asks for"
    for claim in programme.once:
        for word in claim:
            if word not in CLAIM_WORDS | set(programme.asks):
                yield f"`once` names {word!r}, which is neither an answer nor applicant, year, month"
    if programme.amount.month and programme.amount.month not in {LAST, *programme.asks}:
        yield f"`month` names {programme.amount.month!r}, which is neither an answer nor last"
    yield from _schedule_problems(programme, rulebook)
    parts: tuple[Amount | Condition, ...] = (programme.amount, *programme.conditions)
    for part in parts:
        yield from _rule_problems(programme, part, catalogue, rulebook, parties)


def _publish_problems(programme: Programme, parties: set[str]) -> Iterator[str]:
    publishes = programme.publishes
    assert publishes is not None  # the caller looked
    kind = names().get(publishes.fact)
    if kind is None or kind.type != "bool" or kind.keyed not in ("", "party"):
        yield f"an award can't make {publishes.fact!r} true"
    if publishes.of and publishes.of not in parties:
        yield f"`publishes` names {publishes.of!r}, which is no party the form asks for"


def _schedule_problems(programme: Programme, rulebook: Rulebook) -> Iterator[str]:
    schedule = programme.schedule
    if schedule.kind == "instalments" and not schedule.count:
        yield "instalments need `count`: the output or parameter that says how many"
    if schedule.kind == "guarantee":
        due = programme.asks.get(schedule.due)
        if due is None or due.type != "date" or not schedule.rule or len(programme.grants) != 1:
            yield "a guarantee needs `due`, an answer that is a date, the `rule` of a call, and pays one asset"
    if schedule.kind == "milestones":
        asked = programme.asks.get(schedule.plan)
        if asked is None or asked.type != "plan" or not schedule.rule:
            yield "milestones need `plan`, an answer of type plan, and the `rule` that releases them"
        if len(programme.grants) != 1:
            yield "milestones pay one asset"
    for named in (schedule.count, schedule.grace):
        rule, dot, name = named.partition(".")
        if dot and rulebook.rule(rule).parameter(name) is None:
            yield f"there is no parameter {named}"
    for rule in (schedule.rule, programme.bound):
        if rule:
            rulebook.rule(rule)


def _rule_problems(
    programme: Programme, part: Amount | Condition, catalogue: Catalogue, rulebook: Rulebook, parties: set[str]
) -> Iterator[str]:
    rule = rulebook.rule(part.rule)
    declared = {fact.name: fact for fact in rule.facts}
    for name in part.facts:
        if name not in declared:
            yield f"rule {rule.id} knows no fact {name!r}"
    for name, fact in declared.items():
        if name not in part.facts and fact.default is None:
            yield f"rule {rule.id} needs the fact {name!r}"
    for name, source in part.facts.items():
        yield from (f"{name}: {problem}" for problem in _source_problems(source, programme, catalogue, parties))
    outputs = {output.name: output for formula in rule.formulas for output in formula.outputs}
    if isinstance(part, Condition):
        if part.when not in outputs or outputs[part.when].type != "bool":
            yield f"rule {rule.id} has no condition {part.when!r}"
        return
    schedule = programme.schedule
    until = programme.publishes.until if programme.publishes else ""
    count = "" if "." in schedule.count else schedule.count
    due = "" if schedule.kind == "guarantee" else schedule.due
    for wanted in (*(grant.output for grant in programme.grants), count, due, until):
        if wanted and wanted not in outputs:
            yield f"rule {rule.id} has no output {wanted!r}"


def _source_problems(source: Source, programme: Programme, catalogue: Catalogue, parties: set[str]) -> Iterator[str]:
    kinds = source.kinds()
    if len(kinds) != 1:
        yield f"comes from exactly one place, not from {kinds or 'none'}"
        return
    for asked in (source.asked, source.award, source.on, source.key):
        if asked and asked not in programme.asks:
            yield f"the form does not ask for {asked!r}"
    if source.fact and source.fact not in names():
        yield f"there is no fact {source.fact!r}"
    if source.budget and source.budget not in catalogue.budgets:
        yield f"there is no budget {source.budget!r}"
    if source.award and source.programme not in catalogue.programmes:
        yield f"there is no programme {source.programme!r}"
    if source.key and not source.measured:
        yield "`key` says which thing is measured: it needs `measured`"
    if source.relation and not source.of:
        yield "a relation needs `of`, the other party"
    if source.of and source.of not in parties:
        yield f"{source.of!r} is no party the form asks for"


def today_of(answers: Mapping[str, Any], source: Source, otherwise: date) -> date:
    """The day a source is about: an answer's, when it names one."""
    value = answers.get(source.on) if source.on else None
    return date.fromisoformat(value) if isinstance(value, str) else otherwise


def month_of(amount: Amount, answers: Mapping[str, Any], applied_on: date) -> date | None:
    """The last day of the month that an amount is about; None where it is about none, or none is named yet."""
    if not amount.month:
        return None
    if amount.month == LAST:
        return applied_on.replace(day=1) - timedelta(days=1)
    try:
        first = date.fromisoformat(f"{str(answers.get(amount.month))[:MONTH_CHARS]}-01")
    except ValueError:
        return None
    return add_months(first, 1) - timedelta(days=1)


def known(value: Any) -> bool:
    return value is not None and value is not ABSENT
