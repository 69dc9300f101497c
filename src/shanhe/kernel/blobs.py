"""Bytes too large for a row: files in a folder of the city, or pieces in the database, which every machine reads.

A blob has an id, is written whole or not at all, and is gone when it is deleted. In a folder it leaves nothing in a
write-ahead log or a backup of the database; in the database it does, as rows do: what is a person's comes sealed, and
goes with its key. Whoever keeps blobs keeps a row with the id and the hash beside it.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import asyncpg

from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound, Unavailable

PIECE_BYTES: Final = 1024 * 1024
POOL_SIZE: Final = 2
"""Connections of its own: who keeps a blob while a transaction is open must not wait for another one like that."""
LIMIT_S: Final = 120.0
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
HERE: Final = "SELECT EXISTS (SELECT FROM kernel.blob WHERE id = $1)"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written."""

    sha256: bytes
    size_bytes: int


class Shared:
    """Blobs in the database, for one process: used from threads, it works on the loop that it was made on."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.get_running_loop()
        self._db: Database | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        if self._db is not None:
            await self._db.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What it gives, from a thread. Unavailable when the database's disk is full."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)
        except asyncpg.DiskFullError as error:
            raise disk_full() from error

    async def put(self, blob: UUID, path: Path, *, instead: bool = True) -> None:
        """Keep a file's bytes, in place of what has this id, or (`instead` false) only where nothing has."""
        db = await self._opened()
        async with db.transaction() as connection:
            await _one_at_a_time(connection, blob)
            if instead:
                await connection.execute("DELETE FROM kernel.blob WHERE id = $1", blob)
            elif await connection.fetchval(HERE, blob):
                return
            with path.open("rb") as file:
                number, piece = 0, file.read(PIECE_BYTES)
                while piece or number == 0:
                    await connection.execute(
                        "INSERT INTO kernel.blob (id, number, piece) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        blob, number, piece,
                    )  # fmt: skip
                    number, piece = number + 1, file.read(PIECE_BYTES)

    async def read(self, blob: UUID, start: int, length: int) -> bytes | None:
        """Bytes of a blob; None when it is not here. A length below 0: to its end."""
        db = await self._opened()
        first = start // PIECE_BYTES
        last = 2**31 - 1 if length < 0 else max(first, (start + length - 1) // PIECE_BYTES)
        rows = await db.fetch(
            "SELECT piece FROM kernel.blob WHERE id = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
            blob, first, last,
        )  # fmt: skip
        if not rows and not await db.fetchval(HERE, blob):
            return None
        skip = start - first * PIECE_BYTES
        found = b"".join(row["piece"] for row in rows)
        return found[skip:] if length < 0 else found[skip : skip + length]

    async def delete(self, blob: UUID) -> bool:
        db = await self._opened()
        async with db.transaction() as connection:
            await _one_at_a_time(connection, blob)
            return bool(await connection.execute("DELETE FROM kernel.blob WHERE id = $1", blob) != "DELETE 0")

    async def _opened(self) -> Database:
        async with self._opening:
            if self._db is None:
                self._db = await Database.open(self._dsn, size=POOL_SIZE)
        return self._db


async def _one_at_a_time(connection: Any, blob: UUID) -> None:
    """Until the transaction ends: what moves a blob must not bring back what is deleted or replaced meanwhile."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('kernel.blob ' || $1, 0))", str(blob))


class Blobs:
    """A folder of blobs, mode 0700, or with `shared` the database: what lies in the folder from before is read and
    deleted still. Methods wait for a disk or the database: call them in a thread."""

    def __init__(self, folder: Path, shared: Shared | None = None) -> None:
        self._folder = folder
        self._shared = shared

    def path(self, blob: UUID) -> Path:
        """Where a blob is in the folder, or would be."""
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
                if self._shared is None:
                    os.fsync(file.fileno())
            if self._shared is None:
                coming.replace(path)
            else:
                self._shared.wait(self._shared.put(blob, coming))
                path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full() from error
            raise
        finally:
            coming.unlink(missing_ok=True)
        return Stored(digest.digest(), size)

    def read(self, blob: UUID, start: int = 0, length: int = -1) -> bytes:
        """Bytes of a blob; NotFound when it is gone."""
        found = self._of_all(blob, start, length)
        if found is not None:
            return found
        try:
            with self.path(blob).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError as error:
            found = self._of_all(blob, start, length)  # it may just have been moved there
            if found is None:
                raise gone() from error
            return found

    def _of_all(self, blob: UUID, start: int, length: int) -> bytes | None:
        """Bytes that every machine reads; None where there are none."""
        return None if self._shared is None else self._shared.wait(self._shared.read(blob, start, length))

    def delete(self, blob: UUID) -> bool:
        """Forget a blob; False when it was gone already."""
        here = True
        try:
            self.path(blob).unlink()  # first: from now on nothing moves it
        except FileNotFoundError:
            here = False
        shared = self._shared is not None and self._shared.wait(self._shared.delete(blob))
        return here or shared

    def alone(self) -> Iterator[tuple[UUID, Path]]:
        """The blobs that lie in the folder."""
        for path in self._folder.glob("??/*"):
            if not path.name.startswith("."):
                yield UUID(path.name), path

    def share(self) -> int:
        """Move into the database what lies in the folder; how many. Again, or by two at once, it moves the rest."""
        moved = 0
        for blob, path in self.alone() if self._shared is not None else ():
            assert self._shared is not None
            try:
                self._shared.wait(self._shared.put(blob, path, instead=False))
            except FileNotFoundError:  # deleted, or moved by somebody else
                continue
            path.unlink(missing_ok=True)
            moved += 1
        return moved


def gone() -> NotFound:
    return NotFound(
        "bytes_gone", "These bytes are not here any more.", message_zh="文件内容已不存在。",
        hint="Upload the file again. Where several machines run the city, it may lie on another: `shanhe doctor` there "
        "says how many do.",
        hint_zh="请重新上传文件。若城市运行在多台机器上，文件可能在另一台：在那里运行 `shanhe doctor` 可查看数量。",
    )  # fmt: skip


def disk_full() -> Unavailable:
    return Unavailable(
        "disk_full", "The city's disk is full; nothing was kept.", message_zh="磁盘空间不足，未保存任何内容。",
        retry_after_s=60, hint="Try again later, or tell the operator.", hint_zh="请稍后重试，或告知运营方。",
    )  # fmt: skip
