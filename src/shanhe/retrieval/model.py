"""Nouns of knowledge: bases, documents, blocks, passages, hits, answers. Frozen and pure.

A box is (left, top, right, bottom) in ten-thousandths of its page, from the top left. Where a format has no layout
(HTML, Markdown, DOCX) left and right are the whole width, and top and bottom are the share of the page's text before
and after.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.retrieval.errors import BadKnowledge

Box = tuple[int, int, int, int]
WHOLE: Final[Box] = (0, 0, 10_000, 10_000)
REACHES: Final = ("listed", "org", "city")
DATA_CLASSES: Final = ("general", "citizen", "government")
FORMATS: Final = ("pdf", "docx", "xlsx", "pptx", "html", "markdown", "text", "image")
OPEN: Final = ("waiting", "reading", "embedding")

BASES_MAX: Final = 100
DOCUMENTS_MAX: Final = 2_000
CHUNKS_MAX: Final = 50_000
PERSONAL_CHUNKS_MAX: Final = 4_000
"""A person's vectors are sealed and compared in memory."""
READERS_MAX: Final = 500
QUESTIONS_MAX: Final = 1_000
NAME_MAX_CHARS: Final = 80
FILE_NAME_MAX_CHARS: Final = 200
FILE_MAX_BYTES: Final = 32 * 1024 * 1024
QUERY_MAX_CHARS: Final = 2_000
CHUNK_MAX_CHARS: Final = 4_000
SUPPORT_BPS: Final = 5_200
"""Chosen on the demonstration's questions; a base with questions of its own should choose on them."""
HITS_DEFAULT: Final = 8
SIZE: Final = 260
SIZE_MIN: Final = 50
SIZE_MAX: Final = 1_000
SEPARATOR_MAX_CHARS: Final = 20


class Cut(msgspec.Struct, frozen=True):
    """How documents are cut into passages: whole blocks up to `size`, begun with the end of the passage before (up to
    `overlap`, where both are of one page and heading), and ended wherever `separator` stands. Both are counted like
    tokens: a Han sign 1, any other 0.4. A separator of line ends alone makes each block a passage of its own."""

    size: int = SIZE
    overlap: int = 0
    separator: str = ""

    @property
    def key(self) -> str:
        return f"{self.size}|{self.overlap}|{self.separator}"


class Base(msgspec.Struct, frozen=True):
    """A knowledge base. `reach`: who reads it besides its list (nobody, its organisation, the city). `size`, `overlap`,
    `separator`: see `Cut`."""

    id: UUID
    org_id: UUID
    name: str
    reach: str
    data_class: str
    model: str
    reranker: str
    support_bps: int
    secret: str
    personal: bool
    key_id: UUID | None
    made_by: str
    made_at: datetime
    archived_at: datetime | None = None
    size: int = SIZE
    overlap: int = 0
    separator: str = ""

    @property
    def cut(self) -> Cut:
        return Cut(self.size, self.overlap, self.separator)


class NewBase(msgspec.Struct, frozen=True):
    """What must be said of a base. `model` None: the city's own embeddings, where it has them."""

    name: str
    reach: str = "org"
    data_class: str = "general"
    model: str | None = None
    reranker: str = ""


class Reader(msgspec.Struct, frozen=True):
    """Somebody on a base's list."""

    kind: str
    reader: UUID
    by: str
    at: datetime


class Asking(msgspec.Struct, frozen=True):
    """On whose behalf passages are read."""

    org_id: UUID | None
    person_id: UUID | None = None


class Document(msgspec.Struct, frozen=True):
    """`cut`: the key of what its passages were cut by."""

    id: UUID
    base_id: UUID
    name: str
    format: str
    sha256: bytes
    size_bytes: int
    blob: UUID
    state: str
    done: int
    total: int
    pages: int
    paid_micro: int
    error: dict[str, Any] | None
    key_id: UUID | None
    made_by: str
    made_at: datetime
    indexed_at: datetime | None
    cut: str = ""


class Block(msgspec.Struct, frozen=True):
    """A piece of a document as its layout shows it. `kind`: heading (with its `level`), text, item, row, code."""

    kind: str
    text: str
    page: int
    box: Box = WHOLE
    level: int = 0
    place: str = ""


class Piece(msgspec.Struct, frozen=True):
    """A passage before it is kept: whole blocks of one page under one heading."""

    text: str
    heading: str
    page: int
    box: Box
    place: str = ""


