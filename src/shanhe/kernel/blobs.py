"""Bytes too large or too private for the database, as files in a folder of the city.

A blob has an id, is written whole or not at all, and is gone when it is deleted: unlike a row it leaves nothing in a
write-ahead log or a database backup. Whoever keeps blobs keeps a row with the id and the hash beside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from shanhe.kernel.errors import NotFound, Unavailable

PIECE_BYTES: Final = 1024 * 1024
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written."""

    sha256: bytes
    size_bytes: int


class Blobs:
    """A folder of blobs, mode 0700. Methods do file I/O: call those for large blobs in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, blob: UUID) -> Path:
        """Where a blob is, or would be."""
        return self._folder / blob.hex[-2:] / blob.hex

    def put(self, blob: UUID, pieces: Iterable[bytes]) -> Stored:
        """Write a blob, durable on return; the same id again replaces it. Unavailable when the disk is full."""
        path = self.path(blob)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        coming = path.with_name(f".{blob.hex}.{uuid4().hex}")
        digest, size = hashlib.sha256(), 0
        try:
            with open(os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            coming.replace(path)
        except OSError as error:
            coming.unlink(missing_ok=True)
            if error.errno in FULL:
                raise disk_full() from error
            raise
        except BaseException:
            coming.unlink(missing_ok=True)
            raise
        return Stored(digest.digest(), size)

    def read(self, blob: UUID, start: int = 0, length: int = -1) -> bytes:
        """Bytes of a blob; NotFound when it is gone."""
        try:
            with self.path(blob).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError as error:
            raise gone() from error

    def pieces(self, blob: UUID) -> Iterator[bytes]:
        """A blob piece by piece."""
        try:
            with self.path(blob).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        except FileNotFoundError as error:
            raise gone() from error

    def delete(self, blob: UUID) -> bool:
        """Forget a blob; False when it was gone already."""
        try:
            self.path(blob).unlink()
        except FileNotFoundError:
            return False
        return True


def gone() -> NotFound:
    return NotFound(
        "bytes_gone", "These bytes are not here any more.", message_zh="文件内容已不存在。",
        hint="Upload the file again. Where several machines run the city and do not share DATA, it may lie on another.",
        hint_zh="请重新上传文件。若城市运行在多台未共享 DATA 的机器上，文件可能在另一台。",
    )  # fmt: skip


def disk_full() -> Unavailable:
    return Unavailable(
        "disk_full", "The city's disk is full; nothing was kept.", message_zh="磁盘空间不足，未保存任何内容。",
        retry_after_s=60, hint="Try again later, or tell the operator.", hint_zh="请稍后重试，或告知运营方。",
    )  # fmt: skip
