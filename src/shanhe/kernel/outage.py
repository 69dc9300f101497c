"""What a lost database or a full disk is called, wherever it shows: a typed error that says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import asyncpg

from shanhe.kernel.blobs import FULL, disk_full
from shanhe.kernel.errors import Unavailable

AWAY: Final = (
    ConnectionError,
    FileNotFoundError,  # the socket of a server that is down
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
)
ROOM_MIN_BYTES: Final = 64 * 1024**2
"""With less, PostgreSQL may find no room for its next piece of write-ahead log, and stops."""
ROOM_LOW_BYTES: Final = 1024**3


def outage(error: BaseException) -> Unavailable | None:
    """The typed error for one that means: no room left, or no database; None for every other."""
    if isinstance(error, asyncpg.DiskFullError) or (isinstance(error, OSError) and error.errno in FULL):
        return disk_full()
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError | OSError):
        return database_away() if isinstance(error, AWAY) or _refusing(error) else None
    return None


def _refusing(error: BaseException) -> bool:
    return isinstance(error, asyncpg.InsufficientResourcesError | asyncpg.InternalClientError)


def database_away() -> Unavailable:
    """For somebody who asked for a page or a record."""
    return Unavailable(
        "database_away", "The city's database cannot be reached; nothing was changed or charged.",
        message_zh="城市数据库暂时无法访问，未作任何更改，未计费。", retry_after_s=5,
        hint="Try again in a moment; whatever was sent with an id is done at most once.",
        hint_zh="请稍后重试；带编号的请求最多执行一次。",
    )  # fmt: skip


def free_bytes(folder: Path) -> int:
    """Free bytes where the folder is, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def room(folder: Path) -> str:
    """How much room the city's folder has: `up`, `low`, or `full`, when nothing can be relied on to be written."""
    free = free_bytes(folder)
    return "full" if free < ROOM_MIN_BYTES else "low" if free < ROOM_LOW_BYTES else "up"
