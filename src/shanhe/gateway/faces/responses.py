"""`/v1/responses`: the OpenAI Responses protocol over an engine's chat call. Nothing is stored between calls."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.base import THOUGHT, Completion, Function, Metadata, Parsed, StreamWriter, ToolCall, tags_of
from shanhe.gateway.faces.conversation import begun_by_system
from shanhe.gateway.faces.openai import ToolChoice, must_call, openai_error
from shanhe.gateway.faces.reading import bounded_tokens, decode, utf8_size
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.sse import event_bytes

_encode = msgspec.json.Encoder().encode
_echo: Final = (
    "instructions", "temperature", "top_p", "max_output_tokens", "metadata", "tools", "tool_choice", "text", "user",
    "parallel_tool_calls", "reasoning", "max_tool_calls", "safety_identifier", "prompt_cache_key",
)  # fmt: skip
STORED: Final = "needs stored responses; answers are not stored here. Send the whole input"
UNSERVED: Final = {
    "previous_response_id": STORED,
    "background": STORED,
    "conversation": STORED,
    "prompt": "needs stored prompts; there are none here. Send instructions and input",
    "top_logprobs": "is not given here; ask /v1/chat/completions",
    "moderation": "is not done here: no verdicts come with answers. Leave it out",
}
CHOICE: Final = "tool_choice is none, auto, required, or names tools of this request."
UNUSED: Final[dict[str, Any]] = {
    "completed_at": None,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "background": False,
    "service_tier": "default",
}
"""Fields that the protocol requires in a response and that nothing here sets."""
PACKED: Final = "text:"
"""Before what `encrypted_content` holds: the thoughts' own text in base64. Nothing is kept here and nothing is secret
from who reads it in `content`, but many clients bring back that field alone."""
BETWEEN: Final = "__"
"""Between a namespace and the name of a function in it."""
TOOL_DEFAULTS: Final[dict[str, Any]] = {"description": None, "parameters": None, "strict": None}


class Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class ResponsesRequest(msgspec.Struct):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    text: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    moderation: Any = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    truncation: str | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    max_tool_calls: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class Asked(msgspec.Struct):
    """What an answer repeats of its request, and the names of functions in namespaces by what a chat calls them."""

    fields: dict[str, Any]
    spaces: dict[str, dict[str, str]]
    packs: bool
    """Whether thoughts are wanted in `encrypted_content` too."""


_request = msgspec.json.Decoder(ResponsesRequest)


def _content(value: Any, needs: set[str]) -> str | list[dict[str, Any]]:
    """Content in the words of a chat call: a string, or parts where there is an image among them."""
    if isinstance(value, str):
        return value
    parts: list[dict[str, Any]] = []
    for part in value if isinstance(value, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in {"input_text", "output_text", "text"}:
            parts.append({"type": "text", "text": str(part.get("text", ""))})
        elif kind == "refusal":
            parts.append({"type": "text", "text": str(part.get("refusal", ""))})
        elif kind == "input_image" and isinstance(part.get("image_url"), str):
            needs.add("vision")
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        else:
            raise invalid(f"Content of type {kind!r} can't be used here.", "input", "unsupported_content")
    if any(part["type"] != "text" for part in parts):
        return parts
    return "\n".join(part["text"] for part in parts)


def _messages(request: ResponsesRequest, needs: set[str]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if request.instructions:
        messages.append({"role": "system", "content": request.instructions})
    if isinstance(request.input, str):
        return [*messages, {"role": "user", "content": request.input}]
    thought = ""
    for item in request.input:
        kind = item.get("type", "message")
        if kind == "reasoning":
            thought += thought_of(item)
            continue
        if kind == "message":
            role = item.get("role")
            if role not in {"user", "assistant", "system", "developer"}:
                raise invalid(f"input: role {role!r} is not known.", "input")
            role = "system" if role == "developer" else role
            messages.append({"role": role, "content": _content(item.get("content"), needs)})
        elif kind == "function_call":
            function = {"name": chat_name(item), "arguments": item.get("arguments", "{}")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(call)  # calls of one turn stand in one message
        elif kind == "function_call_output":
            output = _content(item.get("output"), needs)
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
        elif kind == "item_reference":
            text = f"item_reference {STORED}, or set store to false where your client sends references."
            raise invalid(text, "input", "unsupported_content")
        else:
            raise invalid(f"input items of type {kind!r} are not supported.", "input", "unsupported_content")
        if thought and messages[-1]["role"] == "assistant":
            messages[-1][THOUGHT] = messages[-1].get(THOUGHT, "") + thought
        thought = ""
    return begun_by_system(messages)


def thought_of(item: Mapping[str, Any]) -> str:
    """What a reasoning item holds: its text, or that text packed where a client brings back no other; empty for one
    that another service made."""
    content = item.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    said = "".join(str(part.get("text", "")) for part in parts)
    packed = item.get("encrypted_content")
    if said or not isinstance(packed, str) or not packed.startswith(PACKED):
        return said
    try:
        return base64.b64decode(packed.removeprefix(PACKED), validate=True).decode()
    except ValueError:
        return ""


def chat_name(tool: Mapping[str, Any]) -> Any:
    """A function's name in a chat call, which knows no namespaces."""
    return f"{tool['namespace']}{BETWEEN}{tool['name']}" if tool.get("namespace") else tool.get("name")


