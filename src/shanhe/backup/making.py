"""`shanhe backup`: a city's database, files and keys, as of one moment, in folders that tell whether they are whole.

    BACKUP/  manifest.json  what is here, with sha256 of each file, and what the books said at that moment
             database.dump  pg_dump, custom format, of the same snapshot as the books
             files/…        DATA without the server, the keys, and what can be fetched or made again
    KEYS/    keys.json      the same for the keys, which are never put beside what they open
             files/…        DATA/keys

Made under another name and renamed when everything is durable: a folder called BACKUP is whole. The dump comes before
the files, and those before the keys: rows name files, files are never changed, so whatever a row names is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from shanhe import __version__
from shanhe.kernel.address import without_secrets
from shanhe.kernel.blobs import FULL, disk_full
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.errors import Conflict, Invalid, ShanheError, Unavailable
from shanhe.kernel.files import synced
from shanhe.kernel.postgres import find_binaries
from shanhe.kernel.vault import still
from shanhe.settings import Settings

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
KEYS_MANIFEST: Final = "keys.json"
DUMP: Final = "database.dump"
FILES: Final = "files"
LEFT_OUT: Final = frozenset({"postgres", "run", "logs", "keys", "city.lock", "demo.env", "lost+found", "cache"})
"""Rooms of DATA that are not copied as files: the server's (dumped), the keys' (apart), what a start makes again."""
STUDIO_TEXTS: Final = re.compile(r"studio/.*\.jsonl")
"""Lessons, questions and answers, as the studio's steps have them while they work and for two weeks afterwards:
they are in plain, so an old backup would tell what was erased since. What is missing after a restore is made again."""
PIECE_BYTES: Final = 1024 * 1024
DUMP_LIMIT_S: Final = 24 * 3600.0
POLL_S: Final = 0.25
TAIL_CHARS: Final = 800

COUNTED: Final = {
    "accounts": ("ledger.account", "count(*)"), "postings": ("ledger.posting", "count(*)"),
    "transfers": ("ledger.transfer", "count(*)"), "people": ("identity.person", "count(*)"),
    "log_entries": ("log.head", "size"),
}  # fmt: skip

Progress = Callable[[str, int, int], None]
"""What is being done, how many bytes of it are, and how many there will be (0 = unknown)."""


class File(msgspec.Struct, frozen=True):
    """A file of a backup: its path below `files`, or `database.dump`."""

    path: str
    size_bytes: int
    sha256: str


class Books(msgspec.Struct, frozen=True):
    """What the database said of itself in the snapshot that was dumped; a restored one has to say the same."""

    accounts: int
    postings: int
    transfers: int
    people: int
    log_entries: int
    balances_sha256: str


class Manifest(msgspec.Struct, frozen=True):
    format: int
    id: str
    """Ties the keys to the backup that they were made with."""
    city: str
    at: datetime
    program: str
    server: str
    migrations: list[int]
    books: Books
    files: list[File]
    keys: bool
    """Whether keys were backed up with it, in a folder of their own."""


class KeysManifest(msgspec.Struct, frozen=True):
    format: int
    backup: str
    at: datetime
    sealed: bool
    """Whether the master key is sealed under SHANHE_VAULT_KEY; if not, this folder opens everything by itself."""
    files: list[File]


async def back_up(settings: Settings, to: Path, keys: Path | None, progress: Progress) -> tuple[Manifest, bool]:
    """Back the city up whose database `settings` names, running or not; the manifest, and whether the keys are sealed.

    Conflict when a folder is there already, Invalid when the keys would lie beside what they open, Unavailable when the
    disk is full or the database is away. Whatever ends it early leaves nothing under the names given.
    """
    to, keys = _places(settings.data, to, keys)
    coming, coming_keys = _coming(to), _coming(keys) if keys is not None else None
    try:
        with room_or_disk_full():
            (coming / FILES).mkdir(parents=True, mode=0o700)
            coming.chmod(0o700)
            manifest = await _content(settings, coming, keys is not None, progress)
            sealed = False
            if coming_keys is not None:
                sealed = await asyncio.to_thread(_keep_keys, settings.data / "keys", coming_keys, manifest.id)
            await asyncio.to_thread(check, coming, progress)
            sync_tree(coming)
        if coming_keys is not None and keys is not None:
            coming_keys.rename(keys)
        coming.rename(to)
    finally:
        for left in (coming, coming_keys):
            if left is not None:
                shutil.rmtree(left, ignore_errors=True)
    return manifest, sealed


def check(backup: Path, progress: Progress) -> Manifest:
    """Read a whole backup against its digests; its manifest. `Invalid` (`backup_damaged`) names what has changed."""
    manifest: Manifest = _read(backup / MANIFEST, Manifest)
    _compare(backup, manifest.files, progress)
    return manifest


def check_keys(keys: Path, progress: Progress) -> KeysManifest:
    """The same for a folder of keys."""
    manifest: KeysManifest = _read(keys / KEYS_MANIFEST, KeysManifest)
    _compare(keys, manifest.files, progress)
    return manifest


async def books_of(connection: asyncpg.Connection[Any]) -> Books:
    """What a database says of itself."""
    found: dict[str, int] = {}
    for name, (table, what) in COUNTED.items():  # an older release, backed up before its upgrade, may lack one
        there = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
        found[name] = await connection.fetchval(f"SELECT {what} FROM {table}") if there else 0
    digest = hashlib.sha256()
    async for one in connection.cursor("SELECT id, asset::text, balance FROM ledger.account ORDER BY id"):
        digest.update(f"{one['id']} {one['asset']} {one['balance']}\n".encode())
    return Books(**found, balances_sha256=digest.hexdigest())


def program(name: str) -> str:
    """A client program of PostgreSQL: the one that comes along, else the machine's own."""
    with contextlib.suppress(ShanheError):
        return str(find_binaries() / name)
    found = shutil.which(name)
    if found is None:
        raise Unavailable(
            "no_client_programs", f"There is no {name} on this machine.", message_zh=f"本机没有 {name} 程序。",
            hint="Install PostgreSQL's client programs, as new as the server, or `shanhe[local]`.",
            hint_zh="请安装不低于服务器版本的 PostgreSQL 客户端，或 `shanhe[local]`。",
        )  # fmt: skip
    return found


