"""Heads that need no parsing, because the strict parser has read the same bytes before.

A keep-alive peer sends the same head again and again; only the digits of its content-length change. So what llhttp made
of one head holds for every head equal to it but for those digits. Anything else, a body that is not all here included,
goes to the parser: there is no second grammar that could read a message differently.
"""

from __future__ import annotations

import re
from typing import Final

DIGITS_MAX: Final = 8
"""Longest content-length understood here, in digits; a longer one is the parser's."""
LENGTH: Final = re.compile(rb"\r\ncontent-length: ?([0-9]{1,8})(?=\r\n)", re.IGNORECASE)
HEAD_END: Final = b"\r\n\r\n"
PLAIN: Final = frozenset({b"keep-alive"})
"""Values of `connection` that change nothing in HTTP/1.1."""
BARRED: Final = frozenset({
    b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"x-shanhe-tags", b"idempotency-key",
})  # fmt: skip
"""Headers whose messages are always read in full: by the parser, or (the last two) beyond what their body says."""


class Known:
    """A head that was read once; `body_in` takes the body of a message that has the same."""

    __slots__ = ("_after", "_after_size", "_before", "_before_size", "headers")

    def __init__(self, before: bytes, after: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self._before, self._before_size = before, len(before)
        self._after, self._after_size = after, len(after)
        self.headers = headers

    def body_in(self, data: bytes) -> bytes | None:
        """The body when `data` is exactly one whole message with this head, else None."""
        if not data.startswith(self._before):
            return None
        start = self._before_size
        end = data.find(b"\r", start, start + DIGITS_MAX + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        body_at = end + self._after_size
        return data[body_at:] if len(data) - body_at == int(digits) else None


def learn(data: bytes, headers: list[tuple[bytes, bytes]]) -> Known | None:
    """What to remember of the message that begins `data`, given the (lower-case) headers the parser found in it.

    None unless the head is complete, its body is framed by one plain content-length, and the connection stays open.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return None
    lengths = 0
    for name, value in headers:
        if name in BARRED or (name == b"connection" and value.lower() not in PLAIN):
            return None
        lengths += name == b"content-length"
    found = LENGTH.findall(data, 0, end + 2)
    if lengths != 1 or len(found) != 1:
        return None
    match = LENGTH.search(data, 0, end + 2)
    assert match is not None
    return Known(data[: match.start(1)], data[match.end(1) : end + len(HEAD_END)], headers)
