"""A dump into an empty database, in one transaction: it ends only when the books in it are those of the backup.

pg_restore writes the script, psql executes it and answers what the books say before anything is committed; so whatever
goes wrong leaves the database as empty as it was. The same transaction notes that this database is a restored one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import asyncpg

from shanhe.backup.making import (
    COUNTED,
    DUMP_LIMIT_S,
    PIECE_BYTES,
    TAIL_CHARS,
    Books,
    Manifest,
    Progress,
    program,
    unlike,
)
from shanhe.kernel.address import without_secrets
from shanhe.kernel.blobs import disk_full
from shanhe.kernel.errors import Conflict, Unavailable
from shanhe.kernel.migrations import discover
from shanhe.kernel.process import child, harmless

OLDEST: Final = 15
NEWER_SETTINGS: Final = {17: b"SET transaction_timeout = 0;\n"}
"""What pg_restore writes for newer servers, and since which version they know it."""
HEAD_BYTES: Final = 64 * 1024
"""The beginning of a script: settings, schemas, extensions."""
OWNERS_ONLY: Final = re.compile(rb"^COMMENT ON EXTENSION .*;\n", re.M)
"""Refused where whoever runs the server has made the extension beforehand, as they do for others."""
BOOKS_END: Final = "end of the books"
LINE_MAX_BYTES: Final = 64 * 1024
BALANCES: Final = "COPY (SELECT id || ' ' || asset || ' ' || balance FROM ledger.account ORDER BY id) TO STDOUT;"


async def vacant(dsn: str, manifest: Manifest) -> int:
    """The server's major version; Conflict where a city is in the database already, or the server is too old."""
    connection = await asyncpg.connect(dsn)
    try:
        used = await connection.fetchval("SELECT to_regclass('kernel.migration') IS NOT NULL")
        version = int(await connection.fetchval("SHOW server_version_num")) // 10_000
    finally:
        await connection.close()
    if used:
        raise Conflict(
            "database_not_empty", "The database that DATABASE_URL names has a city in it already.",
            message_zh="DATABASE_URL 指向的数据库中已有一座城。",
            hint="Make an empty one (createdb) and name that; drop the old one only when the new city runs.",
            hint_zh="请新建空数据库（createdb）并指向它；新城运行后再删除旧库。",
        )  # fmt: skip
    wanted = max(OLDEST, _major(manifest.server))
    if version < wanted:
        raise Conflict(
            "server_older", f"The server is PostgreSQL {version}; this backup needs {wanted} or newer.",
            message_zh=f"该服务器为 PostgreSQL {version}，此备份需要 {wanted} 或更新版本。",
            hint="Name a newer server in DATABASE_URL, or leave it out for the embedded one.",
            hint_zh="请让 DATABASE_URL 指向更新的服务器，或不设置以使用内置数据库。",
        )  # fmt: skip
    return version