async def run_program(command: list[str], env: dict[str, str], what: str, watch: Callable[[], None]) -> None:
    """Run it to its end, calling `watch` meanwhile; Unavailable with its own words when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told = asyncio.create_task(process.communicate())
    try:
        async with asyncio.timeout(DUMP_LIMIT_S):
            while not (await asyncio.wait((told,), timeout=POLL_S))[0]:
                watch()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = (await told)[1].decode(errors="replace").strip()[-TAIL_CHARS:]
        if "No space left" in said:
            raise disk_full()
        raise Unavailable(
            "backup_failed", f"{what} failed: {said}", message_zh=f"{what} 失败：{said}",
            hint="The program's own words are above; nothing was left half done.",
            hint_zh="上面是该程序的原话；没有留下半成品。",
        )  # fmt: skip


async def _content(settings: Settings, coming: Path, with_keys: bool, progress: Progress) -> Manifest:
    async with _snapshot(settings.database_url) as (connection, snapshot):
        books = await books_of(connection)
        migrations = await connection.fetch("SELECT ordinal FROM kernel.migration ORDER BY ordinal")
        server = await connection.fetchval("SHOW server_version")
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        dump = coming / DUMP
        address, env = without_secrets(settings.database_url)
        progress("database", 0, int(size))
        await run_program(
            [program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
             f"--file={dump}", f"--dbname={address}"],
            env, "pg_dump", lambda: progress("database", dump.stat().st_size if dump.exists() else 0, int(size)),
        )  # fmt: skip
        dump.chmod(0o600)
        progress("database", int(size), int(size))
    files = [await asyncio.to_thread(_digest, dump, DUMP)]
    files += await asyncio.to_thread(_copy, settings.data, coming / FILES, LEFT_OUT | _fetchable(), progress)
    manifest = Manifest(
        FORMAT, secrets.token_hex(8), settings.city_name, SystemClock().now().astimezone(UTC), __version__,
        str(server), [row["ordinal"] for row in migrations], books, files, with_keys,
    )  # fmt: skip
    _write(coming / MANIFEST, manifest)
    return manifest


@contextlib.asynccontextmanager
async def _snapshot(dsn: str) -> AsyncIterator[tuple[asyncpg.Connection[Any], str]]:
    """A transaction that sees one moment, and the name under which pg_dump sees the same."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # The server ends transactions that do nothing for a minute; this one waits for the dump.
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection, await connection.fetchval("SELECT pg_export_snapshot()")
    finally:
        await connection.close()


