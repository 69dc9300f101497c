"""What is left of the blocks that a process borrowed of counters, where its death can't take it (`kernel.remains`).

Else a process that is killed strands its blocks until their windows end: a good part of a key's budget of the month.
A file is believed by the machine's same start only: what a power cut left of one may be older than what was used.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import structlog

from shanhe.kernel.remains import Remains, remains

Key = tuple[UUID, str, str]
"""Scope, name and window of a counter."""
SEPARATOR: Final = "\x1f"
SUFFIX: Final = ".lent"
SLOT_BYTES: Final = 128
"""A slot is what is left, 8 bytes, and whose it is, as text behind zeroes. The first one names the machine's start."""
LEFT_BYTES: Final = 8
SLOTS: Final = 8_192
SLOTS_READ_MAX: Final = 65_536
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

log = structlog.get_logger(__name__)


class Cell(Protocol):
    """One number: what is left of a block, at index 0."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Lent:
    """This process's file; without a folder that can be written, or beyond its slots, nothing outlives the process."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: Remains | None = None
        self._cells: memoryview | None = None
        self._free: list[int] = []
        self._slots: dict[Key, int] = {}

    def start(self) -> None:
        """Begin to note."""
        if self._folder is None:
            return
        try:
            self._file = Remains.make(self._folder, SUFFIX, SLOTS * SLOT_BYTES)
        except OSError as error:
            log.warning("what is lent of budgets can't be noted: a kill would strand it until its day or month ends",
                        folder=str(self._folder), error=str(error))  # fmt: skip
            return
        _name(self._file, 0, this_boot())
        self._cells = memoryview(self._file.map).cast("q")
        self._free = list(reversed(range(1, SLOTS)))

    def cell(self, key: Key) -> Cell:
        """Where the number of a counter's block is to be kept from now on; it is 0."""
        text = SEPARATOR.join(map(str, key))
        if self._file is None or self._cells is None or not self._free or len(text.encode()) > SLOT_BYTES - LEFT_BYTES:
            return array("q", (0,))
        slot = self._slots[key] = self._free.pop()
        _name(self._file, slot, text)
        at = slot * SLOT_BYTES // LEFT_BYTES
        return self._cells[at : at + 1]

    def forget(self, key: Key, cell: Cell) -> None:
        """The block is no more."""
        cell[0] = 0
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._free.append(slot)

    def close(self) -> None:
        """No block is in use any more; what could not be given back is for whoever starts next."""
        file, self._file = self._file, None
        if file is not None and self._cells is not None:
            self._cells.release()
            file.close(keep=bool(self._slots))
        self._cells = None

    def left_behind(self) -> dict[Key, int]:
        """What dead processes of this machine did not use. It is taken out of their files, and these are removed: who
        fails to give it back leaves it counted as used, which is the careful side; so is what cannot be read. OSError.
        """
        found: dict[Key, int] = {}
        boot = this_boot()
        for file in remains(self._folder, SUFFIX, SLOT_BYTES, SLOTS_READ_MAX) if self._folder is not None else ():
            data = bytes(file.map)
            file.map[:] = bytes(len(data))  # a file that cannot be removed says nothing a second time
            file.close(keep=False)
            if not boot or _text(data, 0) != boot:
                continue
            for at in range(SLOT_BYTES, len(data), SLOT_BYTES):
                left = int.from_bytes(data[at : at + LEFT_BYTES], "little", signed=True)
                key = _key(_text(data, at)) if left > 0 else None
                if key is not None:
                    found[key] = found.get(key, 0) + left
        return found


def this_boot() -> str:
    """What names the start of this machine; empty where the system does not tell."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _name(file: Remains, slot: int, text: str) -> None:
    at = slot * SLOT_BYTES + LEFT_BYTES
    file.map[at : at + SLOT_BYTES - LEFT_BYTES] = text.encode().rjust(SLOT_BYTES - LEFT_BYTES, b"\0")


def _text(data: bytes, at: int) -> str:
    return data[at + LEFT_BYTES : at + SLOT_BYTES].lstrip(b"\0").decode(errors="replace")


def _key(text: str) -> Key | None:
    try:
        scope, name, window = text.split(SEPARATOR)
        return UUID(scope), name, window
    except ValueError:
        return None
