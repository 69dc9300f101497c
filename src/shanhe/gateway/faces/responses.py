"""`/v1/responses`: the OpenAI Responses protocol over an engine's chat call. Nothing is stored between calls."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.base import Completion, Function, Parsed, StreamWriter, ToolCall
from shanhe.gateway.faces.openai import bounded_tokens, decode, openai_error, utf8_size
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.sse import event_bytes

_encode = msgspec.json.Encoder().encode
_echo: Final = ("instructions", "temperature", "top_p", "max_output_tokens", "metadata", "tools", "tool_choice", "text")
UNUSED: Final[dict[str, Any]] = {
    "completed_at": None,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "max_tool_calls": None,
    "background": False,
    "service_tier": "default",
    "safety_identifier": None,
    "prompt_cache_key": None,
}
"""Fields that the protocol requires in a response and that nothing here sets."""
TOOL_DEFAULTS: Final[dict[str, Any]] = {"description": None, "parameters": None, "strict": None}


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
    for item in request.input:
        kind = item.get("type", "message")
        if kind == "message":
            role = item.get("role")
            if role not in {"user", "assistant", "system", "developer"}:
                raise invalid(f"input: role {role!r} is not known.", "input")
            role = "system" if role == "developer" else role
            messages.append({"role": role, "content": _content(item.get("content"), needs)})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments", "{}")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            output = item.get("output")
            text = output if isinstance(output, str) else _encode(output).decode()
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
        elif kind != "reasoning":
            raise invalid(f"input items of type {kind!r} are not supported.", "input", "unsupported_content")
    return messages


def _tools(request: ResponsesRequest, fields: dict[str, Any]) -> None:
    tools = []
    for tool in request.tools or ():
        if tool.get("type") != "function":
            raise invalid(f"Tools of type {tool.get('type')!r} are not supported; declare functions.", "tools")
        function = {key: tool[key] for key in ("name", "description", "parameters", "strict") if key in tool}
        tools.append({"type": "function", "function": function})
    fields["tools"] = tools
    choice = request.tool_choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif isinstance(choice, str):
        fields["tool_choice"] = choice


class Responses:
    """`POST /v1/responses`."""

    name = "openai.responses"

    def parse(self, body: bytes) -> Parsed:
        request = decode(_request, body)
        for field in ("previous_response_id", "background", "conversation"):
            if getattr(request, field):
                raise invalid(
                    f"{field} needs stored responses; answers are not stored here. Send the whole input.",
                    field,
                    "unsupported_parameter",
                )
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
            _tools(request, fields)
        shape = (request.text or {}).get("format") or {}
        if shape.get("type") == "json_schema":
            schema = {key: shape[key] for key in ("name", "schema", "strict") if key in shape}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif shape.get("type") == "json_object":
            fields["response_format"] = {"type": "json_object"}
        echo = {name: getattr(request, name) for name in _echo}
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
            echo=echo,
        )

    def answer(self, body: bytes, completion: Completion, parsed: Parsed, metered: Metered, upstream: str) -> bytes:
        choice = completion.choices[0]
        output: list[dict[str, Any]] = []
        call_id = completion.id
        if choice.message is not None:
            if choice.message.content:
                output.append(message_item(call_id, choice.message.content))
            for at, call in enumerate(choice.message.tool_calls or ()):
                output.append(function_item(call_id, at, call))
        reason = choice.finish_reason
        return _encode(response_object(parsed, call_id, completion.created, output, metered.buckets, reason))

    def writer(self, parsed: Parsed, call_id: str, upstream: str) -> StreamWriter:
        return ResponseEvents(parsed, call_id)

    def error(self, error: CallError, request_id: str) -> bytes:
        return openai_error(error)

    def error_event(self, error: CallError, request_id: str) -> bytes:
        fields = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "sequence_number": 0,
        }
        return event_bytes(_encode(fields), b"error")


def message_item(call_id: str, text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{call_id}",
        "status": status,
        "role": "assistant",
        "content": [part] if status == "completed" else [],
    }


def function_item(call_id: str, at: int, call: ToolCall, status: str = "completed") -> dict[str, Any]:
    function = call.function or Function()
    return {
        "type": "function_call",
        "id": f"fc_{call_id}_{at}",
        "call_id": call.id or f"call_{call_id}_{at}",
        "name": function.name or "",
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
            "input_tokens_details": {"cached_tokens": buckets.cached_input},
            "output_tokens": buckets.completion,
            "output_tokens_details": {"reasoning_tokens": buckets.reasoning},
            "total_tokens": buckets.total,
        }
    )
    echo = parsed.echo
    return {
        "id": f"resp_{call_id}",
        "object": "response",
        "created_at": created,
        "status": "incomplete" if cut else status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": parsed.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        **UNUSED,
        **echo,
        "temperature": 1.0 if echo["temperature"] is None else echo["temperature"],
        "top_p": 1.0 if echo["top_p"] is None else echo["top_p"],
        "tools": [{**TOOL_DEFAULTS, **tool} for tool in echo["tools"] or ()],
        "tool_choice": echo["tool_choice"] or "auto",
        "text": echo["text"] or {"format": {"type": "text"}},
        "metadata": echo["metadata"] or {},
    }


class ResponseEvents:
    """The event sequence of a streamed response: one message item, then function calls."""

    def __init__(self, parsed: Parsed, call_id: str) -> None:
        self._parsed = parsed
        self._id = call_id
        self._sequence = -1
        self._created = 0
        self._text: list[str] | None = None
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

    def _place(self, at: int) -> int:
        return at + (1 if self._text is not None else 0)

    def chunk(self, event: bytes, chunk: Completion) -> bytes:
        out = b"" if self._started else self._start(chunk.created)
        for choice in chunk.choices[:1]:
            self._finish = choice.finish_reason or self._finish
            if choice.delta is None:
                continue
            if choice.delta.content:
                out += self._text_delta(choice.delta.content)
            for call in choice.delta.tool_calls or ():
                out += self._call_delta(call)
        return out

    def _text_delta(self, text: str) -> bytes:
        out = b""
        place = {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}
        if self._text is None:
            self._text = []
            out += self._emit(
                "response.output_item.added", output_index=0, item=message_item(self._id, "", "in_progress")
            )
            out += self._emit(
                "response.content_part.added",
                **place,
                part={"type": "output_text", "text": "", "annotations": [], "logprobs": []},
            )
        self._text.append(text)
        return out + self._emit("response.output_text.delta", **place, delta=text, logprobs=[])

    def _call_delta(self, delta: ToolCall) -> bytes:
        out = b""
        at = delta.index or 0
        function = delta.function or Function()
        call = self._calls.get(at)
        if call is None:
            call = self._calls[at] = ToolCall(at, delta.id, Function(function.name, ""))
            out += self._emit(
                "response.output_item.added",
                output_index=self._place(at),
                item=function_item(self._id, at, call, "in_progress"),
            )
        if function.arguments and call.function is not None:
            call.function.arguments = (call.function.arguments or "") + function.arguments
            out += self._emit(
                "response.function_call_arguments.delta",
                item_id=f"fc_{self._id}_{at}",
                output_index=self._place(at),
                delta=function.arguments,
            )
        return out

    def finish(self, buckets: Buckets) -> bytes:
        out = b"" if self._started else self._start(0)
        output: list[dict[str, Any]] = []
        if self._text is not None:
            text = "".join(self._text)
            item = message_item(self._id, text)
            place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            out += self._emit("response.output_text.done", **place, text=text, logprobs=[])
            out += self._emit("response.content_part.done", **place, part=item["content"][0])
            out += self._emit("response.output_item.done", output_index=0, item=item)
            output.append(item)
        for at, call in sorted(self._calls.items()):
            item = function_item(self._id, at, call)
            out += self._emit(
                "response.function_call_arguments.done",
                item_id=item["id"],
                name=item["name"],
                output_index=self._place(at),
                arguments=item["arguments"],
            )
            out += self._emit("response.output_item.done", output_index=self._place(at), item=item)
            output.append(item)
        response = response_object(self._parsed, self._id, self._created, output, buckets, self._finish)
        name = "response.incomplete" if response["status"] == "incomplete" else "response.completed"
        return out + self._emit(name, response=response)
