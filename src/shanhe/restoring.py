"""`shanhe restore`: a city out of its backup, in a folder and a database that are empty. Whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from shanhe.backing import (
    DUMP,
    FILES,
    Books,
    File,
    KeysManifest,
    Manifest,
    Progress,
    books_of,
    check,
    check_keys,
    environment,
    program,
    room_or_disk_full,
    run_program,
)
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.migrations import discover
from shanhe.kernel.vault import destroy_again
from shanhe.settings import Settings
from shanhe.supervisor import embedded_postgres

PUBLIC: Final = "log"
"""The room whose files a web server may hand out."""


async def restore(
    settings: Settings, backup: Path, keys: Path | None, progress: Progress, *, erased: str = ""
) -> Manifest:
    """Put a city back; the manifest of its backup. `erased`: ids of people whose keys are not to come back.

    Invalid for a damaged backup or keys of another one, Conflict where something is already: nothing is ever replaced.
    The books of the restored database are compared with what the manifest says of them.
    """
    manifest = await asyncio.to_thread(check, backup, progress)
    opened = await asyncio.to_thread(check_keys, keys, progress) if keys is not None else None
    _fits(manifest, opened)
    _empty(settings.data)
    data = settings.data.absolute()
    data.parent.mkdir(parents=True, exist_ok=True)
    coming = data.with_name(f".{data.name}.{secrets.token_hex(4)}")
    try:
        with room_or_disk_full():
            coming.mkdir(mode=0o700)
            await asyncio.to_thread(_copy, backup, manifest.files, coming, progress)
            if keys is not None and opened is not None:
                await asyncio.to_thread(_copy, keys, opened.files, coming / "keys", progress)
                destroy_again(coming / "keys", erased)
            async with _database(replace(settings, data=coming)) as dsn:
                await _load(dsn, backup / DUMP, manifest, progress)
                await _compare(dsn, manifest.books)
        if data.exists():
            data.rmdir()
        coming.rename(data)
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    return manifest


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


def _empty(data: Path) -> None:
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise Conflict(
            "restore_not_empty", f"{data} is not empty; a city is never restored over another.",
            message_zh=f"{data} 不为空；不会覆盖已有的城市。",
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
async def _database(settings: Settings) -> AsyncIterator[str]:
    """The empty database to restore into: DATABASE_URL, or a new server of the city's own in its coming folder."""
    if settings.database_url:
        connection = await asyncpg.connect(settings.database_url)
        try:
            used = await connection.fetchval("SELECT to_regclass('kernel.migration') IS NOT NULL")
        finally:
            await connection.close()
        if used:
            raise Conflict(
                "database_not_empty", "The database that DATABASE_URL names has a city in it already.",
                message_zh="DATABASE_URL 指向的数据库中已有一座城。",
                hint="Make an empty one (createdb) and name that; drop the old one only when the new city runs.",
                hint_zh="请新建空数据库（createdb）并指向它；新城运行后再删除旧库。",
            )  # fmt: skip
        yield settings.database_url
        return
    postgres = embedded_postgres(settings)
    try:
        yield postgres.start()
    finally:
        postgres.stop()


async def _load(dsn: str, dump: Path, manifest: Manifest, progress: Progress) -> None:
    address, env = environment(dsn)
    progress("database", 0, 0)
    await run_program(
        [program("pg_restore"), "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges",
         f"--dbname={address}", str(dump)],
        env, "pg_restore", lambda: progress("database", 0, 0),
    )  # fmt: skip
    progress("database", 1, 1)


async def _compare(dsn: str, books: Books) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            found = await books_of(connection)
    finally:
        await connection.close()
    if found != books:
        said, made = msgspec.json.encode(found).decode(), msgspec.json.encode(books).decode()
        raise Invalid(
            "restored_otherwise", f"The restored database says {said}, the backup said {made}.",
            message_zh=f"恢复后的数据库为 {said}，备份记录为 {made}。",
            hint="Nothing was kept of it. Copy the backup again, or take another.",
            hint_zh="未保留任何内容。请重新复制备份或改用其他备份。",
        )  # fmt: skip
