"""Answers and evidence as they come in: checked against the form, every field named that is not in order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from shanhe.facts.api import names
from shanhe.kernel.errors import Field
from shanhe.kernel.money import parse_credits, parse_yuan, said_credits
from shanhe.programmes.cases import Evidence
from shanhe.programmes.errors import BadAnswers
from shanhe.programmes.model import Ask, Programme

TEXT_MAX_CHARS: Final = 500
REFERENCE_MAX_CHARS: Final = 200
NUMBER_MAX: Final = 10**15
MILESTONES_MAX: Final = 24
WHOLE_BPS: Final = 10_000
PERCENT_BPS: Final = 100
PLAN_PARTS: Final = 3
LINE_CHARS: Final = 60
"""How much of a line that can't be read is said again."""
FLAGS: Final = {"on": True, "是": True, "true": True, "yes": True, "否": False, "false": False, "no": False}
SHA256 = re.compile(r"^[0-9a-f]{64}$")
UNIT_WORDS: Final = {
    "fen": ("（单位：分）", " (fen)"), "micro": ("（单位：百万分之一积分）", " (millionths of a credit)"),
    "bps": ("（单位：基点，万分之一）", " (basis points)"),
}  # fmt: skip
MEASURED: Final = {
    "capital_once_fen": ("经核实的实缴资本", "paid-in capital, checked"),
    "untied_last_month_micro": ("上月用量", "use of the last month"),
    "untied_four_quarters_micro": ("近四个季度用量", "use of the last four quarters"),
    "ai_training_hours": ("AI 培训学时", "hours of AI training"),
}
"""What the city measures itself, as it is called where it isn't known yet."""
MISSING = ("未填写", "is missing")
Problem = tuple[str, str, str]


def answers_of(programme: Programme, given: Mapping[str, Any], *, by: str) -> dict[str, Any]:
    """The answers of one side of the form (`applicant` or `reviewer`) as stored; BadAnswers names every wrong field."""
    clean, problems = read_answers(programme, given, by=by)
    if problems:
        raise BadAnswers(problems, fields(programme))
    return clean


def fields(programme: Programme) -> dict[str, Field]:
    """What the form says of its fields and documents."""
    body = {"applicant": "answers", "reviewer": "assessed"}
    asks = {name: Field(pointer=f"/{body[one.by]}/{name}", zh=one.zh, en=one.en, unit=one.unit, allowed=allowed(one))
            for name, one in programme.asks.items()}  # fmt: skip
    papers = {name: Field(pointer=f"/evidence/{name}", zh=one.zh, en=one.en, allowed={"type": "object"})
              for name, one in programme.evidence.items()}  # fmt: skip
    return asks | papers


def lacking(programme: Programme, names_missing: Iterable[str]) -> list[tuple[str, Field]]:
    """Answers, facts and measures without which a rule can't decide, as people know them."""
    form, found = fields(programme), []
    for name in names_missing:
        kind = names().get(name)
        zh, en = (kind.zh, kind.en) if kind is not None else MEASURED.get(name, (name, name))
        found.append((name, form[name] if name in programme.asks else Field(pointer="", zh=zh, en=en)))
    return found


def allowed(ask: Ask) -> dict[str, Any]:
    """What an answer may be, in the words of JSON Schema."""
    match ask.type:
        case "number":
            low, high = _range(ask)
            return {"type": "integer", "minimum": low, "maximum": high}
        case "flag":
            return {"const": True} if ask.must else {"type": "boolean"}
        case "choice":
            return {"type": "string", "enum": list(ask.options)}
        case "date":
            return {"type": "string", "format": "date"}
        case "party" | "application":
            return {"type": "string", "format": "uuid"}
        case "plan":
            return {"type": "array", "minItems": 1, "maxItems": MILESTONES_MAX}
        case _:
            return {"type": "string", "minLength": 1, "maxLength": TEXT_MAX_CHARS}


def read_answers(
    programme: Programme, given: Mapping[str, Any], *, by: str
) -> tuple[dict[str, Any], list[Problem]]:  # fmt: skip
    """The answers that are in order, as stored, and what is wrong with the others."""
    problems: list[Problem] = []
    clean: dict[str, Any] = {}
    asks = {name: ask for name, ask in programme.asks.items() if ask.by == by}
    for name in given:
        if name not in asks:
            problems.append((str(name)[:60], "表单没有这一项", "the form does not ask for it"))
    for name, ask in asks.items():
        value = given.get(name)
        if value in (None, "", []):
            if not ask.optional and by == "applicant":
                problems.append((name, *MISSING))
            continue
        value, problem = checked(ask, value)
        if problem:
            problems.append((name, *problem))
        else:
            clean[name] = value
    return clean, problems


