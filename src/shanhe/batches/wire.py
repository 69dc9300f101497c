"""`/v1/files` and `/v1/batches` in the OpenAI protocol's words, on the gateway's socket, with an API key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from shanhe.batches.errors import BadUpload
from shanhe.batches.model import Batch, File, batch_id, file_id
from shanhe.batches.service import Batches
from shanhe.gateway.api import JSON_TYPE, CallError, Client, Metadata, invalid, tags_named, tags_of, under

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

PARTS_MAX: Final = 8
FIELD_MAX_BYTES: Final = 4 * 1024
LIMIT_FILES, LIMIT_BATCHES = 100, 20
ANCHOR: Final = "created_at"
OFFERED: Final = (
    "GET and POST /v1/files and /v1/batches; GET and DELETE one of the files, GET its content; GET and cancel a batch"
)
BYTES_TYPE: Final = (b"content-type", b"application/octet-stream")
_encode = msgspec.json.Encoder().encode

Serves = Callable[[str], bool]
"""Whether the city has a model of this name."""


class Order(msgspec.Struct):
    """The body of `POST /v1/batches`."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


class Wire:
    """Answers the protocol's requests."""

    def __init__(self, batches: Batches, serves: Serves) -> None:
        self._batches = batches
        self._serves = serves

    async def files(self, client: Client, caller: Caller) -> None:
        """Everything at and below `/v1/files`."""
        words = client.path.strip("/").split("/")[2:]
        match client.method, words:
            case "POST", []:
                answer: Any = file_view(await self._upload(client, caller))
            case "GET", []:
                answer = await self._list_files(client, caller)
            case "GET", [name]:
                answer = file_view(await self._batches.file(file_id(name), caller.org_id))
            case "GET", [name, "content"]:
                data = await self._batches.content(file_id(name), caller.org_id)
                await client.answer(200, data, [BYTES_TYPE])
                return
            case "DELETE", [name]:
                found = await self._batches.delete_file(file_id(name), caller.org_id)
                answer = {"id": found.public, "object": "file", "deleted": True}
            case _:
                raise unknown(client)
        await client.answer(200, _encode(answer), [JSON_TYPE])

    async def batches(self, client: Client, caller: Caller) -> None:
        """Everything at and below `/v1/batches`."""
        words = client.path.strip("/").split("/")[2:]
        match client.method, words:
            case "POST", []:
                answer = batch_view(await self._create(client, caller))
            case "GET", []:
                answer = await self._list_batches(client, caller)
            case "GET", [name]:
                answer = batch_view(await self._batches.batch(batch_id(name), caller.org_id))
            case "POST", [name, "cancel"]:
                answer = batch_view(await self._batches.cancel(batch_id(name), caller.org_id))
            case _:
                raise unknown(client)
        await client.answer(200, _encode(answer), [JSON_TYPE])

    async def _upload(self, client: Client, caller: Caller) -> File:
        kind = client.header(b"content-type") or b""
        body = await client.body()
        if not kind.lower().startswith(b"multipart/form-data"):
            raise BadUpload("it is no multipart/form-data", "不是 multipart/form-data")
        fields, name, data = await read_form(kind, body)
        return await self._batches.keep(
            caller.org_id, name, fields.get("purpose", ""), data, by=f"key:{caller.key_id}", lasts=lasting(fields),
            request_key=request_key(client),
        )  # fmt: skip

    async def _create(self, client: Client, caller: Caller) -> Batch:
        try:
            order = msgspec.json.decode(await client.body(), type=Order)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise invalid(f"The order does not fit the protocol: {error}") from error

        def allowed(model: str) -> bool:
            return self._serves(model) and (caller.models is None or model in caller.models)

        metadata = order.metadata
        tags = tags_of(Metadata((metadata or {}).get("tags")))
        if caller.tags:
            joined = ",".join(under(caller, tags).tags)
            tags_named(joined, "metadata.tags")  # a batch that is taken has lines that can be asked
            metadata = {**(metadata or {}), "tags": joined}
        return await self._batches.create(
            caller.org_id, caller.key_id, input_file=file_id(order.input_file_id), endpoint=order.endpoint,
            window=order.completion_window, allowed=allowed, metadata=metadata, request_key=request_key(client),
        )  # fmt: skip

    async def _list_files(self, client: Client, caller: Caller) -> dict[str, Any]:
        asked = query_of(client)
        after = file_id(asked["after"]) if "after" in asked else None
        page, more = await self._batches.files(
            caller.org_id, purpose=asked.get("purpose"), after=after, limit=number(asked, LIMIT_FILES),
            newest=asked.get("order") != "asc",
        )  # fmt: skip
        return listed([file_view(one) for one in page], more)

    async def _list_batches(self, client: Client, caller: Caller) -> dict[str, Any]:
        asked = query_of(client)
        after = batch_id(asked["after"]) if "after" in asked else None
        page, more = await self._batches.batches(caller.org_id, after=after, limit=number(asked, LIMIT_BATCHES))
        return listed([batch_view(one) for one in page], more)


