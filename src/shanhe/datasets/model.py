"""Nouns of data sets: forms, rows, versions, reports. Frozen and pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.datasets.errors import WrongColumns

Row = dict[str, str]
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "pairs": ("question", "answer"),
    "errors": ("question", "wrong", "right", "reason"),
    "text": ("text",),
}
"""Columns of each form, all needed but `reason`."""
OPTIONAL: Final = frozenset({"reason"})
HELD: Final = "held"
"""A column of its own in pairs: a row that has something in it is asked and never taught."""
CONSENTS: Final = ("own", "consent", "contract", "public")
"""Why the data may be used: made here, its people agreed, a contract, published by law."""
NAMES: Final[Mapping[str, str]] = {
    "问题": "question", "题目": "question", "提问": "question", "instruction": "question", "prompt": "question",
    "回答": "answer", "答案": "answer", "回复": "answer", "response": "answer", "output": "answer",
    "completion": "answer",
    "错误做法": "wrong", "错误答案": "wrong", "错误": "wrong", "错解": "wrong",
    "正确做法": "right", "正确答案": "right", "正解": "right", "correct": "right",
    "原因": "reason", "错因": "reason", "解析": "reason", "why": "reason",
    "文本": "text", "内容": "text", "正文": "text", "content": "text",
}  # fmt: skip
"""What people call these columns."""


class Dataset(msgspec.Struct, frozen=True):
    id: UUID
    org_id: UUID
    name: str
    form: str
    licence: str
    consent: str
    note: str
    made_by: str
    made_at: datetime
    archived_at: datetime | None = None


class Version(msgspec.Struct, frozen=True):
    """`recipe`: what was read or which steps were taken; `report`: see `cleaning.report`."""

    id: UUID
    dataset_id: UUID
    number: int
    parent: UUID | None
    sha256: bytes
    rows: int
    size_bytes: int
    personal: int
    recipe: dict[str, Any]
    report: dict[str, Any]
    made_by: str
    made_at: datetime
    forgotten_at: datetime | None = None


class Use(msgspec.Struct, frozen=True):
    """Something that was made of a version."""

    version_id: UUID
    purpose: str
    ref: str
    name: str
    at: datetime


class Cleaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do to rows. `personal`: mask, drop or keep; `similar_bps`: rows at least so alike count as one (0 = off);
    lengths in characters of a whole row; `languages` empty = any."""

    personal: str = "mask"
    similar_bps: int = 8_000
    chars_min: int = 4
    chars_max: int = 8_000
    languages: tuple[str, ...] = ()


def in_form(form: str, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> list[Row]:
    """Rows with the columns of a form, others left out, rows without text left out; WrongColumns."""
    known = {column: NAMES.get(column.strip().lower(), column.strip().lower()) for column in columns}
    wanted = FORMS[form]
    missing = [name for name in wanted if name not in known.values() and name not in OPTIONAL]
    if missing:
        raise WrongColumns(form, missing, list(columns))
    found = []
    for row in rows:
        named = {known[column]: value.strip() for column, value in row.items() if column in known}
        kept = {name: named.get(name, "") for name in wanted}
        if form == "pairs" and named.get(HELD):
            kept[HELD] = named[HELD]
        if all(kept[name] for name in wanted if name not in OPTIONAL):
            found.append(kept)
    return found


def packed(rows: Iterable[Row]) -> bytes:
    """Rows as their one canonical file: JSONL, keys sorted, UTF-8."""
    encode = msgspec.json.Encoder(order="sorted").encode
    return b"".join(encode(row) + b"\n" for row in rows)


def unpacked(data: bytes) -> list[Row]:
    decode = msgspec.json.Decoder(Row).decode
    return [decode(line) for line in data.splitlines()]


def content_hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def text_of(row: Row) -> str:
    """All that a row says."""
    return "\n".join(value for name, value in row.items() if value and name != HELD)
