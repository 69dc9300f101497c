"""`/v1/responses`: the OpenAI Responses protocol over an engine's chat call. Nothing is stored between calls."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import CallError, invalid
from shanhe.gateway.faces.base import THOUGHT, Completion, Metadata, Parsed, StreamWriter, tags_of
from shanhe.gateway.faces.conversation import begun_by_system, size_of
from shanhe.gateway.faces.openai import ToolChoice, must_call, openai_error
from shanhe.gateway.faces.reading import bounded_tokens, decode, picture_needs
from shanhe.gateway.faces.responses_answer import (
    PACKED,
    Asked,
    Reasoning,
    ResponseEvents,
    function_item,
    message_item,
    reasoning_item,
    response_object,
)
from shanhe.gateway.meter import Metered
from shanhe.gateway.sse import COMMENT

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
BETWEEN: Final = "__"
"""Between a namespace and the name of a function in it."""


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
            needs |= picture_needs(part["image_url"], "input")
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
    heartbeat = COMMENT

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
            text_bytes=size_of(fields),
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
