"""Documents for people: one description, rendered as PDF, XLSX or CSV.

A `Document` is plain data: a title, facts, tables, notes. `render` turns it into bytes away from the event loop, a
bounded number at a time. Nothing in it is ever run: text is text in every format, also where a spreadsheet would
see a formula.
"""

from __future__ import annotations

from shanhe.kernel.documents.model import Cell, Column, Document, DocumentTooLarge, Kind, Table
from shanhe.kernel.documents.render import MEDIA, Format, file_name, render, save_headers
from shanhe.kernel.documents.sheets import BOM, csv_cell, csv_cut, csv_line

__all__ = [
    "BOM",
    "MEDIA",
    "Cell",
    "Column",
    "Document",
    "DocumentTooLarge",
    "Format",
    "Kind",
    "Table",
    "csv_cell",
    "csv_cut",
    "csv_line",
    "file_name",
    "render",
    "save_headers",
]
