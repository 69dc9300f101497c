"""What is looked for in a text before it is used: forbidden words, personal data, secrets, numbers that nobody gave.

Nothing here blocks anything: each finding says what stands where, why it matters, and what to write instead. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from shanhe.content.model import Finding, Words
from shanhe.kernel import yaml

FINDINGS_MAX: Final = 100
WIDE: Final = {0xFF10 + digit: ord("0") + digit for digit in range(10)} | {0xFF05: ord("%"), 0xFF0E: ord(".")}
NUMBER: Final = re.compile(
    r"\d+(?:[.,]\d+)*(?: ?%)?"
    r"|(?<![第零一二三四五六七八九十百千万亿两])(?!一[^年月万亿元倍成])[零一二三四五六七八九十百千万亿两]+"
    r"(?=[年月日天周时小分元块万亿%倍成折家人款项名次米克斤吨])"
)
"""Figures, and Chinese numerals before what they count; “一款” and “第一次” count nothing."""
ORDINAL: Final = re.compile(r"(?m)^\d{1,2}[.、)）]\s?")
REMOVED: Final = re.compile(r"〔(?:链接|密钥|个人信息)已移除〕")
ALWAYS: Final = frozenset({"id_number", "bank_card"})
"""What no text for the public should hold, whoever wrote it; a phone that stands on the form was meant to be shown."""
Personal = Callable[[str], Iterable[tuple[str, str]]]


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reason why words are forbidden, the words, and innocent uses."""

    zh: str
    en: str
    reason: Words
    suggestion: Words
    words: tuple[str, ...]
    but: tuple[str, ...] = ()


class WordList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`words.yaml`: what was collected, out of what, as of when."""

    as_of: date
    source: Words
    categories: dict[str, Category]


PERSONAL_WORDS: Final = (
    Words("个人信息", "Personal data"),
    Words("文中有个人信息，公开前须经本人同意（个人信息保护法第十三、二十五条）",
          "There is personal data here; publishing it needs the person's consent (PIPL 13, 25)"),
    Words("删去，或换成企业的公开联系方式", "Leave it out, or give the company's public contact"),
)  # fmt: skip
REMOVED_WORDS: Final = (
    Words("已拦截", "Removed"),
    Words("模型写了资料里没有的链接、密钥或证件号，已移除",
          "The model wrote a link, a secret or an ID that you did not give; removed"),
    Words("需要时手工填写正确的内容", "Fill in the right one by hand if it is needed"),
)  # fmt: skip
NUMBER_WORDS: Final = (
    Words("资料外的数字", "A number you did not give"),
    Words("表单里没有这个数字，可能是模型编造的", "It is not on your form; the model may have made it up"),
    Words("核对后保留，或改成表单里的数字", "Check it, or write the one from your form"),
)


@cache
def words() -> WordList:
    """The list, read once."""
    text = (resources.files("shanhe.content") / "words.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.read(text), WordList)


@cache
def _patterns() -> Sequence[tuple[Category, re.Pattern[str]]]:
    """For each category its words, the longest first, with innocent uses caught before them."""
    found = []
    for one in words().categories.values():
        ordered = sorted((*one.words, *one.but), key=len, reverse=True)
        found.append((one, re.compile("|".join(map(re.escape, ordered)), re.I)))
    return found


def findings(text: str, given: Iterable[str], personal: Personal) -> list[Finding]:
    """Everything to look at in a text, in order, never overlapping; `given` is what stood on the form."""
    said = "\n".join(given).translate(WIDE)
    plain = text.translate(WIDE)
    taken: list[Finding] = []
    for one in _all(plain, said, personal):
        if all(one.end <= other.start or one.start >= other.end for other in taken):
            taken.append(msgspec.structs.replace(one, text=text[one.start : one.end]))
        if len(taken) >= FINDINGS_MAX:
            break
    return sorted(taken, key=lambda one: one.start)


def _all(text: str, said: str, personal: Personal) -> Iterator[Finding]:
    for match in REMOVED.finditer(text):
        yield Finding("removed", match.start(), match.end(), "", *REMOVED_WORDS)
    for sort, what in dict.fromkeys(personal(text)):
        if sort not in ALWAYS and what in said:
            continue
        for match in re.finditer(re.escape(what), text):
            yield Finding("personal", match.start(), match.end(), "", *PERSONAL_WORDS)
    for category, pattern in _patterns():
        title = Words(category.zh, category.en)
        for match in pattern.finditer(text):
            if match.group() not in category.but:
                yield Finding("word", match.start(), match.end(), "", title, category.reason, category.suggestion)
    known = {_figure(match.group()) for match in NUMBER.finditer(said)}
    counted = {match.start() for match in ORDINAL.finditer(text)}
    for match in NUMBER.finditer(text):
        if match.start() not in counted and _figure(match.group()) not in known:
            yield Finding("number", match.start(), match.end(), "", *NUMBER_WORDS)


def _figure(text: str) -> str:
    """A number as numbers are compared: separators, blanks and a percent sign aside."""
    return text.replace(",", "").replace(" ", "").rstrip("%")
