"""What the pipeline and the faces agree on."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Protocol

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.meter import Buckets, Metered

TAGS_MAX = 8
"""Most tags of one call."""
TAG_MAX_CHARS = 64
BOUNDARY: Final = secrets.token_hex(24)
"""Between the parts of a form that goes to an engine."""
FORMS: Final = frozenset({"/audio/transcriptions", "/images/edits"})
"""Where an engine wants a form."""
FINISH_MAX_CHARS: Final = 64
"""Longest word for why an answer ended: it stays in the books, where nothing of an answer belongs."""
THOUGHT: Final = "reasoning_content"
THOUGHT_OTHERWISE: Final = "reasoning"
"""What a model thought, in its message and wherever a later call brings that back: most engines and clients know the
first name, vLLM and its clients the second."""
ABSENT = msgspec.Raw(b"")
"""A raw field that was not sent."""


def present(raw: msgspec.Raw) -> bool:
    """Whether a raw field was sent and is not null."""
    return bytes(raw) not in (b"", b"null")


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Message(msgspec.Struct):
    """An engine's message or delta, as far as it has to be understood."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    """The same in the words of vLLM; an engine may mean something else by it."""
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def thought(self) -> str | None:
        """What the model thought before it spoke, by whichever name its engine gives it."""
        other = self.reasoning
        return self.reasoning_content or (other if isinstance(other, str) else None)

    @property
    def delivered_bytes(self) -> int:
        """UTF-8 bytes of everything a client can read in it."""
        text = self.content
        size = (len(text) if text.isascii() else len(text.encode())) if text else 0
        for text in (self.thought, self.refusal):
            if text:
                size += len(text.encode())
        for call in self.tool_calls or ():
            if call.function is not None:
                size += len((call.function.name or "").encode()) + len((call.function.arguments or "").encode())
        return size


class Choice(msgspec.Struct):
    index: int = 0
    message: Message | None = None
    delta: Message | None = None
    text: str | None = None
    finish_reason: Annotated[str, msgspec.Meta(max_length=FINISH_MAX_CHARS)] | None = None
    stop_reason: Any = None
    """The stop sequence that ended it, where an engine says so."""
    usage: msgspec.Raw = ABSENT
    """Where an engine writes it here instead of beside the choices."""

    @property
    def well_formed(self) -> bool:
        """Whether each tool call of a whole answer can be answered, which takes an id."""
        tools = None if self.message is None else self.message.tool_calls
        return not tools or all(call.id for call in tools)

    @property
    def delivered_bytes(self) -> int:
        part = self.message or self.delta
        size = part.delivered_bytes if part is not None else 0
        return size + len(self.text.encode()) if self.text else size


class Completion(msgspec.Struct):
    """An engine's whole answer, or one chunk of a streamed one."""

    id: str = ""
    created: int = 0
    choices: list[Choice] = []
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT

    @property
    def finished(self) -> bool:
        return any(choice.finish_reason for choice in self.choices)

    @property
    def delivered_bytes(self) -> int:
        choices = self.choices
        return choices[0].delivered_bytes if len(choices) == 1 else sum(one.delivered_bytes for one in choices)

    @property
    def text(self) -> str:
        """All readable text, for counting tokens where the engine gives no usage."""
        parts: list[str] = []
        for choice in self.choices:
            part = choice.message or choice.delta
            parts.append(choice.text or "")
            if part is not None:
                parts += [part.thought or "", part.content or ""]
                parts += [
                    (call.function.name or "") + (call.function.arguments or "")
                    for call in part.tool_calls or ()
                    if call.function is not None
                ]
        return "".join(parts)


class Metadata(msgspec.Struct):
    """What is acted on of a request's `metadata`; the rest of it stays here and is not kept."""

    tags: list[str] | str | None = None


def tags_of(metadata: Metadata | None) -> tuple[str, ...]:
    """What a call is counted under: `metadata.tags`, a list or, where a protocol allows texts alone, names with commas
    between them. CallError 400 for too many, too long, or signs that can't be shown."""
    return () if metadata is None or not metadata.tags else tags_named(metadata.tags, "metadata.tags")


