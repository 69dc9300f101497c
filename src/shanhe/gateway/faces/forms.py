"""Multipart forms: read as clients send them, written as engines want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from shanhe.gateway.errors import invalid
from shanhe.gateway.faces.base import BOUNDARY, Metadata, tags_named, tags_of
from shanhe.gateway.faces.reading import decode

PARTS_MAX: Final = 32
LIST_SIGN: Final = ","
HEAD_MAX_BYTES: Final = 4 * 1024
ANY_TYPE: Final = "application/octet-stream"
_metadata = msgspec.json.Decoder(Metadata)


class File(msgspec.Struct, frozen=True):
    """A file of a form."""

    field: str
    name: str
    data: bytes
    media: str = ANY_TYPE


def form_fields(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """(field, file name, data) of each part of a multipart form, whose boundary its first line names; bounded. A list
    comes as `name[]` once for each entry."""
    first = body.split(b"\r\n", 1)[0]
    if not first.startswith(b"--") or not 3 <= len(first) <= 72:
        raise invalid("The body is not a multipart form.", None, "invalid_type")
    for part in body.split(b"\r\n" + first, PARTS_MAX + 1)[: PARTS_MAX + 1]:
        head, separator, data = part.removeprefix(first).removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if separator and len(head) <= HEAD_MAX_BYTES and (field := _parameter(head, "name")):
            yield field, _parameter(head, "filename"), data


def form_parts(body: bytes) -> dict[str, tuple[str, bytes]]:
    """(file name, data) by field of a form; a list is one field with commas."""
    found: dict[str, tuple[str, bytes]] = {}
    for field, name, data in form_fields(body):
        if field.endswith("[]"):
            field = field.removesuffix("[]")
            data = b"%b%b%b" % (found[field][1], LIST_SIGN.encode(), data) if field in found else data
        if field:
            found[field] = name, data
    return found


def form_tags(words: Mapping[str, str]) -> tuple[str, ...]:
    """What a form is counted under: `metadata[tags]`, as clients write a nested field, or `metadata` as JSON."""
    named = words.get("metadata[tags]")
    if named is None and "metadata" in words:
        return tags_of(decode(_metadata, words["metadata"].encode(), "metadata"))
    return tags_named(named or "", "metadata[tags]")


def _parameter(head: bytes, name: str) -> str:
    """A quoted parameter of a part's content-disposition."""
    text = head.decode(errors="replace")
    at = text.find(f' {name}="')
    if at < 0:
        return ""
    begin = at + len(name) + 3
    return text[begin : text.find('"', begin)][:200]


def written(fields: Mapping[str, Any], files: Sequence[File]) -> bytes:
    """A form for the engine."""
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    for file in files:
        plain = "".join(ch for ch in file.name if ch.isalnum() or ch in "._-")[-100:] or "file"
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{file.field}"; filename="{plain}"\r\n'
        parts += [head.encode(), f"content-type: {file.media}\r\n\r\n".encode(), file.data, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
