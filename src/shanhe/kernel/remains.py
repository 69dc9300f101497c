"""Small files that tell what a process had, after it is dead.

Such a file is mapped into memory, so a note costs no system call, and its pages outlive a process that is killed (not
a machine that loses its power: nothing here waits for a disk). Its length never changes. Who writes it holds a lock on
it; the kernel gives that back whatever happens, and a file that nobody holds is a dead process's.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from shanhe.kernel.ids import new_id

MAKING: Final = ".making"
FILES_MAX: Final = 256
"""Files of dead processes that are looked at in one go."""


class Remains:
    """A held file: one's own from `make`, a dead process's from `remains`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.map = mmap.mmap(descriptor, 0)
        self._descriptor = descriptor

    @classmethod
    def make(cls, folder: Path, suffix: str, size: int) -> Self:
        """A new one of so many zero bytes; OSError where the folder can't be written."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{new_id()}{suffix}"
        making = path.with_suffix(MAKING)  # held before it can be found: who finds it must not think it is left behind
        descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(descriptor, bytes(size)) < size:  # all of it now: a full disk must not kill who maps it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(making))
            making.rename(path)
            return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                making.unlink()
            raise

    def close(self, *, keep: bool) -> None:
        """Give it back: removed, or left for whoever comes next. The map ends with the last who still looks into it."""
        if not keep:
            with suppress(OSError):
                self.path.unlink()
        with suppress(BufferError):
            self.map.close()
        os.close(self._descriptor)


def remains(folder: Path, suffix: str, slot_bytes: int, slots_max: int) -> list[Remains]:
    """What dead processes left, held now: whoever asked closes each. One of another version may be shorter or longer;
    what isn't whole slots, or more than `slots_max`, is left alone. OSError."""
    paths = sorted(folder.glob(f"*{suffix}"))[:FILES_MAX] if folder.is_dir() else []
    return [found for path in paths if (found := _taken(path, slot_bytes, slots_max)) is not None]


def _taken(path: Path, slot_bytes: int, slots_max: int) -> Remains | None:
    """The file, held; None where somebody else holds it, it is gone, or it is something else."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        slots, rest = divmod(found.st_size, slot_bytes)
        if found.st_nlink and 0 < slots <= slots_max and not rest:
            return Remains(path, descriptor)
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None
