"""Documents: the same words in PDF, XLSX and CSV, Chinese included, and nothing in them is ever run."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import openpyxl
import pypdf
import pytest

from shanhe.kernel.documents import Column, Document, DocumentTooLarge, Kind, Table, file_name, render, save_headers
from shanhe.kernel.errors import Unavailable

FONTS = Path(str(files("shanhe.kernel.documents"))) / "fonts"
NASTY = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("http://x")')
RARE = "张彧垚㛃䶮𬭚钅"


def document(*cells: str, rows: int = 1) -> Document:
    table = Table(
        "批次",
        (Column("编号", width=2), Column("金额", Kind.FIGURE), Column("时刻")),
        tuple(
            (cell, Decimal("-1234567.123456"), datetime(2026, 1, 31, 16, 30, tzinfo=UTC))
            for cell in (cells or ("山河",)) * rows
        ),
        ("合计", Decimal("0.5"), None),
    )
    return Document("对账单", date(2026, 2, 1), "山河市", (("机构", RARE),), (table,), ("*注* #pagebreak()",))


def text_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


class TestPdf:
    async def test_holds_chinese_and_reads_markup_as_words(self) -> None:
        text = text_of(await render(document("#strong[x] $1$ <a> \\u"), "pdf"))
        for word in ("对账单", "山河市", RARE, "#strong[x] $1$ <a> \\u", "*注* #pagebreak()", "-1,234,567.123456"):
            assert word in text
        assert "2026-02-01 00:30" in text, "instants are shown in the city's time"

    async def test_is_reproducible(self) -> None:
        assert await render(document(), "pdf") == await render(document(), "pdf")

    async def test_leaves_the_event_loop_free(self) -> None:
        ticks = 0
        making = asyncio.create_task(render(document(rows=1500), "pdf"))
        while not making.done():
            await asyncio.sleep(0.005)
            ticks += 1
        assert len(pypdf.PdfReader(io.BytesIO(making.result())).pages) > 10
        assert ticks > 3

    async def test_refuses_more_rows_than_it_can_hold(self) -> None:
        with pytest.raises(DocumentTooLarge):
            await render(document(rows=5001), "pdf")


class TestXlsx:
    async def test_text_is_text_whatever_it_begins_with(self) -> None:
        book = openpyxl.load_workbook(io.BytesIO(await render(document(*NASTY, RARE), "xlsx")))
        sheet = book["批次"]
        for row, text in zip(sheet.iter_rows(min_row=2), (*NASTY, RARE), strict=False):
            assert row[0].data_type == "s"
            assert str(row[0].value).strip() == text.strip()
            assert row[0].quotePrefix
            assert row[1].data_type == "n"

    async def test_figures_are_numbers_and_long_ones_keep_every_digit(self) -> None:
        long = Decimal("12345678901234.123456")
        table = Table("表", (Column("金额", Kind.FIGURE),), ((long,), (Decimal("1.5"),)))
        made = await render(Document("题", date(2026, 1, 1), tables=(table,)), "xlsx")
        cells = [row[0].value for row in openpyxl.load_workbook(io.BytesIO(made))["表"].iter_rows(min_row=2)]
        assert cells == ["12345678901234.123456", 1.5]


class TestCsv:
    async def test_opens_in_excel_with_chinese_and_without_formulas(self) -> None:
        made = await render(document(*NASTY), "csv")
        assert made.startswith(b"\xef\xbb\xbf")
        lines = made.decode("utf-8-sig").splitlines()
        assert lines[0] == "编号,金额,时刻"
        assert "'=1+1,-1234567.123456,2026-02-01 00:30:00" in lines
        assert "'＝1,-1234567.123456,2026-02-01 00:30:00" in lines
        assert not [line for line in lines if line.lstrip('" ').startswith(("=", "+", "-", "@"))]


class TestRender:
    async def test_waits_for_a_turn_and_refuses_past_its_queue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = sys.modules["shanhe.kernel.documents.render"]
        gate = threading.Event()
        monkeypatch.setitem(module._RENDERERS, module.Format.CSV, lambda _: gate.wait(30) and b"x")
        making = [asyncio.create_task(render(document(), "csv")) for _ in range(module.WAITING_MAX + 8)]
        done, waiting = await asyncio.wait(making, timeout=0.05)
        assert len(done) == 8
        assert all(isinstance(task.exception(), Unavailable) for task in done)
        waiting.pop().cancel()
        gate.set()
        made = await asyncio.gather(*waiting)
        assert made.count(b"x") == module.WAITING_MAX - 1
        assert await render(document(), "csv") == b"x", "a cancelled one gave its place back"

    def test_a_name_is_safe_for_files_and_headers(self) -> None:
        assert file_name('../对账 "单"', "pdf") == "对账--单.pdf"
        assert "filename*=UTF-8''%E5%AF%B9" in save_headers("对账单", "pdf")["content-disposition"]


class TestFont:
    def test_is_what_the_manifest_says(self) -> None:
        assets = json.loads((FONTS / "manifest.json").read_text())["assets"]
        for asset in assets:
            content = (FONTS / asset["file"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == asset["sha256"]
            assert len(content) == asset["bytes"]
        named = {name for asset in assets for name in (asset["file"], asset["licence_file"])}
        assert {path.name for path in FONTS.iterdir()} == {"manifest.json", *named}
