"""`POST /v1/rerank`: which documents answer a query best, as Jina, Cohere, vLLM and Xinference speak it.

A model of the kind `rerank` is asked itself. An embedding model does it too: query and documents become vectors in one
call, and the score is their cosine. Either way the tokens that were read are what is charged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import invalid
from shanhe.gateway.faces.base import Completion, Metadata, Parsed, tags_of
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.faces.reading import decode, utf8_size
from shanhe.gateway.meter import Metered

DOCUMENTS_MAX: Final = 1_000
Marks = Callable[[str], tuple[str, str, str] | None]
"""(kind, what a model wants before a query, before a document); None where there is no such model."""
_encode = msgspec.json.Encoder().encode


class Document(msgspec.Struct):
    text: str


class RerankRequest(msgspec.Struct):
    model: str
    query: str
    documents: list[str | Document]
    top_n: int | None = None
    return_documents: bool | None = None
    metadata: Metadata | None = None


class Asked(msgspec.Struct):
    """What the answer needs of the request."""

    texts: list[str]
    top_n: int
    documents: bool
    scored: bool
    """The engine gives scores itself."""


class Result(msgspec.Struct):
    index: int
    relevance_score: float


class Vector(msgspec.Struct):
    index: int
    embedding: list[float]


class Scores(msgspec.Struct):
    results: list[Result]


class Vectors(msgspec.Struct):
    data: list[Vector]


_request = msgspec.json.Decoder(RerankRequest)
_scores = msgspec.json.Decoder(Scores)
_vectors = msgspec.json.Decoder(Vectors)


class Rerank(Chat):
    """The face. `marks` says what kind of model a name is, and how it wants its texts marked."""

    name = "rerank"

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def parse(self, body: bytes) -> Parsed:
        request = decode(_request, body)
        texts = [one if isinstance(one, str) else one.text for one in request.documents]
        if not request.query:
            raise invalid("query must not be empty.", "query", "invalid_value")
        if not texts or not all(texts):
            raise invalid("documents must hold at least one text, and no empty one.", "documents", "invalid_value")
        if len(texts) > DOCUMENTS_MAX:
            raise invalid(f"documents may hold at most {DOCUMENTS_MAX} entries.", "documents", "array_above_max_length")
        if request.top_n is not None and request.top_n < 1:
            raise invalid("top_n must be at least 1.", "top_n", "integer_below_min_value")
        kind, before_query, before_text = self._marks(request.model) or ("embedding", "", "")
        scored = kind == "rerank"
        asked = Asked(texts, min(request.top_n or len(texts), len(texts)), bool(request.return_documents), scored)
        query, read = before_query + request.query, sum(utf8_size(before_text + text) for text in texts)
        fields: dict[str, Any]
        if scored:  # a cross-encoder reads the query with each document
            fields, size = {"query": query, "documents": texts}, utf8_size(query) * len(texts) + read
        else:
            fields = {"input": [query, *(before_text + text for text in texts)], "encoding_format": "float"}
            size = utf8_size(query) + read
        return Parsed(
            model=request.model, body=fields, path="/rerank" if scored else "/embeddings", text_bytes=size,
            messages=len(texts) + 1, max_tokens=None, max_tokens_field=None, answers=0,
            kind=kind if scored else "embedding", echo=asked, tags=tags_of(request.metadata),
        )  # fmt: skip

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        asked: Asked = parsed.echo
        ranked = engine_scores(body, len(asked.texts)) if asked.scored else cosines(body, len(asked.texts))
        if not all(math.isfinite(one.relevance_score) for one in ranked):
            raise ValueError("a score that is no number")
        ranked.sort(key=lambda one: (-one.relevance_score, one.index))
        results: list[dict[str, Any]] = [
            {"index": one.index, "relevance_score": one.relevance_score} for one in ranked[: asked.top_n]
        ]
        if asked.documents:
            for row in results:
                row["document"] = {"text": asked.texts[row["index"]]}
        usage = {"prompt_tokens": metered.buckets.prompt, "total_tokens": metered.buckets.total}
        return _encode({"object": "list", "model": parsed.model, "results": results, "usage": usage})


def engine_scores(body: bytes, documents: int) -> list[Result]:
    """The scores of a reranker; ValueError where they are not one for each document."""
    results = _scores.decode(body).results
    _each_once([one.index for one in results], documents)
    return results


def cosines(body: bytes, documents: int) -> list[Result]:
    """Scores from vectors: the query's is the first."""
    rows = _vectors.decode(body).data
    _each_once([row.index for row in rows], documents + 1)
    vectors = {row.index: row.embedding for row in rows}
    query = vectors[0]
    return [Result(at, round(_cosine(query, vectors[at + 1]), 6)) for at in range(documents)]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    length = math.sqrt(_dot(one, one) * _dot(other, other))
    return _dot(one, other) / length if length else 0.0


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(left * right for left, right in zip(one, other, strict=True))


def _each_once(found: list[int], wanted: int) -> None:
    if sorted(found) != list(range(wanted)):
        raise ValueError(f"{len(found)} answers for {wanted} texts")
