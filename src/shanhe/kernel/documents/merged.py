"""How much a workbook merges, before it is loaded: a library makes a cell for each place of a merged area, so that a
file of five kilobytes could fill any memory."""

from __future__ import annotations

import re
import zipfile
from typing import Final
from xml.etree import ElementTree

REF: Final = re.compile(r"^\$?([A-Z]{1,3})\$?(\d{1,7})(?::\$?([A-Z]{1,3})\$?(\d{1,7}))?$")
ALPHABET: Final = 26
UNREADABLE: Final = 2**63
"""The area of a range that cannot be read: too large for anybody."""


def merged_cells(packed: zipfile.ZipFile, most: int) -> int:
    """Cells in merged areas of all sheets; reading ends when they are more than `most`. ParseError for bad XML."""
    total = 0
    for item in packed.infolist():
        if not item.filename.lower().endswith(".xml"):
            continue
        with packed.open(item) as file:
            for _, element in ElementTree.iterparse(file, events=("start",)):
                if element.tag.rpartition("}")[2] == "mergeCell":
                    total += _area(element.get("ref", ""))
                    if total > most:
                        return total
                element.clear()
    return total


def _area(ref: str) -> int:
    found = REF.match(ref.strip())
    if found is None:
        return UNREADABLE
    left, top, right, bottom = found[1], int(found[2]), found[3] or found[1], int(found[4] or found[2])
    return (abs(_column(right) - _column(left)) + 1) * (abs(bottom - top) + 1)


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * ALPHABET + ord(letter) - ord("A") + 1
    return number
