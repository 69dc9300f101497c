"""Which cells of a sheet show another cell's value, read from the file itself: a library makes a cell for each place
that an area of merged cells or a link names, so that a file of one kilobyte could fill any memory."""

from __future__ import annotations

import re
from typing import IO, Final
from xml.parsers import expat

REF: Final = re.compile(r"^\$?([A-Z]{1,3})\$?(\d{1,7})(?::\$?([A-Z]{1,3})\$?(\d{1,7}))?$")
ALPHABET: Final = 26
BLOCK_BYTES: Final = 65_536
Place = tuple[int, int]
"""Row and column, from 1."""


class TooMuch(ValueError):
    """The merged areas cover more cells than may be."""


def merged_cells(sheet: IO[bytes], most: int) -> dict[Place, Place]:
    """The cell whose value each merged cell shows; TooMuch for more than `most` cells, ExpatError for bad XML."""
    found: dict[Place, Place] = {}
    covered = 0

    def opened(tag: str, attributes: dict[str, str]) -> None:
        nonlocal covered
        if tag.rpartition(":")[2] != "mergeCell":
            return
        match = REF.match(attributes.get("ref", "").strip())
        if match is None:
            raise TooMuch("a range that cannot be read")
        left, top, right, bottom = match[1], int(match[2]), match[3] or match[1], int(match[4] or match[2])
        columns = range(min(_column(left), _column(right)), max(_column(left), _column(right)) + 1)
        rows = range(min(top, bottom), max(top, bottom) + 1)
        covered += len(columns) * len(rows)
        if covered > most:
            raise TooMuch("merged areas")
        found.update(((row, column), (rows[0], columns[0])) for row in rows for column in columns)

    parser = expat.ParserCreate()
    parser.StartElementHandler = opened
    while block := sheet.read(BLOCK_BYTES):
        parser.Parse(block)
    parser.Parse(b"", True)
    return found


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * ALPHABET + ord(letter) - ord("A") + 1
    return number
