"""Bodies that come packed (`content-encoding`), unpacked within the bound that holds for plain ones."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from shanhe.gateway.errors import CallError, invalid

CODINGS: Final = (b"gzip", b"deflate")
"""What is unpacked here, in the words of `accept-encoding`."""
AUTO: Final = zlib.MAX_WBITS | 32
"""Window bits with which zlib reads gzip and zlib heads."""
BARE: Final = -zlib.MAX_WBITS
"""Window bits for deflate without a head, which some senders mean by the word."""
INLINE_BYTES: Final = 4 * 1024
"""Packed bodies above this size are unpacked in a thread: they may take milliseconds."""


async def plain(body: bytes, coding: bytes | None, most_bytes: int) -> bytes:
    """A body without its coding; CallError 415 for one that is not done here, 413 for more than `most_bytes` in it,
    400 where it can't be read."""
    name = b"identity" if coding is None else coding.strip().lower().removeprefix(b"x-")
    if name in (b"identity", b""):
        return body
    if name not in CODINGS:
        known = " or ".join(one.decode() for one in CODINGS)
        shown = name[:40].decode("latin-1")
        text = f"Bodies with content-encoding {shown!r} are not read here; send {known}, or no coding at all."
        raise CallError(415, "unsupported_encoding", text)
    if len(body) > INLINE_BYTES:
        return await asyncio.to_thread(unpacked, body, name, most_bytes)
    return unpacked(body, name, most_bytes)


def unpacked(body: bytes, name: bytes, most_bytes: int) -> bytes:
    """What is in a gzip or deflate body; never makes more than `most_bytes` and one byte of it."""
    bits = BARE if name == b"deflate" and not has_zlib_head(body) else AUTO
    parts: list[bytes] = []
    left, rest = most_bytes, body
    try:
        while rest:  # gzip may stand in several members
            unpacker = zlib.decompressobj(bits)
            part = unpacker.decompress(rest, left + 1)
            if len(part) > left:
                raise CallError(413, "request_too_large", f"Unpacked, the body is larger than {most_bytes} bytes.")
            if not unpacker.eof:
                raise zlib.error("it ends too early")
            parts.append(part)
            left, rest = left - len(part), unpacker.unused_data
    except zlib.error as error:
        raise invalid(f"The body is not what content-encoding says: {error}.", None, "invalid_encoding") from error
    return b"".join(parts)


def has_zlib_head(body: bytes) -> bool:
    """RFC 1950: method 8 in the first byte, and two bytes that 31 divides."""
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
