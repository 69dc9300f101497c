"""`/v1/messages` and `/v1/messages/count_tokens`: Anthropic's protocol over an engine's chat call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.base import THOUGHT, Completion, Metadata, Parsed, StreamWriter, tags_of
from shanhe.gateway.faces.conversation import begun_by_system, size_of
from shanhe.gateway.faces.reading import STOPS_MAX, bounded_tokens, decode, picture_needs
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.sse import event_bytes
from shanhe.gateway.thinking import OFF, TYPES, Thinking

_encode = msgspec.json.Encoder().encode

STOP_REASON: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
EFFORT: Final = {"xhigh": "high", "max": "high"}
"""Efforts that only this protocol knows, as the highest that engines do."""
FAILED: Final = "Error: "
"""Before what a tool said that failed (`is_error`)."""
UNSERVED: Final[Mapping[str, tuple[Any, ...]]] = {
    "mcp_servers": (), "container": (), "thread": (), "compaction": (), "fallbacks": ("default",),
    "billing_policy": ({"type": "billing_policy", "bill_to": "self"},), "inference_geo": ("global",),
}  # fmt: skip
"""What would change an answer, who sees it or who pays and is not done here, and the values that ask for nothing."""
PING: Final = event_bytes(b'{"type":"ping"}', b"ping")
CALLER: Final = {"type": "direct"}
"""Who asked for a tool: always the model itself."""


class Block(msgspec.Struct):
    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    content: Any = None
    thinking: str | None = None
    source: Any = None
    title: str | None = None
    citations: Any = None
    is_error: bool | None = None


class Turn(msgspec.Struct):
    role: str
    content: str | list[Block]


class Tool(msgspec.Struct):
    name: str
    description: str | None = None
    input_schema: Any = None
    type: str | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputFormat(msgspec.Struct):
    type: str
    schema: Any = None


class OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: OutputFormat | None = None


class MessagesRequest(msgspec.Struct):
    model: str
    messages: list[Turn]
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    mcp_servers: Any = None
    container: Any = None
    thread: Any = None
    compaction: Any = None
    fallbacks: Any = None
    billing_policy: Any = None
    inference_geo: str | None = None
    metadata: Metadata | None = None


_request = msgspec.json.Decoder(MessagesRequest)


def _text(value: Any) -> str:
    """Plain text of a string or of a list of text blocks."""
    if isinstance(value, str):
        return value
    parts: list[str] = []
    for block in value or ():
        kind = block.type if isinstance(block, Block) else block.get("type") if isinstance(block, dict) else None
        if kind != "text":
            raise invalid(f"Only text blocks can stand here, not {kind!r}.", "messages", "unsupported_content")
        parts.append((block.text if isinstance(block, Block) else block.get("text")) or "")
    return "\n".join(parts)


def _assistant(turn: Turn) -> list[dict[str, Any]]:
    if isinstance(turn.content, str):
        return [{"role": "assistant", "content": turn.content}]
    texts, calls, thoughts = [], [], []
    for block in turn.content:
        if block.type == "text":
            texts.append(block.text or "")
        elif block.type == "thinking":
            thoughts.append(block.thinking or "")
        elif block.type == "tool_use":
            arguments = _encode(block.input if block.input is not None else {}).decode()
            calls.append({"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}})
        elif block.type != "redacted_thinking":
            raise invalid(f"An assistant turn can't hold {block.type!r}.", "messages", "unsupported_content")
    message: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts) or None}
    if thought := "\n".join(thoughts):
        message[THOUGHT] = thought
    if calls:
        message["tool_calls"] = calls
    return [message]


def _user(turn: Turn, needs: set[str]) -> list[dict[str, Any]]:
    if isinstance(turn.content, str):
        return [{"role": "user", "content": turn.content}]
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in turn.content:
        if block.type == "text":
            parts.append({"type": "text", "text": block.text or ""})
        elif block.type == "tool_result":
            text, seen = _result(block, needs)
            results.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": text})
            parts += seen
        elif block.type == "document" and isinstance(block.source, dict) and block.source.get("type") == "text":
            if isinstance(block.citations, dict) and block.citations.get("enabled"):
                raise invalid("citations: none are made here; leave it out.", "messages", "unsupported_parameter")
            parts.append({"type": "text", "text": f"{block.title or ''}\n{block.source.get('data', '')}".strip()})
        elif block.type == "image":
            parts.append(_image(block.source, needs))
        else:
            raise invalid(f"A user turn can't hold {block.type!r}.", "messages", "unsupported_content")
    if any(part["type"] != "text" for part in parts):
        results.append({"role": "user", "content": parts})
    elif parts:
        results.append({"role": "user", "content": "\n".join(part["text"] for part in parts)})
    return results


def _result(block: Block, needs: set[str]) -> tuple[str, list[dict[str, Any]]]:
    """(what a tool said, the pictures it showed): a chat takes pictures from users alone and marks no failure."""
    content = [{"type": "text", "text": block.content}] if isinstance(block.content, str) else block.content or []
    pictures = [part for part in content if isinstance(part, dict) and part.get("type") == "image"]
    text = _text([part for part in content if part not in pictures])
    return FAILED + text if block.is_error else text, [_image(part.get("source"), needs) for part in pictures]


def _image(source: Any, needs: set[str]) -> dict[str, Any]:
    url = _image_url(source)
    needs |= picture_needs(url, "messages")
    return {"type": "image_url", "image_url": {"url": url}}


def _image_url(source: Any) -> str:
    if isinstance(source, dict) and source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if isinstance(source, dict) and source.get("type") == "url":
        return str(source.get("url"))
    raise invalid("An image needs a source of type base64 or url.", "messages", "unsupported_content")


def _tools(request: MessagesRequest, body: dict[str, Any]) -> str | None:
    """Write the tools into `body`; the one that has to be called, see `Parsed.must_call`."""
    for tool in request.tools or ():
        if tool.type not in {None, "custom"}:
            text = f"tools: {tool.type!r} is a tool of the model's maker and not offered here; declare your own."
            raise invalid(text, "tools", "unsupported")
    body["tools"] = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description or "",
                "parameters": tool.input_schema or {"type": "object", "properties": {}},
                **({} if tool.strict is None else {"strict": tool.strict}),
            },
        }
        for tool in request.tools or ()
    ]
    choice = request.tool_choice
    if choice is None:
        return None
    if choice.disable_parallel_tool_use:
        body["parallel_tool_calls"] = False
    if choice.type == "tool" and any(tool.name == choice.name for tool in request.tools or ()):
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
        return choice.name
    if choice.type == "any":
        body["tool_choice"] = "required"
        return ""
    if choice.type not in {"auto", "none"}:
        raise invalid(f"tool_choice: {choice.name or choice.type!r} names no tool of this request.", "tool_choice")
    if choice.type == "none":
        body["tool_choice"] = "none"
    return None


def _shape(request: MessagesRequest, body: dict[str, Any]) -> None:
    """What form the answer has to have."""
    config = request.output_config or OutputConfig()
    if (form := config.format or request.output_format) is not None:
        if form.type != "json_schema" or not isinstance(form.schema, dict):
            raise invalid(f"output_config: format {form.type!r} must be json_schema with a schema", "output_config")
        schema = {"name": "answer", "schema": form.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _effort(request: MessagesRequest) -> str | None:
    """How much to think, as far as the request says so."""
    said = None if request.thinking is None else TYPES.get(request.thinking.type)
    degree = None if request.output_config is None else request.output_config.effort
    return said if said == OFF or degree is None else EFFORT.get(degree, degree)


class Messages:
    """`POST /v1/messages`."""

    name = "anthropic.messages"
    heartbeat = PING
    needs_max_tokens = True

    def parse(self, body: bytes) -> Parsed:
        request = decode(_request, body)
        if self.needs_max_tokens and request.max_tokens is None:
            raise invalid("max_tokens: Field required", "max_tokens", "missing")
        if not request.messages:
            raise invalid("messages: at least one message is required", "messages", "empty_array")
        for field, harmless in UNSERVED.items():
            if (given := getattr(request, field)) and given not in harmless:
                raise invalid(f"{field}: not offered here; leave it out.", field, "unsupported_parameter")
        needs: set[str] = set()
        messages: list[dict[str, Any]] = []
        if request.system:
            messages.append({"role": "system", "content": _text(request.system)})
        for turn in request.messages:
            if turn.role == "system":
                messages.append({"role": "system", "content": _text(turn.content)})
            elif turn.role not in {"user", "assistant"}:
                raise invalid(f"messages: role {turn.role!r} must be user, assistant or system", "messages")
            else:
                messages += _user(turn, needs) if turn.role == "user" else _assistant(turn)
        messages = begun_by_system(messages)
        fields: dict[str, Any] = {"messages": messages}
        for name in ("temperature", "top_p", "top_k"):
            if (value := getattr(request, name)) is not None:
                fields[name] = value
        if request.stop_sequences:
            if len(request.stop_sequences) > STOPS_MAX:
                raise invalid(f"stop_sequences: at most {STOPS_MAX}", "stop_sequences", "array_above_max_length")
            fields["stop"] = request.stop_sequences
        _shape(request, fields)
        chosen = None
        if request.tools:
            needs.add("tools")
            chosen = _tools(request, fields)
        elif request.tool_choice is not None and request.tool_choice.type in {"any", "tool"}:
            raise invalid("tool_choice: is for requests with tools", "tool_choice")
        return Parsed(
            model=request.model,
            body=fields,
            text_bytes=size_of(fields),
            messages=len(messages),
            max_tokens=bounded_tokens(request.max_tokens, "max_tokens"),
            stream=bool(request.stream),
            wants_usage=True,
            needs=frozenset(needs),
            prompt_messages=messages,
            must_call=chosen,
            tags=tags_of(request.metadata),
            effort=_effort(request),
            unseen=request.thinking is None,
            echo=request.thinking is not None and request.thinking.type != "disabled",
        )

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        choice = completion.choices[0]
        content: list[dict[str, Any]] = []
        if choice.message is not None:
            if parsed.echo and (thought := choice.message.thought):
                content.append({"type": "thinking", "thinking": thought, "signature": ""})
            if choice.message.content:
                content.append({"type": "text", "text": choice.message.content, "citations": []})
            for call in choice.message.tool_calls or ():
                content.append(
                    _tool_use(
                        call.id,
                        call.function.name if call.function else None,
                        call.function.arguments if call.function else None,
                    )
                )
        return _encode(
            {
                "id": f"msg_{completion.id}",
                "type": "message",
                "role": "assistant",
                "model": parsed.model,
                "content": content,
                **_stopped(
                    choice.finish_reason,
                    choice.stop_reason,
                    called=choice.message is not None and bool(choice.message.tool_calls),
                ),
                "stop_details": None,
                "container": None,
                "usage": anthropic_usage(metered.buckets),
            }
        )

    def writer(self, parsed: Parsed, call_id: str, upstream: str) -> StreamWriter:
        return MessageEvents(parsed.model, call_id, thinks=parsed.echo)

    def error(self, error: CallError, request_id: str) -> bytes:
        return anthropic_error(error, request_id)


class CountTokens(Messages):
    """`POST /v1/messages/count_tokens`: same request, no answer and no charge."""

    name = "anthropic.count_tokens"
    needs_max_tokens = False


def _stopped(finish: str | None, sequence: Any, *, called: bool) -> dict[str, Any]:
    """Why an answer ended; the stop sequence where the engine names it. `called`: it asks for tools, which some engines
    end like any other answer."""
    if called and finish in {"stop", None}:
        finish = "tool_calls"
    if finish == "stop" and isinstance(sequence, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": STOP_REASON.get(finish or "stop", "end_turn"), "stop_sequence": None}


def _tool_use(call_id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    try:
        parsed = msgspec.json.decode((arguments or "{}").encode())
    except msgspec.DecodeError:
        parsed = {"arguments": arguments}
    return {"type": "tool_use", "id": call_id, "name": name, "input": parsed, "caller": CALLER}


def anthropic_error(error: CallError, request_id: str) -> bytes:
    """The error object of the Anthropic protocol."""
    return _encode(
        {
            "type": "error",
            "error": {"type": error.anthropic_type, "message": error.anthropic_message},
            "request_id": request_id,
        }
    )


def anthropic_usage(buckets: Buckets) -> dict[str, Any]:
    return {**used(buckets), "cache_creation": None, "service_tier": "standard", "inference_geo": None}


def used(buckets: Buckets) -> dict[str, Any]:
    """`usage` as it stands at the end of a stream."""
    return {
        "input_tokens": buckets.input,
        "cache_creation_input_tokens": buckets.cache_write,
        "cache_read_input_tokens": buckets.cached_input,
        "output_tokens": buckets.completion,
        "output_tokens_details": {"thinking_tokens": buckets.reasoning},
        "server_tool_use": None,
    }


class MessageEvents:
    """Anthropic's event sequence, one content block at a time."""

    def __init__(self, model: str, call_id: str, *, thinks: bool) -> None:
        self._model = model
        self._thinks = thinks
        self._id = f"msg_{call_id}"
        self._started = False
        self._block = -1
        self._kind: str | None = None
        self._tool_index: int | None = None
        self._called: set[int | None] = set()
        self._finish = "stop"
        self._sequence: Any = None

    def _emit(self, name: str, /, **fields: Any) -> bytes:
        return event_bytes(_encode({"type": name, **fields}), name.encode())

    def _start(self) -> bytes:
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": anthropic_usage(Buckets()),
        }
        return self._emit("message_start", message=message)

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        out = self._close()
        self._block += 1
        self._kind = kind
        return out + self._emit("content_block_start", index=self._block, content_block=block)

    def _close(self) -> bytes:
        if self._kind is None:
            return b""
        self._kind = None
        return self._emit("content_block_stop", index=self._block)

    def chunk(self, event: bytes, chunk: Completion) -> bytes:
        out = b"" if self._started else self._start()
        for choice in chunk.choices[:1]:
            self._finish = choice.finish_reason or self._finish
            self._sequence = choice.stop_reason or self._sequence
            delta = choice.delta
            if delta is None:
                continue
            if self._thinks and (thought := delta.thought):
                if self._kind != "thinking":
                    out += self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                part = {"type": "thinking_delta", "thinking": thought}
                out += self._emit("content_block_delta", index=self._block, delta=part)
            if delta.content:
                if self._kind != "text":
                    out += self._open("text", {"type": "text", "text": "", "citations": []})
                out += self._emit(
                    "content_block_delta", index=self._block, delta={"type": "text_delta", "text": delta.content}
                )
            for call in delta.tool_calls or ():
                name = call.function.name if call.function else None
                if self._kind != "tool" or (call.index is not None and call.index != self._tool_index):
                    if call.index in self._called:  # blocks follow one another, and this one's is closed
                        raise msgspec.ValidationError("the engine goes back to a tool call that had ended")
                    self._tool_index = call.index
                    self._called.add(call.index)
                    block = {"type": "tool_use", "id": call.id, "name": name, "input": {}, "caller": CALLER}
                    out += self._open("tool", block)
                if call.function is not None and call.function.arguments:
                    part = {"type": "input_json_delta", "partial_json": call.function.arguments}
                    out += self._emit("content_block_delta", index=self._block, delta=part)
        return out

    def finish(self, buckets: Buckets) -> bytes:
        out = b"" if self._started else self._start()
        out += self._close()
        delta = {
            **_stopped(self._finish, self._sequence, called=bool(self._called)),
            "stop_details": None,
            "container": None,
        }
        out += self._emit("message_delta", delta=delta, usage=used(buckets))
        return out + self._emit("message_stop")

    def broken(self, error: CallError, request_id: str) -> bytes:
        return event_bytes(anthropic_error(error, request_id), b"error")
