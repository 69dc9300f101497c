"""`/v1/embeddings`: engines are asked for floats; base64 is made here, as few of them can."""

from __future__ import annotations

import base64
from array import array
from typing import Any

import msgspec

from shanhe.gateway.errors import invalid
from shanhe.gateway.faces.base import Completion, Metadata, Parsed, tags_of
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.faces.reading import decode, input_size
from shanhe.gateway.meter import Metered


class EmbeddingRequest(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    metadata: Metadata | None = None


_embedding = msgspec.json.Decoder(EmbeddingRequest)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_answer = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode

EMBEDDING_FIELDS = frozenset({"input", "dimensions", "user"})
"""What reaches an engine."""
NUMBERS = (
    "Send texts, not numbers of tokens: they mean something to one tokenizer alone, and models here have their own."
    " LangChain: check_embedding_ctx_length=False."
)
"""Clients that count by OpenAI's tokenizer send them by default; read by another one they make vectors of nonsense."""


class Embeddings(Chat):
    """`POST /v1/embeddings`."""

    name = "openai.embeddings"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_embedding, body)
        if request.encoding_format not in (None, "float", "base64"):
            raise invalid("encoding_format must be float or base64.", "encoding_format")
        if any(not isinstance(item, str) for item in ([] if isinstance(request.input, str) else request.input)):
            raise invalid(NUMBERS, "input", "unsupported_content")
        size, inputs = input_size(request.input, "input")
        given = decode(_fields, body)
        fields: dict[str, Any] = {name: given[name] for name in given if name in EMBEDDING_FIELDS}
        fields["encoding_format"] = "float"
        return Parsed(
            model=request.model,
            body=fields,
            path="/embeddings",
            text_bytes=size,
            messages=inputs,
            max_tokens=None,
            max_tokens_field=None,
            answers=0,
            kind="embedding",
            echo=request,
            tags=tags_of(request.metadata),
        )

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        answer = _answer.decode(body)
        asked: EmbeddingRequest = parsed.echo
        wide = len(answer["data"][0]["embedding"])
        if asked.dimensions not in (None, wide):
            text = f"{parsed.model} makes vectors of {wide} dimensions and no others."
            raise invalid(text, "dimensions", "unsupported_value")
        if asked.encoding_format == "base64":
            for row in answer["data"]:
                row["embedding"] = base64.b64encode(array("f", row["embedding"]).tobytes()).decode()
        answer["model"] = parsed.model
        answer["usage"] = {"prompt_tokens": metered.buckets.prompt, "total_tokens": metered.buckets.total}
        return _encode(answer)
