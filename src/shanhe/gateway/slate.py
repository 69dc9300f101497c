"""What a process has open, where its death can't take it: numbers in a small file that somebody else can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

from shanhe.kernel.remains import Remains, remains

SLOTS: Final = 16_384
"""Most that can be open at a time: all calls that a process works on at once, and as many that are being given back."""
SUFFIX: Final = ".slate"
NUMBER_BYTES: Final = 16
SLOT_BYTES: Final = 1 + NUMBER_BYTES
OPEN, FREE = 1, 0
SLOTS_READ_MAX: Final = 1_000_000
"""Most that are read of a file that somebody left."""


class Slate:
    """The file of a living process. `Slate.make`, then `note` and `wipe`; `close` at the end."""

    def __init__(self, file: Remains) -> None:
        self._file = file
        self._map = file.map
        self._slots = len(file.map) // SLOT_BYTES
        self._free = [slot for slot in reversed(range(self._slots)) if self._map[slot * SLOT_BYTES] == FREE]

    @classmethod
    def make(cls, folder: Path) -> Slate:
        """A new one, held; OSError where the folder can't be written."""
        return cls(Remains.make(folder, SUFFIX, SLOTS * SLOT_BYTES))

    @property
    def path(self) -> Path:
        return self._file.path

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
        self._file.close(keep=len(self._free) < self._slots)


@contextmanager
def left_behind(folder: Path) -> Iterator[list[Slate]]:
    """Files of processes that are dead, all held while they are looked at, and closed after that. OSError."""
    with ExitStack() as held:
        found = [Slate(file) for file in remains(folder, SUFFIX, SLOT_BYTES, SLOTS_READ_MAX)]
        for slate in found:
            held.callback(slate.close)
        yield found
