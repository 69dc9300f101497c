"""Files as people have them are read as rows, and bombs are refused before they go off."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from shanhe.datasets import reading
from shanhe.datasets.errors import UnreadableFile, WrongColumns
from shanhe.datasets.model import in_form, packed, unpacked
from shanhe.datasets.reading import read, table
from stage.torn import locked, torn

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def workbook(*lines: list[object]) -> bytes:
    book = Workbook()
    for line in lines:
        book.active.append(line)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def document(body: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>')
    return out.getvalue()


class TestTable:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
    def test_is_read_in_the_encodings_of_offices(self, encoding: str) -> None:
        columns, rows = table("a.csv", "问题,答案\n焊前做什么,清除油污\n\n".encode(encoding))
        assert (columns, rows) == (["问题", "答案"], [{"问题": "焊前做什么", "答案": "清除油污"}])

    def test_is_read_from_a_workbook(self) -> None:
        _, rows = table("a.xlsx", workbook(["题目", "错误做法", "正确做法", "原因"], ["几度", 5.0, "先预热", None]))
        assert rows == [{"题目": "几度", "错误做法": "5", "正确做法": "先预热", "原因": ""}]

    def test_is_read_from_lines_of_json(self) -> None:
        row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
        _, rows = table("a.jsonl", (json.dumps(row) + "\n" + json.dumps({"question": 1, "answer": None})).encode())
        assert rows == [{"question": "q", "answer": "a"}, {"question": "1", "answer": ""}]

    def test_is_read_from_a_document(self) -> None:
        data = document(
            "<w:p><w:r><w:t>第一段</w:t></w:r><w:r><w:t>，完</w:t></w:r></w:p><w:p/><w:p><w:r><w:t>二</w:t></w:r></w:p>"
        )
        assert table("a.docx", data)[1] == [{"text": "第一段，完"}, {"text": "二"}]

    @pytest.mark.parametrize("breaks", [torn, locked])
    def test_that_was_torn_on_its_way_is_refused(self, breaks: Callable[[bytes], bytes]) -> None:
        for name, data in (("a.xlsx", workbook(["a", "b"], [1, 2])), ("a.docx", document("<w:p/>"))):
            with pytest.raises(UnreadableFile, match="can be read"):
                table(name, breaks(data))

    def test_is_read_from_paragraphs(self) -> None:
        assert [row["text"] for row in table("a.txt", b"one\r\ntwo\r\n\r\n\r\nthree")[1]] == ["one\ntwo", "three"]


class TestBomb:
    def test_of_zeros_is_refused_before_it_is_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "UNPACKED_MAX_BYTES", 1_000_000)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", b"0" * 2_000_000)
        with pytest.raises(UnreadableFile, match="unpacks"):
            table("a.xlsx", out.getvalue())

    def test_that_lies_about_its_size_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "UNPACKED_MAX_BYTES", 300_000)
        data = document("<w:p><w:r><w:t>" + "x" * 200_000 + "</w:t></w:r></w:p>" * 1)
        lying = data.replace((200_000 + 150).to_bytes(4, "little"), (10).to_bytes(4, "little"))
        with pytest.raises(UnreadableFile):
            table("a.docx", lying)

    def test_of_entities_is_refused(self) -> None:
        entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha" * 50}">' for n in range(9))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            said = "<w:p><w:r><w:t>&a8;</w:t></w:r></w:p>"
            xml = f'<!DOCTYPE d [{entities}]><w:document xmlns:w="{WORD}">{said}</w:document>'
            archive.writestr("word/document.xml", xml)
        with pytest.raises(UnreadableFile):
            table("a.docx", out.getvalue())

    @pytest.mark.parametrize("data", [b"PK\x03\x04rubbish", b"\xff\xfe\x00\xd8", b'{"a": ', b"a,b\n", b'"a'])
    def test_that_is_only_rubbish_is_refused(self, data: bytes) -> None:
        with pytest.raises(UnreadableFile):
            table("a.bin", data)

    def test_of_rows_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "ROWS_MAX", 10)
        with pytest.raises(UnreadableFile, match="rows"):
            table("a.csv", b"a\n" + b"1\n" * 11)

    @given(st.binary(max_size=400), st.sampled_from(["a.csv", "a.jsonl", "a.txt", "a.docx", ""]))
    def test_of_any_bytes_is_read_or_refused(self, data: bytes, name: str) -> None:
        try:
            _, rows = table(name, data)
        except UnreadableFile:
            return
        assert all(isinstance(value, str) for row in rows for value in row.values())


class TestForm:
    def test_takes_chinese_names_and_leaves_other_columns_out(self) -> None:
        rows = in_form("errors", ["题目", "错误做法", "正确做法", "工号"], [
            {"题目": "几度", "错误做法": "冷焊", "正确做法": "预热", "工号": "7"},
            {"题目": "", "错误做法": "冷焊", "正确做法": "预热", "工号": "8"},
        ])  # fmt: skip
        assert rows == [{"question": "几度", "wrong": "冷焊", "right": "预热", "reason": ""}]

    def test_says_which_columns_are_missing(self) -> None:
        with pytest.raises(WrongColumns, match="answer"):
            in_form("pairs", ["题目"], [])

    @given(st.lists(st.fixed_dictionaries({"question": st.text(), "answer": st.text()}), max_size=5))
    def test_is_the_same_after_packing(self, rows: list[dict[str, str]]) -> None:
        assert unpacked(packed(rows)) == rows


def pdf_of(content: bytes, more: bytes = b"") -> bytes:
    """A page with a stream of drawing orders."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d%b>>stream\n%b\nendstream" % (len(content), more, content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]  # fmt: skip
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj%b endobj\n" % (number, one)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + table + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(body)


class TestPaper:
    async def test_gives_its_paragraphs_as_the_page_shows_them(self) -> None:
        drawn = b"BT /F 12 Tf 20 200 Td (Clean the groove) Tj 0 -14 Td (before welding.) Tj 0 -40 Td (Then heat.) Tj ET"
        assert await read("a.pdf", pdf_of(drawn)) == (
            ["text"], [{"text": "Clean the groove before welding."}, {"text": "Then heat."}]
        )  # fmt: skip

    async def test_that_would_take_all_memory_is_refused(self) -> None:
        bomb = zlib.compress(bytes(400_000_000), 1)
        with pytest.raises(UnreadableFile):
            await read("a.pdf", pdf_of(zlib.compress(bomb, 1), b"/Filter[/FlateDecode/FlateDecode]"))

    @pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\nnothing", b"\xff\xd8\xffnothing"])
    async def test_that_is_a_broken_picture_is_refused(self, data: bytes) -> None:
        with pytest.raises(UnreadableFile, match="picture"):
            await read("a.png", data)

    @pytest.mark.parametrize("data", [b"", b"%PDF-1.7"])
    async def test_that_is_none_is_refused(self, data: bytes) -> None:
        with pytest.raises(UnreadableFile):
            await read("a.pdf", data)
