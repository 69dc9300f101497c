"""Cleaning rows and saying how good they are. Pure: rows and wishes in, rows and a report out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from shanhe.datasets import likeness, privacy
from shanhe.datasets.model import HELD, Cleaning, Row, text_of

LANGUAGES: Final = ("zh", "en", "ja", "ko", "other")
PERSONAL: Final = ("mask", "drop", "keep")
SAMPLES: Final = 5
"""Row numbers shown for each kind of finding."""
_HAN, _KANA = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[\u3040-\u30ff]")
_HANGUL, _LATIN = re.compile(r"[\uac00-\ud7af]"), re.compile(r"[A-Za-z]")


def language(text: str) -> str:
    """The script that a text is mostly in, as a language; a Chinese sign carries as much as a short English word."""
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    if len(_KANA.findall(text)) * 5 > han and _KANA.search(text):
        return "ja"
    if len(_HANGUL.findall(text)) > han:
        return "ko"
    if han * 4 >= latin and han:
        return "zh"
    return "en" if latin else "other"


def clean(rows: Sequence[Row], wishes: Cleaning) -> tuple[list[Row], dict[str, Any]]:
    """Rows that are left, and for each step what it did: counts and the first row numbers (from 1)."""
    numbered = list(enumerate(rows, 1))
    steps: dict[str, list[int]] = {"length": [], "language": [], "personal": [], "duplicate": []}
    kept: list[tuple[int, Row]] = []
    masks: Counter[str] = Counter()
    for number, row in numbered:
        text = text_of(row)
        if not wishes.chars_min <= len(text) <= wishes.chars_max:
            steps["length"].append(number)
            continue
        if wishes.languages and language(text) not in wishes.languages:
            steps["language"].append(number)
            continue
        found = Counter(one.kind for value in row.values() for one in privacy.find(value))
        if found and wishes.personal == "drop":
            steps["personal"].append(number)
            continue
        if found and wishes.personal == "mask":
            masks += found
            row = {name: privacy.masked(value, privacy.find(value)) for name, value in row.items()}
        kept.append((number, row))
    if wishes.similar_bps:
        twins = likeness.duplicates([text_of(row) for _, row in kept], wishes.similar_bps / 10_000)
        steps["duplicate"] = [kept[at][0] for at in twins]
        kept = [pair for at, pair in enumerate(kept) if at not in twins]
    done = {name: {"dropped": len(numbers), "rows": numbers[:SAMPLES]} for name, numbers in steps.items()}
    return [row for _, row in kept], {"rows_before": len(rows), "masked": dict(masks), "steps": done}


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """What can be said of rows: sizes, languages, personal data by kind with row numbers, near-duplicates, gaps."""
    texts = [text_of(row) for row in rows]
    personal: dict[str, list[int]] = {}
    count = 0
    for number, row in enumerate(rows, 1):
        for value in row.values():
            for one in privacy.find(value):
                count += 1
                personal.setdefault(one.kind, []).append(number)
    twins = likeness.duplicates(texts, Cleaning().similar_bps / 10_000)
    lengths = sorted(len(text) for text in texts)
    columns = [name for name in rows[0] if name != HELD] if rows else []
    alike = [[later + 1, first + 1] for later, first in list(twins.items())[:SAMPLES]]
    return {
        "rows": len(rows),
        "columns": columns,
        "empty": {name: gaps for name in columns if (gaps := sum(not row[name] for row in rows))},
        "chars": {"least": lengths[0], "median": lengths[len(lengths) // 2], "most": lengths[-1], "sum": sum(lengths)}
        if lengths
        else {},
        "languages": dict(Counter(map(language, texts)).most_common()),
        "personal": {kind: {"found": len(numbers), "rows": numbers[:SAMPLES]} for kind, numbers in personal.items()},
        "personal_count": count,
        "duplicates": {"rows": len(twins), "pairs": alike},
    }  # fmt: skip