def unknown(client: Client) -> CallError:
    return CallError(404, "unknown_url", f"There is nothing for {client.method} here. What there is: {OFFERED}.")


def request_key(client: Client) -> str | None:
    """The client's idempotency key."""
    value = client.header(b"idempotency-key")
    return None if value is None else value.decode("latin-1")


def query_of(client: Client) -> dict[str, str]:
    try:
        return {name: values[-1] for name, values in parse_qs(client.query, max_num_fields=20).items()}
    except ValueError as error:
        raise invalid("The query has too many fields.") from error


def number(asked: dict[str, str], otherwise: int) -> int:
    text = asked.get("limit", str(otherwise))
    if not text.isdecimal() or not 1 <= int(text[:9]) <= 10_000:
        raise invalid("limit is a number from 1 to 10000.", "limit")
    return int(text[:9])


async def read_form(kind: bytes, body: bytes) -> tuple[dict[str, str], str, bytes]:
    """(fields, name of the file, its bytes) of a form; BadUpload."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    headers = Headers({"content-type": kind.decode("latin-1")})
    parser = MultiPartParser(headers, whole(), max_files=1, max_fields=PARTS_MAX, max_part_size=FIELD_MAX_BYTES)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeDecodeError) as error:
        raise BadUpload("the form can't be read", "表单无法解析") from error
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise BadUpload("there is no field called file", "缺少 file 字段")
    data = await file.read()
    await form.close()
    return fields, file.filename or "file", data


def lasting(fields: dict[str, str]) -> timedelta | None:
    """How long to keep a file, where the form says."""
    seconds = fields.get("expires_after[seconds]")
    if seconds is None:
        return None
    if fields.get("expires_after[anchor]") != ANCHOR or not seconds.isdecimal():
        raise BadUpload(f"expires_after counts seconds from {ANCHOR}", f"expires_after 须以 {ANCHOR} 起的秒数表示")
    return timedelta(seconds=min(int(seconds[:12]), 10**9))


def file_view(one: File) -> dict[str, Any]:
    """A file as the protocol has it."""
    return {
        "id": one.public,
        "object": "file",
        "bytes": one.size_bytes,
        "created_at": int(one.made_at.timestamp()),
        "expires_at": int(one.expires_at.timestamp()),
        "filename": one.name,
        "purpose": one.purpose,
        "status": "processed",
        "status_details": None,
    }


def batch_view(one: Batch) -> dict[str, Any]:
    """A batch as the protocol has it."""
    ended = {f"{state}_at": None for state in ("completed", "failed", "expired", "cancelled")}
    if one.ended_at is not None:
        ended[f"{one.state}_at"] = seconds_of(one.ended_at)
    state = "finalizing" if one.state == "in_progress" and one.finalizing_at is not None else one.state
    errors = None if one.errors is None else {"object": "list", "data": one.errors}
    return {
        "id": one.public,
        "object": "batch",
        "endpoint": one.endpoint,
        "errors": errors,
        "input_file_id": f"file-{one.input_file.hex}",
        "completion_window": "24h",
        "status": state,
        "output_file_id": public(one.output_file),
        "error_file_id": public(one.error_file),
        "created_at": seconds_of(one.made_at),
        "in_progress_at": seconds_of(one.made_at) if one.state != "failed" else None,
        "expires_at": seconds_of(one.expires_at),
        "finalizing_at": seconds_of(one.finalizing_at),
        "cancelling_at": seconds_of(one.cancelling_at),
        **ended,
        "request_counts": {"total": one.total, "completed": one.done, "failed": one.failed},
        "metadata": one.metadata,
    }


def public(found: UUID | None) -> str | None:
    return None if found is None else f"file-{found.hex}"


def seconds_of(at: datetime | None) -> Any:
    return None if at is None else int(at.timestamp())


def listed(page: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A page as the protocol has it."""
    edge = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, "has_more": more, **edge}