def _functions(tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The declared functions, those in namespaces with the name of theirs; CallError 400 for other kinds of tools."""
    for at, tool in enumerate(tools):
        inside = tool.get("type") == "namespace" and isinstance(tool.get("name"), str)
        found = tool.get("tools") or () if inside else (tool,)
        if not isinstance(found, list | tuple) or not all(isinstance(one, dict) for one in found):
            raise invalid("A namespace holds a list of tools.", f"tools[{at}].tools", "invalid_type")
        for one in found:
            if one.get("type") != "function" or not isinstance(one.get("name"), str):
                text = (
                    f"Tools of type {one.get('type')!r} are not done here; declare functions, and switch such tools off"
                    " where your client offers them by itself."
                )
                raise invalid(text, f"tools[{at}]", "unsupported")
            yield {**one, "namespace": tool["name"]} if inside else one


def _tools(request: ResponsesRequest, fields: dict[str, Any], spaces: dict[str, dict[str, str]]) -> str | None:
    """Write the tools into `fields` and where those in namespaces come from into `spaces`; the one that has to be
    called, see `Parsed.must_call`."""
    tools: list[dict[str, Any]] = []
    names: list[str] = []
    for one in _functions(request.tools or []):
        name = chat_name(one)
        function = {"name": name} | {key: one[key] for key in ("description", "parameters", "strict") if key in one}
        tools.append({"type": "function", "function": function})
        names.append(name)
        if "namespace" in one:
            spaces[name] = {"name": one["name"], "namespace": one["namespace"]}
    if tools:
        fields["tools"] = tools
        if request.parallel_tool_calls is not None:
            fields["parallel_tool_calls"] = request.parallel_tool_calls
    choice: str | ToolChoice | None = None
    if request.tool_choice is not None:
        choice = fields["tool_choice"] = _chosen(request.tool_choice)
    return must_call(choice, names, fields)


def _chosen(choice: Any) -> str | ToolChoice:
    """A choice of tools in the words of a chat call: there the names stand one level deeper."""
    if isinstance(choice, str):
        return choice
    try:
        few = [{"type": tool.get("type"), "function": {"name": chat_name(tool)}} for tool in choice.get("tools", ())]
        asked = {
            "type": choice.get("type"),
            "function": {"name": chat_name(choice)} if "name" in choice else None,
            "allowed_tools": {"mode": choice.get("mode"), "tools": few} if few else None,
        }
        return msgspec.convert(asked, ToolChoice)
    except (AttributeError, TypeError, msgspec.ValidationError) as error:
        raise invalid(CHOICE, "tool_choice", "invalid_type") from error


def _shape(text: Mapping[str, Any]) -> dict[str, Any]:
    """How the answer has to be written, in the words of a chat call; CallError 400 for a form that is not known."""
    fields: dict[str, Any] = {}
    if (verbosity := text.get("verbosity")) is not None:
        fields["verbosity"] = verbosity
    shape = text.get("format") or {"type": "text"}
    if not isinstance(shape, dict):
        raise invalid("text.format must be an object.", "text.format", "invalid_type")
    kind = shape.get("type")
    if kind == "json_schema":
        schema = {key: shape[key] for key in ("name", "schema", "strict") if key in shape}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif kind == "json_object":
        fields["response_format"] = {"type": "json_object"}
    elif kind != "text":
        raise invalid("text.format is text, json_schema or json_object.", "text.format", "unsupported_value")
    return fields


class Responses:
    """`POST /v1/responses`."""

    name = "openai.responses"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_request, body)
        for field, why in UNSERVED.items():
            if getattr(request, field):
                raise invalid(f"{field} {why}.", field, "unsupported_parameter")
        if "message.output_text.logprobs" in (request.include or ()):
            raise invalid(f"logprobs {UNSERVED['top_logprobs']}.", "include", "unsupported_parameter")
        if request.truncation not in (None, "disabled"):
            text = f"truncation {request.truncation!r} is not done here: what does not fit is refused, not cut."
            raise invalid(text, "truncation", "unsupported_parameter")
        needs: set[str] = set()
        messages = _messages(request, needs)
        if not messages:
            raise invalid("input must not be empty.", "input", "empty_array")
        fields: dict[str, Any] = {"messages": messages}
        for name in ("temperature", "top_p"):
            if (value := getattr(request, name)) is not None:
                fields[name] = value
        if request.tools:
            needs.add("tools")
        spaces: dict[str, dict[str, str]] = {}
        chosen = _tools(request, fields, spaces)
        fields |= _shape(request.text or {})
        packs = "reasoning.encrypted_content" in (request.include or ())
        echo = Asked({name: getattr(request, name) for name in _echo}, spaces, packs)
        return Parsed(
            model=request.model,
            body=fields,
            text_bytes=utf8_size(_encode(fields).decode()),
            messages=len(messages),
            max_tokens=bounded_tokens(request.max_output_tokens, "max_output_tokens"),
            stream=bool(request.stream),
            wants_usage=True,
            needs=frozenset(needs),
            prompt_messages=messages,
            must_call=chosen,
            effort=None if request.reasoning is None else request.reasoning.effort,
            tags=tags_of(Metadata((request.metadata or {}).get("tags"))),
            echo=echo,
        )

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        choice = completion.choices[0]
        output: list[dict[str, Any]] = []
        call_id = completion.id
        if choice.message is not None:
            if thought := choice.message.thought:
                output.append(reasoning_item(call_id, thought, packs=parsed.echo.packs))
            status = "incomplete" if choice.finish_reason == "length" else "completed"
            if choice.message.content:
                output.append(message_item(call_id, choice.message.content, status))
            for at, call in enumerate(choice.message.tool_calls or ()):
                output.append(function_item(call_id, at, call, parsed.echo.spaces, status))
        reason = choice.finish_reason
        return _encode(response_object(parsed, call_id, completion.created, output, metered.buckets, reason))

    def writer(self, parsed: Parsed, call_id: str, upstream: str) -> StreamWriter:
        return ResponseEvents(parsed, call_id)

    def error(self, error: CallError, request_id: str) -> bytes:
        return openai_error(error)


def message_item(call_id: str, text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{call_id}",
        "status": status,
        "role": "assistant",
        "content": [] if status == "in_progress" else [part],
    }


def reasoning_item(call_id: str, text: str, status: str = "completed", *, packs: bool = False) -> dict[str, Any]:
    packed = PACKED + base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    return {
        "type": "reasoning",
        "id": f"rs_{call_id}",
        "summary": [],
        "content": [] if status == "in_progress" else [{"type": "reasoning_text", "text": text}],
        "status": status,
        **({"encrypted_content": packed} if packs and status == "completed" else {}),
    }


def function_item(
    call_id: str, at: int, call: ToolCall, spaces: Mapping[str, dict[str, str]], status: str = "completed"
) -> dict[str, Any]:
    function = call.function or Function()
    name = function.name or ""
    return {
        "type": "function_call",
        "id": f"fc_{call_id}_{at}",
        "call_id": call.id or f"call_{call_id}_{at}",
        **spaces.get(name, {"name": name}),
        "arguments": function.arguments or "",
        "status": status,
    }


def response_object(
    parsed: Parsed,
    call_id: str,
    created: int,
    output: list[dict[str, Any]],
    buckets: Buckets | None,
    finish_reason: str | None,
    status: str = "completed",
) -> dict[str, Any]:
    """The `response` object of the protocol."""
    cut = finish_reason == "length"
    usage = (
        None
        if buckets is None
        else {
            "input_tokens": buckets.prompt,
            "input_tokens_details": {"cached_tokens": buckets.cached_input, "cache_write_tokens": 0},
            "output_tokens": buckets.completion,
            "output_tokens_details": {"reasoning_tokens": buckets.reasoning},
            "total_tokens": buckets.total,
        }
    )
    echo = parsed.echo.fields
    return {
        "id": f"resp_{call_id}",
        "object": "response",
        "created_at": created,
        "status": "incomplete" if cut else status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": parsed.model,
        "output": output,
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": usage,
        **UNUSED,
        **echo,
        "temperature": 1.0 if echo["temperature"] is None else echo["temperature"],
        "top_p": 1.0 if echo["top_p"] is None else echo["top_p"],
        "tools": [{**TOOL_DEFAULTS, **tool} if "tools" not in tool else tool for tool in echo["tools"] or ()],
        "tool_choice": echo["tool_choice"] or "auto",
        "text": echo["text"] or {"format": {"type": "text"}},
        "metadata": echo["metadata"] or {},
        "parallel_tool_calls": echo["parallel_tool_calls"] is not False,
        "reasoning": echo["reasoning"] or Reasoning(),
    }


class Said:
    """An item of the output whose one part is text, while it is being said."""

    def __init__(self, make: Callable[..., dict[str, Any]], call_id: str) -> None:
        self.begun = make(call_id, "", "in_progress")
        self.id: str = self.begun["id"]
        self.part: dict[str, Any] = make(call_id, "")["content"][0]
        self.pieces: list[str] = []


def beside(part: Mapping[str, Any]) -> dict[str, Any]:
    """What events about a part say beside its text."""
    return {"logprobs": []} if "logprobs" in part else {}


class ResponseEvents:
    """The event sequence of a streamed response: reasoning, a message and function calls, in the order they begin."""

    def __init__(self, parsed: Parsed, call_id: str) -> None:
        self._parsed = parsed
        self._id = call_id
        self._sequence = -1
        self._created = 0
        self._places: dict[str, int] = {}
        self._thought = Said(reasoning_item, call_id)
        self._text = Said(message_item, call_id)
        self._calls: dict[int, ToolCall] = {}
        self._finish: str | None = None
        self._started = False

    def _emit(self, name: str, /, **fields: Any) -> bytes:
        self._sequence += 1
        return event_bytes(_encode({"type": name, "sequence_number": self._sequence, **fields}), name.encode())

    def _start(self, created: int) -> bytes:
        self._started = True
        self._created = created
        response = response_object(self._parsed, self._id, created, [], None, None, "in_progress")
        return self._emit("response.created", response=response) + self._emit("response.in_progress", response=response)

    def _add(self, item: dict[str, Any]) -> bytes:
        """The next item of the output begins."""
        place = self._places[item["id"]] = len(self._places)
        return self._emit("response.output_item.added", output_index=place, item=item)

    def _part_place(self, item_id: str) -> dict[str, Any]:
        return {"item_id": item_id, "output_index": self._places[item_id], "content_index": 0}

    def chunk(self, event: bytes, chunk: Completion) -> bytes:
        out = b"" if self._started else self._start(chunk.created)
        for choice in chunk.choices[:1]:
            self._finish = choice.finish_reason or self._finish
            if choice.delta is None:
                continue
            if thought := choice.delta.thought:
                out += self._spoken(self._thought, thought)
            if choice.delta.content:
                out += self._spoken(self._text, choice.delta.content)
            for call in choice.delta.tool_calls or ():
                out += self._call_delta(call)
        return out

    def _spoken(self, said: Said, text: str) -> bytes:
        """A piece of an item that is text; the first one begins it."""
        out = b""
        if not said.pieces:
            out += self._add(said.begun)
            out += self._emit("response.content_part.added", **self._part_place(said.id), part=said.part)
        said.pieces.append(text)
        return out + self._emit(
            f"response.{said.part['type']}.delta", **self._part_place(said.id), delta=text, **beside(said.part)
        )

    def _call_delta(self, delta: ToolCall) -> bytes:
        out = b""
        at = delta.index or 0
        function = delta.function or Function()
        call = self._calls.get(at)
        if call is None:
            call = self._calls[at] = ToolCall(at, delta.id, Function(function.name, ""))
            out += self._add(function_item(self._id, at, call, self._parsed.echo.spaces, "in_progress"))
        if function.arguments and call.function is not None:
            call.function.arguments = (call.function.arguments or "") + function.arguments
            item_id = f"fc_{self._id}_{at}"
            out += self._emit(
                "response.function_call_arguments.delta",
                item_id=item_id,
                output_index=self._places[item_id],
                delta=function.arguments,
            )
        return out

    def finish(self, buckets: Buckets) -> bytes:
        out = b"" if self._started else self._start(0)
        output: list[dict[str, Any]] = []
        status = "incomplete" if self._finish == "length" else "completed"
        if self._thought.pieces:
            text = "".join(self._thought.pieces)
            output.append(reasoning_item(self._id, text, packs=self._parsed.echo.packs))
        if self._text.pieces:
            output.append(message_item(self._id, "".join(self._text.pieces), status))
        spaces = self._parsed.echo.spaces
        output += [function_item(self._id, at, call, spaces, status) for at, call in self._calls.items()]
        output.sort(key=lambda item: self._places[item["id"]])
        for item in output:
            out += self._item_done(item)
        response = response_object(self._parsed, self._id, self._created, output, buckets, self._finish)
        name = "response.incomplete" if response["status"] == "incomplete" else "response.completed"
        return out + self._emit(name, response=response)

    def _item_done(self, item: dict[str, Any]) -> bytes:
        """The events that close one item of the output."""
        place = self._part_place(item["id"])
        if item["type"] == "function_call":
            out = self._emit(
                "response.function_call_arguments.done",
                item_id=item["id"],
                name=item["name"],
                output_index=place["output_index"],
                arguments=item["arguments"],
            )
        else:
            part = item["content"][0]
            out = self._emit(f"response.{part['type']}.done", **place, text=part["text"], **beside(part))
            out += self._emit("response.content_part.done", **place, part=part)
        return out + self._emit("response.output_item.done", output_index=place["output_index"], item=item)

    def broken(self, error: CallError, request_id: str) -> bytes:
        return self._emit("error", code=error.code, message=error.message, param=error.param)
