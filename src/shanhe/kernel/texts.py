"""Files of text as people here send them: in UTF-8 or in GBK."""

from __future__ import annotations

from typing import Final

ENCODINGS: Final = ("utf-8-sig", "gb18030")
"""With or without a byte-order mark; GB 18030 reads GBK, too."""


def decoded(data: bytes) -> tuple[str, str] | None:
    """(the text, its encoding); None when it is in neither encoding."""
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return None
