from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from openpyxl import Workbook

from shanhe.kernel.documents.tables import ImportRefused, read_table
from stage.torn import locked, torn

SHEET = "xl/worksheets/sheet1.xml"


def merging(ref: str, encoding: str = "utf-8", part: str = SHEET) -> bytes:
    """A small workbook whose file says that it merges an area, however large."""
    return saying(f'<mergeCells count="1"><mergeCell ref="{ref}"/></mergeCells>', encoding, part)


def saying(more: str, encoding: str = "utf-8", part: str = SHEET) -> bytes:
    """A small workbook with something more below its cells, and its sheet in a part of that name."""
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
                text = data.decode().replace("</sheetData>", f"</sheetData>{more}")
                data = text.replace("utf-8", encoding).encode(encoding)
            else:
                data = data.replace(SHEET.encode(), part.encode())
            target.writestr(part if item.filename == SHEET else item.filename, data)
    return packed.getvalue()


class TestMerging:
    def test_of_a_few_cells_fills_them(self) -> None:
        assert read_table(merging("A2:A3"))[1] == [(2, {"问": "甲", "答": "乙"}), (3, {"问": "甲", "答": "丙"})]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    @pytest.mark.parametrize("ref", ["A1:XFD1048576", "$A$1:$CV$10000", "XFD9:A1048576", "everything"])
    def test_of_a_whole_sheet_is_refused_before_it_fills_the_memory(self, ref: str, encoding: str) -> None:
        with pytest.raises(ImportRefused, match="merged cells"):
            read_table(merging(ref, encoding))

    def test_is_refused_whatever_the_sheet_s_part_is_called(self) -> None:
        with pytest.raises(ImportRefused, match="merged cells"):
            read_table(merging("A1:XFD1048576", part="xl/worksheets/sheet1.dat"))


class TestBroken:
    @pytest.mark.parametrize("breaks", [torn, locked])
    def test_is_refused(self, breaks: Callable[[bytes], bytes]) -> None:
        with pytest.raises(ImportRefused, match="no workbook"):
            read_table(breaks(saying("")))


class TestLink:
    def test_over_a_whole_sheet_makes_no_cells(self) -> None:
        rows = read_table(saying('<hyperlinks><hyperlink ref="A1:XFD1048576" location="A1"/></hyperlinks>'))[1]
        assert rows[-1] == (3, {"问": "", "答": "丙"})


class TestSize:
    @pytest.mark.parametrize("place", ["A1048576", "XFD3"])
    def test_of_a_sheet_with_one_far_cell_is_refused(self, place: str) -> None:
        made, book = io.BytesIO(), Workbook()
        assert book.active is not None
        book.active["A1"], book.active["A2"], book.active[place] = "问", "甲", "远"
        book.save(made)
        with pytest.raises(ImportRefused, match="rows or"):
            read_table(made.getvalue())
