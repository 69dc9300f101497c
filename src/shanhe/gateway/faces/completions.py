"""`/v1/completions`: the older text protocol of OpenAI, which engines speak too."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import msgspec

from shanhe.gateway.errors import invalid
from shanhe.gateway.faces.base import Completion, Metadata, Parsed, StreamWriter, tags_of
from shanhe.gateway.faces.openai import SAMPLING, Chat, PassThrough, StreamOptions
from shanhe.gateway.faces.reading import (
    bounded_answers,
    bounded_stops,
    bounded_tokens,
    decode,
    input_size,
    utf8_size,
)
from shanhe.gateway.meter import Metered


class CompletionRequest(msgspec.Struct):
    model: str
    prompt: str | list[str | int | list[int]] = ""
    suffix: str | None = None
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    echo: bool | None = None
    logprobs: int | None = None
    metadata: Metadata | None = None


_completion = msgspec.json.Decoder(CompletionRequest)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_answer = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode

COMPLETION_FIELDS = frozenset(SAMPLING) | {"prompt", "suffix", "echo"}
"""As `CHAT_FIELDS`: anything else stays here."""


class TextCompletions(Chat):
    """`POST /v1/completions`."""

    name = "openai.completions"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_completion, body)
        if request.best_of is not None and request.best_of != (request.n or 1):
            raise invalid("best_of is not supported; ask for n answers and choose.", "best_of", "unsupported_parameter")
        needs = {name for name in ("echo", "suffix") if getattr(request, name)}
        size, prompts = input_size(request.prompt, "prompt")
        size += utf8_size(request.suffix or "")
        bounded_stops(request.stop)
        given = decode(_fields, body)
        fields: dict[str, Any] = {name: given[name] for name in given if name in COMPLETION_FIELDS}
        texts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
        counted = "".join([text for text in texts if isinstance(text, str)])
        return Parsed(
            model=request.model,
            body=fields,
            path="/completions",
            text_bytes=size,
            messages=prompts,
            max_tokens=bounded_tokens(request.max_tokens, "max_tokens"),
            answers=bounded_answers(request.n) * prompts,
            stream=bool(request.stream),
            tags=tags_of(request.metadata),
            wants_usage=bool(request.stream_options and request.stream_options.include_usage),
            needs=frozenset(needs),
            prompt_text=counted or None,
        )

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        if "logprobs" in parsed.body:
            body = with_older_logprobs(body, {})
        return super().answer(body, completion, parsed, metered, upstream)

    def writer(self, parsed: Parsed, call_id: str, upstream: str) -> StreamWriter:
        return TextPassThrough(parsed, upstream)


def with_older_logprobs(body: bytes, offsets: dict[int, int]) -> bytes:
    """An answer or chunk whose log probabilities are in the words of the text protocol; most engines write them in
    those of a chat. `offsets`: characters that each choice has had before, brought up to date."""
    fields: dict[str, Any] = _answer.decode(body)
    for row in fields.get("choices", ()):
        tokens = (row.get("logprobs") or {}).get("content")
        if tokens is None:
            continue
        begin = offsets.get(row.get("index", 0), 0)
        ends = list(accumulate((len(token["token"]) for token in tokens), initial=begin))
        offsets[row.get("index", 0)] = ends[-1]
        row["logprobs"] = {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [
                {one["token"]: one["logprob"] for one in token.get("top_logprobs", ())} for token in tokens
            ],
            "text_offset": ends[:-1],
        }
    return _encode(fields)


class TextPassThrough(PassThrough):
    """As `PassThrough`, for the text protocol."""

    def __init__(self, parsed: Parsed, upstream: str) -> None:
        super().__init__(parsed, upstream)
        self._logprobs = "logprobs" in parsed.body
        self._offsets: dict[int, int] = {}

    def chunk(self, event: bytes, chunk: Completion) -> bytes:
        if self._logprobs and chunk.choices:
            event = b"data: " + with_older_logprobs(event[event.index(b"{") :], self._offsets)
        return super().chunk(event, chunk)
