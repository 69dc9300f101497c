"""What is wrong with rule files, before any of them counts: each mistake with its file, its line and its field.

The files are looked at together, as if they stood in the rulebook: a change of several rules is checked as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from shanhe.rulebook.documents import line_of
from shanhe.rulebook.errors import RuleFileInvalid, place_of
from shanhe.rulebook.loader import parse_rule
from shanhe.rulebook.model import Rule, Text

if TYPE_CHECKING:
    from shanhe.rulebook.service import Rulebook


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct. `field` is a JSON pointer within the rule, empty for the whole file."""

    file: str
    line: int
    field: str
    said: Text


def mistakes(rulebook: Rulebook, files: Mapping[str, str], today: date | None = None) -> list[Mistake]:
    """Everything that is wrong with these files (name → text) as parts of the rulebook; none when they may count.

    What can't be read is told file by file, the first mistake of each; what can is proved, and so is each rule that
    shares a parameter of theirs.
    """
    found: list[Mistake] = []
    rules: list[Rule] = []
    named: dict[str, str] = {}
    for name, text in files.items():
        try:
            rules.append(_only(parse_rule(text, name), name, named))
            named[rules[-1].id] = name
        except RuleFileInvalid as error:
            found.append(_unread(error, name, text))
    if found:
        return found
    try:
        book = rulebook.with_rules(rules)
    except RuleFileInvalid as error:  # a shared parameter that its owner lacks, here or in a rule that is there
        sharer, _, _ = error.where.partition(".")
        if sharer in named:
            return [_unread(error, named[sharer], files[named[sharer]])]
        return [Mistake(next(iter(files)), 1, "/parameters", Text(error.message_zh, error.message))]
    return list(_unproved(book, named, files, today))


def _only(rule: Rule, name: str, named: Mapping[str, str]) -> Rule:
    stem = name.replace("\\", "/").rsplit("/", 1)[-1]
    if stem != f"{rule.id}.yaml":
        raise RuleFileInvalid(f"{name}.id", f"holds {rule.id}: name the file {rule.id}.yaml, or correct the id",
                              f"规则编号是 {rule.id}，请将文件命名为 {rule.id}.yaml，或改正编号")  # fmt: skip
    if rule.id in named:
        raise RuleFileInvalid(
            f"{name}.id", f"{named[rule.id]} holds it too: keep one", f"{named[rule.id]} 也是该规则，请只留一个"
        )
    return rule


def _unread(error: RuleFileInvalid, name: str, text: str) -> Mistake:
    pointer = (
        place_of(f"file{error.where.removeprefix(name)}") if error.where.startswith(name) else place_of(error.where)
    )
    return Mistake(name, error.line or line_of(text, pointer), pointer, Text(error.problem_zh, error.problem))


def _unproved(
    book: Rulebook, named: Mapping[str, str], files: Mapping[str, str], today: date | None
) -> Iterator[Mistake]:
    sharing = {other: rule for rule in named for other in book.sharing(rule)}
    for rule in (*named, *(other for other in sharing if other not in named)):
        name = named.get(rule) or named[sharing[rule]]
        failed = book.check(rule, today=today).failed()
        untyped = any(finding.check == "types" for finding in failed)  # of which every example says the same once more
        for finding in failed if not untyped else [one for one in failed if one.check != "example"]:
            if rule in named:
                place, other = finding.pointer, ""
            else:
                place, other = "", f"{rule}, "
            zh, en = f"{other}{finding.message_zh}", f"{other}{finding.message}"
            yield Mistake(name, line_of(files[name], place), place, Text(zh, en))
