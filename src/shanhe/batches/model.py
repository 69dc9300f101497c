"""Nouns of batches, and the grammar of a file of requests. Frozen and pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.batches.errors import UnknownBatch, UnknownFile

ENDPOINTS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
WINDOW: Final = "24h"
PURPOSES: Final = ("batch", "fine-tune", "user_data")
"""What an upload may be for; `batch_output` is ours to make."""
LINES_MAX: Final = 10_000
LINE_MAX_BYTES: Final = 1024 * 1024
CUSTOM_ID_MAX: Final = 256
ERRORS_MAX: Final = 100
"""Most mistakes of a file that are told at once."""
OPEN: Final = frozenset({"in_progress", "finalizing", "cancelling"})


class File(msgspec.Struct, frozen=True):
    id: UUID
    org_id: UUID
    purpose: str
    name: str
    size_bytes: int
    sha256: bytes
    made_by: str
    made_at: datetime
    expires_at: datetime
    deleted_at: datetime | None = None

    @property
    def public(self) -> str:
        return f"file-{self.id.hex}"


class Batch(msgspec.Struct, frozen=True):
    """`done` lines were answered with 200, `failed` ones with something else or not in time."""

    id: UUID
    org_id: UUID
    key_id: UUID
    endpoint: str
    input_file: UUID
    output_file: UUID | None
    error_file: UUID | None
    state: str
    metadata: dict[str, str] | None
    errors: list[dict[str, Any]] | None
    total: int
    made_at: datetime
    expires_at: datetime
    finalizing_at: datetime | None
    cancelling_at: datetime | None
    ended_at: datetime | None
    done: int = 0
    failed: int = 0

    @property
    def public(self) -> str:
        return f"batch_{self.id.hex}"


class Line(msgspec.Struct, frozen=True):
    """A request of a batch. Its answer is a blob under `receipt_id`."""

    batch_id: UUID
    at: int
    custom_id: str
    model: str
    body_start: int
    body_bytes: int
    state: str
    tries: int
    receipt_id: UUID | None
    status: int | None = None


class Taken(msgspec.Struct, frozen=True):
    """A line that this process works on now, with what it needs of its batch."""

    line: Line
    receipt_id: UUID
    key_id: UUID
    endpoint: str
    input_file: UUID
    org_id: UUID
    metadata: dict[str, str] | None = None
    """Of its batch, as it is kept; its tags count for every line."""


class Mistake(msgspec.Struct, frozen=True):
    """Why a line of a file can't be run; `line` counts from 1 as people do."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A request as its line has it: whose answer it is, for which model, and where in the file its body stands."""

    custom_id: str
    model: str
    body_start: int
    body_bytes: int


class _Request(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Body(msgspec.Struct):
    model: str
    stream: bool | None = None


_request = msgspec.json.Decoder(_Request)
_body = msgspec.json.Decoder(_Body)


def read_requests(data: bytes, endpoint: str, allowed: Callable[[str], bool]) -> tuple[list[Wanted], list[Mistake]]:
    """The requests of a JSONL file and what is wrong with it; with any mistake, no line is to be run.

    `allowed`: whether a model is there and may be used.
    """
    wanted: list[Wanted] = []
    wrong: list[Mistake] = []
    seen: set[str] = set()
    for number, start, raw in lines_of(data):
        if len(wanted) >= LINES_MAX:
            wrong.append(Mistake("too_many_lines", f"A batch has at most {LINES_MAX} requests.", number))
            break
        if len(wrong) >= ERRORS_MAX:
            break
        found = _read_one(raw, start, endpoint)
        if isinstance(found, Wanted) and found.custom_id in seen:
            text = f"The custom_id {found.custom_id[:80]!r} is used twice."
            found = Mistake("duplicate_custom_id", text, param="custom_id")
        if isinstance(found, Wanted) and not allowed(found.model):
            text = f"The model {found.model[:80]!r} does not exist or this key may not use it."
            found = Mistake("model_not_found", text, param="body.model")
        if isinstance(found, Mistake):
            wrong.append(msgspec.structs.replace(found, line=number))
        else:
            seen.add(found.custom_id)
            wanted.append(found)
    if not wanted and not wrong:
        wrong.append(Mistake("empty_file", "The file holds no requests."))
    return wanted, wrong


def lines_of(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, where it starts, bytes) of every line that is not blank; a byte-order mark is skipped."""
    start, number = (3 if data.startswith(b"\xef\xbb\xbf") else 0), 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        raw = data[start:end]
        if raw.strip():
            yield number, start, raw
        start = end + 1


def _read_one(raw: bytes, start: int, endpoint: str) -> Wanted | Mistake:
    if len(raw) > LINE_MAX_BYTES:
        return Mistake("line_too_long", f"A line has at most {LINE_MAX_BYTES} bytes.")
    try:
        request = _request.decode(raw)
        body = _body.decode(request.body)
    except msgspec.ValidationError as error:
        return Mistake("invalid_request", f"The line is no request: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Mistake("invalid_json_line", f"The line is no JSON in UTF-8: {error}")
    if not 1 <= len(request.custom_id) <= CUSTOM_ID_MAX:
        return Mistake("invalid_custom_id", f"A custom_id has 1 to {CUSTOM_ID_MAX} signs.", param="custom_id")
    if request.method != "POST":
        return Mistake("invalid_method", f"The method is POST, not {request.method[:20]!r}.", param="method")
    if request.url != endpoint:
        return Mistake(
            "mismatched_endpoint", f"The batch is for {endpoint}, not for {request.url[:80]!r}.", param="url"
        )
    if body.stream:
        return Mistake("stream_not_allowed", "Answers of a batch can't be streamed.", param="body.stream")
    inner = bytes(request.body)
    return Wanted(request.custom_id, body.model, start + raw.rindex(inner), len(inner))


def answer_line(line: Line, body: bytes) -> bytes:
    """A line of the output or error file, as the protocol has it."""
    receipt = str(line.receipt_id)
    response = {"status_code": line.status, "request_id": receipt, "body": msgspec.Raw(body or b"null")}
    return _line(line, response, None)


def dropped_line(line: Line, state: str) -> bytes:
    """The error file's line of a request that was not run."""
    if state == "cancelled":
        error = {"code": "batch_cancelled", "message": "The batch was cancelled before this request was run."}
    else:
        error = {"code": "batch_expired", "message": "The batch's time was over before this request was run."}
    return _line(line, None, error)


def _line(line: Line, response: Any, error: Any) -> bytes:
    shown = f"batch_req_{(line.receipt_id or UUID(int=line.batch_id.int ^ (line.at + 1))).hex}"
    return msgspec.json.encode({"id": shown, "custom_id": line.custom_id, "response": response, "error": error}) + b"\n"


def file_id(name: str) -> UUID:
    """The id in a public name; UnknownFile for anything else."""
    found = _id(name, "file-")
    if found is None:
        raise UnknownFile(name)
    return found


def batch_id(name: str) -> UUID:
    """The id in a public name; UnknownBatch for anything else."""
    found = _id(name, "batch_")
    if found is None:
        raise UnknownBatch(name)
    return found


def _id(name: str, prefix: str) -> UUID | None:
    try:
        return UUID(hex=name.removeprefix(prefix)) if len(name) <= 64 else None
    except ValueError:
        return None
