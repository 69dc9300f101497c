"""Finding passages: by words and by meaning, as one list with its reasons, for somebody who may read them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway.api import CallError
from shanhe.kernel.errors import ShanheError
from shanhe.retrieval import ranking, store
from shanhe.retrieval.embedding import as_text, near, prefixes, vectors, waits
from shanhe.retrieval.errors import BadKnowledge
from shanhe.retrieval.model import (
    DATA_CLASSES,
    PERSONAL_CHUNKS_MAX,
    QUERY_MAX_CHARS,
    Asking,
    Base,
    Found,
    Hit,
    Passage,
)
from shanhe.retrieval.service import FILE_NAME, HEADING, PLACE, TEXT, VECTOR, Knowledge
from shanhe.retrieval.words import asked as words_of
from shanhe.retrieval.words import blinded, tokens, visible
from shanhe.retrieval.words import meant as meant_by
from shanhe.retrieval.words import signs as signs_of

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

CANDIDATES: Final = 30
"""Passages that each way brings."""
HITS_MAX: Final = 30
BASES_AT_ONCE_MAX: Final = 20
RERANKED_MAX: Final = 8
Judge = Callable[["Caller", str, str, Sequence[str]], Awaitable[tuple[list[float], int]]]
"""(caller, model, question, passages) → (probability that each answers it, cost)."""


class Search:
    """Searches bases. A search without a caller costs nothing and goes by words alone."""

    def __init__(self, knowledge: Knowledge, judge: Judge | None = None) -> None:
        self._knowledge = knowledge
        self._judge = judge

    async def find(
        self, bases: Sequence[Base], text: str, asking: Asking, caller: Caller | None, most: int = 8
    ) -> Found:
        """The passages that fit best. The database leaves out what `asking` may not read, whatever `bases` says."""
        began = time.perf_counter()
        text = visible(text).strip()
        if not 1 <= len(text) <= QUERY_MAX_CHARS or not 1 <= most <= HITS_MAX or len(bases) > BASES_AT_ONCE_MAX:
            raise BadKnowledge(f"A question has 1 to {QUERY_MAX_CHARS} characters, an answer 1 to {HITS_MAX} passages",
                               f"问题须为 1–{QUERY_MAX_CHARS} 字，返回 1–{HITS_MAX} 条")  # fmt: skip
        wanted = words_of(text)
        worded = await self._by_words(bases, wanted, asking)
        meant, paid, receipt = await self._by_meaning(bases, text, asking, caller)
        order = ranking.fused([one for one, _ in worded], [one for one, _ in meant])[:CANDIDATES]
        signs = meant_by(text)
        hits = await self._hits(order, worded, meant, wanted, signs, asking)
        reranked, cost = await self._reranked(bases, text, hits, caller)
        support = ranking.support(reranked)
        least = max((base.support_bps for base in bases), default=0) / 10_000
        classes = [base.data_class for base in bases]
        return Found(
            tuple(reranked[:most]), support, bool(hits) and support >= least, tuple(wanted), paid + cost,
            int((time.perf_counter() - began) * 1000), max(classes, key=DATA_CLASSES.index, default="general"), receipt,
        )  # fmt: skip

    async def _by_words(self, bases: Sequence[Base], wanted: Sequence[str], asking: Asking) -> list[tuple[UUID, float]]:
        """Passages with their BM25 score, best first."""
        db = self._knowledge.db
        found: list[tuple[UUID, float]] = []
        for group in _by_secret(bases):
            secret = bytes.fromhex(group[0].secret) if group[0].personal and group[0].secret else None
            ids, hidden = [one.id for one in group], blinded(wanted, secret)
            rows = await store.by_words(db, asking, ids, hidden, CANDIDATES)
            found += [(row["chunk_id"], row["score"]) for row in rows]
        return sorted(found, key=lambda one: (-one[1], one[0]))[:CANDIDATES]

    async def _by_meaning(
        self, bases: Sequence[Base], text: str, asking: Asking, caller: Caller | None
    ) -> tuple[list[tuple[UUID, float]], int, UUID | None]:
        """Passages with their cosine, best first; what the question's embedding cost, and its receipt."""
        db = self._knowledge.db
        found: list[tuple[UUID, float]] = []
        paid, receipt = 0, None
        for model in dict.fromkeys(base.model for base in bases if base.model and caller is not None):
            assert caller is not None
            try:
                made, call = await vectors(self._knowledge.embed, caller, model, [prefixes(model)[0] + text])
            except (CallError, ShanheError) as error:
                if not waits(error):
                    raise
                continue  # the engine is away for now: words alone still find
            paid, receipt = paid + call.paid_micro, call.receipt_id
            group = [base for base in bases if base.model == model]
            plain = [base.id for base in group if not base.personal]
            if plain:
                rows = await store.by_meaning(db, asking, plain, as_text(made[0]), CANDIDATES)
                found += [(row["chunk_id"], row["score"]) for row in rows]
            sealed = [base.id for base in group if base.personal]
            if sealed:
                found += await self._sealed(sealed, made[0], asking)
        return sorted(found, key=lambda one: (-one[1], one[0]))[:CANDIDATES], paid, receipt

    async def _sealed(self, bases: Sequence[UUID], asked: Sequence[float], asking: Asking) -> list[tuple[UUID, float]]:
        """A person's vectors, opened and compared here."""
        knowledge = self._knowledge
        rows = await store.sealed_vectors(knowledge.db, asking, bases, PERSONAL_CHUNKS_MAX)
        opened = [(row["chunk_id"], await knowledge.seals.open(row["org_id"], VECTOR, row["sealed"])) for row in rows]
        opened = [one for one in opened if one[1]]
        if not opened:
            return []
        scores = near([text for _, text in opened], asked)
        ranked = sorted(zip(opened, scores, strict=True), key=lambda one: -one[1])[:CANDIDATES]
        return [(chunk, score) for (chunk, _), score in ranked]

    async def _hits(
        self, order: Sequence[tuple[UUID, float]], worded: Sequence[tuple[UUID, float]],
        meant: Sequence[tuple[UUID, float]], wanted: Sequence[str], signs: frozenset[str],
        asking: Asking,
    ) -> list[Hit]:  # fmt: skip
        rows = await store.passages(self._knowledge.db, asking, [chunk for chunk, _ in order])
        passages = {row["id"]: await self._passage(row) for row in rows}
        texts = {chunk: f"{one.heading}\n{one.text}" for chunk, one in passages.items()}
        held = {chunk: signs_of(text) for chunk, text in texts.items()}
        weighed = ranking.weights(signs, list(held.values()))
        word_ranks = {chunk: (rank, score) for rank, (chunk, score) in enumerate(worded, 1)}
        near_ranks = {chunk: (rank, score) for rank, (chunk, score) in enumerate(meant, 1)}
        hits = []
        for chunk, score in order:
            passage = passages.get(chunk)
            if passage is None:
                continue
            present = frozenset(tokens(texts[chunk]))
            word, near = word_ranks.get(chunk, (0, 0.0)), near_ranks.get(chunk, (0, 0.0))
            hits.append(Hit(passage, score, *word, *near, ranking.coverage(weighed, held[chunk]), None,
                            tuple(token for token in wanted if token in present)))  # fmt: skip
        return hits

    async def _passage(self, row: Any) -> Passage:
        seals, org = self._knowledge.seals, row["org_id"]
        return Passage(
            row["id"], row["base_id"], row["document_id"], await seals.open(org, FILE_NAME, row["document"]),
            row["pages"], row["n"], row["page"], tuple(row["box"]), await seals.open(org, PLACE, row["place"]),
            await seals.open(org, HEADING, row["heading"]), await seals.open(org, TEXT, row["text"]),
        )  # fmt: skip

    async def _reranked(
        self, bases: Sequence[Base], text: str, hits: list[Hit], caller: Caller | None
    ) -> tuple[list[Hit], int]:
        """The best hits as a model judges them, where a base names one."""
        model = next((base.reranker for base in bases if base.reranker), "")
        if not model or caller is None or self._judge is None or not hits:
            return hits, 0
        head, tail = hits[:RERANKED_MAX], hits[RERANKED_MAX:]
        judged, paid = await self._judge(
            caller, model, text, [f"{hit.passage.heading}\n{hit.passage.text}" for hit in head]
        )
        head = [msgspec.structs.replace(hit, rerank=one) for hit, one in zip(head, judged, strict=True)]
        # judgement counts, and so does where a passage stood before: one model's word is not taken alone
        order = sorted(enumerate(head), key=lambda one: -((one[1].rerank or 0.0) + 1.0 / (2 + one[0])))
        return [hit for _, hit in order] + tail, paid


def _by_secret(bases: Sequence[Base]) -> list[list[Base]]:
    """Bases whose words can be looked up together: those of organisations, and each person's alone."""
    plain = [base for base in bases if not base.personal]
    return ([plain] if plain else []) + [[base] for base in bases if base.personal]