def _keep_keys(keys: Path, coming: Path, backup: str) -> bool:
    (coming / FILES).mkdir(parents=True, mode=0o700)
    coming.chmod(0o700)
    with still(keys) as sealed:
        files = _copy(keys, coming / FILES, frozenset({"lock"}), lambda *_: None)
    _write(coming / KEYS_MANIFEST, KeysManifest(FORMAT, backup, SystemClock().now(), sealed, files))
    check_keys(coming, lambda *_: None)
    sync_tree(coming)
    return sealed


def _fetchable() -> frozenset[str]:
    """Models that every city can fetch again, byte for byte."""
    from shanhe.compute.api import cards

    return frozenset(f"models/{card.file}" for card in cards())


def _copy(source: Path, target: Path, left_out: frozenset[str], progress: Progress) -> list[File]:
    """Copy a tree, hashing as it goes. The log's checkpoint comes first: its tiles are then at least as new.

    Looked at twice: what the log took away before it was copied is by then in a tile that was not there before.
    """
    seen: set[Path] = set()
    files: list[File] = []
    for _ in range(2):
        new = set(_walk(source, source, left_out)) - seen
        seen |= new
        found = sorted(new, key=lambda path: (path.name != "checkpoint", path))
        files += _copy_each(found, source, target, progress)
    return files


