"""DOCX, XLSX, CSV, PPTX: text by paragraph, row and shape, with the page, sheet or slide it stands on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final
from xml.etree import ElementTree

from shanhe.retrieval.errors import Unreadable
from shanhe.retrieval.model import WHOLE, Block, Box
from shanhe.retrieval.work.bounds import PAGES_MAX, member, opened, parsed
from shanhe.retrieval.work.markup import flowing, text_of

WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
DRAW: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
SHOW: Final = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
STYLE: Final = re.compile(r"^(?:Heading|heading|标题|Title)\s*([1-9])?$")
COLUMNS_MAX: Final = 64
ROWS_MAX: Final = 100_000
CELL_MAX_CHARS: Final = 2_000
DELIMITERS: Final = (",", ";", "\t")
Told = Callable[[int, int], None]


# -- Word -----------------------------------------------------------------------------------------------------------


def docx(data: bytes) -> Iterator[Block]:
    """Paragraphs and table rows; pages where the text breaks, or where the program that wrote it had broken it."""
    archive = opened(data)
    try:
        root = parsed(member(archive, "word/document.xml"))
    except KeyError as error:
        raise Unreadable("it is no Word document", "不是 Word 文档") from error
    levels = _styles(archive)
    yield from flowing(list(_word(root, levels)))


def _styles(archive: Any) -> dict[str, int]:
    """Levels of heading styles by id: their ids may be numbers, their names may not."""
    try:
        root = parsed(member(archive, "word/styles.xml"))
    except KeyError:
        return {}
    levels = {}
    for style in root.iter(f"{WORD}style"):
        name = style.find(f"{WORD}name")
        match = STYLE.match("" if name is None else name.get(f"{WORD}val", ""))
        if match is not None:
            levels[style.get(f"{WORD}styleId", "")] = int(match[1] or 1)
    return levels


def _word(root: ElementTree.Element, levels: dict[str, int]) -> Iterator[Block]:
    page = 1
    body = root.find(f"{WORD}body")
    for element in body if body is not None else ():
        if element.tag == f"{WORD}p":
            text, page, kind, level = _paragraph(element, page, levels)
            if text:
                yield Block(kind, text, min(page, PAGES_MAX), level=level)
        elif element.tag == f"{WORD}tbl":
            for row in element.iter(f"{WORD}tr"):
                cells = []
                for cell in row.iter(f"{WORD}tc"):
                    parts = [_paragraph(one, page, levels) for one in cell.iter(f"{WORD}p")]
                    page = max([page, *(part[1] for part in parts)])
                    cells.append(" ".join(part[0] for part in parts if part[0]))
                if any(cells):
                    yield Block("row", " | ".join(cells[:COLUMNS_MAX]), min(page, PAGES_MAX))


def _paragraph(element: ElementTree.Element, page: int, levels: dict[str, int]) -> tuple[str, int, str, int]:
    """(text, page at its end, kind, level) of a paragraph; hidden runs are left out."""
    style = element.find(f"{WORD}pPr/{WORD}pStyle")
    name = "" if style is None else style.get(f"{WORD}val", "")
    match = STYLE.match(name)
    level = levels.get(name) or (int(match[1] or 1) if match else 0)
    said: list[str] = []
    for run in element.iter(f"{WORD}r"):
        vanish = run.find(f"{WORD}rPr/{WORD}vanish")
        for part in run:
            if part.tag == f"{WORD}lastRenderedPageBreak" or (
                part.tag == f"{WORD}br" and part.get(f"{WORD}type") == "page"
            ):
                page += 1
            elif vanish is not None:
                continue
            elif part.tag == f"{WORD}t":
                said.append(part.text or "")
            elif part.tag in (f"{WORD}tab", f"{WORD}br"):
                said.append(" ")
    listed = element.find(f"{WORD}pPr/{WORD}numPr") is not None
    return "".join(said).strip(), page, "heading" if level else "item" if listed else "text", level


# -- Excel ----------------------------------------------------------------------------------------------------------


def xlsx(data: bytes, told: Told) -> Iterator[Block]:
    """Rows of each sheet, each cell under its column's name; a sheet is a page, hidden sheets are left out."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    opened(data).close()
    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (InvalidFileException, KeyError, ValueError, TypeError, ElementTree.ParseError, AttributeError) as error:
        raise Unreadable("it is no workbook that can be read", "不是可读的 XLSX 文件") from error
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"][:PAGES_MAX]
    for number, sheet in enumerate(sheets, 1):
        told(number - 1, len(sheets))
        yield from _rows(sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX), number, sheet.title)
    told(len(sheets), len(sheets))


