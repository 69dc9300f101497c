"""Nouns of the board: posts, fits, matches. Frozen and pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from shanhe.board.errors import BadPost

TITLE_CHARS: Final = (4, 80)
TEXT_CHARS: Final = (20, 3_000)
ASKS_MAX_CHARS: Final = 500
NOTE_CHARS: Final = (2, 1_000)
WHY_CHARS: Final = (4, 500)
OFFER_CHARS: Final = (10, 3_000)
FEN_MAX: Final = 10**13
READINESS_MAX: Final = 9
"""Technology readiness levels (ISO 16290:2013): 1 a principle was observed … 9 proved in use."""
STANDS_MAX_DAYS: Final = 366
POSTS_MAX: Final = 60
"""Of one organisation that are not over."""
OPEN_MAX: Final = 2_000
"""Of one kind on the board: what one process keeps in memory as words."""
MEETINGS_MAX: Final = 50
WORDS_MAX: Final = 60
SECTORS: Final[Mapping[str, tuple[str, str]]] = {
    "agriculture": ("种植养殖", "farming"), "food": ("食品加工", "food processing"),
    "manufacturing": ("装备制造", "manufacturing"), "textiles": ("纺织服装", "textiles"),
    "materials": ("化工材料", "chemicals and materials"), "energy": ("能源电力", "energy"),
    "construction": ("建筑工程", "construction"), "logistics": ("物流交通", "logistics and transport"),
    "health": ("医疗养老", "health and care"), "education": ("教育培训", "education"),
    "tourism": ("文化旅游", "culture and tourism"), "retail": ("商贸电商", "retail"),
    "environment": ("生态环保", "environment"), "government": ("公共服务", "public services"),
    "software": ("软件与数据", "software and data"),
}  # fmt: skip
UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Kind(StrEnum):
    NEED = "need"
    SOLUTION = "solution"

    @property
    def other(self) -> Kind:
        return Kind.SOLUTION if self is Kind.NEED else Kind.NEED


def kind_of(word: str) -> Kind:
    """The kind of that name; BadPost."""
    try:
        return Kind(word)
    except ValueError:
        raise BadPost("kind", "need or solution", "类别须为 need（需求）或 solution（方案）") from None


class PostState(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    MATCHED = "matched"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REMOVED = "removed"
    """By the city, for a reason."""


FINAL: Final = (PostState.MATCHED, PostState.REMOVED)


class MatchState(StrEnum):
    INTEREST = "interest"
    OFFER = "offer"
    AGREED = "agreed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"
    """A post of it left the board."""


LIVE: Final = (MatchState.INTEREST, MatchState.OFFER)
COUNTING: Final = (*LIVE, MatchState.AGREED)
"""Of what may be rewarded, or was."""


@dataclass(frozen=True, slots=True)
class Words:
    """What an owner says. `readiness`: the least a need wants (0: any), what a solution has reached (1–9).

    `budget_*` are a need's, `price_fen` and `asks` a solution's. `by_meaning`: the owner pays for one embedding.
    """

    kind: Kind
    title: str
    text: str
    sector: str
    until: date
    shows_name: bool = True
    by_meaning: bool = True
    readiness: int = 0
    budget_from_fen: int | None = None
    budget_to_fen: int | None = None
    price_fen: int | None = None
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """A need or a solution; texts are empty once their person is erased."""

    id: UUID
    org_id: UUID
    state: PostState
    words: Words
    revision: int
    made_at: datetime
    changed_at: datetime
    published_at: datetime | None
    removed_why: str = ""

    @property
    def kind(self) -> Kind:
        return self.words.kind

    def stands(self, today: date) -> bool:
        """Whether it is on the board; a post of somebody who was erased says nothing and is not."""
        return self.state is PostState.OPEN and self.words.until >= today and bool(self.words.title)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why two fit besides their words: `good` None where it neither helps nor hinders."""

    code: str
    good: bool | None
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Fit:
    """A post of the other kind, and why it came. Ranks count from 1, 0 = not found that way; weights are BM25's."""

    post: Post
    score: float
    word_rank: int
    word_score: float
    words: tuple[tuple[str, float], ...]
    meaning_rank: int
    cosine: float | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Fits:
    """`way`: "both", or "words" where a vector of the post is not there."""

    found: tuple[Fit, ...]
    way: str


