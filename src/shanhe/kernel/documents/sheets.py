"""CSV and XLSX. A cell is data: text that a spreadsheet would run as a formula is written so that it cannot be.

Why both measures: XLSX has a type per cell, so text stays text whatever it begins with. CSV has none; there, text that
begins with a sign of a formula gets an apostrophe in front (OWASP, "CSV Injection"), figures are left alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.documents.model import Cell, Document, Kind, Table

BOM: Final = "\ufeff"
"""Excel takes a CSV without it for the computer's own code page and shows Chinese as rubbish."""
FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
CELL_CHARS_MAX: Final = 32_767
TITLE_CHARS_MAX: Final = 31
WIDTH_CHARS: Final = 14
EXACT_DIGITS: Final = 15
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]|[\ud800-\udfff]")
_BREAKS: Final = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")
_TITLE_SIGNS: Final = re.compile(r"[\[\]:*?/\\']")


def csv_bytes(document: Document) -> bytes:
    """Every table of the document, one below the other, as UTF-8 with a byte order mark."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow
    for number, table in enumerate(document.tables):
        if number:
            write([])
        if len(document.tables) > 1:
            write([csv_cell(table.title)])
        write([csv_cell(column.title) for column in table.columns])
        for row in _rows(table):
            write([csv_cell(cell) for cell in row])
    return (BOM + out.getvalue()).encode()


def csv_line(cells: Iterable[Cell]) -> str:
    """One row of a CSV with the end of its line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([csv_cell(cell) for cell in cells])
    return out.getvalue()


def csv_cut(most: int, zh: str, en: str) -> str:
    """The last line of a CSV that ends before its list does: how to have the rest."""
    return csv_line((f"……本表至多 {most:,} 行，其余未列：{zh} · at most {most:,} rows, the rest is left out: {en}",))


def csv_cell(cell: Cell) -> str:
    """A cell as a CSV carries it: on one line, and nothing that a spreadsheet would run."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        text = _BREAKS.sub(" ", _CONTROL.sub("", cell))  # a line break inside a cell is one more place for a formula
        return "'" + text if text.lstrip(" ").startswith(FORMULA_STARTS) else text
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, datetime):
        return _instant(cell).isoformat(" ", "seconds")
    return str(cell)


def xlsx_bytes(document: Document) -> bytes:
    """One sheet a table, after a first sheet with the facts and notes."""
    from openpyxl import Workbook  # a third of a second of every start, for the few processes that write a sheet

    book = Workbook(write_only=True)
    book.properties.creator = "Shanhe 山河智汇"
    book.properties.title = document.title
    book.properties.created = book.properties.modified = datetime.combine(document.issued_on, datetime.min.time())
    _cover(book, document)
    names: set[str] = {_sheet_name(document.title, set())}
    for table in document.tables:
        name = _sheet_name(table.title, names)
        names.add(name)
        _sheet(book, name, table)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _cover(book: Any, document: Document) -> None:
    sheet = book.create_sheet(_sheet_name(document.title, set()))
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 2 * WIDTH_CHARS, 4 * WIDTH_CHARS
    sheet.append([_xlsx_cell(sheet, document.title, bold=True)])
    if document.subtitle:
        sheet.append([_xlsx_cell(sheet, document.subtitle)])
    for label, value in document.facts:
        sheet.append([_xlsx_cell(sheet, label), _xlsx_cell(sheet, value)])
    for note in document.notes:
        sheet.append([_xlsx_cell(sheet, note)])


def _sheet(book: Any, name: str, table: Table) -> None:
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A2"
    for index, column in enumerate(table.columns, 1):
        sheet.column_dimensions[get_column_letter(index)].width = WIDTH_CHARS * max(1, column.width)
    sheet.append([_xlsx_cell(sheet, column.title, bold=True) for column in table.columns])
    figures = [column.kind is Kind.FIGURE for column in table.columns]
    for row in table.rows:
        sheet.append([_xlsx_cell(sheet, cell, right=right) for cell, right in zip(row, figures, strict=True)])
    if table.total:
        total = zip(table.total, figures, strict=True)
        sheet.append([_xlsx_cell(sheet, cell, right=right, bold=True) for cell, right in total])


def _xlsx_cell(sheet: Any, cell: Cell, *, bold: bool = False, right: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font

    made = WriteOnlyCell(sheet)
    if isinstance(cell, str):
        made.value = _CONTROL.sub("", cell)[:CELL_CHARS_MAX]
        made.data_type = "s"  # whatever it begins with
        made.quotePrefix = True
    elif isinstance(cell, Decimal) and len(cell.as_tuple().digits) > EXACT_DIGITS:
        made.value = f"{cell:f}"  # a spreadsheet's number would lose its last digits
        made.data_type = "s"
    elif isinstance(cell, datetime):
        made.value = _instant(cell)
    elif cell is not None:
        made.value = cell
        if isinstance(cell, Decimal):
            places = max(0, -int(cell.as_tuple().exponent))
            made.number_format = "#,##0" + ("." + "0" * places if places else "")
    if bold:
        made.font = Font(bold=True)
    if right:
        made.alignment = Alignment(horizontal="right")
    return made


def _instant(at: datetime) -> datetime:
    """The city's wall clock: a spreadsheet knows no zones."""
    return at.astimezone(CITY_TZ).replace(tzinfo=None, microsecond=0) if at.tzinfo else at


def _sheet_name(title: str, taken: set[str]) -> str:
    name = _TITLE_SIGNS.sub(" ", _CONTROL.sub("", title)).strip()[:TITLE_CHARS_MAX] or "Sheet"
    number = 2
    while name in taken:
        tail = f" {number}"
        name = name[: TITLE_CHARS_MAX - len(tail)] + tail
        number += 1
    return name


def _rows(table: Table) -> tuple[tuple[Cell, ...], ...]:
    return (*table.rows, table.total) if table.total else table.rows


def plain(cell: Cell) -> str:
    """A cell as a reader sees it on paper."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return f"{cell:,f}"
    if isinstance(cell, datetime):
        return _instant(cell).isoformat(" ", "minutes")
    if isinstance(cell, date):
        return cell.isoformat()
    return f"{cell:,}" if isinstance(cell, int) else _CONTROL.sub("", cell)
