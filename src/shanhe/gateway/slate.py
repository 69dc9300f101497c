"""What a process has open, where its death can't take it: numbers in a small file that somebody else can read.

The file is mapped into memory, so a note costs no system call, and its pages outlive a process that is killed (not a
machine that loses its power: nothing here waits for a disk). Its length never changes. Who writes it holds a lock on
it; the kernel gives that back whatever happens, and a file that nobody holds is a dead process's.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID

from shanhe.kernel.ids import new_id

SLOTS: Final = 16_384
"""Most that can be open at a time: all calls that a process works on at once, and as many that are being given back."""
SUFFIX: Final = ".slate"
MAKING: Final = ".making"
NUMBER_BYTES: Final = 16
SLOT_BYTES: Final = 1 + NUMBER_BYTES
OPEN, FREE = 1, 0
SLOTS_READ_MAX: Final = 1_000_000
"""Most that are read of a file that somebody left."""
FILES_MAX: Final = 256
"""Files of dead processes that are looked at in one go."""


class Slate:
    """The file of a living process. `Slate.make`, then `note` and `wipe`; `close` at the end."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._slots = os.fstat(descriptor).st_size // SLOT_BYTES
        self._map = mmap.mmap(descriptor, self._slots * SLOT_BYTES)
        self._free = [slot for slot in reversed(range(self._slots)) if self._map[slot * SLOT_BYTES] == FREE]

    @classmethod
    def make(cls, folder: Path) -> Slate:
        """A new one, held; OSError where the folder can't be written."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{new_id()}{SUFFIX}"
        making = path.with_suffix(MAKING)  # held before it can be found: who finds it must not think it is left behind
        descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, bytes(SLOTS * SLOT_BYTES))  # all of it now: a full disk must not kill who maps it
            making.rename(path)
            return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                making.unlink()
            raise

    def note(self, number: UUID) -> int | None:
        """Write a number down: its slot, or None where there is no room."""
        if not self._free:
            return None
        slot = self._free.pop()
        at = slot * SLOT_BYTES
        self._map[at + 1 : at + SLOT_BYTES] = number.int.to_bytes(NUMBER_BYTES, "big")
        self._map[at] = OPEN  # last: a slot that says it is open has its number
        return slot

    def wipe(self, slot: int) -> None:
        """What was open there has ended."""
        at = slot * SLOT_BYTES
        self._map[at] = FREE
        self._free.append(slot)

    def open(self) -> list[tuple[int, UUID]]:
        """Slots and numbers of what is open."""
        found = []
        for at in range(0, self._slots * SLOT_BYTES, SLOT_BYTES):
            if self._map[at] == OPEN:
                found.append((at // SLOT_BYTES, UUID(bytes=self._map[at + 1 : at + SLOT_BYTES])))
        return found

    def close(self) -> None:
        """Give it back: removed when nothing is open, else left for whoever comes next."""
        if len(self._free) == self._slots:
            with suppress(OSError):
                self.path.unlink()
        self._map.close()
        os.close(self._descriptor)


@contextmanager
def left_behind(folder: Path) -> Iterator[list[Slate]]:
    """Files of processes that are dead, all held while they are looked at, and closed after that. OSError."""
    with ExitStack() as held:
        paths = sorted(folder.glob(f"*{SUFFIX}"))[:FILES_MAX] if folder.is_dir() else []
        found = [slate for path in paths if (slate := _taken(path)) is not None]
        for slate in found:
            held.callback(slate.close)
        yield found


def _taken(path: Path) -> Slate | None:
    """The file, held; None where somebody else holds it, it is gone, or it is no slate."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        slots, rest = divmod(found.st_size, SLOT_BYTES)  # another version's may be shorter or longer
        if found.st_nlink and 0 < slots <= SLOTS_READ_MAX and not rest:
            return Slate(path, descriptor)
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None
