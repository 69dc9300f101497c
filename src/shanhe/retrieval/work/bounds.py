"""Bounds of reading, and the refusal that says which one was met."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import IO, Any, Final
from xml.etree import ElementTree

from shanhe.kernel import archives
from shanhe.retrieval.errors import Unreadable

PAGES_MAX: Final = 2_000
BLOCKS_MAX: Final = 100_000
BLOCK_MAX_CHARS: Final = 8_000
TEXT_MAX_CHARS: Final = 5_000_000
UNPACKED_MAX_BYTES: Final = 200 * 1024 * 1024
RATIO_MAX: Final = 200
"""Unpacked ÷ packed: text packs up to about 20 times."""
RATIO_FROM_BYTES: Final = 10 * 1024 * 1024
"""Small archives may be as regular as they like."""
MEMBERS_MAX: Final = 5_000
DEPTH_MAX: Final = 200
IMAGE_MAX_PIXELS: Final = 50_000_000


def opened(data: bytes) -> zipfile.ZipFile:
    """An archive that unpacks to what it says, and not to too much."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except (*archives.BROKEN, ValueError) as error:
        raise Unreadable("its archive is broken", "压缩包已损坏") from error
    size = sum(one.file_size for one in members)
    if len(members) > MEMBERS_MAX or size > UNPACKED_MAX_BYTES:
        raise Unreadable("it unpacks to too much", "解压后过大", "document_bomb")
    if size > RATIO_FROM_BYTES and size > RATIO_MAX * len(data):
        raise Unreadable("it unpacks to too many times its size", "压缩比异常", "document_bomb")
    return archive


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes, never more than it said; KeyError where it is missing."""
    said = archive.getinfo(name).file_size
    try:
        with archive.open(name) as file:
            data = file.read(said + 1)
    except archives.BROKEN as error:
        raise Unreadable("its archive is broken", "压缩包已损坏") from error
    if len(data) > said:
        raise Unreadable("it unpacks to more than it says", "压缩包大小不符", "document_bomb")
    return data


def parsed(data: bytes) -> ElementTree.Element:
    """XML without document types: those are what entities grow from."""
    if b"<!DOCTYPE" in data[:4096] or b"<!ENTITY" in data:
        raise Unreadable("its XML defines entities", "XML 含有实体定义", "document_bomb")
    source: IO[bytes] = io.BytesIO(data)
    depth = 0
    root: ElementTree.Element | None = None
    try:
        for event, element in ElementTree.iterparse(source, events=("start", "end")):
            depth += 1 if event == "start" else -1
            if depth > DEPTH_MAX:
                raise Unreadable("its XML is nested too deep", "XML 嵌套过深", "document_bomb")
            root = element
    except ElementTree.ParseError as error:
        raise Unreadable("its XML is broken", "XML 已损坏") from error
    if root is None:
        raise Unreadable("its XML is empty", "XML 为空")
    return root


class Budget:
    """Counts what a reader gives and refuses to give more than is allowed."""

    def __init__(self) -> None:
        self._blocks = self._chars = 0

    def take(self, blocks: Iterator[Any]) -> Iterator[Any]:
        for block in blocks:
            self._blocks += 1
            self._chars += len(block.text)
            if self._blocks > BLOCKS_MAX or self._chars > TEXT_MAX_CHARS:
                raise Unreadable("it holds more text than can be indexed", "文本量超过上限", "document_bomb")
            yield block
