"""Texts as words for full text: written Chinese as overlapping pairs of signs, everything else as words. Pure.

Pairs need no dictionary, miss no new name, and are what search engines use for Chinese without one (Lucene's
CJKAnalyzer). Whatever can't be seen is taken out first: format signs, tags and directions are how orders are hidden in
documents.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
RUN: Final = re.compile(rf"[{HAN}]+|[0-9]+(?:[.,][0-9]+)*%?|[^\W\d_{HAN}]+")
SIGN: Final = re.compile(rf"[{HAN}]")
WORD_MAX_CHARS: Final = 40
POSITION_MAX: Final = 16_000
QUERY_TOKENS_MAX: Final = 64
KEEP: Final = frozenset("\n\t")
FILLERS: Final = (
    "请问|告诉我|我想知道|想知道|什么时候|什么样|什么|怎么样|怎么|怎样|如何|哪些|哪个|哪里|哪儿|哪一|多少|几个|为什么|"
    "是不是|能不能|可不可以|可以吗|是否|有没有|吗|呢|吧|啊|请|的话|一下|是多少|分别|需要|应该|我们|我的|我|你们|你|他们|您"
)
FILLER: Final = re.compile(FILLERS)
LIGHT: Final = frozenset("的了是在和与或能不有多少几个什么怎样吗呢把给到要会可以自己每各从对被让用为")
"""Signs that stand in every sentence."""
COMMON: Final = frozenset(
    re.findall(
        r"\w+",
        "the a an of to in on is are was were be for and or what which who how when where why does do did can could "
        "should i we you it my our your much many there with by as at from this that",
    )
)


def visible(text: str) -> str:
    """A text without signs that nobody sees: Cf, Co, Cn, Cs, and controls but line breaks and tabs."""
    kept = [sign for sign in text if sign in KEEP or unicodedata.category(sign) not in ("Cf", "Co", "Cn", "Cc", "Cs")]
    return unicodedata.normalize("NFC", "".join(kept))


def tokens(text: str) -> list[str]:
    """All tokens of a text, in order, repeated as they are."""
    found: list[str] = []
    for run in RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if SIGN.match(run):
            found += [run[at : at + 2] for at in range(len(run) - 1)] or [run]
        elif run[0].isdigit():
            found.append(run.replace(",", "").rstrip("%"))
        else:
            found.append(run[:WORD_MAX_CHARS])
    return found


def asked(text: str, most: int = QUERY_TOKENS_MAX) -> list[str]:
    """The tokens of a question that say what it is about, each once; all of them where nothing else is left."""
    plain = FILLER.sub(" ", unicodedata.normalize("NFKC", text))
    found = dict.fromkeys(token for token in tokens(plain) if token not in COMMON)
    return list(found or dict.fromkeys(tokens(text)))[:most]


def phrases(text: str, matched: frozenset[str]) -> list[tuple[str, list[str]]]:
    """Tokens found in a text as a reader sees them: pairs of signs that overlap as one piece, with the tokens of each.
    A token stands in the first piece that has it."""
    left, found = set(matched), list[tuple[str, list[str]]]()
    for run in RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if not SIGN.match(run) or len(run) == 1:
            if (one := tokens(run)[0]) in left:
                left.discard(one)
                found.append((one, [one]))
            continue
        at = 0
        while at < len(run) - 1:
            end = at
            while end < len(run) - 1 and run[end : end + 2] in left:
                left.discard(run[end : end + 2])
                end += 1
            if end > at:
                found.append((run[at : end + 1], [run[n : n + 2] for n in range(at, end)]))
            at = max(end, at + 1)
    return found


def signs(text: str) -> frozenset[str]:
    """Single Han signs and whole other words: what two wordings of one thing share sooner than pairs."""
    found: set[str] = set()
    for run in RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        found |= set(run) if SIGN.match(run) else {run.replace(",", "").rstrip("%") if run[0].isdigit() else run}
    return frozenset(found)


def meant(question: str) -> frozenset[str]:
    """The signs of a question that say what it is about; all of them where nothing else is left."""
    plain = FILLER.sub(" ", unicodedata.normalize("NFKC", question))
    return (signs(plain) - LIGHT - COMMON) or signs(question)


def blinded(found: Iterable[str], secret: bytes | None) -> list[str]:
    """Tokens that only the holder of the secret can recognise; without one they stay as they are."""
    if secret is None:
        return list(found)
    return [hmac.digest(secret, token.encode(), hashlib.sha256).hex()[:20] for token in found]


def vector_of(found: Sequence[str]) -> str:
    """A tsvector's text form: tokens with their positions, no parser in between."""
    places: dict[str, list[int]] = {}
    for at, token in enumerate(found, 1):
        places.setdefault(token, []).append(min(at, POSITION_MAX))
    return " ".join(f"{quoted(token)}:{','.join(map(str, where[:200]))}" for token, where in places.items())


def quoted(token: str) -> str:
    return "'" + token.replace("\\", "\\\\").replace("'", "''") + "'"
