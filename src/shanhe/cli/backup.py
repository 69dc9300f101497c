"""`shanhe backup` and `shanhe restore`: a whole city into folders that check themselves, and out of them again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from shanhe.cli.common import (
    ACTOR,
    Data,
    Json,
    city,
    command,
    database,
    err,
    login,
    pairs,
    run,
    settings_for,
    show,
)
from shanhe.kernel import acts

if TYPE_CHECKING:
    from shanhe.backup.making import Manifest
    from shanhe.settings import Settings

WORDS = {"database": "数据库 database", "files": "文件 files", "digests": "校验 digests"}


class Bar:
    """Shows how far it is; silent for programs."""

    def __init__(self, silent: bool) -> None:
        columns = (TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        self._bars = Progress(*columns, TimeElapsedColumn(), console=err, disable=silent)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(WORDS[what], total=total or None)
        self._bars.update(self._tasks[what], completed=done, total=total or None)


def backup(
    to: Annotated[Path, typer.Argument(help="A folder that does not exist yet, on another disk.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Another such folder, kept apart: the keys of everybody's data.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Back the city up, running or not: database, files and, apart from them, keys. Whole or not at all."""
    from shanhe.backup.making import back_up

    async def work(bar: Bar) -> tuple[Manifest, bool]:
        async with database(settings_for(data), migrating=False) as settings:
            made = await back_up(settings, to, keys, bar)
            await _on_record(settings, made[0], with_keys=keys is not None)
            return made

    with Bar(as_json) as bar:
        manifest, sealed = run(work(bar))
    plain = _plain(manifest) | {"backup": str(to), "keys": str(keys) if keys else None, "keys_sealed": sealed}
    show(as_json, plain, lambda: pairs({"✓": str(to), **_plain(manifest), "keys": _of_keys(keys, sealed)}))


async def _on_record(settings: Settings, manifest: Manifest, *, with_keys: bool) -> None:
    """Write down who took the whole city with them. The backup is whole without: one of a city too old to keep such a
    record is made before it is upgraded."""
    from shanhe.kernel.db import FAILURES, Database

    try:
        db = await Database.open(settings.database_url, size=1)
        try:
            acts.begin(f"{ACTOR}:{login()}", command.get(), manifest.at)
            await acts.note(db, ACTOR, "backup.make", f"backup:{manifest.id}", {"keys": with_keys}, manifest.at)
        finally:
            acts.end()
            await db.close()
    except FAILURES as error:
        err.print(f"没有记入操作记录 · not on the record of acts: {error}", markup=False)


def restore(
    backup: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder that `shanhe backup` made.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", exists=True, file_okay=False, help="The folder of keys made with it.")
    ] = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Personal data stays unreadable.")] = False,
    erased: Annotated[
        Path | None,
        typer.Option("--erased", exists=True, dir_okay=False, help="The newest copy of DATA/keys/destroyed."),
    ] = None,
    nobody_erased: Annotated[
        bool, typer.Option("--nobody-erased", help="Nobody was erased after the keys were backed up.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only compare the backup with its digests.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Put a city back into an empty folder and database, and look its books over."""
    from shanhe.backup.making import check as compare
    from shanhe.restore.restoring import restore as put_back
    from shanhe.supervisor import migrate_city

    if not check and (keys is None) is not without_keys:
        raise typer.BadParameter("Name --keys FOLDER or say --without-keys.", param_hint="--keys")
    if (erased is not None or nobody_erased) and keys is None:
        raise typer.BadParameter("It is about the keys that --keys brings back.", param_hint="--erased")
    if not check and keys is not None and (erased is None) is not nobody_erased:
        raise typer.BadParameter(
            "Name --erased FILE, the newest copy of DATA/keys/destroyed, or say --nobody-erased: older keys bring back "
            "who was erased since.", param_hint="--erased",
        )  # fmt: skip
    settings = settings_for(data)
    gone = erased.read_text(encoding="utf-8", errors="replace") if erased else ""

    async def work(bar: Bar) -> dict[str, Any]:
        manifest = await put_back(settings, backup, keys, bar, erased=gone)
        if settings.database_url:  # the embedded one is brought up to date as it is opened
            await migrate_city(settings)
        async with city(settings.data) as services:
            report, state = await services.ledger.verify(), await services.log.state()
        return _plain(manifest) | {"data": str(settings.data), "ledger_clean": report.clean, "log": state}

    with Bar(as_json) as bar:
        found = _plain(compare(backup, bar)) | {"whole": True} if check else run(work(bar))
    show(as_json, found, lambda: pairs({"✓": str(backup), **found} | ({} if check else {"→": NEXT})))


NEXT = """日志在确认他人未见过更新内容之前不会签发：先 `shanhe log recover --from 镜像`，再 `shanhe up`。
The log signs nothing before you say what others have seen: `shanhe log recover --from MIRROR`, then `shanhe up`."""


def _of_keys(keys: Path | None, sealed: bool) -> str:
    if keys is None:
        return "未备份：没有密钥，个人信息无法读取 · none: without them nobody's data can be read (--keys FOLDER)"
    if sealed:
        return f"{keys} · 由 SHANHE_VAULT_KEY 封装，请另处保存 · sealed under SHANHE_VAULT_KEY: keep that apart, too"
    return f"{keys} · 未封装：与备份一起即可读取所有人的数据 · not sealed: with the backup it opens everybody's data"


def _plain(manifest: Manifest) -> dict[str, Any]:
    books = manifest.books
    return {
        "city": manifest.city, "at": manifest.at.isoformat(), "program": manifest.program, "server": manifest.server,
        "files": len(manifest.files), "bytes": sum(one.size_bytes for one in manifest.files),
        "accounts": books.accounts, "postings": books.postings, "people": books.people,
        "log_entries": books.log_entries, "balances_sha256": books.balances_sha256,
    }  # fmt: skip