def separated(data: bytes) -> Iterator[Block]:
    """Rows of a CSV file, each cell under its column's name; parted by what its first line has most of."""
    text = text_of(data)
    first = text[: text.find("\n")] if "\n" in text else text
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
    try:
        yield from _rows((line[:COLUMNS_MAX] for line in lines), 1, "")
    except csv.Error as error:
        raise Unreadable("it is no CSV that can be read", "不是可读的 CSV 文件") from error


def _rows(lines: Iterable[Sequence[Any]], number: int, title: str) -> Iterator[Block]:
    """The rows of a table as the page `number`, under its title where it has one."""
    from openpyxl.utils import get_column_letter

    rows = [(at, row) for at, row in enumerate(_lines(lines), 1) if any(row)]
    if not rows:
        return
    if title:
        yield Block("heading", title, number, level=1)
    header = rows[0][1] if len(rows) > 1 and len([cell for cell in rows[0][1] if cell]) > 1 else []
    last = rows[-1][0]
    for at, row in rows[1:] if header else rows:
        pairs = zip_longest(header, row, fillvalue="") if header else (("", cell) for cell in row)
        text = "；".join(f"{name}：{cell}" if name else cell for name, cell in pairs if cell)
        wide = max(place for place, cell in enumerate(row, 1) if cell)
        box: Box = (0, 10_000 * (at - 1) // last, 10_000, 10_000 * at // last)
        cells = f"A{at}:{get_column_letter(wide)}{at}"
        yield Block("row", text, number, box, place=f"{title}!{cells}" if title else cells)


def _lines(lines: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    for at, line in enumerate(lines, 1):
        if at > ROWS_MAX:
            raise Unreadable(f"a sheet has more than {ROWS_MAX:,} rows", f"工作表超过 {ROWS_MAX:,} 行", "document_bomb")
        yield [_value(cell) for cell in line]


def _value(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else " ".join(str(value).split())[:CELL_MAX_CHARS]


# -- PowerPoint -----------------------------------------------------------------------------------------------------


def pptx(data: bytes, told: Told) -> Iterator[Block]:
    """Text of each slide's shapes, top to bottom, with the shape's box; hidden slides are left out."""
    archive = opened(data)
    try:
        size = parsed(member(archive, "ppt/presentation.xml")).find(f"{SHOW}sldSz")
    except KeyError as error:
        raise Unreadable("it is no presentation", "不是演示文稿") from error
    wide, high = (int((size.get(side) if size is not None else None) or 1) for side in ("cx", "cy"))
    names = [name for name in archive.namelist() if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
    names = sorted(names, key=lambda name: int(re.sub(r"\D", "", name)))[:PAGES_MAX]
    for number, name in enumerate(names, 1):
        told(number - 1, len(names))
        root = parsed(member(archive, name))
        if root.get("show") == "0":
            continue
        found = [_shape(shape, wide, high) for shape in root.iter(f"{SHOW}sp")]
        for title, lines, box in sorted((one for one in found if one[1]), key=lambda one: (not one[0], one[2][1])):
            for line in lines:
                yield Block("heading" if title else "text", line, number, box, level=1 if title else 0)
        for frame in root.iter(f"{DRAW}tbl"):
            for row in frame.iter(f"{DRAW}tr"):
                cells = [_text(cell) for cell in row.iter(f"{DRAW}tc")]
                if any(cells):
                    yield Block("row", " | ".join(cells), number)
    told(len(names), len(names))


def _shape(shape: ElementTree.Element, wide: int, high: int) -> tuple[bool, list[str], Box]:
    """(is the title, its paragraphs, its box)."""
    holder = next(shape.iter(f"{SHOW}ph"), None)
    title = holder is not None and holder.get("type") in ("title", "ctrTitle")
    lines = [text for text in (_text(one) for one in shape.iter(f"{DRAW}p")) if text]
    at, size = next(shape.iter(f"{DRAW}off"), None), next(shape.iter(f"{DRAW}ext"), None)
    if at is None or size is None or size.get("cx") is None:
        return title, lines, WHOLE
    x, y = int(at.get("x", 0)), int(at.get("y", 0))
    right, bottom = x + int(size.get("cx", 0)), y + int(size.get("cy", 0))
    sides = (10_000 * x // wide, 10_000 * y // high, 10_000 * right // wide, 10_000 * bottom // high)
    left, top, right, bottom = (min(10_000, max(0, side)) for side in sides)
    return title, lines, (left, top, right, bottom)


def _text(element: ElementTree.Element) -> str:
    return "".join(part.text or "" for part in element.iter(f"{DRAW}t")).strip()
