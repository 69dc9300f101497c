"""A rule's trace as steps a person can follow, with the numbers the rule used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from shanhe.console.model import Bilingual
from shanhe.console.units import form_of
from shanhe.kernel.money import format_fen, said_credits

TEXT_CHARS_MAX = 400
LIST_ITEMS_MAX = 12
QUERY_CHARS_MAX: Final = 1_500


@dataclass(frozen=True)
class Line:
    """One line of an explanation: what, how it was worked out, and what came out."""

    title: Bilingual
    calc: str
    value: str
    unit: str = ""
    source: str = ""
    assumed: bool = False
    said: Bilingual | None = None
    """The value in words, where it has any."""
    reading: Bilingual | None = None
    """How it was worked out, as people write it; `calc` is the same for a machine."""
    since: str = ""
    announced: str = ""
    amendment: str = ""
    """The proposal that decided the value; empty where it is the policy's own."""


@dataclass(frozen=True)
class Explained:
    """A trace in the order a person reads it: by what and for which day, from what, how, and what else would have
    come out. Every part may be empty."""

    article: str
    department: Bilingual | None
    event: Bilingual | None
    on: str
    inputs: Sequence[Line]
    parameters: Sequence[Line]
    steps: Sequence[Line]
    binding: Sequence[Bilingual]
    nearest: Sequence[Bilingual]
    alternatives: Sequence[Bilingual]


def explain(trace: Mapping[str, Any]) -> Explained:
    """Read a trace of any version we know; parts that are missing stay empty."""
    return Explained(
        article=str(trace.get("article") or ""),
        department=_both(trace.get("department")),
        event=_both((trace.get("event") or {}).get("title")) if isinstance(trace.get("event"), Mapping) else None,
        on=str(trace.get("on") or ""),
        inputs=[_line(item, source=False) for item in _items(trace.get("inputs") or trace.get("facts"))],
        parameters=[_line(item) for item in _items(trace.get("parameters"))],
        steps=[_line(item) for key in ("steps", "outputs") for item in _items(trace.get(key))],
        binding=[text for text in map(_text, _many(trace.get("binding"))) if text[0]],
        nearest=[text for text in map(_text, _many(trace.get("nearest") or trace.get("nearest_change"))) if text[0]],
        alternatives=[text for text in map(_text, _many(trace.get("alternatives"))) if text[0]],
    )


def replay(trace: Mapping[str, Any]) -> str:
    """Where the same rule decides again over the same facts on the same day; empty where a trace lacks some."""
    rule, on, inputs = trace.get("rule"), trace.get("on"), trace.get("inputs")
    if not (isinstance(rule, str) and isinstance(on, str) and isinstance(inputs, list)):
        return ""
    facts = [(f"fact_{one['name']}", _written(one)) for one in inputs if isinstance(one, Mapping) and "name" in one]
    query = urlencode([("on", on), *((name, text) for name, text in facts if text)])
    return f"/rules/{rule}?{query}#try" if len(query) <= QUERY_CHARS_MAX else ""


def _written(item: Mapping[str, Any]) -> str:
    """A fact as its form takes it."""
    value = item.get("value")
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return form_of(str(item.get("unit", ""))).show(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def traces(evidence: Any) -> Iterator[Mapping[str, Any]]:
    """Every trace of a rule inside what a posting was made by, outermost first."""
    if isinstance(evidence, Mapping):
        if "rule" in evidence and "inputs" in evidence:
            yield evidence
            return
        for inner in evidence.values():
            yield from traces(inner)
    elif isinstance(evidence, list):
        for inner in evidence:
            yield from traces(inner)


@dataclass(frozen=True)
class Said:
    """One line of what a posting was made by: its name in the evidence, how deep it stands, and its value, or that it
    heads the lines below it."""

    name: str
    depth: int
    value: Any = None
    heading: bool = False


def sheet(evidence: Any, *, depth: int = 0) -> Iterator[Said]:
    """What a posting was made by, line by line, traces of rules left out: those are explained by themselves."""
    pairs = evidence.items() if isinstance(evidence, Mapping) else ((str(n), one) for n, one in enumerate(evidence, 1))
    for name, value in pairs:
        if isinstance(value, Mapping | list) and value:
            if isinstance(value, Mapping) and next(traces(value), None) is value:
                continue
            if isinstance(value, list) and not any(isinstance(one, Mapping | list) for one in value):
                yield Said(str(name), depth, plain(value))
                continue
            inner = list(sheet(value, depth=depth + 1))
            if inner:
                yield Said(str(name), depth, heading=True)
                yield from inner
        elif value not in (None, "", {}, []):
            yield Said(str(name), depth, _instant(value) if name.endswith("_at") else value)


def _instant(value: Any) -> Any:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _items(value: Any) -> Iterable[Mapping[str, Any]]:
    """A list of objects, or a mapping from names to values or objects."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield {"name": name, **inner} if isinstance(inner, Mapping) else {"name": name, "value": inner}
    elif isinstance(value, list | tuple):
        for inner in value:
            yield inner if isinstance(inner, Mapping) else {"name": "", "value": inner}


def _line(item: Mapping[str, Any], *, source: bool = True) -> Line:
    shown = item.get("display", item.get("text", item.get("value", item.get("result", ""))))
    shown = priced(item.get("value"), str(item.get("unit", ""))) or shown
    calc = item.get("arithmetic") or item.get("calc") or item.get("expression") or ""
    return Line(
        title=_text(item.get("title") or item.get("name", "")),
        calc=plain(calc),
        value=plain(shown),
        unit="" if "display" in item else str(item.get("unit", "") or ""),
        source=str(item.get("article", "") or "") if source else "",
        assumed=item.get("origin") == "assumed" or bool(item.get("assumed")),
        said=_both(item.get("said")),
        reading=_both(item.get("reading")),
        since=str(item.get("from", "") or ""),
        announced=str(item.get("announced", "") or ""),
        amendment=str(item.get("amendment", "") or ""),
    )


def priced(value: Any, unit: str) -> str:
    """A price of the rulebook, kept in fen or micro-credits, as people write one; empty for anything else."""
    if type(value) is not int or unit not in ("fen_per_credit", "micro_per_mtok"):
        return ""
    return f"¥{format_fen(value)}" if unit == "fen_per_credit" else said_credits(value)


def _both(value: Any) -> Bilingual | None:
    return _text(value) if isinstance(value, Mapping) else None


def _text(value: Any) -> Bilingual:
    if isinstance(value, Mapping):
        for key in ("text", "message", "title"):
            if key in value:
                return _text(value[key])
        if "zh" in value or "en" in value:
            return (str(value.get("zh") or value.get("en")), str(value.get("en") or value.get("zh")))
        return (plain(value), plain(value))
    return (str(value), str(value))


def plain(value: Any) -> str:
    """A value as short text: numbers grouped, lists and objects in words."""
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "\N{MINUS SIGN}")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(inner)}" for key, inner in list(value.items())[:LIST_ITEMS_MAX])
    if isinstance(value, list | tuple):
        return ", ".join(plain(inner) for inner in value[:LIST_ITEMS_MAX])
    return "" if value is None else str(value)[:TEXT_CHARS_MAX]
