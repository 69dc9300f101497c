"""Which clones a question is for, and whose words an answer is made of. Pure, and the same for the same texts.

Both count the words that texts share, as the search of knowledge bases does: pairs of signs in Chinese, words
elsewhere. An answer is read sentence by sentence; a sentence belongs to the clone whose answer holds most of its words,
if that is enough of them, and counts for it with those words. Ties go to the clone that comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shanhe.retrieval.api import tokens, words_of

TOPIC_WEIGHT: Final = 3
WORDS_SHOWN: Final = 12
WHOLE_BPS: Final = 10_000
_SENTENCE: Final = re.compile(r"[^。！？!?；;\n]+[。！？!?；;]*|\n+")


@dataclass(frozen=True, slots=True)
class Choice:
    """How well a clone fits a question: a topic's word counts three, a word of its description one."""

    at: int
    score: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """An answer as read: its text with a mark after each sentence that is a clone's, and tokens by clone."""

    marked: str
    tokens: tuple[int, ...]


def chosen(question: str, profiles: Sequence[tuple[Sequence[str], str]], most: int) -> list[Choice]:
    """The clones to ask, best first; `profiles`: (topics, description) of each. Those that share no word with the
    question are asked only where nobody does, in their given order."""
    asked = words_of(question)
    found = []
    for at, (topics, about) in enumerate(profiles):
        special, general = set(tokens("\n".join(topics))), set(tokens(about))
        words = [word for word in asked if word in special or word in general]
        score = sum(TOPIC_WEIGHT if word in special else 1 for word in words)
        found.append(Choice(at, score, tuple(words[:WORDS_SHOWN])))
    fitting = [one for one in found if one.score]
    return sorted(fitting or found, key=lambda one: (-one.score, one.at))[:most]


def read(answer: str, sources: Sequence[str], least_bps: int) -> Read:
    """Whose words an answer is made of. `least_bps`: of a sentence's words, for it to be somebody's."""
    held = [frozenset(tokens(source)) for source in sources]
    sums = [0] * len(sources)
    parts = []
    for sentence in _SENTENCE.findall(answer):
        words = tokens(sentence)
        shared = [sum(word in known for word in words) for known in held]
        best = max(range(len(shared)), key=lambda at: shared[at], default=0)
        if words and shared and shared[best] and shared[best] * WHOLE_BPS >= least_bps * len(words):
            sums[best] += shared[best]
            parts.append(f"{sentence.rstrip()}〔{best + 1}〕{sentence[len(sentence.rstrip()) :]}")
        else:
            parts.append(sentence)
    return Read("".join(parts), tuple(sums))
