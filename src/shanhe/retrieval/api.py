"""The door of knowledge for other modules."""

from __future__ import annotations

from shanhe.retrieval.answering import Answering, judged, kept_inside, scores_of
from shanhe.retrieval.embedding import Embed, near, packed, prefixes, unpacked, vectors
from shanhe.retrieval.errors import BadKnowledge, UnknownBase, Unreadable
from shanhe.retrieval.evaluating import Evaluating
from shanhe.retrieval.grounding import DECLINED_EN, DECLINED_ZH, carried, shown
from shanhe.retrieval.indexer import Indexer
from shanhe.retrieval.model import (
    DATA_CLASSES,
    Answer,
    Asking,
    Base,
    Chunk,
    Cut,
    Document,
    Evaluation,
    Found,
    Hit,
    NewBase,
    Passage,
    Preview,
    Question,
)
from shanhe.retrieval.ranking import fused
from shanhe.retrieval.reader import read as read_document
from shanhe.retrieval.search import Search
from shanhe.retrieval.service import Knowledge
from shanhe.retrieval.words import asked as words_of
from shanhe.retrieval.words import meant as signs_of
from shanhe.retrieval.words import phrases, tokens, visible
from shanhe.retrieval.work.markup import markdown as markdown_blocks

__all__ = [
    "DATA_CLASSES",
    "DECLINED_EN",
    "DECLINED_ZH",
    "Answer",
    "Answering",
    "Asking",
    "BadKnowledge",
    "Base",
    "Chunk",
    "Cut",
    "Document",
    "Embed",
    "Evaluating",
    "Evaluation",
    "Found",
    "Hit",
    "Indexer",
    "Knowledge",
    "NewBase",
    "Passage",
    "Preview",
    "Question",
    "Search",
    "UnknownBase",
    "Unreadable",
    "carried",
    "fused",
    "judged",
    "kept_inside",
    "markdown_blocks",
    "near",
    "packed",
    "phrases",
    "prefixes",
    "read_document",
    "scores_of",
    "shown",
    "signs_of",
    "tokens",
    "unpacked",
    "vectors",
    "visible",
    "words_of",
]