@dataclass(frozen=True, slots=True)
class Word:
    """Something one side said in a match."""

    n: int
    org_id: UUID
    side: Kind
    kind: str
    text: str
    fee_fen: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Match:
    """Two posts on their way to terms. Whoever makes an offer accepts it; `round` numbers the one that stands."""

    id: UUID
    need: UUID
    solution: UUID
    need_org: UUID
    solution_org: UUID
    opened_by: Kind
    state: MatchState
    round: int
    offered_by: Kind | None
    need_accepted_at: datetime | None
    solution_accepted_at: datetime | None
    application: UUID | None
    barred: Mapping[str, Any] | None
    opened_at: datetime
    changed_at: datetime

    def side(self, org_id: UUID) -> Kind | None:
        """Which side an organisation is; None for nobody's."""
        return {self.need_org: Kind.NEED, self.solution_org: Kind.SOLUTION}.get(org_id)

    def org(self, side: Kind) -> UUID:
        return self.need_org if side is Kind.NEED else self.solution_org

    def post(self, side: Kind) -> UUID:
        return self.need if side is Kind.NEED else self.solution

    def accepted_at(self, side: Kind) -> datetime | None:
        return self.need_accepted_at if side is Kind.NEED else self.solution_accepted_at


def checked(words: Words, today: date) -> Words:
    """The same, trimmed; BadPost names the field that can't be."""
    words = replace(words, title=words.title.strip(), text=plain(words.text), asks=plain(words.asks))
    _text("title", words.title, TITLE_CHARS, "标题")
    _text("text", words.text, TEXT_CHARS, "正文")
    _text("asks", words.asks, (0, ASKS_MAX_CHARS), "合作条件")
    if words.sector not in SECTORS:
        raise BadPost("sector", f"one of {', '.join(SECTORS)}", "请选择所属行业")
    if not today <= words.until <= today + timedelta(days=STANDS_MAX_DAYS):
        raise BadPost("until", f"from today to {STANDS_MAX_DAYS} days on", f"截止日须在今天至 {STANDS_MAX_DAYS} 天内")
    if not (0 if words.kind is Kind.NEED else 1) <= words.readiness <= READINESS_MAX:
        raise BadPost("readiness", "0 (any) to 9 for a need, 1 to 9 for a solution", "成熟度：需求 0–9，方案 1–9")
    _money(words)
    return words


def plain(text: str) -> str:
    """A text as browsers send it, with one kind of line end."""
    return text.replace("\r\n", "\n").strip()


def _money(words: Words) -> None:
    for field in ("budget_from_fen", "budget_to_fen", "price_fen"):
        fen = getattr(words, field)
        if fen is not None and not 0 <= fen <= FEN_MAX:
            raise BadPost(field, f"0 to {FEN_MAX} fen", f"金额须为 0–{FEN_MAX} 分")
    if words.kind is Kind.NEED and (words.price_fen is not None or words.asks):
        raise BadPost("price_fen", "a need has a budget, a solution a price and what it asks", "需求填预算，方案填报价")
    if words.kind is Kind.SOLUTION and (words.budget_from_fen, words.budget_to_fen) != (None, None):
        raise BadPost("budget_to_fen", "a need has a budget, a solution a price", "需求填预算，方案填报价")
    if (words.budget_from_fen is None) != (words.budget_to_fen is None):
        raise BadPost("budget_to_fen", "both ends of the range, or none", "预算请填写上下限，或均不填")
    if (words.budget_from_fen or 0) > (words.budget_to_fen or 0):
        raise BadPost("budget_to_fen", "not below its lower end", "预算上限不能低于下限")


def _text(field: str, text: str, bounds: tuple[int, int], zh: str) -> None:
    least, most = bounds
    if not least <= len(text) <= most:
        raise BadPost(field, f"{least} to {most} characters", f"{zh}须为 {least}–{most} 字")
    if UNSEEN.search(text):
        raise BadPost(field, "no control characters", f"{zh}不能包含控制字符")
