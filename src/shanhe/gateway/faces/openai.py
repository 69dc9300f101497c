"""`/v1/chat/completions`: what engines speak, so bytes pass through."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.base import (
    ABSENT,
    THOUGHT,
    THOUGHT_OTHERWISE,
    Completion,
    Metadata,
    Parsed,
    PlainChat,
    StreamWriter,
    present,
    tags_of,
)
from shanhe.gateway.faces.reading import (
    bounded_answers,
    bounded_stops,
    bounded_tokens,
    decode,
    picture_needs,
    utf8_size,
)
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.sse import COMMENT, EVENT_MAX_BYTES, EventTooLarge, event_bytes
from shanhe.gateway.thinking import Wish, effort_of

IMAGE_TOKENS = 4096
"""Allowance for an image: what the dearest common vision encoders make of one."""
DONE_EVENT = b"data: [DONE]\n\n"


class Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    input_audio: msgspec.Raw = ABSENT
    file: msgspec.Raw = ABSENT
    image_url: msgspec.Raw = ABSENT


class Picture(msgspec.Struct):
    url: str


class RequestMessage(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Named(msgspec.Struct):
    name: str
    cache_control: msgspec.Raw = ABSENT


class Tool(msgspec.Struct):
    type: str = ""
    function: Named | None = None
    name: str | None = None
    """Of a function in the form of another protocol, which clients mistake for this one."""
    cache_control: msgspec.Raw = ABSENT


class AllowedTools(msgspec.Struct):
    mode: str
    tools: list[Tool]


class ToolChoice(msgspec.Struct, omit_defaults=True):
    type: str
    function: Named | None = None
    allowed_tools: AllowedTools | None = None


class ChatRequest(Wish, kw_only=True):
    """The fields this gateway acts on; CHAT_FIELDS names all that reach the engine."""

    model: str
    messages: list[RequestMessage] = msgspec.field(default_factory=list)
    input: msgspec.Raw = ABSENT
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: msgspec.Raw = ABSENT
    tool_choice: str | ToolChoice | None = None
    response_format: msgspec.Raw = ABSENT
    stop: str | list[str] | None = None
    modalities: list[str] | None = None
    metadata: Metadata | None = None


_chat = msgspec.json.Decoder(ChatRequest)
_plain = msgspec.json.Decoder(PlainChat)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_tools = msgspec.json.Decoder(list[Tool])
_answer = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode

REFUSAL_KEY, ASSISTANT = b'"refusal"', b'"role":"assistant"'
"""Quotes inside a text are escaped, so these are a key and a pair wherever they stand."""
SAMPLING = {
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repeat_penalty", "logit_bias",
    "logprobs", "n", "seed", "stop", "user",
}  # fmt: skip
CHAT_FIELDS = frozenset(SAMPLING) | {
    "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "top_logprobs", "verbosity",
}  # fmt: skip
"""What reaches an engine. Anything else stays here: engines have fields of their own that would undo the bounds a call
was admitted under (llama.cpp's `n_predict` overrides `max_tokens`) or put text into the prompt that nobody measured."""
ELSEWISE: Final = (
    "This tool is in the form of another protocol. Here it is"
    ' {"type": "function", "function": {"name": …, "parameters": …}}; /v1/responses and /v1/messages take the others.'
)
RESPONSES: Final = "This is a call of the Responses protocol: send it to /v1/responses, or send messages."
MODERATION: Final = "No verdicts of a moderation come with answers here; leave it out."
UNSERVED: Final[Mapping[str, str]] = {
    "functions": "functions is the older form of tools; send tools.",
    "function_call": "function_call is the older form of tool_choice; send tool_choice.",
    "web_search_options": "No model here searches the web by itself; give it a tool that does.",
    "audio": "Answers here are text; ask /v1/audio/speech to say them.",
    "moderation": MODERATION,
}
"""What would change an answer and is not done here: said, not left out in silence."""
MESSAGE_CORE = frozenset({"role", "content"})
MESSAGE_FIELDS = MESSAGE_CORE | {
    "name", "tool_calls", "tool_call_id", "function_call", "refusal", THOUGHT
}  # fmt: skip
PART_FIELDS = frozenset({"type", "text", "refusal", "image_url", "input_audio", "file"})
MARK: Final = "cache_control"
"""Where a caller wants a prefix cached. Upstreams that heed it take more for what they write than for what they read,
and a call has one price for both, so it stays here."""
DEVELOPER: Final = b'"developer"'
SYSTEM: Final = msgspec.Raw(b'"system"')
"""What the one role is called by the templates of nearly all models, which drop the other in silence or refuse it."""
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def _message_bytes(message: RequestMessage, needs: set[str], position: int) -> int:
    if message.role not in ROLES:
        raise invalid(f"messages[{position}].role {message.role!r} is not a role.", f"messages[{position}].role")
    size = 0
    if isinstance(message.content, str):
        return utf8_size(message.content)
    for part in message.content or ():
        size += utf8_size(part.text or "") + utf8_size(part.refusal or "")
        if part.type in {"text", "refusal"}:
            continue
        if part.type == "image_url":
            needs |= _picture(part.image_url, position)
            size += IMAGE_TOKENS
        elif part.type in {"input_audio", "file"}:
            needs.add("audio" if part.type == "input_audio" else "file")
            size += len(bytes(part.input_audio)) + len(bytes(part.file))
        else:
            raise invalid(f"Content parts of type {part.type!r} are not known.", f"messages[{position}].content")
    return size


def _picture(raw: msgspec.Raw, position: int) -> frozenset[str]:
    field = f"messages[{position}].content"
    try:
        found = msgspec.json.decode(raw, type=Picture | str)
    except (msgspec.MsgspecError, TypeError) as error:
        raise invalid('A picture is {"url": …}.', field) from error
    return picture_needs(found if isinstance(found, str) else found.url, field)


def sent_messages(raw: msgspec.Raw) -> tuple[Any, int]:
    """(the messages with known fields only, bytes of the fields beside role and content): what a template can see.

    A null that many programs write and no engine needs is left out: llama.cpp refuses the call for some of them.
    """
    rows = decode(_rows, bytes(raw))
    size, foreign = 0, False
    for row in rows:
        if (parts := sent_parts(row.get("content", ABSENT))) is not None:
            foreign = True
            row["content"] = parts
        if bytes(row["role"]) == DEVELOPER:
            foreign = True
            row["role"] = SYSTEM
        if row.keys() <= MESSAGE_CORE:
            continue
        for name in [name for name, value in row.items() if name != "content" and bytes(value) == b"null"]:
            foreign = True
            del row[name]
        if (other := row.get(THOUGHT_OTHERWISE)) is not None and bytes(other).startswith(b'"'):
            row.setdefault(THOUGHT, other)
            foreign = True
        for name in list(row):
            if name not in MESSAGE_FIELDS:
                foreign = True
                del row[name]
            elif name not in MESSAGE_CORE:
                size += len(bytes(row[name]))
    return (rows if foreign else raw), size


def sent_parts(content: msgspec.Raw) -> msgspec.Raw | None:
    """A content's parts with known fields only; None where it has no others."""
    if bytes(memoryview(content)[:1]) != b"[":
        return None
    parts = _rows.decode(content)
    if all(part.keys() <= PART_FIELDS for part in parts):
        return None
    return msgspec.Raw(_encode([{name: part[name] for name in part if name in PART_FIELDS} for part in parts]))


def served(given: Mapping[str, msgspec.Raw]) -> None:
    """CallError 400 for a field that is known and not done here."""
    for name in UNSERVED.keys() & given.keys():
        if present(given[name]):
            raise invalid(UNSERVED[name], name, "unsupported_parameter")


def tool_names(raw: msgspec.Raw, fields: dict[str, Any]) -> list[str]:
    """Names of the declared functions; CallError 400 for other kinds of tools. Marks of a cache are left out of
    `fields`."""
    names: list[str] = []
    marked = False
    tools: list[Tool] = decode(_tools, bytes(raw), "tools") if present(raw) else []
    for at, tool in enumerate(tools):
        if tool.type != "function" or tool.function is None:
            if tool.name is not None:
                raise invalid(ELSEWISE, f"tools[{at}]", "invalid_type")
            raise invalid(
                f"Tools of type {tool.type!r} are not supported; declare functions.", f"tools[{at}].type", "unsupported"
            )
        names.append(tool.function.name)
        marked = marked or present(tool.cache_control) or present(tool.function.cache_control)
    if marked:
        rows = fields["tools"] = msgspec.json.decode(raw)
        for row in rows:
            for owner in (row, row["function"]):
                owner.pop(MARK, None)
    return names


def must_call(choice: str | ToolChoice | None, names: Collection[str], fields: dict[str, Any]) -> str | None:
    """The tool that has to be called, see `Parsed.must_call`; CallError 400 for a choice that can't be made.

    A choice among some of the tools is written into `fields` as those tools alone: few engines read it otherwise.
    """
    if choice in (None, "auto", "none"):
        if not names:
            fields.pop("tool_choice", None)
        return None
    if not names:
        raise invalid("tool_choice is for requests with tools.", "tool_choice")
    if choice == "required":
        return ""
    if isinstance(choice, ToolChoice) and choice.type == "function" and choice.function is not None:
        if choice.function.name in names:
            return choice.function.name
    elif isinstance(choice, ToolChoice) and choice.type == "allowed_tools" and (few := choice.allowed_tools):
        allowed = {tool.function.name for tool in few.tools if tool.function is not None}
        if allowed and allowed <= set(names) and few.mode in {"auto", "required"}:
            tools = msgspec.json.decode(_encode(fields["tools"]))
            fields["tools"] = [tool for tool in tools if tool["function"]["name"] in allowed]
            fields["tool_choice"] = few.mode
            return "" if few.mode == "required" else None
    raise invalid("tool_choice is none, auto, required, or names tools of this request.", "tool_choice")


class Chat:
    """`POST /v1/chat/completions`."""

    name = "openai.chat"
    heartbeat = COMMENT

    def parse(self, body: bytes) -> Parsed:
        try:
            plain = _plain.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._parse(body)
        return parse_plain(plain) if plain.messages and not plain.stream else self._parse(body)

    def _parse(self, body: bytes) -> Parsed:
        request = decode(_chat, body)
        if not request.messages:
            if present(request.input):
                raise invalid(RESPONSES, "input", "unknown_parameter")
            raise invalid("messages must hold at least one message.", "messages", "empty_array")
        needs: set[str] = set()
        size = sum(_message_bytes(message, needs, at) for at, message in enumerate(request.messages))
        size += sum(len(bytes(raw)) for raw in (request.tools, request.response_format) if present(raw))
        if present(request.response_format) and bytes(request.response_format)[:1] != b"{":
            raise invalid("response_format must be an object.", "response_format", "invalid_type")
        if request.modalities and request.modalities != ["text"]:
            raise invalid(UNSERVED["audio"], "modalities", "unsupported_parameter")
        field = "max_completion_tokens" if request.max_completion_tokens is not None else "max_tokens"
        bounded_stops(request.stop)
        given = decode(_fields, body)
        served(given)
        messages, beside = sent_messages(given["messages"])
        fields: dict[str, Any] = {name: given[name] for name in given if name in CHAT_FIELDS}
        fields["messages"] = messages
        names = tool_names(request.tools, fields)
        if names:
            needs.add("tools")
        return Parsed(
            model=request.model,
            body=fields,
            text_bytes=size + beside,
            messages=len(request.messages),
            max_tokens=bounded_tokens(getattr(request, field), field),
            max_tokens_field=field,
            answers=bounded_answers(request.n),
            stream=bool(request.stream),
            wants_usage=bool(request.stream_options and request.stream_options.include_usage),
            needs=frozenset(needs),
            prompt_messages=fields["messages"],
            must_call=must_call(request.tool_choice, names, fields),
            effort=effort_of(request),
            tags=tags_of(request.metadata),
        )

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        if parsed.path == "/chat/completions" and REFUSAL_KEY not in body:
            body = with_refusals(body, len(completion.choices))
        if upstream == parsed.model and metered.verbatim:
            return body
        fields: dict[str, Any] = _fields.decode(body)
        fields["model"] = parsed.model
        fields["usage"] = openai_usage(metered.buckets)
        return _encode(fields)

    def writer(self, parsed: Parsed, call_id: str, upstream: str) -> StreamWriter:
        return PassThrough(parsed, upstream)

    def error(self, error: CallError, request_id: str) -> bytes:
        return openai_error(error)


def with_refusals(body: bytes, choices: int) -> bytes:
    """The answer with `refusal: null` in its messages: the protocol requires the field, most engines leave it out."""
    if body.count(ASSISTANT) == choices:
        return body.replace(ASSISTANT, ASSISTANT + b"," + REFUSAL_KEY + b":null")
    fields: dict[str, Any] = _fields.decode(body)
    rows: list[dict[str, Any]] = _rows.decode(fields["choices"])
    for row in rows:
        if "message" in row:
            row["message"] = {**_fields.decode(row["message"]), "refusal": None}
    return _encode({**fields, "choices": rows})


def parse_plain(plain: PlainChat) -> Parsed:
    """A chat of texts, not streamed."""
    size = 0
    for at, message in enumerate(plain.messages):
        text = message.content
        size += len(text) if text.isascii() else utf8_size(text)
        if message.role not in ROLES:
            raise invalid(f"messages[{at}].role {message.role!r} is not a role.", f"messages[{at}].role")
        if message.role == "developer":
            message.role = "system"
    return Parsed(
        model=plain.model,
        body={},
        plain=plain,
        text_bytes=size,
        messages=len(plain.messages),
        max_tokens=bounded_tokens(plain.max_tokens, "max_tokens"),
        prompt_messages=plain.messages,
    )


def openai_error(error: CallError) -> bytes:
    """The error object of the OpenAI protocol."""
    return _encode(
        {
            "error": {
                "message": error.openai_message, "type": error.openai_type, "param": error.param, "code": error.code,
            }
        }
    )  # fmt: skip


class PassThrough:
    """Chunks leave as the engine wrote them; those that end an answer wait for the capture."""

    def __init__(self, parsed: Parsed, upstream: str) -> None:
        self._wants_usage = parsed.wants_usage
        self._model = parsed.model
        self._rename = upstream != parsed.model
        self._alone = parsed.answers == 1
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._first = b""
        self._last: dict[str, Any] | None = None

    def chunk(self, event: bytes, chunk: Completion) -> bytes:
        if not chunk.choices and present(chunk.usage):
            if self._wants_usage:
                self._last = _fields.decode(event[event.index(b"{") :])
            return b""
        self._first = self._first or event
        if self._rename or present(chunk.usage):
            fields: dict[str, Any] = _fields.decode(event[event.index(b"{") :])
            fields["model"] = self._model
            fields.pop("usage", None)
            event = b"data: " + _encode(fields)
        if chunk.finished or (self._held and self._alone):
            self._held.append(event + b"\n\n")
            self._held_bytes += len(event)
            if self._held_bytes > EVENT_MAX_BYTES:
                raise EventTooLarge
            return b""
        return event + b"\n\n"

    def finish(self, buckets: Buckets) -> bytes:
        out = list(self._held)
        if self._wants_usage:
            first = self._first[self._first.index(b"{") :] if self._first else b"{}"
            last: dict[str, Any] = self._last or _answer.decode(first)
            last["choices"] = []
            last["model"] = self._model
            last["usage"] = openai_usage(buckets)
            out.append(event_bytes(_encode(last)))
        out.append(DONE_EVENT)
        return b"".join(out)

    def broken(self, error: CallError, request_id: str) -> bytes:
        return event_bytes(openai_error(error))


def openai_usage(buckets: Buckets) -> dict[str, Any]:
    """The `usage` object: the buckets charged, not what an engine may have claimed."""
    return {
        "prompt_tokens": buckets.prompt,
        "completion_tokens": buckets.completion,
        "total_tokens": buckets.total,
        "prompt_tokens_details": {"cached_tokens": buckets.cached_input, "cache_write_tokens": buckets.cache_write},
        "completion_tokens_details": {"reasoning_tokens": buckets.reasoning},
    }
