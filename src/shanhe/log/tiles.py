"""Tiles (C2SP tlog-tiles): their paths, how a tree grows into them, and how hashes are read back out of them."""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from shanhe.log.errors import ProofRefused
from shanhe.log.merkle import HASH_BYTES, fold, leaf_hash, root

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
ENTRY_BYTES_MAX: Final = 65_535
LEVELS_MAX: Final = 8
CACHED_TILES: Final = 64
PATH: Final = re.compile(r"^tile/(entries|[0-7])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?\Z")

Fetch = Callable[[str], bytes | None]
"""A resource of the log by its path under the prefix; None when there is none."""


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`; level "entries" names an entry bundle."""
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03d}")
    path = f"tile/{level}/" + "/".join(reversed(parts))
    return path if width == WIDTH else f"{path}.p/{width}"


def is_tile_path(path: str) -> bool:
    match = PATH.match(path)
    return match is not None and (match[3] is None or int(match[3]) < WIDTH)


def bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry after its length (big-endian uint16)."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; ProofRefused when it is cut off."""
    found, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise ProofRefused("an entry bundle is cut off", "条目文件不完整")
        found.append(data[at + 2 : end])
        at = end
    return found


def hashes_of(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class Edge:
    """The right edge of a tree: the partial tile of every level. Grows by entries, and knows its root.

    `take()` yields what the growth since the last `take` changed, as (path, bytes): full tiles, then the partial ones.
    """

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ((),), entries: Sequence[bytes] = ()) -> None:
        self.size = size
        self._levels = [list(level) for level in levels]
        self._entries = list(entries)
        self._full: list[tuple[str, bytes]] = []

    def extend(self, entries: Sequence[bytes]) -> None:
        """ValueError for an entry that is too long; those before it in its tile may have been taken then."""
        at = 0
        while at < len(entries):
            piece = entries[at : at + WIDTH - len(self._entries)]
            if max(map(len, piece)) > ENTRY_BYTES_MAX:
                raise ValueError(f"an entry takes at most {ENTRY_BYTES_MAX} bytes")
            self._entries += piece
            self._levels[0] += map(leaf_hash, piece)
            self.size += len(piece)
            at += len(piece)
            if self.size % WIDTH == 0:
                self._carry()

    def _carry(self) -> None:
        number = self.size // WIDTH - 1
        self._full.append((tile_path("entries", number), bundle(self._entries)))
        self._entries.clear()
        level = 0
        while len(self._levels[level]) == WIDTH:
            hashes = self._levels[level]
            self._full.append((tile_path(level, number), b"".join(hashes)))
            above = fold(hashes)
            hashes.clear()
            level, number = level + 1, number // WIDTH
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(above)

    def take(self) -> Iterator[tuple[str, bytes]]:
        yield from self._full
        self._full = []
        for level, hashes in enumerate(self._levels):
            if hashes:
                yield tile_path(level, self.size >> HEIGHT * (level + 1), len(hashes)), b"".join(hashes)
        if self._entries:
            yield tile_path("entries", self.size >> HEIGHT, len(self._entries)), bundle(self._entries)

    @property
    def root(self) -> bytes:
        def node(height: int, index: int) -> bytes:
            level, within = divmod(height, HEIGHT)
            start = (index << within) - (self.size >> HEIGHT * (level + 1) << HEIGHT)
            return fold(self._levels[level][start : start + (1 << within)])

        # Every perfect subtree that a root over the edge needs and that is whole in a full tile is on the level above.
        return root(lambda height, index: node(height, index), self.size)


class TileReader:
    """Hashes of the tree of `size` from tiles; ProofRefused where one is missing or has a wrong length.

    A partial tile may have been replaced by its full one: then the full one is read (tlog-tiles, partial tiles).
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._fetch = fetch
        self.size = size
        self._cache: OrderedDict[tuple[int | str, int], bytes] = OrderedDict()

    def node(self, height: int, index: int) -> bytes:
        level, within = divmod(height, HEIGHT)
        start = index << within
        number, offset = divmod(start, WIDTH)
        data = self.tile(level, number)
        wanted = data[offset * HASH_BYTES : (offset + (1 << within)) * HASH_BYTES]
        if len(wanted) != HASH_BYTES << within:
            raise ProofRefused("a tile is too short", "日志文件长度不足")
        return fold(hashes_of(wanted))

    def tile(self, level: int, number: int) -> bytes:
        """The tile's bytes, cut to the width that a tree of this size has."""
        key = (level, number)
        if key not in self._cache:
            width = min(WIDTH, (self.size >> HEIGHT * level) - number * WIDTH)
            data = self._read(level, number, width)
            if len(data) < width * HASH_BYTES:
                raise ProofRefused("a tile is too short", "日志文件长度不足")
            self._cache[key] = data[: width * HASH_BYTES]
            if len(self._cache) > CACHED_TILES:
                self._cache.popitem(last=False)
        return self._cache[key]

    def entries(self, number: int) -> list[bytes]:
        """The entries of one bundle, checked against the leaf hashes."""
        width = min(WIDTH, self.size - number * WIDTH)
        found = unbundle(self._read("entries", number, width))[:width]
        if [leaf_hash(one) for one in found] != hashes_of(self.tile(0, number)):
            raise ProofRefused(f"bundle {number} does not match its tile", f"第 {number} 组条目与哈希不符")
        return found

    def edge(self) -> Edge:
        """The right edge, to grow from."""
        if self.size == 0:
            return Edge()
        levels = []
        for level in range(LEVELS_MAX):
            count = self.size >> HEIGHT * level
            if count == 0:
                break
            levels.append(hashes_of(self.tile(level, count // WIDTH)) if count % WIDTH else [])
        last = self.size // WIDTH
        return Edge(self.size, levels, self.entries(last) if self.size % WIDTH else [])

    def _read(self, level: int | str, number: int, width: int) -> bytes:
        if width < 1:
            raise ProofRefused("the tree is smaller than that", "日志没有这么大")
        data = self._fetch(tile_path(level, number, width))
        if data is None and width < WIDTH:
            data = self._fetch(tile_path(level, number))
        if data is None:
            raise ProofRefused(f"{tile_path(level, number, width)} is missing", "缺少日志文件")
        return data
