"""Single checks of an answer: pure functions of what a node said and what a trusted engine says. True = failed."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from shanhe.pool.answers import digest
from shanhe.pool.suspicion import BPS, AuditTerms

AGREE_TOKENS: Final = 24
"""Tokens of an answer that are asked for again; rounding makes honest engines part later rather than sooner."""
REPLAY_MIN_BYTES: Final = 48
"""Shorter answers repeat by themselves."""
ANSWERS_KEPT: Final = 2_000
REFERENCE_MIN_CHARS: Final = 24
TOPICS: Final = (
    "水库调度", "古镇旅游", "茶叶烘干", "轴承振动", "社保转移", "山地物流", "电网负荷", "稻田灌溉",
    "tea exports", "bearing wear", "flood gauges", "bus timetables", "soil sensors", "night markets", "kiln control",
)  # fmt: skip
TASKS: Final = (
    "用两句话解释{topic}中编号 {number} 的做法。", "列出{topic}的三个要点，从编号 {number} 开始。",
    "Explain step {number} of {topic} in two sentences.", "Give three facts about {topic}, numbered from {number}.",
)  # fmt: skip
HARD: Final = (
    "先逐步推算 {a} × {b} − {c}，再说明它与“{topic}”的关系；然后把结论翻译成英文，并指出其中最容易出错的一步。"
)


def canary(coins: random.Random) -> list[dict[str, Any]]:
    """A question that looks like any other; every second one is long and hard, since those are what cheats refuse."""
    topic, number = coins.choice(TOPICS), coins.randrange(100_000)
    text = coins.choice(TASKS).format(topic=topic, number=number)
    if coins.random() < 0.5:
        parts = [
            HARD.format(a=coins.randrange(10**4), b=coins.randrange(10**4), c=coins.randrange(10**4), topic=one)
            for one in coins.sample(TOPICS, 3)
        ]
        text = "\n".join([*parts, text])
    return [{"role": "user", "content": text}]


def miscounted(claimed: int, counted: int, terms: AuditTerms) -> bool:
    """More tokens claimed than the text has, beyond the slack for end markers."""
    return claimed > counted + terms.slack_tokens + counted * terms.slack_bps // BPS


def disagrees(answer: str, reference: str) -> bool:
    """The answer parts from the trusted one in its first half."""
    given, wanted = _plain(answer), _plain(reference)
    common = 0
    for left, right in zip(given, wanted, strict=False):
        if left != right:
            break
        common += 1
    return common < len(wanted) // 2


def refuses(answer: str, reference: str) -> bool:
    """Nothing, or next to nothing, where the trusted engine has something to say."""
    return len(_plain(answer)) * 4 < len(_plain(reference))


def _plain(text: str) -> str:
    return "".join(text.split())


@dataclass
class Memory:
    """Hashes of a node's latest answers and of the questions they went with."""

    answers: OrderedDict[bytes, bytes] = field(default_factory=OrderedDict)

    def repeats(self, question: bytes, answer: str) -> bool | None:
        """Whether another question got this answer before; None where the answer is too short to tell."""
        data = answer.encode()
        if len(data) < REPLAY_MIN_BYTES:
            return None
        mark = digest(data)
        known = self.answers.get(mark)
        self.answers[mark] = question
        self.answers.move_to_end(mark)
        if len(self.answers) > ANSWERS_KEPT:
            self.answers.popitem(last=False)
        return known is not None and known != question
