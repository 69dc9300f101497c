"""What a lost database, a full disk or a value that can't be kept is called, wherever it shows: a typed error that says
what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import asyncpg

from shanhe.kernel.blobs import FULL, disk_full
from shanhe.kernel.errors import Conflict, Invalid, ShanheError, Unavailable

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
    if isinstance(error, ValueError):  # the driver's DataError is an InterfaceError, too
        return None
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError | OSError):
        return database_away() if isinstance(error, AWAY) or _refusing(error) else None
    return None


def unusable(error: BaseException) -> ShanheError | None:
    """The typed error for what the database or the driver refused to keep or compare as it was sent: a NUL sign, half a
    character, a number or date out of its range, or what somebody else took in the same moment; None for every other.
    """
    if isinstance(error, asyncpg.DataError | UnicodeEncodeError | OverflowError) or (
        isinstance(error, ValueError) and isinstance(error, asyncpg.InterfaceError)
    ):
        return Invalid(
            "unusable_value", "Something that was sent can't be kept: a sign, a number or a date no record can hold.",
            message_zh="提交的内容含有无法记录的字符、数字或日期。",
            hint="Look for control characters, and for numbers or dates out of range; nothing was done.",
            hint_zh="请检查是否含有控制字符、超出范围的数字或日期后重试；未作任何更改。",
        )  # fmt: skip
    if isinstance(error, asyncpg.UniqueViolationError | asyncpg.SerializationError | asyncpg.DeadlockDetectedError):
        return Conflict(
            "taken_meanwhile", "Somebody else did the same, or took this name or number, in the same moment.",
            message_zh="同一时刻已有相同操作，或该名称、编号已被占用。",
            hint="Look at what is there now, then try again if it is still needed; nothing was done.",
            hint_zh="请先查看最新状态，如仍需要再重试；未作任何更改。",
        )  # fmt: skip
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
