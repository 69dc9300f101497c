"""Bounds of a run. Frozen and pure."""

from __future__ import annotations

from typing import Final

import msgspec

CODE_MAX_BYTES: Final = 48 * 1024
ANSWER_MAX_BYTES: Final = 256 * 1024
MEMORY_MAX_MB: Final = 512
MEMORY_MIN_MB: Final = 64
CPU_MAX_S: Final = 10
WALL_MAX_S: Final = 60.0


class Limits(msgspec.Struct, frozen=True):
    """What a run may use: address space, processor time, time on the clock, threads, room in /tmp."""

    memory_mb: int = 256
    cpu_s: int = 5
    wall_s: float = 10.0
    threads: int = 8
    tmp_mb: int = 16