async def holds(dsn: str, backup: str) -> bool:
    """Whether this very backup was loaded into the database, and its log not gone on with since."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT to_regclass('kernel.restored') IS NOT NULL"):
            return False
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM kernel.restored WHERE backup = $1)", backup))
    finally:
        await connection.close()


async def load(
    dsn: str, dump: Path, manifest: Manifest, at: datetime, progress: Progress, *, server: int = max(NEWER_SETTINGS)
) -> None:
    """Load it and commit. Invalid (`restored_otherwise`) when the books differ, Unavailable in the programs' own words
    when one fails: then nothing was committed."""
    address, env = without_secrets(dsn)
    with tempfile.TemporaryFile() as said:
        try:
            async with asyncio.timeout(DUMP_LIMIT_S), _psql(address, env, said) as session:
                await session.say("\\o /dev/null\nBEGIN;\n")
                await _script(session, dump, server, harmless(env), said, progress)
                await session.say("\\o\n")
                found = await _books(session)
                if found != manifest.books:
                    raise unlike(found, manifest.books)
                await session.say(_restored(manifest.id, at) + "COMMIT;\n")
                await session.end()
        except (ConnectionError, asyncio.IncompleteReadError) as error:  # psql has ended: it has said why
            raise _failed(said) from error
    progress("database", 1, 1)


class _Session:
    """A psql that ends at the first thing that fails."""

    def __init__(self, process: asyncio.subprocess.Process, said: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._in, self._out, self._said = process, process.stdin, process.stdout, said

    async def say(self, text: str | bytes) -> None:
        self._in.write(text.encode() if isinstance(text, str) else text)
        await self._in.drain()

    async def line(self) -> str:
        return (await self._out.readuntil(b"\n")).decode().rstrip("\n")

    async def ask(self, sql: str) -> str:
        """The one value that a query gives."""
        await self.say(f"{sql};\n")
        return await self.line()

    async def end(self) -> None:
        self._in.close()
        if await self._process.wait():
            raise _failed(self._said)


@contextlib.asynccontextmanager
async def _psql(address: str, env: Mapping[str, str], said: IO[bytes]) -> AsyncIterator[_Session]:
    command = (program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", f"--dbname={address}")
    async with child(
        *command, environment=env, line_max_bytes=LINE_MAX_BYTES, stdin=asyncio.subprocess.PIPE, stderr=said
    ) as (process, _):
        yield _Session(process, said)


async def _script(
    session: _Session, dump: Path, server: int, env: Mapping[str, str], said: IO[bytes], progress: Progress
) -> None:
    """Hand psql what pg_restore makes of the dump."""
    command = (program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(dump))
    async with child(*command, environment=env, line_max_bytes=LINE_MAX_BYTES, stderr=said) as (reading, lines):
        try:
            head = await lines.readexactly(HEAD_BYTES)
        except asyncio.IncompleteReadError as error:
            head = error.partial
        await session.say(for_server(head, server))
        while piece := await lines.read(PIECE_BYTES):
            await session.say(piece)
            progress("database", 0, 0)
        if await reading.wait():
            raise _failed(said)


def for_server(head: bytes, server: int) -> bytes:
    """The beginning of a script without what an older server does not know, or only an extension's owner may say."""
    head = OWNERS_ONLY.sub(b"", head)
    for since, line in NEWER_SETTINGS.items():
        if server < since:
            head = head.replace(line, b"")
    return head


async def _books(session: _Session) -> Books:
    """What the database says of itself before it is committed."""
    found: dict[str, int] = {}
    for name, (table, what) in COUNTED.items():
        there = await session.ask(f"SELECT to_regclass('{table}') IS NOT NULL") == "t"
        found[name] = int(await session.ask(f"SELECT {what} FROM {table}")) if there else 0
    await session.say(f"{BALANCES}\n\\echo '{BOOKS_END}'\n")
    digest = hashlib.sha256()
    while (line := await session.line()) != BOOKS_END:
        digest.update(f"{line}\n".encode())
    return Books(**found, balances_sha256=digest.hexdigest())


def _restored(backup: str, at: datetime) -> str:
    """The note that keeps the log from signing, whatever age the backup has: its table by the migration's own words."""
    table = next(one.sql for one in discover() if (one.module, one.name) == ("kernel", "restored"))
    word = "".join(letter for letter in backup if letter.isalnum())
    return (
        f"{table}\nINSERT INTO kernel.restored (backup, at) VALUES ('{word}', '{at.isoformat()}')"
        " ON CONFLICT (one) DO UPDATE SET backup = excluded.backup, at = excluded.at;\n"
    )


def _major(version: str) -> int:
    """17 of `17.5 (Debian …)`; 0 of what is no version."""
    word = version.split(".")[0].split()[0] if version.strip() else ""
    return int(word) if word.isdigit() else 0


def _failed(said: IO[Any]) -> Unavailable:
    said.seek(0)
    words = said.read().decode(errors="replace").strip()[-TAIL_CHARS:]
    if "No space left" in words:
        return disk_full()
    return Unavailable(
        "restore_failed", f"The database could not be loaded: {words}", message_zh=f"无法载入数据库：{words}",
        hint="The programs' own words are above. The database is as empty as it was; had the connection been lost at "
        "the very end, the same command again would find out.",
        hint_zh="上面是程序的原话。数据库仍为空；若连接恰在最后一刻中断，再次运行同一命令即可判明。",
    )  # fmt: skip