def tags_named(names: str | list[str], where: str) -> tuple[str, ...]:
    """Tags as they are counted, out of what stands at `where`: a list, or names with commas between them."""
    given = names.split(",") if isinstance(names, str) else names
    tags = tuple(sorted({name.strip() for name in given} - {""}))
    if len(tags) > TAGS_MAX:
        raise invalid(f"A call has at most {TAGS_MAX} tags, not {len(tags)}.", where, "array_above_max_length")
    for tag in tags:
        if len(tag) > TAG_MAX_CHARS or not tag.isprintable():
            text = f"A tag has 1 to {TAG_MAX_CHARS} signs that can be shown."
            raise invalid(text, where, "invalid_value")
    return tags


class PlainMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message that is a role and a text."""

    role: str
    content: str


class PlainChat(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What most callers send: a chat of texts, and of the other known fields those that only the engine reads.

    Understood in one step and written again in one; whoever sends anything else is understood the long way.
    """

    model: str
    messages: list[PlainMessage]
    max_tokens: int | None = None
    stream: msgspec.UnsetType | bool | None = msgspec.UNSET
    temperature: msgspec.Raw = ABSENT
    top_p: msgspec.Raw = ABSENT
    top_k: msgspec.Raw = ABSENT
    frequency_penalty: msgspec.Raw = ABSENT
    presence_penalty: msgspec.Raw = ABSENT
    seed: msgspec.Raw = ABSENT
    user: msgspec.Raw = ABSENT


class Pictures(msgspec.Struct, frozen=True):
    """What a call for pictures asks: how many, and of how many points each (0 = the engine decides); how many it brings
    along; whether they come as `data:` URLs."""

    asked: int
    points: int = 0
    brought: int = 0
    addressed: bool = False


class Parsed(msgspec.Struct):
    """A request understood: what admission, routing and metering need, and the body to send on.

    `body` maps top-level keys to raw JSON; the pipeline sets `model`, `max_tokens` and `stream_options` in it. What is
    `plain` is sent on as that.
    """

    model: str
    body: dict[str, Any]
    plain: PlainChat | None = None
    path: str = "/chat/completions"
    text_bytes: int = 0
    messages: int = 1
    max_tokens: int | None = None
    max_tokens_field: str | None = "max_tokens"
    answers: int = 1
    stream: bool = False
    wants_usage: bool = False
    needs: frozenset[str] = frozenset()
    kind: str = "chat"
    prompt_messages: Any = None
    prompt_text: str | None = None
    """The prompt where it is no conversation, for counting its tokens."""
    must_call: str | None = None
    """The tool that has to be called; empty = any of them, None = the model decides."""
    effort: str | None = None
    """How much to think, see `thinking.effort_of`."""
    unseen: bool = False
    """Whether thoughts would be shown to nobody."""
    echo: Any = None
    fixed_tokens: int | None = None
    """What the call reads, where the request says it all: charged as it is, whatever the engine claims."""
    tags: tuple[str, ...] = ()
    """What the caller wants it counted under; see `tags_of`."""
    media: bytes = b""
    """Type of the answer where it is not JSON."""
    form: Callable[[Mapping[str, Any]], bytes] | None = None
    """Makes the body for the engine where that is no JSON, of its fields."""
    pictures: Pictures | None = None


class StreamWriter(Protocol):
    """Turns an engine's chunks into the face's events."""

    def chunk(self, event: bytes, chunk: Completion) -> bytes:
        """Bytes that may leave now; what tells a client that the answer ended is kept for `finish`."""
        ...

    def finish(self, buckets: Buckets) -> bytes:
        """The closing events; called after the capture is durable."""
        ...

    def broken(self, error: CallError, request_id: str) -> bytes:
        """The event that ends a stream which can't go on."""
        ...


class Face(Protocol):
    """One protocol endpoint."""

    name: str
    heartbeat: bytes
    """What tells the client of a stream that it is alive, and nothing else."""

    def parse(self, body: bytes) -> Parsed: ...

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes: ...

    def writer(self, parsed: Parsed, call_id: str, upstream: str) -> StreamWriter: ...

    def error(self, error: CallError, request_id: str) -> bytes: ...
