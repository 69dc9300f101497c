"""How well a need and a solution fit: by words, by meaning, and by plain reasons. Pure.

Words are weighed by BM25 (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework", with Lucene's idf, which
is never negative), meaning by the cosine of embeddings; both rankings become one by reciprocal rank fusion (Cormack,
Clarke & Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"), as in
knowledge bases. A reason for or against then moves a post by about one place: it says what words can't, and must not
say it louder than they do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from shanhe.board.model import SECTORS, Kind, Post, Reason, Words
from shanhe.kernel.money import format_fen
from shanhe.retrieval.api import fused, phrases, signs_of, tokens, visible, words_of

K1, B = 1.2, 0.75
"""BM25's usual two: how soon a repeated word stops counting, how much a long text is held against it."""
SIGN: Final = 0.4
"""What a single Han sign counts beside pairs: a firm says 胸片, a laboratory 胸部影像."""
TITLE_TIMES: Final = 2
"""A word of the title counts as if it were said so often."""
ASKED_MAX: Final = 400
"""Different words of a post that are looked for."""
CANDIDATES: Final = 30
"""Posts that each way brings."""
PHRASES_MAX: Final = 8
REASON: Final = 0.1
"""What a reason moves: ranks of the fusion follow each other at a distance of about a tenth."""


def counted(words: Words) -> Counter[str]:
    """What a post says, as tokens."""
    title, text = visible(words.title), visible(words.text)
    found = Counter(tokens(title) * TITLE_TIMES + tokens(text))
    found.update(sign for sign in signs_of(f"{title}\n{text}") if sign not in found)
    return found


def wanted(title: str, text: str = "") -> dict[str, float]:
    """What a post or a question is about, as tokens with how much each counts."""
    whole, title = visible(f"{title}\n{text}"), visible(title)
    found = dict.fromkeys(words_of(whole, ASKED_MAX), 1.0)
    found |= {token: TITLE_TIMES for token in words_of(title, ASKED_MAX) if token in found}
    return dict.fromkeys(signs_of(whole), SIGN) | found


class Corpus:
    """Posts of one kind as words; changed as the board changes."""

    def __init__(self) -> None:
        self._sizes: dict[UUID, int] = {}
        self._holders: dict[str, dict[UUID, int]] = {}
        self._said: dict[UUID, Counter[str]] = {}
        self._total = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, post: UUID, said: Counter[str]) -> None:
        """Add a post, or say what it says now."""
        self.drop(post)
        self._said[post], self._sizes[post] = said, sum(said.values())
        self._total += self._sizes[post]
        for token, times in said.items():
            self._holders.setdefault(token, {})[post] = times

    def drop(self, post: UUID) -> None:
        """Forget a post, if it is known."""
        for token in self._said.pop(post, ()):
            del self._holders[token][post]
            if not self._holders[token]:
                del self._holders[token]
        self._total -= self._sizes.pop(post, 0)

    def ranked(self, asked: Mapping[str, float]) -> list[tuple[UUID, float, dict[str, float]]]:
        """(post, BM25, what each word brought), best first."""
        found: dict[UUID, dict[str, float]] = {}
        mean = self._total / len(self._sizes) if self._sizes else 1.0
        for token, times in asked.items():
            holders = self._holders.get(token)
            if not holders:
                continue
            idf = math.log(1 + (len(self._sizes) - len(holders) + 0.5) / (len(holders) + 0.5))
            for post, often in holders.items():
                long = 1 - B + B * self._sizes[post] / mean
                found.setdefault(post, {})[token] = times * idf * often * (K1 + 1) / (often + K1 * long)
        ranked = [(post, sum(weights.values()), weights) for post, weights in found.items()]
        return sorted(ranked, key=lambda one: (-one[1], one[0]))


def pieces(words: Words, weights: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The words that matched as a reader sees them in a post, with the weight of each, heaviest first."""
    found = phrases(f"{visible(words.title)}\n{visible(words.text)}", frozenset(weights))
    left = {token: weight for token, weight in weights.items() if len(token) == 1}
    weighed = {piece: sum(weights[token] for token in parts) for piece, parts in found if piece not in left}
    for piece in weighed:
        weighed[piece] += sum(left.pop(sign, 0.0) for sign in piece)
    order = sorted((weighed | left).items(), key=lambda one: (-one[1], one[0]))
    return tuple((piece, round(weight, 2)) for piece, weight in order[:PHRASES_MAX])


def fuse(by_words: Sequence[UUID], by_meaning: Sequence[UUID], good: Mapping[UUID, int]) -> list[tuple[UUID, float]]:
    """Both rankings as one, moved by reasons: `good` counts those for a post less those against it."""
    moved = [(post, score * (1 + REASON * good.get(post, 0))) for post, score in fused(by_words, by_meaning)]
    return sorted(moved, key=lambda one: (-one[1], one[0]))


def reasons(one: Post, other: Post, today: date) -> tuple[Reason, ...]:
    """What speaks for and against two posts besides their words."""
    need, solution = (one, other) if one.kind is Kind.NEED else (other, one)
    return (
        _sector(need.words, solution.words), _readiness(need.words, solution.words),
        _money(need.words, solution.words), _time(need, solution, today),
    )  # fmt: skip


def _sector(need: Words, solution: Words) -> Reason:
    zh, en = SECTORS[need.sector]
    if need.sector == solution.sector:
        return Reason("sector", True, f"同属{zh}", f"Both are in {en}")
    zh2, en2 = SECTORS[solution.sector]
    return Reason("sector", False, f"行业不同：需求为{zh}，方案为{zh2}", f"The need is in {en}, the solution in {en2}")


def _readiness(need: Words, solution: Words) -> Reason:
    least, has = need.readiness, solution.readiness
    if not least:
        return Reason(
            "readiness", None, f"方案成熟度 {has} 级，需求未作要求", f"Readiness {has}; the need asks for none"
        )
    if has >= least:
        return Reason("readiness", True, f"方案成熟度 {has} 级，达到要求的 {least} 级",
                      f"Readiness {has} meets the {least} that is asked for")  # fmt: skip
    return Reason("readiness", False, f"方案成熟度 {has} 级，低于要求的 {least} 级",
                  f"Readiness {has} is below the {least} that is asked for")  # fmt: skip


def _money(need: Words, solution: Words) -> Reason:
    price, most = solution.price_fen, need.budget_to_fen
    if price is None or most is None:
        return Reason("money", None, "预算或报价未填写", "No budget or no price is given")
    zh, en = f"报价 ¥{format_fen(price)}，预算上限 ¥{format_fen(most)}", f"¥{format_fen(price)} of ¥{format_fen(most)}"
    if price <= most:
        return Reason("money", True, f"在预算内：{zh}", f"Within the budget: {en}")
    return Reason("money", False, f"超出预算：{zh}", f"Above the budget: {en}")


def _time(need: Post, solution: Post, today: date) -> Reason:
    days = (min(need.words.until, solution.words.until) - today).days
    if days < 0:
        return Reason("time", False, "其中一方已过截止日", "One of the two is over")
    return Reason("time", None, f"双方均公示至 {min(need.words.until, solution.words.until)}（还有 {days} 天）",
                  f"Both stand until {min(need.words.until, solution.words.until)} ({days} days)")  # fmt: skip
