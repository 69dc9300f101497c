"""PDF by typst: the template is ours, the document's words are passed as data and never read as markup."""

from __future__ import annotations

from datetime import UTC, datetime, time
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import typst

from shanhe.kernel.documents.model import Document, Table
from shanhe.kernel.documents.sheets import plain

HOME: Final = Path(str(files("shanhe.kernel.documents")))
FONTS: Final = HOME / "fonts"
TEMPLATE: Final = HOME / "document.typ"


def pdf_bytes(document: Document) -> bytes:
    """The document as a tagged PDF with its own fonts; equal documents give equal bytes."""
    made = typst.compile(
        str(TEMPLATE),
        root=str(HOME),
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
        sys_inputs={"document": msgspec.json.encode(_data(document)).decode()},
        timestamp=int(datetime.combine(document.issued_on, time(), UTC).timestamp()),
    )
    return bytes(made)


def _data(document: Document) -> dict[str, Any]:
    return {
        "title": plain(document.title),
        "subtitle": plain(document.subtitle),
        "language": document.language,
        "facts": [[plain(label), plain(value)] for label, value in document.facts],
        "tables": [_table(table) for table in document.tables],
        "notes": [plain(note) for note in document.notes],
        "footer": plain(document.footer),
        "paragraphs": [plain(one) for one in document.paragraphs],
        "keywords": [plain(one) for one in document.keywords],
        "issued_on": document.issued_on.isoformat(),
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": plain(table.title),
        "columns": [{"title": plain(c.title), "figure": c.kind == "figure", "width": c.width} for c in table.columns],
        "rows": [[plain(cell) for cell in row] for row in table.rows],
        "total": [plain(cell) for cell in table.total] if table.total else None,
    }
