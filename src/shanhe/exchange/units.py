"""Prices as text. Pure."""

from __future__ import annotations

import re
from typing import Final

from shanhe.exchange.errors import BadPrice, yuan_of
from shanhe.exchange.model import TICKS_MAX, TICKS_PER_YUAN

_PRICE: Final = re.compile(r"^(\d{1,6})(?:\.(\d{1,12}))?$")
DIGITS: Final = 4

__all__ = ["parse_price", "yuan_of"]


def parse_price(text: str) -> int:
    """`"0.6543"` → 6543 ticks; `BadPrice` for anything that is not a positive multiple of CNY 0.0001."""
    match = _PRICE.match(text.strip())
    if match is None:
        raise BadPrice(text[:20])
    part = (match.group(2) or "").ljust(DIGITS, "0")
    if part[DIGITS:].strip("0"):
        raise BadPrice(text[:20])
    ticks = int(match.group(1)) * TICKS_PER_YUAN + int(part[:DIGITS])
    if not 0 < ticks <= TICKS_MAX:
        raise BadPrice(text[:20])
    return ticks
