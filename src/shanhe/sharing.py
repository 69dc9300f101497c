"""Uploads that lie on one machine, and how they come to where every machine of the city reads them (SHANHE_FILES)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from shanhe.kernel.blobs import Blobs, Shared
from shanhe.settings import Settings

FILES: Final = "files"
DATASETS: Final = "datasets"
KNOWLEDGE: Final = "knowledge"
ROOMS: Final = (FILES, DATASETS, KNOWLEDGE)
"""Rooms of DATA that hold blobs."""


def alone(data: Path) -> int:
    """How many uploads lie in this machine's folder, where no other machine finds them."""
    return sum(1 for room in ROOMS for _ in Blobs(data / room).alone())


async def share(settings: Settings) -> int:
    """Move them into the database; how many. 0 where the city does not share its files."""
    if not settings.shares_files:
        return 0
    shared = Shared(settings.database_url)
    try:
        moved = [await asyncio.to_thread(Blobs(settings.data / room, shared).share) for room in ROOMS]
        return sum(moved)
    finally:
        await shared.close()
