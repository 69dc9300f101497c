"""What a document says, whatever its format. Frozen, pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from shanhe.kernel.errors import Invalid

Cell = str | int | Decimal | date | datetime | None
"""What a table may hold. Money comes as `Decimal` (see `kernel.money`), never as a float."""


class Kind(StrEnum):
    """How a column is set: text to the left, figures to the right with their digits aligned."""

    TEXT = "text"
    FIGURE = "figure"


@dataclass(frozen=True)
class Column:
    """`width` is this column's share of the page beside the others."""

    title: str
    kind: Kind = Kind.TEXT
    width: int = 1


@dataclass(frozen=True)
class Table:
    """Rows under columns; `total` is one more row, set apart."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] | None = None

    def __post_init__(self) -> None:
        for row in (*self.rows, *((self.total,) if self.total else ())):
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: a row of {len(row)} cells under {len(self.columns)} columns")


@dataclass(frozen=True)
class Document:
    """`facts` are label and value pairs above the tables, `paragraphs` running text, `keywords` a PDF's own;
    `issued_on` dates the file and makes it reproducible."""

    title: str
    issued_on: date
    subtitle: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    language: str = "zh"
    footer: str = field(default="")
    paragraphs: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


class DocumentTooLarge(Invalid):
    def __init__(self, rows: int, limit: int, fmt: str) -> None:
        super().__init__(
            "document_too_large",
            f"The document has {rows} rows; {fmt} holds at most {limit}.",
            message_zh=f"文档共有 {rows} 行，{fmt} 最多 {limit} 行。",
            hint="Choose a shorter period, or another format.",
            hint_zh="请缩短期间，或改用其他格式。",
            details={"rows": rows, "limit": limit},
        )
