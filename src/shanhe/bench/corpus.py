"""The demonstration city's documents, made anew in the formats that offices use: what `bench knowledge` is asked about.

Policies out of the rulebook (PDF), guides to its programmes (DOCX), the product's own Chinese pages (HTML), tables of
departments, budgets and points (XLSX), and notices as crooked grey scans (JPEG; their text is of this file).
"""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from shanhe.guide import Chapter, Section, policies, services
from shanhe.programmes.api import Catalogue
from shanhe.retrieval.api import markdown_blocks
from shanhe.rulebook.api import Rulebook

ON: Final = date(2026, 11, 20)
WORD: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
POLICIES, SERVICES, TABLES = "山河市政策汇编.pdf", "办事指南.docx", "部门与预算表.xlsx"
SECTIONS_A_PAGE: Final = 3
PAPER: Final = """
#let paper = json(bytes(sys.inputs.paper))
#set page(paper: "a4", margin: 24mm, numbering: "1")
#set text(font: ("Noto Sans CJK SC", "Noto Sans SC", "Noto Serif CJK SC"), size: 11pt, lang: "zh")
#set heading(numbering: none)
#text(size: 20pt, weight: "bold")[#paper.title]
#for chapter in paper.chapters [
  #heading(level: 1)[#chapter.title]
  #for section in chapter.sections [
    #block(breakable: false)[
      #heading(level: 2)[#section.title]
      #for line in section.lines [#par[#line]]
    ]
  ]
]
"""
NOTICES: Final = {
    "通知-智算中心开放时间.jpg": (
        "关于调整智算中心参观开放时间的通知",
        "自二〇二六年十二月一日起，山河市智算中心参观开放时间调整为每周二至周六上午九时至下午四时，周日与周一闭馆检修。",
        "团体参观须提前三个工作日预约，每批不超过二十五人。预约电话：0571-86530021。",
        "参观人员应当出示身份证件，不得携带无人机与强磁物品。",
    ),
    "通知-窗口搬迁.jpg": (
        "关于人工智能服务窗口搬迁的公告",
        "市政务服务中心人工智能服务窗口由一楼A区迁至三楼C区第十二号至第十五号窗口，十一月二十八日起在新址办公。",
        "搬迁期间十一月二十六日、二十七日停止现场受理，网上申请照常进行。",
        "原址保留引导员一名至十二月底。",
    ),
    "通知-冬季培训班.jpg": (
        "二〇二六年冬季提示词与智能体公益培训班报名通知",
        "培训班共六期，每期两天，免收学费与教材费，午餐自理。名额每期四十人，额满为止。",
        "报名对象为本市户籍居民与持数字游民身份者，年满十六周岁。",
        "上课地点：山河职业技术学院图书馆四楼。结业考核合格者发放学时证明。",
    ),
    "通知-机房断电演练.jpg": (
        "关于举行机房断电应急演练的通告",
        "定于十二月九日二十二时至次日二时对城东机房进行断电应急演练，届时批量任务暂停受理，交互调用由城西机房承担。",
        "演练期间如遇调用失败，按计费规则不收取费用。",
        "值班联系人：数字办算力处陈工。",
    ),
}


LISTS = ("bench", "cli", "glossary", "rules", "settings")
"""Pages that are lists, written by programs: nobody asks them a question."""


def documents(rulebook: Rulebook, catalogue: Catalogue, pages: Path) -> dict[str, bytes]:
    """All documents by name; `pages` is the folder of the product's Chinese pages."""
    chapters, guides = policies(rulebook, ON), services(catalogue)
    found = {
        POLICIES: pdf("山河市人工智能政策汇编", chapters),
        SERVICES: docx("山河市人工智能政策办事指南", guides),
        TABLES: xlsx(tables(catalogue)),
    }
    for path in sorted(path for path in pages.glob("*.md") if path.stem not in LISTS):
        found[f"产品手册-{path.stem}.html"] = web_page(path.read_bytes())
    return found | {name: scan(lines, tilt) for tilt, (name, lines) in enumerate(NOTICES.items())}


def pdf(title: str, chapters: Sequence[Chapter]) -> bytes:
    import typst

    paper = msgspec.json.encode({"title": title, "chapters": chapters}).decode()
    fonts: list[Any] = [str(files("shanhe.kernel.documents") / "fonts")]
    made: Any = typst.compile(PAPER.encode(), sys_inputs={"paper": paper}, font_paths=[*fonts])
    return bytes(made)


def docx(title: str, sections: Sequence[Section]) -> bytes:
    """A Word document as offices write them: heading styles, a page break every few sections."""
    parts = [_paragraph(title, "Heading1")]
    for number, section in enumerate(sections):
        broken = '<w:r><w:br w:type="page"/></w:r>' if number and number % SECTIONS_A_PAGE == 0 else ""
        parts.append(_paragraph(section.title, "Heading2", broken))
        parts += [_paragraph(line) for line in section.lines]
    body = f'<w:document xmlns:w="{WORD}"><w:body>{"".join(parts)}</w:body></w:document>'
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", body)
    return target.getvalue()


def _paragraph(text: str, style: str = "", before: str = "") -> str:
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{look}{before}<w:r><w:t>{html.escape(text)}</w:t></w:r></w:p>"


def tables(catalogue: Catalogue) -> dict[str, list[list[Any]]]:
    """Sheets: departments, budgets, how long each step of each programme takes."""
    steps = [
        [one.title.zh, number, step.zh, catalogue.departments[step.by].zh, step.days, step.eyes]
        for one in catalogue.programmes.values()
        for number, step in enumerate(one.review, 1)
    ]
    return {
        "预算": [["预算科目", "资产", "主管部门"]] + [
            [one.zh, one.asset, catalogue.departments[one.department].zh] for one in catalogue.budgets.values()
        ],
        "审核时限": [["计划", "步骤", "内容", "经办部门", "工作日", "经办人数"], *steps],
    }  # fmt: skip


def xlsx(sheets: dict[str, list[list[Any]]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def web_page(source: bytes) -> bytes:
    """A page of the manual as HTML."""
    tags = {"item": "li", "code": "pre"}
    parts: list[str] = []
    for block in markdown_blocks(source):
        text = html.escape(block.text)
        if block.kind == "row":
            cells = "".join(f"<td>{cell}</td>" for cell in text.split(" | "))
            parts.append(f"<table><tr>{cells}</tr></table>")
            continue
        tag = f"h{min(6, block.level)}" if block.kind == "heading" else tags.get(block.kind, "p")
        parts.append(f"<{tag}>{text}</{tag}>")
    page = f'<!doctype html><html lang="zh"><head><meta charset="utf-8"></head><body>{"".join(parts)}</body></html>'
    return page.encode()


def scan(lines: Iterable[str], tilt: int) -> bytes:
    """A printed notice, scanned a little crooked on a grey machine."""
    import pypdfium2
    from PIL import Image, ImageFilter

    title, *text = lines
    page = pypdfium2.PdfDocument(pdf(title, [Chapter("", (Section("", tuple(text)),))]))[0]
    image = page.render(scale=2.2).to_pil().convert("L")
    image = image.rotate((-0.6, 0.5, -0.3, 0.7)[tilt % 4], resample=Image.Resampling.BICUBIC, fillcolor=235)
    image = image.filter(ImageFilter.GaussianBlur(0.6)).point(lambda value: 40 + value * 200 // 255)
    target = io.BytesIO()
    image.save(target, "JPEG", quality=72)
    return target.getvalue()
