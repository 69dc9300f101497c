"""Whether a file is a whole GGUF (version 2 or 3) that may be mapped: every count, length and offset is checked first.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing of the file is believed before it is
bounded: a reader that trusts a count allocates it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from shanhe.studio.errors import BadModelFile

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
TENSORS_MAX: Final = 10_000
PAIRS_MAX: Final = 10_000
NAME_MAX_BYTES: Final = 256
TEXT_MAX_BYTES: Final = 4 * 1024 * 1024
ITEMS_MAX: Final = 4_000_000
DIMENSIONS_MAX: Final = 4
ALIGNMENT: Final = 32
SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 30: (1, 2),
}  # fmt: skip
"""Types of tensors that are taken: (values of a block, its bytes)."""


class Seen(msgspec.Struct, frozen=True):
    """What a checked file says of itself; `pairs` without long arrays."""

    architecture: str
    blocks: int
    tensors: int
    values: int
    pairs: dict[str, Any]


class _Reader:
    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size, self.at = file, size, 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > self.size:
            raise BadModelFile("it ends before it should")
        data = self.file.read(count)
        if len(data) != count:
            raise BadModelFile("it ends before it should")
        self.at += count
        return data

    def number(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def count(self, most: int, what: str) -> int:
        found: int = self.number("Q")
        if found > most:
            raise BadModelFile(f"it claims {found} {what}")
        return found

    def text(self, most: int = TEXT_MAX_BYTES) -> str:
        return self.take(self.count(most, "bytes of a text")).decode("utf-8", "replace")


def check(path: Path) -> Seen:
    """What the file is; BadModelFile for anything that is not a whole, consistent GGUF."""
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file, size)
        if reader.take(4) != MAGIC:
            raise BadModelFile("it is no GGUF")
        version = reader.number("I")
        if version not in VERSIONS:
            raise BadModelFile(f"it is GGUF version {version}")
        tensors = reader.count(TENSORS_MAX, "tensors")
        pairs = {}
        for _ in range(reader.count(PAIRS_MAX, "pairs")):
            name = reader.text(NAME_MAX_BYTES)
            value = _value(reader, reader.number("I"))
            if not isinstance(value, list):
                pairs[name] = value
        values = _tensors(reader, tensors, pairs)
    architecture = str(pairs.get("general.architecture", ""))
    blocks = pairs.get(f"{architecture}.block_count", 0)
    return Seen(architecture, int(blocks) if isinstance(blocks, int) else 0, tensors, values, pairs)


def _value(reader: _Reader, kind: int) -> Any:
    if kind in SCALARS:
        return reader.number(SCALARS[kind])
    if kind == STRING:
        return reader.text()
    if kind != ARRAY:
        raise BadModelFile(f"it has a value of the unknown type {kind}")
    inner, count = reader.number("I"), reader.count(ITEMS_MAX, "items")
    if inner in SCALARS:
        reader.take(count * struct.calcsize(f"<{SCALARS[inner]}"))
    elif inner == STRING:
        for _ in range(count):
            reader.text()
    else:
        raise BadModelFile("it has a list of lists")
    return []


def _tensors(reader: _Reader, count: int, pairs: dict[str, Any]) -> int:
    alignment = pairs.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or not 8 <= alignment <= 4096 or alignment % 8:
        raise BadModelFile(f"its alignment is {alignment!r}")
    spans, names, total = [], set(), 0
    for _ in range(count):
        name = reader.text(NAME_MAX_BYTES)
        if name in names:
            raise BadModelFile(f"the tensor {name!r} is there twice")
        names.add(name)
        dimensions = reader.number("I")
        if not 1 <= dimensions <= DIMENSIONS_MAX:
            raise BadModelFile(f"{name!r} has {dimensions} dimensions")
        shape = [reader.number("Q") for _ in range(dimensions)]
        kind, offset = reader.number("I"), reader.number("Q")
        if kind not in BLOCKS:
            raise BadModelFile(f"{name!r} is of the unknown type {kind}")
        values = 1
        for side in shape:
            values *= side
        block, size = BLOCKS[kind]
        if values <= 0 or values > 2**40 or shape[0] % block or offset % alignment:
            raise BadModelFile(f"{name!r} has an impossible shape or place")
        spans.append((offset, values // block * size, name))
        total += values
    start = -(-reader.at // alignment) * alignment
    end = 0
    for offset, size, name in sorted(spans):
        if offset < end or start + offset + size > reader.size:
            raise BadModelFile(f"{name!r} lies outside the file or over another tensor")
        end = offset + size
    return total
