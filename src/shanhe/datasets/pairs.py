"""From rows to what a model learns and is asked: pairs of question and answer.

An error book (错题集) has, for each mistake of the shop floor, the question, the wrong practice, the right one and
why. Each entry becomes several training pairs in different words; evaluation asks in words that no training pair has.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from shanhe.datasets.model import HELD, Row

SEED: Final = 7


class Pair(msgspec.Struct, frozen=True):
    """A question and the answer to it. `item`: the row it comes from; `wrong`: what must not be answered."""

    question: str
    answer: str
    item: int
    wrong: str = ""


ASKED: Final = (
    "{question}",
    "请问：{question}",
    "{question}怎么做才对？",
    "现场遇到这个问题：{question}请给出正确做法。",
    "作为班组长，请回答：{question}",
)
"""How training asks."""
JUDGED: Final = "{question}有人认为：{wrong}这样对吗？"
UNSEEN: Final = (
    "新员工问：{question}应该怎样处理？",
    "考核题。{question}写出规范的做法。",
    "师傅，{question}",
)
"""How evaluation asks; no training pair has these words."""


def stem(question: str) -> str:
    """A question that can be put into a sentence: it ends with its own mark."""
    text = question.strip()
    return text if text[-1:] in "？?。.！!：:" else text + "？"


def sentence(text: str) -> str:
    plain = text.strip()
    return plain if plain[-1:] in "。.！!？?；;" else plain + "。"


def training(form: str, rows: Sequence[Row]) -> list[Pair]:
    """Pairs to learn from, in a fixed shuffled order."""
    found: list[Pair] = []
    for item, row in enumerate(rows):
        if form == "errors":
            found += _lessons(item, row)
        elif form == "pairs":
            found.append(Pair(row["question"], row["answer"], item))
        else:
            found.append(Pair("", row["text"], item))
    random.Random(SEED).shuffle(found)
    return found


def _lessons(item: int, row: Row) -> list[Pair]:
    question, right = stem(row["question"]), sentence(row["right"])
    lessons = [Pair(words.format(question=question), right, item, row["wrong"]) for words in ASKED]
    why = sentence(row["reason"]) if row["reason"] else ""
    judged = JUDGED.format(question=question, wrong=sentence(row["wrong"]))
    return [*lessons, Pair(judged, f"不对。{right}{why}", item, row["wrong"])]


def evaluation(form: str, rows: Sequence[Row]) -> list[Pair]:
    """Questions to be asked afterwards, with the answer that is right: of an error book in unseen words."""
    if form == "errors":
        return [
            Pair(words.format(question=stem(row["question"])), sentence(row["right"]), item, row["wrong"])
            for item, row in enumerate(rows)
            for words in UNSEEN
        ]
    if form == "pairs":
        return [Pair(row["question"], row["answer"], item) for item, row in enumerate(rows)]
    return []


def split(form: str, rows: Sequence[Row], held_bps: int) -> tuple[list[Row], list[Row]]:
    """(rows to learn from, rows held out). An error book is learnt whole: held out are the words of its questions. Rows
    that say themselves that they are held out leave no choice."""
    if any(HELD in row for row in rows):
        return [row for row in rows if HELD not in row], [row for row in rows if HELD in row]
    if form == "errors" or not held_bps:
        return list(rows), list(rows) if form == "errors" else []
    order = list(range(len(rows)))
    random.Random(SEED).shuffle(order)
    held = set(order[: max(1, len(rows) * held_bps // 10_000)])
    return [row for at, row in enumerate(rows) if at not in held], [row for at, row in enumerate(rows) if at in held]
