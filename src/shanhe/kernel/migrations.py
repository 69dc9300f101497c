"""Forward-only migrations: numbered SQL files in each module, one global order, applied under an advisory lock.

Each is one transaction, but for a file whose one statement is `CREATE INDEX CONCURRENTLY`: that is how an index comes
to a table that is written to all the time.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any, Final

import asyncpg

from shanhe.kernel.clock import Clock, SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Unavailable

LOCK_KEY = 0x5348414E  # "SHAN"
LIMIT_S = 6 * 3600.0
"""One migration, or the wait for another process's: a table of years takes longer than a connection's usual limit."""
LOCK_POLL_S = 0.1
LARGE: Final = frozenset({
    "agents.run", "agents.step", "approvals.request", "batches.line", "board.post", "content.draft",
    "credits.purchase", "exchange.orders", "exchange.trade", "facts.fact", "gateway.share_day", "gateway.tag_day",
    "gateway.usage_day", "identity.session", "kernel.act", "kernel.blob", "kernel.dispatch", "kernel.event",
    "kernel.notice", "ledger.account", "ledger.hold", "ledger.lot", "ledger.posting", "ledger.posting_transfer",
    "ledger.transfer", "log.about", "log.entry", "log.intake", "log.opening", "log.sheet", "log.sheet_salts",
    "mcp.call", "nomads.scan", "payments.bank_line", "payments.bill_line", "payments.pay_order",
    "programmes.application", "programmes.decision", "programmes.payment", "retrieval.chunk", "retrieval.document",
    "store.rating", "webhooks.delivery", "workflows.run", "workflows.step",
})  # fmt: skip
"""Tables that grow with every call, posting or decision: calls wait while one of them is locked against writing."""
NOT_GRANTED: Final = (
    asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError,
)  # fmt: skip
"""How a server says that a role may not do something, or that an extension is not installed there."""
Progress = Callable[[int, int], None]
_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")

_BUILD = re.compile(r"^\s*CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)\s+ON\s+(\w+)\.\w+[^;]*;?\s*$", re.I)
_COMMENT = re.compile(r"--.*")

_TABLE = """
CREATE SCHEMA IF NOT EXISTS kernel;
CREATE TABLE IF NOT EXISTS kernel.migration (
  ordinal    integer PRIMARY KEY,
  module     text NOT NULL,
  name       text NOT NULL,
  sha256     text NOT NULL,
  applied_at timestamptz NOT NULL
);
"""


@dataclass(frozen=True)
class Migration:
    ordinal: int
    module: str
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def built(self) -> str | None:
        """The index that this builds beside running writes, outside of any transaction; None for all others."""
        match = _BUILD.match(_COMMENT.sub("", self.sql))
        return f"{match[2]}.{match[1]}" if match else None


def discover() -> list[Migration]:
    """Every packaged migration in global order; ValueError when two share an ordinal."""
    found: dict[int, Migration] = {}
    for module in sorted(resources.files("shanhe").iterdir(), key=lambda entry: entry.name):
        folder = module / "migrations"
        if not module.is_dir() or not folder.is_dir():
            continue
        for file in folder.iterdir():
            match = _NAME.match(file.name)
            if match is None:
                continue
            ordinal = int(match.group(1))
            if ordinal in found:
                raise ValueError(f"migration {ordinal:04d} exists in {found[ordinal].module} and in {module.name}")
            found[ordinal] = Migration(ordinal, module.name, match.group(2), file.read_text(encoding="utf-8"))
    return [found[key] for key in sorted(found)]


async def migrate(db: Database, clock: Clock | None = None, *, progress: Progress | None = None) -> list[Migration]:
    """Apply what is missing and return it; `progress(done, total)` before each. Safe from several processes at once.

    A file that changed after it was applied is refused (`migration_changed`): write a new one instead. So is a
    database that a newer program has brought further than this one knows (`database_newer`).
    """
    now = (clock or SystemClock()).now()
    applied: list[Migration] = []
    async with db.pool.acquire() as connection:
        await _locked(connection)
        try:
            await connection.execute(_TABLE)
            done = {row["ordinal"]: row["sha256"] for row in await connection.fetch("SELECT * FROM kernel.migration")}
            known = discover()
            _no_newer(known, done)
            for migration in known:
                if migration.ordinal in done:
                    _same(migration, done[migration.ordinal])
            missing = [migration for migration in known if migration.ordinal not in done]
            for number, migration in enumerate(missing):
                if progress is not None:
                    progress(number, len(missing))
                try:
                    await _apply(connection, migration, now)
                except NOT_GRANTED as error:
                    raise _refused(migration, error) from error
                applied.append(migration)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
    return applied


async def _apply(connection: Any, migration: Migration, now: datetime) -> None:
    if migration.built is not None:
        await _build(connection, migration.built, migration.sql)
        await _note(connection, migration, now)
        return
    async with connection.transaction():
        await connection.execute(migration.sql, timeout=LIMIT_S)
        await _note(connection, migration, now)


def _refused(migration: Migration, error: BaseException) -> Unavailable:
    """What only the server's own administrator can put right, in the server's words."""
    said = str(error).partition("\n")[0]
    return Unavailable(
        "migration_refused",
        f"PostgreSQL refused migration {migration.ordinal:04d} ({migration.name} of {migration.module}): {said}",
        message_zh=f"PostgreSQL 拒绝执行迁移 {migration.ordinal:04d}（{migration.module} 的 {migration.name}）：{said}",
        hint="Let the server's administrator do it in the city's database (an extension: install its package, then "
        "CREATE EXTENSION there as superuser), and start again; what was applied stays. `shanhe doctor` looks at it.",
        hint_zh="请由数据库服务器的管理员在城市的数据库中处理（扩展：先安装软件包，再以超级用户执行 "
        "CREATE EXTENSION），然后重新启动；已执行的迁移保留。`shanhe doctor` 会检查。",
    )


async def _locked(connection: Any) -> None:
    """Asked for again and again: to wait in a statement would hold up whoever builds an index meanwhile, for ever."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):  # noqa: ASYNC110
                await asyncio.sleep(LOCK_POLL_S)
    except TimeoutError as error:
        raise Unavailable(
            "migration_waits", f"Another process has been migrating this database for {LIMIT_S / 3600:.0f} hours.",
            message_zh=f"另一个进程已迁移此数据库 {LIMIT_S / 3600:.0f} 小时。",
            hint="Look what it does (pg_stat_activity); start again when it is done.",
            hint_zh="请查看其状态（pg_stat_activity），完成后再启动。",
        ) from error  # fmt: skip


