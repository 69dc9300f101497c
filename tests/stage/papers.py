"""Documents made on the spot, in each format that is read, and vectors that a test can foresee."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zlib import crc32

from shanhe.retrieval.words import tokens

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DRAW = "http://schemas.openxmlformats.org/drawingml/2006/main"
SHOW = "http://schemas.openxmlformats.org/presentationml/2006/main"
DIMENSIONS = 64


def vector_of(text: str) -> list[float]:
    """A bag of words folded into a few dimensions: near means many words shared."""
    found = [0.0] * DIMENSIONS
    for token in tokens(text.removeprefix("query: ").removeprefix("passage: ")):
        found[crc32(token.encode()) % DIMENSIONS] += 1.0
    return found or [1.0] * DIMENSIONS


@dataclass
class Embedded:
    answer: dict[str, Any]
    paid_micro: int
    receipt_id: UUID = field(default_factory=uuid4)


@dataclass
class Embedder:
    """Stands where the gateway does; counts what it is asked for."""

    texts: list[str] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    async def __call__(self, caller: Any, model: str, texts: Sequence[str]) -> Embedded:
        if self.fails:
            raise self.fails.pop(0)
        self.texts += texts
        data = [{"index": at, "embedding": vector_of(text)} for at, text in enumerate(texts)]
        return Embedded({"data": data}, len(texts))


def packed(**members: str) -> bytes:
    """A ZIP archive; `__` in a name stands for `/`, `_dot_` for `.`."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), body)
    return target.getvalue()


def docx(*paragraphs: str | tuple[str, int]) -> bytes:
    """A Word document: texts, (heading, level), and "\\f" for a page break."""
    parts = []
    for one in paragraphs:
        text, level = one if isinstance(one, tuple) else (one, 0)
        style = f'<w:pPr><w:pStyle w:val="Heading{level}"/></w:pPr>' if level else ""
        run = '<w:br w:type="page"/>' if text == "\f" else f"<w:t>{text}</w:t>"
        parts.append(f"<w:p>{style}<w:r>{run}</w:r></w:p>")
    body = f'<w:document xmlns:w="{WORD}"><w:body>{"".join(parts)}</w:body></w:document>'
    return packed(word__document_dot_xml=body)


def pptx(*slides: tuple[str, str]) -> bytes:
    """A presentation of (title, text)."""
    size = '<p:sldSz cx="1000" cy="500"/>'
    members = {"ppt__presentation_dot_xml": f'<p:presentation xmlns:p="{SHOW}">{size}</p:presentation>'}
    for number, (title, text) in enumerate(slides, 1):
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:nvPr>{mark}</p:nvPr></p:nvSpPr><p:spPr><a:xfrm><a:off x="100" y="{top}"/>'
            '<a:ext cx="800" cy="100"/></a:xfrm></p:spPr>'
            f"<p:txBody><a:p><a:r><a:t>{said}</a:t></a:r></a:p></p:txBody></p:sp>"
            for said, top, mark in ((text, 200, ""), (title, 50, '<p:ph type="title"/>'))
        )
        members[f"ppt__slides__slide{number}_dot_xml"] = (
            f'<p:sld xmlns:p="{SHOW}" xmlns:a="{DRAW}"><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>'
        )
    return packed(**members)


def xlsx(**sheets: Sequence[Sequence[Any]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def pdf(source: str, folder: Path) -> bytes:
    """A typst source as PDF."""
    import typst

    path = folder / "paper.typ"
    path.write_text(f'#set text(font: "Noto Sans SC")\n{source}', encoding="utf-8")
    fonts = Path(__import__("shanhe.kernel.documents", fromlist=["x"]).__file__).parent / "fonts"
    return bytes(typst.compile(str(path), font_paths=[str(fonts)]))
