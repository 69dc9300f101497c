"""From lines with boxes to blocks in reading order: columns, rows of tables, paragraphs, headings. Pure.

Columns are found as in the XY-cut (Nagy & Seth 1984): a gutter that runs through most of the page, with full lines on
both sides; short cells on both sides are a table, whose rows stay together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from shanhe.retrieval.chunking import around
from shanhe.retrieval.model import Block, Box

COLUMN_LINES_MIN: Final = 6
COLUMN_FILL_MIN: Final = 0.55
GUTTER_MIN: Final = 120
"""‱ of the page's width."""
COLUMNS_DEEP_MAX: Final = 3
HEADING_TALLER: Final = 1.12
HEADING_MAX_CHARS: Final = 60
CELL_GAP: Final = 0.75
"""Of the line's height: a wider gap divides cells."""
ITEM: Final = re.compile(r"^(?:[-•·▪●○*–]|[(（]?[0-9一二三四五六七八九十]{1,3}[)）.、．])\s*")
NUMBERED: Final = re.compile(
    r"^(?:第[一二三四五六七八九十百0-9]+[章节条部分篇]|[一二三四五六七八九十]+、|\d+(?:\.\d+)*[ 、.])"
)
ENDS: Final = "。！？；.!?;：:"


@dataclass(frozen=True, slots=True)
class Line:
    """Text on one line, box in ‱ of the page; `height` in ‱ of the page's height."""

    text: str
    box: Box

    @property
    def height(self) -> int:
        return self.box[3] - self.box[1]


def placed(text: str, sides: tuple[float, float, float, float], width: float, height: float) -> Line:
    """A line by its left, top, right and bottom side in the page's own unit, measured from its upper left corner."""
    left, top, right, bottom = sides
    return Line(text, (_share(left, width), _share(top, height), _share(right, width), _share(bottom, height)))


def _share(value: float, whole: float) -> int:
    """‱ of a page's side, within the page."""
    return min(10_000, max(0, round(10_000 * float(value) / max(1.0, whole))))


def blocks(lines: Sequence[Line], page: int) -> Iterator[Block]:
    """A page's blocks in the order in which people read them."""
    whole = [line for line in lines if line.text.strip() and line.box[2] > line.box[0]]
    if not whole:
        return
    body = median(line.height for line in whole)
    for column in _columns(whole, 0):
        yield from _paragraphs(_rows(column), page, body)


def _columns(lines: Sequence[Line], deep: int) -> list[list[Line]]:
    """Lines by column, left to right; one list where there are none."""
    if deep >= COLUMNS_DEEP_MAX or len(lines) < 2 * COLUMN_LINES_MIN:
        return [list(lines)]
    edges = sorted((line.box[0], line.box[2]) for line in lines)
    reach, best, cut = edges[0][1], 0, 0
    for left, right in edges[1:]:
        if left - reach > best:
            best, cut = left - reach, (left + reach) // 2
        reach = max(reach, right)
    if best < GUTTER_MIN:
        return [list(lines)]
    sides = [line for line in lines if line.box[2] <= cut], [line for line in lines if line.box[0] >= cut]
    room = cut - min(line.box[0] for line in lines), max(line.box[2] for line in lines) - cut
    if any(
        len(side) < COLUMN_LINES_MIN or _fill(side, wide) < COLUMN_FILL_MIN
        for side, wide in zip(sides, room, strict=True)
    ):
        return [list(lines)]
    return [column for side in sides for column in _columns(side, deep + 1)]


def _fill(lines: Sequence[Line], wide: int) -> float:
    """How full of text a column's lines are: 1 = each as wide as there is room."""
    return sum(line.box[2] - line.box[0] for line in lines) / (len(lines) * max(1, wide))


def _rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Pieces that stand on one line together, top to bottom, each left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda one: (one.box[1] + one.box[3], one.box[0])):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][0].box[1] <= middle <= rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda one: one.box[0]) for row in rows]


def _cells(row: Sequence[Line]) -> list[Line]:
    """A row's cells: pieces with a wide gap between them."""
    cells: list[Line] = [row[0]]
    for line in row[1:]:
        last = cells[-1]
        # a sign is about as wide as its line is high, and a page about 1.4 times as high as wide
        if line.box[0] - last.box[2] > CELL_GAP * 1.41 * max(last.height, line.height):
            cells.append(line)
        else:
            cells[-1] = Line(glued(last.text, line.text), around([last.box, line.box]))
    return cells


def _paragraphs(rows: Sequence[Sequence[Line]], page: int, body: float) -> Iterator[Block]:
    """Rows of cells as table rows, taller short lines as headings, the others joined to paragraphs."""
    held: list[Line] = []
    title: list[Block] = []  # a heading that may go on on the next line
    right = max(row[-1].box[2] for row in rows)

    def close() -> Iterator[Block]:
        if held:
            text = held[0].text
            for line in held[1:]:
                text = glued(text, line.text)
            yield Block("item" if ITEM.match(text) else "text", text.strip(), page, around([one.box for one in held]))
            held.clear()

    for row in rows:
        cells = _cells(row)
        if len(cells) > 1:
            yield from close()
            yield from title
            title = []
            text = " | ".join(cell.text.strip() for cell in cells)
            yield Block("row", text, page, around([cell.box for cell in cells]))
            continue
        line = cells[0]
        level = heading_level(line, body)
        if level:
            yield from close()
            goes_on = bool(title) and title[0].level == level and not NUMBERED.match(line.text)
            if goes_on and line.box[1] - title[0].box[3] < 0.6 * line.height:
                line = Line(glued(title[0].text, line.text), around([title[0].box, line.box]))
            else:
                yield from title
            title = [Block("heading", line.text.strip(), page, line.box, level)]
            continue
        yield from title
        title = []
        if held and _begins(held[-1], line, body, right):
            yield from close()
        held.append(line)
    yield from close()
    yield from title


def _begins(last: Line, line: Line, body: float, right: int) -> bool:
    """Whether a line begins a paragraph: a gap above it, a mark of a list, or a line before it that ended early."""
    gap = line.box[1] - last.box[3]
    early = last.box[2] < right - 1_200 and last.text.rstrip()[-1:] in ENDS
    return gap > 0.9 * body or bool(ITEM.match(line.text)) or early


def heading_level(line: Line, body: float) -> int:
    """1–3 for a heading, 0 for a line of text."""
    text = line.text.strip()
    if len(text) > HEADING_MAX_CHARS or text[-1:] in "。；;，,":
        return 0
    taller = line.height / max(1.0, body)
    if taller >= HEADING_TALLER:
        return 1 if taller >= 1.55 else 2 if taller >= 1.25 else 3
    if NUMBERED.match(text) and len(text) <= 24 and text[-1:] not in ENDS and taller >= 1.0:
        return 3
    return 0


def glued(left: str, right: str) -> str:
    """Two pieces of a line or of a paragraph: a space between Latin words, none between Han signs."""
    left, right = left.rstrip(), right.lstrip()
    if left.endswith("-") and right[:1].islower():
        return left[:-1] + right
    return left + ("" if not left or not right or not (left[-1].isascii() and right[0].isascii()) else " ") + right