async def _build(connection: Any, index: str, sql: str) -> None:
    """Build an index; one that a killed process left half built is dropped first, a whole one is kept."""
    valid = await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", index)
    if valid is False:
        await connection.execute(f"DROP INDEX CONCURRENTLY {index}", timeout=LIMIT_S)
    if not valid:
        await connection.execute(sql, timeout=LIMIT_S)


async def _note(connection: Any, migration: Migration, now: datetime) -> None:
    await connection.execute(
        "INSERT INTO kernel.migration VALUES ($1, $2, $3, $4, $5)",
        migration.ordinal, migration.module, migration.name, migration.sha256, now,
    )  # fmt: skip


async def current(db: Database) -> None:
    """Refuse a database that this program can't work on as it is: `database_newer`, or `database_older` where it
    lacks migrations. Nothing is applied: a city that runs is brought further by its own stop and start alone."""
    begun = await db.fetchval("SELECT to_regclass('kernel.migration') IS NOT NULL")
    done = {row["ordinal"]: row["sha256"] for row in await db.fetch("SELECT * FROM kernel.migration")} if begun else {}
    known = discover()
    _no_newer(known, done)
    missing = sum(migration.ordinal not in done for migration in known)
    if missing:
        raise Conflict(
            "database_older",
            f"This database is of an older version of the program: it lacks {missing} migrations. Nothing was changed.",
            message_zh=f"此数据库属于较旧版本的程序：尚缺 {missing} 个迁移。未作任何更改。",
            hint="Stop the city, then run `shanhe migrate` and start it again; or use the version that it runs on.",
            hint_zh="请停止城市，运行 `shanhe migrate` 后再启动；或使用它正在运行的版本。",
        )


async def opened_at(db: Database) -> datetime:
    """When this city's database was first migrated: nothing in it is older."""
    found: datetime = await db.fetchval("SELECT min(applied_at) FROM kernel.migration")
    return found


def _no_newer(known: Sequence[Migration], done: Mapping[int, str]) -> None:
    """An older program on a newer database would write what its successor does not expect, unnoticed."""
    newer = sorted(set(done) - {migration.ordinal for migration in known})
    if newer:
        raise Conflict(
            "database_newer",
            f"A newer version of the program has used this database: it has {len(newer)} migrations that this one does"
            f" not know ({newer[0]:04d} … {newer[-1]:04d}). Nothing was changed.",
            message_zh=f"此数据库已被更新版本的程序使用：其中 {len(newer)} 个迁移本版本不认识"
            f"（{newer[0]:04d} … {newer[-1]:04d}）。未作任何更改。",
            hint="Start the newer version again. To go back to this one, restore a backup made before the upgrade.",
            hint_zh="请重新使用较新的版本；如需退回本版本，请恢复升级前的备份。",
        )


def _same(migration: Migration, sha256: str) -> None:
    if migration.sha256 != sha256:
        raise Conflict(
            "migration_changed",
            f"Migration {migration.ordinal:04d} {migration.module}/{migration.name} was edited after it was applied.",
            message_zh=f"迁移 {migration.ordinal:04d} {migration.module}/{migration.name} 在执行后被改动。",
            hint="Restore the file and put the change into a new migration.",
            hint_zh="请恢复原文件，并把改动写进新的迁移。",
        )
