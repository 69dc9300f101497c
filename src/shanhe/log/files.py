"""The log's folder: tiles and the checkpoint as plain files, written so that a crash leaves the old or the new, whole.

Order of a growth: every tile durable (file, then folder), then what was signed is remembered in the keys folder, then
the checkpoint is replaced. A checkpoint therefore never names a tile that could be lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from shanhe.kernel.files import drafted, synced
from shanhe.log.tiles import is_tile_path

CHECKPOINT: Final = "checkpoint"
LOCK: Final = ".lock"
WRITERS: Final = 8


class Folder:
    """Durable files under one folder, shared by processes of one machine."""

    def __init__(self, path: Path, *, mode: int = 0o644) -> None:
        self.path = path
        self._mode = mode

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def resource(self, name: str) -> bytes | None:
        """A public resource by its path under the log's prefix; the full tile stands in for a replaced partial one."""
        if name != CHECKPOINT and not is_tile_path(name):
            return None
        return self.read(name)

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put every file in place and make all of it durable; several wait for the disk at once."""
        listed, touched = list(files), set[Path]()
        for name, _ in listed:
            self._make((self.path / name).parent, touched)
        touched |= {(self.path / name).parent for name, _ in listed}
        if len(listed) == 1:
            self._put(*listed[0])
        else:
            with ThreadPoolExecutor(WRITERS) as pool:
                list(pool.map(lambda one: self._put(*one), listed))
        for folder in touched:
            synced(folder)

    def _put(self, name: str, data: bytes) -> None:
        path = self.path / name
        drafted(path, data, self._mode).replace(path)

    def write(self, name: str, data: bytes) -> None:
        self.write_all([(name, data)])

    def drop_partials(self, names: Iterable[str]) -> None:
        """Forget the partial tiles of tiles that are full now."""
        for name in names:
            folder = f"{self.path}/{name}.p"
            if os.path.isdir(folder):  # of most tiles there is none
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time."""
        self._make(self.path, set())
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _make(self, folder: Path, touched: set[Path]) -> None:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            one.mkdir(mode=0o755 if self._mode & 0o044 else 0o700, exist_ok=True)
            touched.add(one.parent)
