"""PDF: text with its boxes as the page shows it; a page without text is looked at as an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from shanhe.retrieval.errors import Unreadable
from shanhe.retrieval.model import Block
from shanhe.retrieval.work import layout
from shanhe.retrieval.work.bounds import PAGES_MAX

RECTS_MAX: Final = 20_000
"""Pieces of text on one page."""
TEXT_MIN_CHARS: Final = 8
"""A page with less text than this is a scan."""
SCALE: Final = 2.0
"""144 dots an inch, enough for printed text."""
SIDE_MAX_PIXELS: Final = 3_000
See = Callable[[Any], list[layout.Line]]
Told = Callable[[int, int], None]


def read(data: bytes, told: Told, see: See) -> Iterator[Block]:
    """Blocks of a PDF. `see` reads a picture."""
    import pypdfium2
    from pypdfium2 import PdfiumError

    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except PdfiumError as error:
        locked = "password" in str(error).lower()
        why = ("it is locked by a password", "文件已加密") if locked else ("it is no sound PDF", "PDF 已损坏")
        raise Unreadable(*why) from error
    if count > PAGES_MAX:
        raise Unreadable(f"it has more than {PAGES_MAX} pages", f"超过 {PAGES_MAX} 页", "document_bomb")
    for number in range(count):
        told(number, count)
        try:
            page = document[number]
            lines = _lines(page)
            if sum(len(line.text) for line in lines) < TEXT_MIN_CHARS and _has_picture(page):
                lines = see(_picture(page))
        except PdfiumError as error:
            raise Unreadable(f"page {number + 1} is broken", f"第 {number + 1} 页已损坏") from error
        yield from layout.blocks(lines, number + 1)
        page.close()
    told(count, count)


def _lines(page: Any) -> list[layout.Line]:
    width, height = page.get_size()
    text = page.get_textpage()
    count = text.count_rects()
    if count > RECTS_MAX:
        raise Unreadable("a page holds too much", "单页内容过多", "document_bomb")
    seen: set[tuple[Any, ...]] = set()
    lines = []
    for at in range(count):
        left, bottom, right, top = rect = text.get_rect(at)
        said = text.get_text_bounded(*rect).replace("\r\n", " ").replace("\n", " ").replace("\ufffe", "-")
        key = (tuple(map(round, rect)), said)
        if key in seen or not said.strip():
            continue  # bold that is printed twice
        seen.add(key)
        lines.append(layout.placed(said, (left, height - top, right, height - bottom), width, height))
    return lines


def _has_picture(page: Any) -> bool:
    import pypdfium2.raw as raw

    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _picture(page: Any) -> Any:
    width, height = page.get_size()
    scale = min(SCALE, SIDE_MAX_PIXELS / max(1.0, width, height))
    return page.render(scale=scale).to_numpy()
