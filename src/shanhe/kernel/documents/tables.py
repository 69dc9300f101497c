"""Tables as offices keep them: CSV in UTF-8 or GBK, workbooks with merged cells. Read whole, bounded, or refused."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any, Final
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

from shanhe.kernel import archives
from shanhe.kernel.documents.merged import TooMuch, merged_cells
from shanhe.kernel.errors import Invalid
from shanhe.kernel.texts import decoded

FILE_MAX_BYTES: Final = 5_000_000
UNPACKED_MAX_BYTES: Final = 50_000_000
ROWS_MAX: Final = 2_000
COLUMNS_MAX: Final = 64
CELL_MAX_CHARS: Final = 2_000
WORKBOOK_MAGIC: Final = b"PK\x03\x04"
BROKEN: Final = (*archives.BROKEN, KeyError, ValueError, IndexError, TypeError, AttributeError, ElementTree.ParseError,
                 ExpatError)  # fmt: skip


class ImportRefused(Invalid):
    def __init__(self, zh: str, en: str, **details: Any) -> None:
        super().__init__(
            "import_refused", f"The file was not imported: {en}.", message_zh=f"文件未导入：{zh}。",
            hint="Correct the file and import it again; nothing was recorded.",
            hint_zh="请改正文件后重新导入；本次未写入任何内容。", details=details,
        )  # fmt: skip


def read_table(data: bytes) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header and rows with their numbers as the office sees them; empty rows are left out. ImportRefused with why."""
    if len(data) > FILE_MAX_BYTES:
        raise ImportRefused(f"超过 {FILE_MAX_BYTES:,} 字节", f"it is larger than {FILE_MAX_BYTES:,} bytes")
    lines = _workbook(data) if data.startswith(WORKBOOK_MAGIC) else _csv(data)
    numbered = [(number, line) for number, line in enumerate(lines, 1) if any(line)]
    if len(numbered) < 2:
        raise ImportRefused("没有表头或没有数据行", "it has no header or no rows")
    if len(numbered) > ROWS_MAX + 1:
        raise ImportRefused(f"超过 {ROWS_MAX} 行", f"it has more than {ROWS_MAX} rows")
    header = numbered[0][1]
    named = [name for name in header if name]
    if len(set(named)) != len(named):
        raise ImportRefused("表头有重复的列名", "two columns have the same name")
    rows = [
        (number, {name: cell for name, cell in zip(header, line, strict=False) if name})
        for number, line in numbered[1:]
    ]
    return named, rows


def _csv(data: bytes) -> list[list[str]]:
    found = decoded(data)
    if found is None:
        raise ImportRefused("编码既不是 UTF-8 也不是 GBK", "it is neither UTF-8 nor GBK")
    try:
        reader = csv.reader(io.StringIO(found[0], newline=""), strict=True)
        return [_cells(line) for line, _ in zip(reader, range(ROWS_MAX + 2), strict=False)]
    except csv.Error as error:
        raise ImportRefused("CSV 格式有误", f"it is no CSV: {error}") from error


def _workbook(data: bytes) -> list[list[str]]:
    from openpyxl import load_workbook  # only imports need it
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(item.file_size for item in packed.infolist()) > UNPACKED_MAX_BYTES:
                raise ImportRefused("解压后过大", "it unpacks to too much")
        # Read-only, so that a cell is made for what the file holds and for nothing that it only names.
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        with sheet._get_source() as source:
            merged = merged_cells(source, ROWS_MAX * COLUMNS_MAX)
        sheet.reset_dimensions()  # what the file says of its size is nothing to rely on
        lines = [list(map(_value, line)) for line in islice(sheet.iter_rows(values_only=True), ROWS_MAX + 2)]
        book.close()
    except TooMuch as error:
        raise ImportRefused("合并单元格过大", "its merged cells cover too much") from error
    except (*BROKEN, InvalidFileException) as error:
        raise ImportRefused("不是可读的 XLSX 文件", "it is no workbook that can be read") from error
    if len(lines) > ROWS_MAX + 1 or any(len(line) > COLUMNS_MAX for line in lines):
        raise ImportRefused(
            f"超过 {ROWS_MAX} 行或 {COLUMNS_MAX} 列", f"it has more than {ROWS_MAX} rows or {COLUMNS_MAX} columns"
        )
    for (row, column), (top, left) in merged.items():
        if row <= len(lines) and top <= len(lines) and left <= len(lines[top - 1]):
            line = lines[row - 1]
            line.extend([""] * (column - len(line)))
            line[column - 1] = lines[top - 1][left - 1]
    width = max((len(line) for line in lines), default=0)
    return [_cells(line + [""] * (width - len(line))) for line in lines]


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _cells(line: Sequence[str]) -> list[str]:
    if len(line) > COLUMNS_MAX:
        raise ImportRefused(f"超过 {COLUMNS_MAX} 列", f"it has more than {COLUMNS_MAX} columns")
    cells = [cell.strip() for cell in line]
    if any(len(cell) > CELL_MAX_CHARS for cell in cells):
        raise ImportRefused(f"有单元格超过 {CELL_MAX_CHARS} 字", f"a cell has more than {CELL_MAX_CHARS} characters")
    return cells
