"""Tools that hide something from whoever reviews them. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from shanhe.mcp.model import SCHEMA_MAX_BYTES, Tool

HIDDEN: Final = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u202e")
"""Signs that hide text from a reviewer but not from a model; so do the tag characters from U+E0000 on."""


def suspicious(tool: Tool) -> bool:
    """Whether what a tool says of itself hides something from whoever reviews it, or is too large to be looked at."""
    shape = msgspec.json.encode([tool.schema, tool.about])
    text = tool.name + tool.description + shape.decode()
    hidden = any(sign in text for sign in HIDDEN) or any(0xE0000 <= ord(sign) <= 0xE007F for sign in text)
    return hidden or len(shape) > SCHEMA_MAX_BYTES
