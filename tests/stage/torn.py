"""Archives as no program writes them: torn on their way, or locked."""

from __future__ import annotations

import io
import zipfile

HEAD_BYTES = 30


def torn(data: bytes) -> bytes:
    """An archive whose members can be listed and not be unpacked."""
    found = bytearray(data)
    for one in zipfile.ZipFile(io.BytesIO(data)).infolist():
        at = one.header_offset
        names = (int.from_bytes(data[at + field : at + field + 2], "little") for field in (26, 28))
        found[at + HEAD_BYTES + sum(names)] = 0xFF  # a kind of block that deflate does not know
    return bytes(found)


def locked(data: bytes) -> bytes:
    """An archive whose members say that they are encrypted."""
    found = bytearray(data)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            found[at + flags] |= 1
    return bytes(found)