class Preview(msgspec.Struct, frozen=True):
    """How a document would be cut: its first passages, and of all of them how many, and about how many tokens they and
    the shortest and longest hold. `same`: passages that stand as they are and cost nothing; `edits`: edited ones that
    would be lost."""

    shown: tuple[Piece, ...]
    passages: int
    tokens: int
    shortest: int
    longest: int
    same: int = 0
    edits: int = 0


class Chunk(msgspec.Struct, frozen=True):
    """A passage as it is kept."""

    id: UUID
    document_id: UUID
    n: int
    page: int
    box: Box
    place: str
    heading: str
    text: str
    has_vector: bool
    edited_by: str | None
    edited_at: datetime | None


class Passage(msgspec.Struct, frozen=True):
    """A passage as it is cited."""

    id: UUID
    base_id: UUID
    document_id: UUID
    document: str
    pages: int
    n: int
    page: int
    box: Box
    place: str
    heading: str
    text: str


class Hit(msgspec.Struct, frozen=True):
    """A passage and why it came: ranks count from 1, 0 = not found that way."""

    passage: Passage
    score: float
    word_rank: int = 0
    word_score: float = 0.0
    meaning_rank: int = 0
    cosine: float = 0.0
    coverage: float = 0.0
    rerank: float | None = None
    matched: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True):
    """What a search brought. `support`: 0–1, how well the best passages carry an answer; `supported`: enough."""

    hits: tuple[Hit, ...]
    support: float
    supported: bool
    tokens: tuple[str, ...]
    paid_micro: int
    took_ms: int
    data_class: str = "general"
    receipt_id: UUID | None = None


class Answer(msgspec.Struct, frozen=True):
    """An answer with what it rests on, or none (`declined` says why)."""

    text: str
    declined: str
    citations: tuple[Hit, ...]
    found: Found
    paid_micro: int


class Question(msgspec.Struct, frozen=True):
    """A labelled question: `document` empty = nothing in the base answers it."""

    asked: str
    document: str = ""
    contains: str = ""

    @property
    def answerable(self) -> bool:
        return bool(self.document)


class Evaluation(msgspec.Struct, frozen=True):
    """How a base did on its labelled questions, in basis points."""

    id: UUID
    base_id: UUID
    asked: int
    answerable: int
    found_bps: int
    cited_bps: int
    declined_bps: int
    result: dict[str, Any]
    paid_micro: int
    by: str
    at: datetime


def checked_base(new: NewBase) -> NewBase:
    """The same, trimmed; BadKnowledge names what can't be."""
    name = new.name.strip()
    if not 1 <= len(name) <= NAME_MAX_CHARS or not name.isprintable():
        raise BadKnowledge(f"A name has 1 to {NAME_MAX_CHARS} characters", f"名称须为 1–{NAME_MAX_CHARS} 个字符")
    if new.reach not in REACHES:
        raise BadKnowledge(f"reach is one of {', '.join(REACHES)}", "可见范围须为 listed、org 或 city")
    if new.data_class not in DATA_CLASSES:
        raise BadKnowledge(
            f"data_class is one of {', '.join(DATA_CLASSES)}", "数据类别须为 general、citizen 或 government"
        )
    return msgspec.structs.replace(new, name=name)


def checked_cut(cut: Cut) -> Cut:
    """The same, `\\n` in its separator read as a line end; BadKnowledge names what can't be."""
    separator = cut.separator.replace("\\n", "\n")
    if not SIZE_MIN <= cut.size <= SIZE_MAX:
        raise BadKnowledge(f"size is {SIZE_MIN} to {SIZE_MAX}", f"段落长度须为 {SIZE_MIN}–{SIZE_MAX}")
    if not 0 <= cut.overlap <= cut.size // 2:
        raise BadKnowledge("overlap is 0 to half of size", "重叠须为 0 至段落长度的一半")
    if len(separator) > SEPARATOR_MAX_CHARS or not separator.replace("\n", " ").isprintable():
        raise BadKnowledge(f"separator has at most {SEPARATOR_MAX_CHARS} characters",
                           f"分隔符不超过 {SEPARATOR_MAX_CHARS} 个字符")  # fmt: skip
    return msgspec.structs.replace(cut, separator=separator)


def checked_question(one: Question) -> Question:
    asked, contains, document = one.asked.strip(), one.contains.strip(), one.document.strip()
    if not 1 <= len(asked) <= QUERY_MAX_CHARS or len(contains) > QUERY_MAX_CHARS or len(document) > FILE_NAME_MAX_CHARS:
        raise BadKnowledge("A question is empty or too long", "问题为空或过长")
    return Question(asked, document, contains)
