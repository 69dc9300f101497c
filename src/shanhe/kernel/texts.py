"""Texts as people here send them: files in UTF-8 or in GBK, and lines of words."""

from __future__ import annotations

import codecs
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shanhe.kernel.errors import Invalid
from shanhe.kernel.words import field_en, field_zh

ENCODINGS: Final = ("utf-8-sig", "gb18030")
"""With or without a byte-order mark; GB 18030 reads GBK, too."""
UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""Before what a spreadsheet saves as Unicode text."""
LINE_MAX_CHARS: Final = 200


class BadText(Invalid):
    def __init__(self, name: str, most_chars: int) -> None:
        super().__init__(
            "bad_text", f"{field_en(name)} must be 1 to {most_chars} printable characters.",
            message_zh=f"{field_zh(name)}须为 1 至 {most_chars} 个可见字符。",
        )  # fmt: skip


def check_line(name: str, text: str, most_chars: int = LINE_MAX_CHARS) -> None:
    """BadText unless it is one line of words, as references, names and reasons are."""
    if not len(text.strip()) > 0 or len(text) > most_chars or not text.isprintable():
        raise BadText(name, most_chars)


def decoded(data: bytes) -> tuple[str, str] | None:
    """(the text, its encoding); None when it is in neither encoding."""
    for encoding in ("utf-16",) if data.startswith(UTF16_MARKS) else ENCODINGS:
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return None


def parts_of(address: str) -> SplitResult:
    """The parts of an address that anybody may have written; all empty where it is none."""
    try:
        return urlsplit(address)
    except ValueError:  # brackets that enclose no address
        return SplitResult("", "", "", "", "")
