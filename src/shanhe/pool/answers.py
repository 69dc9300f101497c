"""What passed through a tunnel, understood: the request and the answer of one call. Pure; nothing of it is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

KEEP_MAX_BYTES: Final = 1024 * 1024
"""Largest answer that is looked at; a longer one counts for speed only."""
DONE: Final = b"[DONE]"
WORD_BYTES: Final = 4


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    """As vLLM calls it."""


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


class _Request(msgspec.Struct):
    model: str = ""
    messages: list[dict[str, Any]] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stream: bool | None = None
    tools: msgspec.Raw = msgspec.Raw(b"")
    n: int | None = None


_body = msgspec.json.Decoder(_Body)
_request = msgspec.json.Decoder(_Request)


@dataclass(slots=True)
class Seen:
    """One exchange as the city's end of the tunnel saw it. Times in ms since it was sent."""

    path: str
    request: bytes
    answer: bytearray
    status: int = 0
    first_ms: float = 0.0
    done_ms: float = 0.0
    lost: bool = False
    """The tunnel or the node broke it off."""
    left: bool = False
    """The caller did."""
    probe: bool = False
    size: int = 0

    def keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= KEEP_MAX_BYTES:
            self.answer += data


@dataclass(frozen=True, slots=True)
class Answer:
    """Text and counts that an answer carries; counts are the node's claim."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    chunks: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: enough to ask it again."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None
    greedy: bool
    prompt_hash: bytes
    prompt_bytes: int


def asked_of(request: bytes) -> Asked | None:
    """A chat request taken apart; None for anything else."""
    try:
        seen = _request.decode(request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if seen.messages is None:
        return None
    text = msgspec.json.encode(seen.messages)
    plain = not bytes(seen.tools) and seen.n in (None, 1)
    return Asked(
        seen.model, seen.messages, seen.max_tokens, seen.temperature == 0 and plain, digest(text), len(text)
    )  # fmt: skip


def answer_of(data: bytes) -> Answer | None:
    """A whole answer or an event stream; None where nothing can be read."""
    try:
        if data.lstrip()[:1] == b"{":
            return _joined([_body.decode(data)], finished=True)
        events = [line[5:].strip() for line in data.split(b"\n") if line.startswith(b"data:")]
        bodies = [_body.decode(event) for event in events if event and event != DONE]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _joined(bodies, finished=DONE in events[-2:]) if bodies else None


def _joined(bodies: list[_Body], *, finished: bool) -> Answer:
    texts: list[str] = []
    chunks = prompt = completion = 0
    for body in bodies:
        size = len(texts)
        for choice in body.choices:
            part = choice.delta or choice.message
            thought = (part.reasoning_content or part.reasoning) if part else None
            words = (choice.text, thought, part.content if part else None)
            texts += [word for word in words if word and isinstance(word, str)]
        chunks += len(texts) > size
        if body.usage is not None:
            prompt, completion = body.usage.prompt_tokens or 0, body.usage.completion_tokens or 0
    return Answer("".join(texts), prompt, completion, chunks, finished)


def digest(data: bytes) -> bytes:
    """Sixteen bytes that stand for a text: enough to see a repeat, nothing to read."""
    return hashlib.blake2b(data, digest_size=16).digest()


def guess_tokens(size_bytes: int) -> int:
    """Tokens of a text whose tokenizer is not at hand."""
    return -(-size_bytes // WORD_BYTES)
