"""Files as people have them, as rows: JSONL, CSV, XLSX, DOCX, PDF, pictures, text; within bounds, or refused."""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, Final
from xml.etree import ElementTree

import msgspec

from shanhe.datasets.errors import UnreadableFile
from shanhe.kernel import archives
from shanhe.kernel.texts import decoded
from shanhe.retrieval.api import Unreadable, read_document

FILE_MAX_BYTES: Final = 15 * 1024 * 1024
UNPACKED_MAX_BYTES: Final = 150 * 1024 * 1024
MEMBERS_MAX: Final = 2_000
ROWS_MAX: Final = 50_000
COLUMNS_MAX: Final = 64
CELL_MAX_CHARS: Final = 20_000
PAPERS: Final = (b"%PDF", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How files begin whose text a process of its own reads."""
PAPER_LIMIT_S: Final = 180.0
ZIP: Final = b"PK\x03\x04"
DOCUMENT: Final = "word/document.xml"
WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"

Table = tuple[list[str], list[dict[str, str]]]
"""Columns and rows."""


async def read(name: str, data: bytes) -> Table:
    """Columns and rows of a file, by its content and, where that does not tell, its name; UnreadableFile."""
    if not data:
        raise UnreadableFile("it is empty", "文件为空")
    if len(data) > FILE_MAX_BYTES:
        raise UnreadableFile(f"it is larger than {FILE_MAX_BYTES:,} bytes", f"超过 {FILE_MAX_BYTES:,} 字节")
    if data.startswith(PAPERS):
        return ["text"], [{"text": checked(part, 0)} for part in _bounded(await _paper(name, data))]
    return await asyncio.to_thread(table, name, data)


def table(name: str, data: bytes) -> Table:
    """Columns and rows of a file that is neither a PDF nor a picture."""
    if data.startswith(ZIP):
        return _packed(data)
    text = text_of(data)
    ending = name.lower().rpartition(".")[2]
    if ending in ("jsonl", "json", "ndjson") or (ending not in ("csv", "txt", "md") and text.lstrip()[:1] in "{["):
        return _jsonl(text)
    if ending in ("txt", "md"):
        return ["text"], [{"text": part} for part in _bounded(paragraphs(text))]
    return _csv(text)


async def _paper(name: str, data: bytes) -> list[str]:
    """Paragraphs of a PDF or a picture, as its pages show them."""
    try:
        found = await read_document(name, data, wall_max_s=PAPER_LIMIT_S)
    except Unreadable as refused:
        raise UnreadableFile(refused.why, refused.why_zh) from refused
    if not found.blocks:
        raise UnreadableFile("there is no text in it", "其中没有文字")
    return [block.text for block in found.blocks]


def text_of(data: bytes) -> str:
    """Text in UTF-8, with or without a byte-order mark, or in GBK."""
    found = decoded(data)
    if found is None:
        raise UnreadableFile("it is neither UTF-8 nor GBK", "编码既不是 UTF-8 也不是 GBK")
    return found[0]


def paragraphs(text: str) -> Iterator[str]:
    """Blocks between blank lines."""
    for block in text.replace("\r\n", "\n").split("\n\n"):
        if block.strip():
            yield checked(block.strip(), 0)


def checked(cell: str, line: int) -> str:
    if len(cell) > CELL_MAX_CHARS:
        where, where_zh = (f"line {line}: ", f"第 {line} 行：") if line else ("", "")
        raise UnreadableFile(
            f"{where}a cell has more than {CELL_MAX_CHARS} characters", f"{where_zh}有单元格超过 {CELL_MAX_CHARS} 字"
        )
    return cell


def _bounded(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if len(found) >= ROWS_MAX:
            raise UnreadableFile(f"it has more than {ROWS_MAX:,} rows", f"超过 {ROWS_MAX:,} 行")
        found.append(item)
    return found


def _jsonl(text: str) -> Table:
    columns: dict[str, None] = {}

    def rows() -> Iterator[dict[str, str]]:
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line.encode("utf-8", "replace"))
            except (msgspec.DecodeError, RecursionError) as error:
                raise UnreadableFile(f"line {number} is no JSON: {error}", f"第 {number} 行不是 JSON") from error
            if not isinstance(row, dict) or len(row) > COLUMNS_MAX:
                raise UnreadableFile(
                    f"line {number} is no object of at most {COLUMNS_MAX} fields", f"第 {number} 行不是对象"
                )
            row = flat(row)
            columns.update(dict.fromkeys(row))
            yield {name: checked(value, number) for name, value in row.items()}

    found = _bounded(rows())
    if len(columns) > COLUMNS_MAX:
        raise UnreadableFile(f"it has more than {COLUMNS_MAX} columns", f"超过 {COLUMNS_MAX} 列")
    return list(columns), found


def flat(row: dict[str, Any]) -> dict[str, str]:
    """A row of texts. A conversation (`messages`) becomes its first question and first answer."""
    messages = row.get("messages")
    if isinstance(messages, list):
        said: dict[Any, str] = {}
        for one in messages:
            if isinstance(one, dict) and isinstance(one.get("content"), str):
                said.setdefault(one.get("role"), one["content"])
        return {"question": said.get("user", ""), "answer": said.get("assistant", "")}
    return {name: value if isinstance(value, str) else _plain(value) for name, value in row.items()}


def _plain(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _csv(text: str) -> Table:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = _bounded(reader)
    except csv.Error as error:
        raise UnreadableFile(f"it is no CSV: {error}", "CSV 格式有误") from error
    return _table(lines)


def _table(lines: list[list[str]]) -> Table:
    numbered = [(number, line) for number, line in enumerate(lines, 1) if any(cell.strip() for cell in line)]
    if len(numbered) < 2:
        raise UnreadableFile("it has no header or no rows", "没有表头或没有数据行")
    header = [cell.strip() for cell in numbered[0][1]]
    named = [name for name in header if name]
    if len(header) > COLUMNS_MAX or len(set(named)) != len(named):
        raise UnreadableFile("its header has too many columns, or one twice", "表头列数过多或有重复列名")
    rows = [
        {name: checked(cell, number) for name, cell in zip(header, line, strict=False) if name}
        for number, line in numbered[1:]
    ]
    return named, rows


def _packed(data: bytes) -> Table:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS_MAX or sum(item.file_size for item in members) > UNPACKED_MAX_BYTES:
                raise UnreadableFile("it unpacks to too much", "解压后过大")
            if DOCUMENT in archive.namelist():
                return ["text"], [{"text": part} for part in _bounded(_document(archive))]
        return _workbook(data)
    except archives.BROKEN as error:
        raise UnreadableFile("it is no DOCX or XLSX that can be read", "不是可读的 DOCX 或 XLSX 文件") from error


def _document(archive: zipfile.ZipFile) -> Iterator[str]:
    """Paragraphs of a Word document. The parser (expat) refuses entities that grow."""
    try:
        with archive.open(DOCUMENT) as file:
            for _, element in ElementTree.iterparse(_Measured(file)):
                if element.tag == f"{WORD}p":
                    text = "".join(part.text or "" for part in element.iter(f"{WORD}t")).strip()
                    element.clear()
                    if text:
                        yield checked(text, 0)
    except ElementTree.ParseError as error:
        raise UnreadableFile("the document's XML is broken", "文档内容已损坏") from error


class _Measured:
    """A file that ends in a refusal when it turns out larger than it said."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, UNPACKED_MAX_BYTES

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self._file.read(min(size, 65_536) if size >= 0 else 65_536)
        self._left -= len(piece)
        if self._left < 0:
            raise UnreadableFile("it unpacks to too much", "解压后过大")
        return piece


def _workbook(data: bytes) -> Table:
    from openpyxl import load_workbook  # only imports need it
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        lines = _bounded(
            [_value(cell) for cell in line[: COLUMNS_MAX + 1]] for line in sheet.iter_rows(values_only=True)
        )
        book.close()
    except (InvalidFileException, LookupError, ValueError, TypeError, AttributeError, ElementTree.ParseError) as error:
        raise UnreadableFile("it is no workbook that can be read", "不是可读的 XLSX 文件") from error
    return _table(lines)


def _value(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
