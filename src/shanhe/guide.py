"""The rulebook in plain words: what a resident reads, and what the city's own guide answers from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from shanhe.programmes.api import Catalogue, Programme
from shanhe.rulebook.api import CHAPTERS, Rule, Rulebook, display, in_force

UNIT_WORDS: Final = {
    "month": "个月", "day": "天", "credit": "积分", "yuan": "元", "token": "词元", "fen_per_credit": "分/积分",
}  # fmt: skip
SUBJECTS: Final = {"person": "个人", "company": "企业", "institution": "事业单位", "government": "政府机关"}


@dataclass(frozen=True, slots=True)
class Section:
    """One rule or programme: a title and its paragraphs."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    sections: tuple[Section, ...]


def policies(rulebook: Rulebook, on: date) -> list[Chapter]:
    """Every rule in force on a day, by chapter, with its values as people read them."""
    chapters = []
    for letter, (title, _) in CHAPTERS.items():
        rules = [rulebook.rule(key) for key in rulebook.ids() if key.startswith(letter)]
        if rules:
            chapters.append(Chapter(title, tuple(_rule(rule, rulebook, on) for rule in rules)))
    return chapters


def _rule(rule: Rule, rulebook: Rulebook, on: date) -> Section:
    number = rule.id.partition("_")[0]
    lines = [] if rule.note is None else [rule.note.zh]
    for parameter in rule.parameters:
        source = rulebook.rule(parameter.of) if parameter.of else rule
        held = source.parameter(parameter.name)
        value = None if held is None else in_force(held.values, on, None)
        if held is None or value is None:
            continue
        said = display(value.value, held.unit) + UNIT_WORDS.get(held.unit, "")
        lines.append(f"{held.title.zh}：{said}（{value.start:%Y-%m-%d} 起）。")
    outputs = [output.title.zh for formula in rule.formulas[-1:] for output in formula.outputs]
    if outputs:
        lines.append(f"计算结果：{'、'.join(dict.fromkeys(outputs))}。")
    lines.append(f"主管：{rule.department.zh}。依据：{rule.article}。规则编号：{rule.id}。")
    return Section(f"{rule.title.zh}（{number}）", tuple(lines))


def services(catalogue: Catalogue) -> list[Section]:
    """How each programme is applied for."""
    return [_programme(one, catalogue) for one in catalogue.programmes.values()]


def _programme(one: Programme, catalogue: Catalogue) -> Section:
    lines = [one.summary.zh, f"申请对象：{'、'.join(SUBJECTS.get(subject, subject) for subject in one.for_)}。"]
    if one.asks:
        lines.append(f"需要填写：{'、'.join(ask.zh for ask in one.asks.values())}。")
    if one.evidence:
        lines.append(f"需要材料：{'、'.join(proof.zh for proof in one.evidence.values())}。")
    departments = catalogue.departments
    steps = [f"{step.zh}（{departments[step.by].zh}，{step.days} 个工作日）" for step in one.review]
    lines.append(f"办理流程：{'；'.join(steps) if steps else '提交后由规则即时决定，无须人工审核'}。")
    if one.appeal:
        lines.append(f"对结果不服：{one.appeal[0].zh}，{one.appeal[0].days} 个工作日内答复。")
    if one.clawback is not None:
        lines.append(f"收回：{one.clawback.zh}")
    lines.append(f"主管部门：{departments[one.department].zh}。开放日期：{one.opens:%Y-%m-%d} 起。")
    return Section(one.title.zh, tuple(lines))


def as_markdown(title: str, chapters: Sequence[Chapter]) -> str:
    """Chapters as one Markdown text."""
    parts = [f"# {title}"]
    for chapter in chapters:
        parts.append(f"## {chapter.title}")
        for section in chapter.sections:
            parts += [f"### {section.title}", *section.lines]
    return "\n\n".join(parts) + "\n"
