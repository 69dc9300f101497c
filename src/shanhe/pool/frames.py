"""Frames of the tunnel: binary messages with a kind, a stream number and a bounded payload. Pure.

`kind (1 byte) | stream (4 bytes, big endian) | payload`. A stream carries one HTTP exchange: REQUEST (JSON head), DATA
of the body, END; then HEAD (JSON), DATA of the answer, END. RESET ends a stream early. WINDOW grants the other side so
many more payload bytes of DATA: nobody sends what was not granted.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

PAYLOAD_MAX_BYTES: Final = 32 * 1024
WINDOW_BYTES: Final = 256 * 1024
"""What each side may send on a fresh stream before the first grant."""
MESSAGE_MAX_BYTES: Final = 1024 * 1024
"""Largest message of the socket: frames are far smaller, a report with all its models fits."""
HEADER: Final = struct.Struct(">BI")
GRANT: Final = struct.Struct(">I")


class Kind(IntEnum):
    REQUEST = 1
    HEAD = 2
    DATA = 3
    END = 4
    RESET = 5
    WINDOW = 6


class BadFrame(Exception):
    """The other side broke the tunnel's protocol."""


def pack(kind: Kind, stream: int, payload: bytes = b"") -> bytes:
    """A frame as a message."""
    return HEADER.pack(kind, stream) + payload


def unpack(message: bytes) -> tuple[Kind, int, bytes]:
    """A message as a frame; BadFrame for anything else."""
    if len(message) < HEADER.size or len(message) > HEADER.size + PAYLOAD_MAX_BYTES:
        raise BadFrame(f"a frame of {len(message)} bytes")
    kind, stream = HEADER.unpack_from(message)
    try:
        return Kind(kind), stream, message[HEADER.size :]
    except ValueError as error:
        raise BadFrame(f"a frame of kind {kind}") from error


def grant_of(payload: bytes) -> int:
    """Bytes that a WINDOW frame grants."""
    if len(payload) != GRANT.size:
        raise BadFrame("a grant of the wrong size")
    return int(GRANT.unpack(payload)[0])
