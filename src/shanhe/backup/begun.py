"""A restore that was begun in a data folder says so there until it is finished: nothing else starts on half a city.

    DATA/.restoring/begun.json  which backup, and which rooms it puts into DATA
    DATA/.restoring/city/…      what is being made ready; moved from here, one room after the other

The note goes last, so whatever else is there, without it there is nothing to repeat.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Final

import msgspec

from shanhe.kernel.errors import Conflict
from shanhe.kernel.files import replaced, synced

FOLDER: Final = ".restoring"
NOTE: Final = "begun.json"
COMING: Final = "city"
ROOT: Final = 0


class Begun(msgspec.Struct, frozen=True):
    """What was begun: the backup's id, and the rooms of DATA that are its own."""

    backup: str
    rooms: list[str]


def coming(data: Path) -> Path:
    """Where a city is made ready: on the disk that it is for, so that it only has to be renamed."""
    return data / FOLDER / COMING


def begun(data: Path) -> Begun | None:
    """The restore that was begun and not finished; a note that cannot be read claims no room."""
    try:
        return msgspec.json.decode((data / FOLDER / NOTE).read_bytes(), type=Begun)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return Begun("", [])


def begin(data: Path, what: Begun) -> None:
    """Note it, durable, before anything else is written."""
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    replaced(folder / NOTE, msgspec.json.encode(what))
    synced(data)


def finish(data: Path) -> None:
    """It is done, or nothing of it is left: whoever comes next finds a city, or an empty folder."""
    folder = data / FOLDER
    shutil.rmtree(folder / COMING, ignore_errors=True)
    (folder / NOTE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    synced(data)


def none_of_another(data: Path) -> None:
    """Conflict (`data_of_another`) where root would leave files in a city that runs as somebody else: keys that it
    cannot read, of people whose data then opens to nobody."""
    if os.geteuid() != ROOT or not data.exists() or (owner := data.stat().st_uid) == ROOT:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise Conflict(
        "data_of_another", f"{data} belongs to {name}, and you are root: the city could not read what you make there.",
        message_zh=f"{data} 属于用户 {name}，而您正以 root 运行：城市将无法读取您在其中建立的文件。",
        hint=f"Run it as {name}, with the settings of the city (sudo -u {name}, or systemd-run --uid={name}).",
        hint_zh=f"请以用户 {name} 及城市的设置运行（sudo -u {name}，或 systemd-run --uid={name}）。",
    )  # fmt: skip


def none_unfinished(data: Path) -> None:
    """Conflict (`restore_unfinished`) where a restore has to be repeated before anything else."""
    found = begun(data)
    if found is not None:
        raise Conflict(
            "restore_unfinished", f"A restore into {data} was begun and not finished (backup {found.backup or '?'}).",
            message_zh=f"恢复到 {data} 的操作尚未完成（备份 {found.backup or '?'}）。",
            hint="Run the same `shanhe restore` again: it takes away what the first one left, and starts over.",
            hint_zh="请再次运行同一条 `shanhe restore`：它会清除上次留下的内容并重新开始。",
        )  # fmt: skip
