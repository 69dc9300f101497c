"""`shanhe restore`: a city out of its backup, in a folder and a database that are empty. Whole, or begun and saying so.

DATA may be a mount point, which cannot be renamed or removed: so everything is made ready inside it (`begun`), moved
from there room after room, and a database of somebody else's is filled last, in one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from shanhe.backup.begun import FOLDER, Begun, begin, begun, coming, finish, none_of_another
from shanhe.backup.making import (
    DUMP,
    FILES,
    File,
    KeysManifest,
    Manifest,
    Progress,
    check,
    check_keys,
    room_or_disk_full,
    sync_tree,
)
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.db import FAILURES
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.files import synced
from shanhe.kernel.migrations import discover
from shanhe.kernel.process import Held
from shanhe.kernel.vault import destroy_again, people_listed
from shanhe.restore.loading import holds, load, vacant
from shanhe.settings import Settings
from shanhe.supervisor import LOCK_FILE, embedded_postgres

PUBLIC: Final = "log"
"""The room whose files a web server may hand out."""
KEYS: Final = "keys"
POSTGRES: Final = "postgres"
NO_CITY: Final = frozenset({FOLDER, LOCK_FILE, "lost+found", "cache"})
"""What may lie in DATA before a city does: ours, the file system's, and models fetched for a node."""


async def restore(
    settings: Settings, backup: Path, keys: Path | None, progress: Progress, *, erased: str = ""
) -> Manifest:
    """Put a city back; the manifest of its backup. `erased`: ids of people whose keys are not to come back.

    Invalid for a damaged backup, keys of another one or an unreadable list, Conflict where something is already:
    nothing is ever replaced. All of that is looked at before anything is written. What fails afterwards leaves
    nothing; what is killed says so in DATA (`restore_unfinished`) and is repeated by the same command.
    """
    gone = people_listed(erased)
    manifest = await asyncio.to_thread(check, backup, progress)
    opened = await asyncio.to_thread(check_keys, keys, progress) if keys is not None else None
    _fits(manifest, opened)
    settings = replace(settings, data=settings.data.absolute())
    data, made = settings.data, not settings.data.exists()
    none_of_another(data)
    rooms = _rooms(manifest, opened, embedded=not settings.database_url)
    _empty(data, begun(data), rooms)
    loaded, server = await _database_fits(settings, manifest, begun(data))
    with room_or_disk_full():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with room_or_disk_full(), Held(data / LOCK_FILE):
        _take_away(settings)
        begin(data, Begun(manifest.id, rooms))
        try:
            await _make_ready(settings, backup, manifest, progress)
            if keys is not None and opened is not None:
                await asyncio.to_thread(_copy, keys, opened.files, coming(data) / KEYS, progress)
                destroy_again(coming(data) / KEYS, gone)
            await asyncio.to_thread(_move, data, rooms)
            if settings.database_url and not loaded:
                now = SystemClock().now()
                await load(settings.database_url, backup / DUMP, manifest, now, progress, server=server)
        except BaseException:
            if not await _may_be_loaded(settings, manifest):
                _take_away(settings)
                finish(data)
                (data / LOCK_FILE).unlink(missing_ok=True)
                if made:
                    with contextlib.suppress(OSError):
                        data.rmdir()
            raise
        finish(data)
    return manifest


def _rooms(manifest: Manifest, keys: KeysManifest | None, *, embedded: bool) -> list[str]:
    """The names in DATA that a restore makes."""
    found = {Path(one.path).relative_to(FILES).parts[0] for one in manifest.files if one.path != DUMP}
    return sorted(found | ({KEYS} if keys is not None else set()) | ({POSTGRES} if embedded else set()))


async def _database_fits(settings: Settings, manifest: Manifest, before: Begun | None) -> tuple[bool, int]:
    """Whether an earlier, unfinished restore of this backup has filled the database already, and its major version."""
    if not settings.database_url:
        return False, 0
    if before is not None and before.backup == manifest.id and await holds(settings.database_url, manifest.id):
        return True, 0
    return False, await vacant(settings.database_url, manifest)


async def _may_be_loaded(settings: Settings, manifest: Manifest) -> bool:
    """Whether the database may hold the city although loading failed: the answer to its commit was lost on the way."""
    if not settings.database_url:
        return False
    try:
        return await holds(settings.database_url, manifest.id)
    except FAILURES:
        return True