def from_text(ask: Ask, text: str) -> Any:
    """An answer out of a form's or table's text; what can't be read stays a text, and `checked` says what is wrong."""
    try:
        match ask.type:
            case "number":
                return _number_of(ask, text)
            case "flag":
                return FLAGS.get(text.strip().lower(), text)
            case "choice":
                named = {
                    word: key for key, option in ask.options.items() for word in (key, option.zh, option.en.lower())
                }
                return named.get(text.strip().lower(), text)
            case "plan":
                return [_milestone(line) for line in text.splitlines() if line.strip()]
            case _:
                return text
    except ValueError:
        return text


def _number_of(ask: Ask, text: str) -> int:
    """Money as people write it, in yuan or credits; anything else as a whole number."""
    if ask.unit == "fen":
        return parse_yuan(text)
    return parse_credits(text) if ask.unit == "micro" else int(text.replace(",", ""))


def _milestone(line: str) -> dict[str, Any] | str:
    """`title | 2026-06-01 | 30 | 1000`: name, day, percent, credits to be used (or nothing: a document). A line that
    can't be read stays as it is, so that it can be named."""
    parts = [part.strip() for part in line.replace("｜", "|").split("|")]
    if len(parts) not in (PLAN_PARTS, PLAN_PARTS + 1):
        return line
    title, day, percent, target = (*parts, "")[: PLAN_PARTS + 1]
    try:
        made: dict[str, Any] = {"title": title, "due_on": day, "share_bps": int(percent.rstrip("%％")) * PERCENT_BPS}
        return made | ({"target_micro": parse_credits(target)} if target else {})
    except ValueError:
        return line


