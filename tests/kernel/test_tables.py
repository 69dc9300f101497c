from __future__ import annotations

import io
import zipfile

import pytest
from openpyxl import Workbook

from shanhe.kernel.documents.tables import ImportRefused, read_table

SHEET = "xl/worksheets/sheet1.xml"


def merging(ref: str, encoding: str = "utf-8") -> bytes:
    """A small workbook whose file says that it merges an area, however large."""
    made, packed = io.BytesIO(), io.BytesIO()
    book = Workbook()
    assert book.active is not None
    for row in (["问", "答"], ["甲", "乙"], [None, "丙"]):
        book.active.append(row)
    book.save(made)
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for item in source.infolist():
            data = source.read(item.filename)
            if item.filename == SHEET:
                said = f'</sheetData><mergeCells count="1"><mergeCell ref="{ref}"/></mergeCells>'
                text = data.decode().replace("</sheetData>", said)
                data = text.replace("utf-8", encoding).encode(encoding)
            target.writestr(item.filename, data)
    return packed.getvalue()


class TestMerging:
    def test_of_a_few_cells_fills_them(self) -> None:
        assert read_table(merging("A2:A3"))[1] == [(2, {"问": "甲", "答": "乙"}), (3, {"问": "甲", "答": "丙"})]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    @pytest.mark.parametrize("ref", ["A1:XFD1048576", "$A$1:$CV$10000", "XFD9:A1048576", "everything"])
    def test_of_a_whole_sheet_is_refused_before_it_fills_the_memory(self, ref: str, encoding: str) -> None:
        with pytest.raises(ImportRefused, match="merged cells"):
            read_table(merging(ref, encoding))
