"""Tools that hide something from whoever reviews them. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

import msgspec

from shanhe.mcp.model import SCHEMA_MAX_BYTES, Tool

FORMLESS: Final = frozenset({"Cf", "Co", "Cn", "Cs", "Cc"})
"""Unicode's categories of signs that nobody sees and a model reads: directions, joiners, tags, what is not assigned."""
SPACES: Final = frozenset("\n\r\t")
BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks by their category, and blank."""
VARIANTS: Final = range(0xFE00, 0xFE0F)
"""Selectors of variants; the one after them makes a sign an emoji, and may."""
PLANE_14: Final = 0xE0000


def suspicious(tool: Tool) -> bool:
    """Whether what a tool says of itself hides something from whoever reviews it, or is too large to be looked at."""
    shape = msgspec.json.encode([tool.schema, tool.about])
    return len(shape) > SCHEMA_MAX_BYTES or any(map(hidden, tool.name + tool.description + shape.decode()))


def hidden(sign: str) -> bool:
    """Whether a sign is one that nobody sees."""
    if sign.isascii() and sign.isprintable():
        return False
    formless = unicodedata.category(sign) in FORMLESS and sign not in SPACES
    return formless or sign in BLANK or ord(sign) in VARIANTS or ord(sign) >= PLANE_14
