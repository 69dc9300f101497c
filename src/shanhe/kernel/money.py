"""Money as integers of minor units: micro-credits (1e-6 AI Credit) and fen (1e-2 CNY)."""

from __future__ import annotations

import re

from shanhe.kernel.errors import Unreadable

MICRO = 1_000_000
"""Micro-credits in one AI Credit."""
FEN = 100
"""Fen in one yuan."""
TEXT_SHOWN_CHARS = 24
AMOUNT_MAX = 2**62
"""Largest amount the ledger books at once; leaves head-room below a signed 64-bit integer."""

_DECIMAL = re.compile(r"^([+-]?)(\d{1,15})(?:\.(\d+))?$")


def round_half_even(numerator: int, denominator: int) -> int:
    """`numerator` ÷ `denominator`, rounded half to even; ZeroDivisionError."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def _format(amount: int, unit: int, digits: int) -> str:
    whole, part = divmod(abs(amount), unit)
    return f"{'-' if amount < 0 else ''}{whole:,}.{part:0{digits}d}"


def _parse(text: str, unit: int, digits: int, name: tuple[str, str]) -> int:
    match = _DECIMAL.match(text.strip().replace(",", ""))
    shown, (zh, en) = text[:TEXT_SHOWN_CHARS], name
    if not shown.strip():
        raise Unreadable(f"请填写{zh}，例如 12.5。", f"Write an amount of {en} like 12.5")
    if match is None:
        raise Unreadable(
            f"“{shown}”不是有效的{zh}，请按 12.5 的格式填写。",
            f"{shown!r} is not an amount of {en}; write it like 12.5",
        )
    sign, whole, part = match.group(1), match.group(2), match.group(3) or ""
    if len(part) > digits:
        raise Unreadable(
            f"“{shown}”的小数超过 {digits} 位，{zh}最多保留 {digits} 位小数。",
            f"{shown!r} has more than {digits} decimals; {en} are not divided further",
        )
    amount = int(whole) * unit + int(part.ljust(digits, "0") or "0")
    if amount > AMOUNT_MAX:
        raise Unreadable(f"“{shown}”超过单笔可记账的上限。", f"{shown!r} is larger than the ledger books at once")
    return -amount if sign == "-" else amount


def format_credits(micro: int) -> str:
    """`1234567890` µ → `"1,234.567890"`."""
    return _format(micro, MICRO, 6)


def said_credits(micro: int) -> str:
    """The same in a sentence, exact but without zeros that say nothing: `1234500000` µ → `"1,234.50"`."""
    text = format_credits(micro)
    return text[:-4] + text[-4:].rstrip("0")


def parse_credits(text: str) -> int:
    """`"12.5"` → 12,500,000 µ; ValueError for anything that is not an exact amount."""
    return _parse(text, MICRO, 6, ("积分", "credits"))


def format_fen(fen: int) -> str:
    """`123456` fen → `"1,234.56"` yuan."""
    return _format(fen, FEN, 2)


def parse_yuan(text: str) -> int:
    """`"12.5"` → 1,250 fen; ValueError for anything that is not an exact amount."""
    return _parse(text, FEN, 2, ("金额", "yuan"))
