"""An engine's answer, read as what the protocol means, and put right where the engine wrote it otherwise.

Many servers call themselves compatible and are not quite: parallel tool calls that share one number (Ollama, SGLang) or
have none, calls without an id, usage inside a choice (Moonshot), a null for an empty list, content in parts (Mistral).
None of that is a reason to refuse an answer, and neither the client nor the faces should have to know it. What is as
it should be passes as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from shanhe.gateway.faces.base import THOUGHT, Choice, Completion, ToolCall, present
from shanhe.gateway.sse import EVENT_MAX_BYTES

_completion = msgspec.json.Decoder(Completion)
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
CALL_ID: Final = "call_"
CALLS_MAX: Final = 1_000
"""Most tool calls of one answer, and most answers with tool calls in one stream."""


def read_answer(body: bytes, name: str) -> tuple[bytes, Completion]:
    """A whole answer, put right where it has to be; MsgspecError where it can't be read. `name`: as in `Reader`."""
    completion, fields = _read(body)
    if not all(choice.well_formed for choice in completion.choices):
        fields = fields or _any.decode(body)
        for row in fields["choices"]:
            for at, call in enumerate((row.get("message") or {}).get("tool_calls") or ()):
                call["id"] = call.get("id") or f"{CALL_ID}{name}_{row.get('index', 0)}_{at}"
    if fields is None:
        return body, completion
    body = _encode(fields)
    return body, _completion.decode(body)


class Reader:
    """The chunks of one stream, in the order they come; `name` makes ids for calls that have none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: dict[int, Calls] = {}

    def read(self, event: bytes, payload: bytes) -> tuple[bytes, Completion]:
        """An event and its chunk, put right where it has to be; MsgspecError where it can't be read."""
        chunk, fields = _read(payload)
        for at, choice in enumerate(chunk.choices):
            tools = choice.delta.tool_calls if choice.delta is not None else None
            if tools or choice.message is not None or present(choice.usage):
                fields = self._righted(fields, payload, at, choice, tools or ())
        if fields is None:
            return event, chunk
        payload = _encode(fields)
        return b"data: " + payload, _completion.decode(payload)

    def _righted(
        self, fields: dict[str, Any] | None, payload: bytes, at: int, choice: Choice, tools: Sequence[ToolCall]
    ) -> dict[str, Any] | None:
        """The chunk as plain data, with a choice of it put right; as it was given where nothing is wrong with it."""
        numbers: list[Mapping[str, Any]] = []
        if tools:
            if len(self._calls) >= CALLS_MAX:
                raise msgspec.ValidationError(f"more than {CALLS_MAX} answers call tools")
            calls = self._calls.setdefault(choice.index, Calls(f"{CALL_ID}{self._name}_{choice.index}"))
            numbers = [calls.number(call) for call in tools]
        if choice.message is None and not present(choice.usage) and not any(numbers):
            return fields
        fields = fields or _any.decode(payload)
        row = fields["choices"][at]
        if present(choice.usage):
            fields["usage"] = fields.get("usage") or row["usage"]
        row.pop("usage", None)
        if (message := row.pop("message", None)) is not None and not row.get("delta"):
            row["delta"] = message
        for place, number in enumerate(numbers):
            row["delta"]["tool_calls"][place].update(number)
        return fields


class Calls:
    """The tool calls of one answer: which of them a piece belongs to, whatever number the engine gives it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids: dict[str, int] = {}
        """Place by id."""
        self._names: list[str] = []
        self._places: dict[int | None, int] = {}
        """By the engine's own number, the call that it means now."""

    def number(self, piece: ToolCall) -> dict[str, Any]:
        """What has to be changed in a piece: its call's number, and an id where the first piece of a call has none."""
        said, name = piece.id or "", (piece.function and piece.function.name) or ""
        place = self._places.get(piece.index)
        changed: dict[str, Any] = {}
        if said in self._ids:
            place = self._ids[said]
        elif place is None or (name and (said or piece.index is None)):
            place = len(self._names)
            if place >= CALLS_MAX:
                raise msgspec.ValidationError(f"the engine calls more than {CALLS_MAX} tools")
            its_id = said or f"{self._name}_{place}"
            self._ids[its_id] = place
            self._names.append("")
            if not said:
                changed["id"] = its_id
        if piece.function is not None and name and name == self._names[place]:  # said before; clients join what comes
            changed["function"] = {"arguments": piece.function.arguments or ""}
        self._names[place] = self._names[place] or name
        self._places[piece.index] = place
        if piece.index != place:
            changed["index"] = place
        return changed


def _read(payload: bytes) -> tuple[Completion, dict[str, Any] | None]:
    """What a payload holds; beside it the same as plain data where it had to be put right."""
    try:
        return _completion.decode(payload), None
    except msgspec.ValidationError:
        if len(payload) > EVENT_MAX_BYTES:  # as plain data it would be many times as large
            raise
        fields = _any.decode(payload)
        if not isinstance(fields, dict):
            raise
        _put_right(fields)
        return _completion.decode(_encode(fields)), fields


def _put_right(fields: dict[str, Any]) -> None:
    """Turn what servers are known to write into what the protocol says, in place; anything else stays as it is."""
    if fields.get("id", "") is None:
        fields["id"] = ""
    if not isinstance(fields.get("created", 0), int):
        fields["created"] = int(fields["created"]) if isinstance(fields["created"], float) else 0
    if fields.get("choices", ()) is None:
        fields["choices"] = []
    rows = fields.get("choices")
    for at, row in enumerate(rows if isinstance(rows, list) else ()):
        if not isinstance(row, dict):
            continue
        if row.get("index", 0) is None:
            row["index"] = at
        for name in ("delta", "message"):
            if isinstance(part := row.get(name), dict):
                _put_message_right(part)


def _put_message_right(message: dict[str, Any]) -> None:
    if isinstance(parts := message.get("content"), list):
        message["content"] = "".join(_text(part) for part in parts if not _thinks(part)) or None
        if thought := "".join(_text(part) for part in parts if _thinks(part)):
            message[THOUGHT] = thought
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), dict | list):
            function["arguments"] = _encode(function["arguments"]).decode()


def _thinks(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "thinking"


def _text(part: Any) -> str:
    """The text of a part of a message; of one that thinks, what it thought."""
    if isinstance(part, str):
        return part
    found = part.get(str(part.get("type")), part.get("text")) if isinstance(part, Mapping) else None
    return "".join(_text(one) for one in found) if isinstance(found, list) else found if isinstance(found, str) else ""