def plan_text(plan: Sequence[Mapping[str, Any]]) -> str:
    """Milestones as a form takes them, whole percents."""
    lines = [
        " | ".join((item["title"], item["due_on"], str(item["share_bps"] // PERCENT_BPS),
                    *([said_credits(item["target_micro"])] if "target_micro" in item else [])))
        for item in plan
    ]  # fmt: skip
    return "\n".join(lines)


def checked(ask: Ask, value: Any) -> tuple[Any, tuple[str, str] | None]:
    """One answer in its stored form, or what is wrong with it in both languages."""
    match ask.type:
        case "number":
            return _number(ask, value)
        case "flag":
            if not isinstance(value, bool):
                return value, ("须为是或否", "must be true or false")
            return value, ("须承诺该项", "has to be declared") if ask.must and not value else None
        case "choice":
            wrong = value not in ask.options
            names = ask.options.items()
            return value, (
                f"须为 {'、'.join(f'{name}（{label.zh}）' for name, label in names)} 之一",
                f"must be one of {', '.join(f'{name} ({label.en})' for name, label in names)}",
            ) if wrong else None
        case "date":
            return _date(value)
        case "party" | "application":
            return _uuid(value)
        case "plan":
            return _plan(value)
        case _:
            return _text(value)


def _text(value: Any) -> tuple[Any, tuple[str, str] | None]:
    if not isinstance(value, str):
        return value, ("须为文本", "must be a text")
    text = unicodedata.normalize("NFC", value).strip()
    if not text or len(text) > TEXT_MAX_CHARS or not all(char.isprintable() for char in text):
        return text, (f"须为 1–{TEXT_MAX_CHARS} 个可见字符", f"must have 1 to {TEXT_MAX_CHARS} printable characters")
    return text, None


def _number(ask: Ask, value: Any) -> tuple[Any, tuple[str, str] | None]:
    low, high = _range(ask)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        zh, en = UNIT_WORDS.get(ask.unit, ("", ""))
        return value, (f"须为 {low:,} 至 {high:,} 的整数{zh}", f"must be a whole number from {low:,} to {high:,}{en}")
    return value, None


def _range(ask: Ask) -> tuple[int, int]:
    return ask.min if ask.min is not None else 0, ask.max if ask.max is not None else NUMBER_MAX


def _date(value: Any) -> tuple[Any, tuple[str, str] | None]:
    try:
        return date.fromisoformat(value if isinstance(value, str) else str(value)).isoformat(), None
    except ValueError:
        return value, ("须为形如 2026-01-31 的日期", "must be a date like 2026-01-31")


def _uuid(value: Any) -> tuple[Any, tuple[str, str] | None]:
    try:
        return str(UUID(str(value))), None
    except ValueError:
        return value, ("须为编号", "must be an id")


def _plan(value: Any) -> tuple[Any, tuple[str, str] | None]:
    """Milestones in order: title, day, share of the whole in basis points, metered target in µ or none (a document)."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not 1 <= len(value) <= MILESTONES_MAX:
        return value, (f"须为 1–{MILESTONES_MAX} 个里程碑", f"must be 1 to {MILESTONES_MAX} milestones")
    stored, last = [], ""
    for place, item in enumerate(value, 1):
        one, wrong = _milestone_of(item, last)
        if wrong:
            return value, (f"第 {place} 个里程碑：{wrong[0]}", f"milestone {place}: {wrong[1]}")
        last = one["due_on"]
        stored.append(one)
    if sum(item["share_bps"] for item in stored) != WHOLE_BPS:
        whole = f"{Decimal(sum(item['share_bps'] for item in stored)) / PERCENT_BPS:f} %"
        return value, (f"各里程碑份额合计须为 100 %，现为 {whole}", f"the shares sum to 100 %, these to {whole}")
    return stored, None


def _milestone_of(item: Any, last: str) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """One milestone as stored, or which part of it is wrong; `last` is the day of the one before."""
    if isinstance(item, str):
        said = item.strip()[:LINE_CHARS]
        return {}, (f"“{said}”须写成“名称 | 2026-06-01 | 30”", f"“{said}” has to be like “title | 2026-06-01 | 30”")
    if not isinstance(item, Mapping) or set(item) - {"title", "due_on", "share_bps", "target_micro"}:
        return {}, ("由 title、due_on、share_bps 与可选的 target_micro 组成",
                    "it has title, due_on, share_bps and perhaps target_micro")  # fmt: skip
    title, wrong_title = _text(item.get("title"))
    day, wrong_day = _date(item.get("due_on"))
    share, target = item.get("share_bps"), item.get("target_micro")
    if wrong_title:
        return {}, (f"名称（title）{wrong_title[0]}", f"its name (title) {wrong_title[1]}")
    if wrong_day:
        return {}, (f"日期（due_on）{wrong_day[0]}", f"its day (due_on) {wrong_day[1]}")
    if type(share) is not int or not 1 <= share <= WHOLE_BPS:
        return {}, (f"份额（share_bps）须为 1 至 {WHOLE_BPS:,} 的整数（单位：基点）",
                    f"its share (share_bps) must be a whole number from 1 to {WHOLE_BPS:,} (basis points)")  # fmt: skip
    if target is not None and (type(target) is not int or not 0 < target <= NUMBER_MAX):
        return {}, ("用量目标（target_micro）须为正整数（单位：百万分之一积分）",
                    "its target (target_micro) must be a positive whole number (millionths of a credit)")  # fmt: skip
    if day <= last:
        return {}, (f"日期（due_on）须晚于前一个的 {last}", f"its day (due_on) must be after {last}, the one before")
    return {"title": title, "due_on": day, "share_bps": share} | ({"target_micro": target} if target else {}), None


def evidence_of(programme: Programme, given: Mapping[str, Any]) -> dict[str, Evidence]:
    """Documents named for the application; BadAnswers for what is missing or not in order."""
    clean, problems = read_evidence(programme, given)
    if problems:
        raise BadAnswers(problems, fields(programme))
    return clean


def read_evidence(programme: Programme, given: Mapping[str, Any]) -> tuple[dict[str, Evidence], list[Problem]]:
    """The documents that are named as they should be, and what is wrong with the others."""
    problems: list[Problem] = []
    clean: dict[str, Evidence] = {}
    for name in given:
        if name not in programme.evidence:
            problems.append((str(name)[:60], "不需要该材料", "no such evidence is asked for"))
    for name, proof in programme.evidence.items():
        item = given.get(name)
        if not item:
            if not proof.optional:
                problems.append((name, *MISSING))
            continue
        one = item if isinstance(item, Mapping) else {"reference": item}
        reference, wrong = _text(one.get("reference"))
        digest = str(one.get("sha256") or "").lower()
        if wrong or len(reference) > REFERENCE_MAX_CHARS or (digest and not SHA256.match(digest)):
            problems.append(
                (name, "须给出材料编号，SHA-256 为 64 位十六进制", "needs a reference; a SHA-256 has 64 hex digits")
            )
            continue
        clean[name] = Evidence(reference, digest)
    return clean, problems


def claims_of(programme: Programme, subject: UUID, answers: Mapping[str, Any], on: date) -> list[str]:
    """What this application uses up, one text for each entry of `once`; kept only as a keyed hash."""
    words = {"applicant": str(subject), "year": str(on.year), "month": f"{on:%Y-%m}"}
    return [
        "\x1f".join(f"{word}={words[word] if word in words else _normal(answers.get(word))}" for word in claim)
        for claim in programme.once
    ]


def _normal(value: Any) -> str:
    """A number written with other spaces, dashes or case is the same number."""
    text = unicodedata.normalize("NFKC", str(value)).casefold()
    return re.sub(r"[\s\-–—·.]", "", text)
