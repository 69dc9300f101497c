"""How `/v1/responses` answers: the response object with its items, and the events of one that is streamed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import CallError
from shanhe.gateway.faces.base import Completion, Function, Parsed, ToolCall
from shanhe.gateway.meter import Buckets
from shanhe.gateway.sse import event_bytes

_encode = msgspec.json.Encoder().encode


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
TOOL_DEFAULTS: Final[dict[str, Any]] = {"description": None, "parameters": None, "strict": None}


class Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None


class Asked(msgspec.Struct):
    """What an answer repeats of its request, and the names of functions in namespaces by what a chat calls them."""

    fields: dict[str, Any]
    spaces: dict[str, dict[str, str]]
    packs: bool
    """Whether thoughts are wanted in `encrypted_content` too."""


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
            "input_tokens_details": {
                "cached_tokens": buckets.cached_input,
                "cache_write_tokens": buckets.cache_write,
            },
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