async def _make_ready(settings: Settings, backup: Path, manifest: Manifest, progress: Progress) -> None:
    """Everything but the keys, beside where it is to lie; a server of the city's own with its database in it, too."""
    there = coming(settings.data)
    there.mkdir(mode=0o700)
    await asyncio.to_thread(_copy, backup, manifest.files, there, progress)
    if settings.database_url:
        return
    async with _own_database(replace(settings, data=there)) as dsn:
        await load(dsn, backup / DUMP, manifest, SystemClock().now(), progress)


def _move(data: Path, rooms: Sequence[str]) -> None:
    """Put every room in its place."""
    there = coming(data)
    sync_tree(there)
    for room in rooms:
        if (there / room).exists():
            (there / room).rename(data / room)
    synced(data)


def _take_away(settings: Settings) -> None:
    """What a restore that was begun has left in DATA: its own rooms, and nothing else."""
    data = settings.data
    before = begun(data)
    if before is None:
        return
    for place in (data, coming(data)):
        if (place / POSTGRES).exists():
            embedded_postgres(replace(settings, data=place)).stop()
    for room in before.rooms:
        path = data / room
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(coming(data), ignore_errors=True)


def _fits(manifest: Manifest, keys: KeysManifest | None) -> None:
    newer = sorted(set(manifest.migrations) - {one.ordinal for one in discover()})
    if newer:
        raise Conflict(
            "backup_newer", f"The backup was made by a newer version ({manifest.program}) of the program.",
            message_zh=f"此备份由更新的版本（{manifest.program}）制作。",
            hint="Install that version or a newer one, then restore.", hint_zh="请安装该版本或更新的版本后再恢复。",
        )  # fmt: skip
    if keys is not None and keys.backup != manifest.id and keys.at < manifest.at:
        raise Invalid(
            "keys_older", "These keys were backed up before the database: who came in between could not be read.",
            message_zh="这些密钥的备份早于数据库备份，其间新增人员的数据将无法读取。",
            hint="Take the keys that were backed up with it, or newer ones.", hint_zh="请使用同一次或更晚的密钥备份。",
        )  # fmt: skip


def _empty(data: Path, before: Begun | None, rooms: Sequence[str]) -> None:
    """Nothing lies in DATA but what a restore that was begun has left there itself, and folders without a file."""
    if data.exists() and not data.is_dir():
        raise _not_empty(data, data.name)
    own = (NO_CITY - frozenset(rooms)) | frozenset(before.rooms if before is not None else ())
    for path in data.iterdir() if data.exists() else ():
        if path.name not in own and (not path.is_dir() or any(path.iterdir())):
            raise _not_empty(data, path.name)
        if path.name in rooms and path.is_mount():
            raise Conflict(
                "room_mounted", f"{path} is a mount of its own; a restore puts whole rooms into {data}.",
                message_zh=f"{path} 是单独的挂载点；恢复时会把整个目录放入 {data}。",
                hint="Unmount it, restore, then move the room onto that disk.",
                hint_zh="请先卸载，恢复后再把该目录移到那块磁盘上。",
            )  # fmt: skip


def _not_empty(data: Path, what: str) -> Conflict:
    return Conflict(
        "restore_not_empty", f"{data} is not empty ({what}); a city is never restored over another.",
        message_zh=f"{data} 不为空（{what}）；不会覆盖已有的城市。",
        hint="Name another folder with --data, or move the old one away first (keep it: the newest entries of the "
        "log may lie there).",
        hint_zh="请用 --data 指定其他目录，或先把旧目录移走（请保留：其中可能有最新的日志条目）。",
    )  # fmt: skip


def _copy(source: Path, files: Sequence[File], target: Path, progress: Progress) -> None:
    wanted = [one for one in files if one.path != DUMP]
    total, done = sum(one.size_bytes for one in wanted), 0
    for one in wanted:
        path = target / Path(one.path).relative_to(FILES)
        public = target.name != "keys" and path.relative_to(target).parts[0] == PUBLIC
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if public else 0o700)
        shutil.copyfile(source / one.path, path)
        path.chmod(0o644 if public else 0o600)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        done += one.size_bytes
        progress("files", done, total)


@contextlib.asynccontextmanager
async def _own_database(settings: Settings) -> AsyncIterator[str]:
    """A new server of the city's own in its coming folder, stopped again before that is moved."""
    postgres = embedded_postgres(settings)
    try:
        yield postgres.start()
    finally:
        postgres.stop()