def _copy_each(found: list[Path], source: Path, target: Path, progress: Progress) -> list[File]:
    total, done, files = sum(path.stat().st_size for path in found if path.exists()), 0, []
    for path in found:
        name = path.relative_to(source).as_posix()
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest, size = hashlib.sha256(), 0
        try:
            reading = path.open("rb")
        except FileNotFoundError:  # deleted since: then it has to be gone from the copy, too
            continue
        with reading, open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writing:
            while piece := reading.read(PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
                writing.write(piece)
                progress("files", min(total, done + size), total)
            writing.flush()
            os.fsync(writing.fileno())
        done += size
        files.append(File(f"{FILES}/{name}", size, digest.hexdigest()))
    return files


def _walk(folder: Path, top: Path, left_out: frozenset[str]) -> Iterator[Path]:
    try:
        found = list(folder.iterdir())
    except FileNotFoundError:  # a running city takes folders away, as the log does those of tiles that are full now
        if folder == top:
            raise
        return
    for path in found:
        name = path.relative_to(top).as_posix()
        if name in left_out or path.name.startswith(".") or path.is_symlink():
            continue  # names with a dot are drafts of files that are being written
        if STUDIO_TEXTS.fullmatch(name):
            continue
        if path.is_dir():
            yield from _walk(path, top, left_out)
        elif path.is_file():
            yield path


def _digest(path: Path, name: str) -> File:
    with path.open("rb") as file:
        return File(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _compare(folder: Path, files: list[File], progress: Progress) -> None:
    total, done = sum(one.size_bytes for one in files), 0
    for one in files:
        if (not one.path.startswith(f"{FILES}/") and one.path != DUMP) or ".." in Path(one.path).parts:
            raise _damaged(one.path)
        try:
            same = _digest(folder / one.path, one.path) == one
        except OSError:
            same = False
        if not same:
            raise _damaged(one.path)
        done += one.size_bytes
        progress("digests", done, total)


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise _damaged(path.name) from error
    if found.format != FORMAT:
        raise Invalid(
            "backup_format", f"This backup has format {found.format}; this program reads {FORMAT}.",
            message_zh=f"此备份格式为 {found.format}，本程序只能读取格式 {FORMAT}。",
            hint="Restore it with the version that made it.", hint_zh="请用制作该备份的版本恢复。",
        )  # fmt: skip
    return found


def unlike(found: Books, made: Books) -> Invalid:
    said, noted = msgspec.json.encode(found).decode(), msgspec.json.encode(made).decode()
    return Invalid(
        "restored_otherwise", f"The restored database says {said}, the backup said {noted}.",
        message_zh=f"恢复后的数据库为 {said}，备份记录为 {noted}。",
        hint="Nothing was kept of it. Copy the backup again, or take another.",
        hint_zh="未保留任何内容。请重新复制备份或改用其他备份。",
    )  # fmt: skip


def _damaged(name: str) -> Invalid:
    return Invalid(
        "backup_damaged", f"The backup is not as it was made: {name}.", message_zh=f"备份与制作时不符：{name}。",
        hint="Copy it again from where it is kept, or take an older one; nothing was restored.",
        hint_zh="请重新复制该备份，或改用更早的备份；未恢复任何内容。",
    )  # fmt: skip


def _write(path: Path, value: Any) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=1))
        file.flush()
        os.fsync(file.fileno())


def _places(data: Path, to: Path, keys: Path | None) -> tuple[Path, Path | None]:
    to, keys = to.absolute(), keys.absolute() if keys is not None else None
    for place in (to, keys):
        if place is not None and place.exists():
            raise Conflict(
                "backup_exists", f"{place} is there already; a backup never replaces another.",
                message_zh=f"{place} 已存在；备份不会覆盖已有内容。",
                hint="Name a folder that does not exist yet, for example with the date.",
                hint_zh="请指定一个尚不存在的目录，例如加上日期。",
            )  # fmt: skip
        if place is not None and place.is_relative_to(data):
            raise Invalid(
                "backup_in_data", f"{place} lies in the city's own folder, which it is to outlive.",
                message_zh=f"{place} 位于城市数据目录内，无法在其损坏后保留。",
                hint="Name a folder on another disk.", hint_zh="请指定其他磁盘上的目录。",
            )  # fmt: skip
    if keys is not None and (keys.is_relative_to(to) or to.is_relative_to(keys)):
        raise Invalid(
            "keys_beside_data", "The keys would lie beside what they open.",
            message_zh="密钥不能与其保护的数据放在一起。",
            hint="Name another place for --keys, best on another machine: whoever has both can read everybody's data.",
            hint_zh="请为 --keys 指定另一处位置，最好在另一台机器上：两者兼得者即可读取所有人的数据。",
        )  # fmt: skip
    return to, keys


def _coming(place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}")


@contextlib.contextmanager
def room_or_disk_full() -> Iterator[None]:
    """A full disk is a typed error, and so is a folder that may not be written to."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full() from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise Unavailable(
                "folder_refused",
                f"{error.filename} cannot be written or read: {error.strerror}.",
                message_zh=f"无法读写 {error.filename}：{error.strerror}。",
                hint="Look at its owner, its mode and how it is mounted, or run this as the city's own user.",
                hint_zh="请检查其所有者、权限与挂载方式，或以运行城市的用户执行。",
            ) from error
        raise


def sync_tree(top: Path) -> None:
    for folder, _, _ in os.walk(top):
        synced(Path(folder))
