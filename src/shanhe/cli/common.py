"""What every command shares: finding the city, printing for people or programs, and turning errors into exit codes.

Exit codes: 0 done · 1 refused (what and why are on stderr) · 2 wrong usage · 3 something needed is away · 130 stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import pwd
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from shanhe.cli.language import headed
from shanhe.kernel import acts, logs
from shanhe.kernel.days import days_asked
from shanhe.kernel.errors import Invalid, NotFound, ShanheError, Unavailable, Unreadable
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_credits
from shanhe.settings import Settings, language

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.identity.api import Organisation

REFUSED, AWAY, STOPPED = 1, 3, 130

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder of the city (default: DATA or .shanhe).")]
ACTOR: Final = "cli"
"""Who did it, in the books, where no person is named."""
command: ContextVar[str] = ContextVar("command", default="shanhe")
"""The command as it is written, without what it was told."""
Org = Annotated[str, typer.Argument(help="Organisation: id or name.")]
First = Annotated[str, typer.Option("--from", help="First day, like 2026-11-01; default: 30 days up to the last.")]
Last = Annotated[str, typer.Option("--to", help="Last day; default: today.")]
WRITE_JSON: Final = """Write JSON like '{"name": "value"}', or name a file: @FILE."""
WRITE_JSON_ZH: Final = """请按 '{"name": "value"}' 书写，或用 @文件名。"""
T = TypeVar("T")
Words = TypeVar("Words", bound=StrEnum)

PIPED_CELLS: Final = 4_000
"""How wide a table may be that no person looks at: a row stays a line, and what stands in it whole."""
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_CELLS)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def guarded(app: Callable[[], Any]) -> None:
    """Run a command; a known error becomes three lines on stderr and an exit code, never a traceback."""
    try:
        app()
    except ShanheError as error:
        raise _refused(error) from None
    except Unreadable as error:
        raise _refused(Invalid("bad_amount", f"{error.en}.", message_zh=error.zh)) from None
    except OSError as error:
        if not _of_a_file(error):
            raise
        raise _refused(file_refused(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None


def _refused(error: ShanheError) -> SystemExit:
    show_error(error)
    return SystemExit(AWAY if isinstance(error, Unavailable) else REFUSED)


def _of_a_file(error: OSError) -> bool:
    """Whether the machine says it of a file or its disk, not of the way to another machine."""
    return error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def file_refused(error: OSError) -> Invalid:
    """What the machine says of a file that a command was told to read or write."""
    named = f"{error.filename}: " if error.filename is not None else ""
    return Invalid(
        "file_refused", f"{named}{error.strerror or error}.",
        message_zh=f"{named}无法读写文件（{error.strerror or error}）。",
        hint="Name another file, or make its folder.", hint_zh="请换一个文件，或先创建所在目录。",
    )  # fmt: skip


def show_error(error: ShanheError) -> None:
    """What happened, why, and what to do next; JSON when the command was asked for JSON."""
    if "--json" in sys.argv:
        sys.stderr.write(msgspec.json.encode(error.to_dict(), enc_hook=str).decode() + "\n")
        return
    zh = language() == "zh"
    first, second = (error.message_zh, error.message) if zh else (error.message, error.message_zh)
    err.print(f"[bold red]✗[/] {_plain(first)}")
    if first != second:
        err.print(f"  {_plain(second)}")
    if hint := (error.hint_zh or error.hint) if zh else error.hint:
        err.print(f"  [bold]→[/] {_plain(hint)}")


def settings_for(data: Path | None = None, **changes: Any) -> Settings:
    """Settings from the environment with what the command line says on top."""
    settings = Settings.from_environment()
    changes = {name: value for name, value in changes.items() if value is not None}
    if data is not None:
        changes["data"] = data
    settings = replace(settings, **changes)
    return replace(settings, data=settings.data.absolute())


def run(work: Awaitable[T]) -> T:
    """Run one command's coroutine; logs stay at warnings so that they do not mix with the answer."""
    logs.configure("warning")

    async def wrapped() -> T:
        return await work

    with reaching_the_database():
        return asyncio.run(wrapped())


@contextlib.contextmanager
def reaching_the_database() -> Iterator[None]:
    """Says what is wrong with a database that can't be reached, or lets nobody in under the name that is given."""
    import asyncpg

    refused = (
        asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError,
        asyncpg.ClientConfigurationError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError,
    )  # fmt: skip
    try:
        yield
    except refused as error:
        raise database_away(str(error)) from error
    except OSError as error:
        if _of_a_file(error):
            raise
        raise database_away(str(error)) from error


def database_away(why: str) -> Unavailable:
    return Unavailable(
        "database_away",
        f"The city's database cannot be reached: {why}",
        message_zh=f"无法连接城市的数据库：{why}",
        hint="Check DATABASE_URL, or that the data folder is right (--data); `shanhe doctor` looks at the rest.",
        hint_zh="请检查 DATABASE_URL 或数据目录（--data）；`shanhe doctor` 可检查其余部分。",
    )


@contextlib.asynccontextmanager
async def database(settings: Settings, *, migrating: bool = True) -> AsyncIterator[Settings]:
    """Settings that name a reachable database: DATABASE_URL, the running city's, or the embedded one for a moment."""
    from shanhe.backup.begun import none_of_another, none_unfinished
    from shanhe.kernel.process import Held, is_held
    from shanhe.supervisor import LOCK_FILE, embedded_postgres, migrate_city, prepare_folder

    none_unfinished(settings.data)
    if migrating:  # a backup only looks
        none_of_another(settings.data)
    if settings.database_url:
        yield settings
        return
    postgres = embedded_postgres(settings)
    lock = settings.data / LOCK_FILE
    if settings.data.exists() and is_held(lock):
        if not postgres.is_running:
            raise database_away("the running city's PostgreSQL is down, and is being started again.")
        yield settings.on_own_server(postgres.dsn)
        return
    prepare_folder(settings.data)
    with Held(lock):
        opened = settings.on_own_server(postgres.start())
        try:
            if migrating:
                await migrate_city(opened)
            yield opened
        finally:
            postgres.stop()


def beside(settings: Settings) -> Settings:
    """The settings with the address of the city that runs on this data folder, unless they name one themselves."""
    from shanhe.supervisor import URL_FILE

    if settings.public_url:
        return settings
    with contextlib.suppress(OSError):
        return replace(settings, public_url=(settings.data / URL_FILE).read_text(encoding="utf-8"))
    return settings


@contextlib.asynccontextmanager
async def city(data: Path | None = None) -> AsyncIterator[Services]:
    """The services of the city that the settings name, for the length of one command."""
    from shanhe.app import open_services

    async with database(beside(settings_for(data))) as settings, open_services(settings, "cli") as services:
        acts.begin(f"{ACTOR}:{login()}", command.get(), services.clock.now())
        try:
            yield services
        finally:
            acts.end()


def login() -> str:
    """Whose terminal this is, as the machine knows them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user needs no name
        return str(os.getuid())


def in_city(data: Path | None, work: Callable[[Services], Awaitable[T]]) -> T:
    """Run one command's work on the services of the city that the settings name."""

    async def inside() -> T:
        async with city(data) as services:
            return await work(services)

    return run(inside())


def show(as_json: bool, value: Any, table: Callable[[], Any] | None = None) -> None:
    """Print `value` as JSON, or what `table` makes of it for people."""
    if as_json or table is None:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plainly), indent=2).decode() + "\n")
        return
    out.print(table())


def write_pages(docs: Path, name: str, page: Callable[[str], str]) -> list[str]:
    """Write a page of the documentation in both languages: English into the folder, Chinese into its `zh`."""
    files = {"en": docs / name, "zh": docs / "zh" / name}
    for words, file in files.items():
        file.write_text(page(words), encoding="utf-8")
    return [str(file) for file in files.values()]


def show_checks(as_json: bool, found: Sequence[tuple[str, bool, str, str]]) -> None:
    """What was looked at as (name, passed, zh, en); refused unless everything passed."""
    checks = [{"name": name, "passed": passed, "zh": zh, "en": en} for name, passed, zh, en in found]
    lines = [(one["name"], "✓" if one["passed"] else "✗", one[language()]) for one in checks]
    show(as_json, checks, lambda: rows(("check", "", "found"), lines))
    if not all(passed for _, passed, _, _ in found):
        raise typer.Exit(REFUSED)


def show_costs(as_json: bool, found: Sequence[Mapping[str, Any]]) -> None:
    """What runs cost by day, name and key."""
    lines = [(one["day"], one["name"], one["key_id"], one["runs"], format_credits(one["paid_micro"])) for one in found]
    show(as_json, found, lambda: rows(("day", "name", "key", "runs", "credits"), lines, right=("runs", "credits")))


def rows(
    columns: Sequence[str], lines: Sequence[Sequence[object]], *, title: str = "", right: Sequence[str] = ()
) -> Any:
    """A table for people; a sentence when there is nothing in it."""
    if not lines:
        return f"[dim]{'暂无' if language() == 'zh' else 'nothing yet · 暂无'}[/]"
    table = Table(title=_plain(title) or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(headed(column, language()), justify="right" if column in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*(_plain(str(cell)) for cell in line))
    return table


def pairs(values: Mapping[str, object]) -> str:
    """Names and values, one a line. No line is broken: keys, tokens and commands are copied from here."""
    words = language()
    told = {headed(name, words): value for name, value in values.items()}
    if any(name in told and name.isascii() for name in values):  # names of fields: all in Chinese, or none
        told = dict(values)
    wide = max(map(cell_len, told), default=0)
    lines = []
    for name, value in told.items():
        space = " " * (wide - cell_len(name) + 1)
        lines.append(f"[bold]{_plain(name)}[/]{space}{_plain(str(value))}".replace("\n", "\n" + " " * (wide + 1)))
    return "\n".join(lines)


async def person_of(services: Services, login: str) -> UUID:
    """The person with this login name or e-mail address; `NotFound` when there is none."""
    found = await services.identity.people.by_name(login)
    if found is None:
        raise NotFound(
            "unknown_person", f"Nobody signs in as {login!r}.", message_zh=f"没有登录名为 {login!r} 的人员。",
            hint="`shanhe people list` shows everybody.", hint_zh="`shanhe people list` 可查看全部人员。",
        )  # fmt: skip
    return found


async def shares_of(services: Services, given: Sequence[str], wrong: Invalid) -> tuple[tuple[UUID, int], ...]:
    """Parties and their shares in millionths out of `ORG=500000`; `wrong` where one is written otherwise."""
    found = []
    for one in given:
        word, _, ppm = one.rpartition("=")
        if not ppm.isdigit():
            raise wrong
        found.append((await services.programmes.find(word), int(ppm)))
    return tuple(found)


def id_of(text: str) -> UUID:
    """An id as written on the command line; a new one where none was, so that only who names one can repeat itself."""
    try:
        return UUID(text) if text else new_id()
    except ValueError:
        raise Invalid(
            "bad_id", f"{text!r} is no id.", message_zh=f"{text!r} 不是编号。",
            hint="Copy the whole id, or leave it out for a new one.", hint_zh="请复制完整编号，或留空以新建。",
        ) from None  # fmt: skip


def one_of(words: type[Words], text: str) -> Words:
    """A word of an enumeration as written on the command line."""
    try:
        return words(text)
    except ValueError:
        raise Invalid(
            "bad_word", f"{text!r} is none of {', '.join(words)}.",
            message_zh=f"{text!r} 须为 {'、'.join(words)} 之一。",
        ) from None  # fmt: skip


def says(text: str, yes: str, no: str) -> bool:
    """Whether the word on the command line is `yes`; it has to be one of the two."""
    if text not in (yes, no):
        raise Invalid("bad_word", f"Say {yes} or {no}.", message_zh=f"须为 {yes} 或 {no}。")
    return text == yes


def json_of(given: str | bytes | Path) -> Any:
    """What is written as JSON: in a file, or on the command line itself, where `@FILE` names one, too."""
    source = f"{given}" if isinstance(given, Path) else "JSON"
    if isinstance(given, str) and given.startswith("@"):
        source, given = given[1:], Path(given[1:])
    try:
        return msgspec.json.decode(given.read_bytes() if isinstance(given, Path) else given)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            "bad_json", f"{source} can't be read: {error}.", message_zh=f"{source} 无法读取：{error}。",
            hint=WRITE_JSON, hint_zh=WRITE_JSON_ZH,
        ) from error  # fmt: skip


def readable(file: Path) -> str:
    """The text of a file; Invalid says why it can't be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            "unreadable_file", f"{file} cannot be read as a text in UTF-8: {error}.",
            message_zh=f"无法按 UTF-8 文本读取 {file}：{error}。",
            hint="Name a text file, and save it in UTF-8.", hint_zh="请指定文本文件，并以 UTF-8 保存。",
        ) from error  # fmt: skip


def json_object(given: str | bytes | Path) -> dict[str, Any]:
    """The same, where only an object will do."""
    found = json_of(given)
    if not isinstance(found, dict):
        raise Invalid(
            "bad_json", "It has to be a JSON object.", message_zh="须为 JSON 对象。",
            hint=WRITE_JSON, hint_zh=WRITE_JSON_ZH,
        )  # fmt: skip
    return found


def hash_of(document: Path | None) -> str:
    """The SHA-256 of a document that stays where it is; nothing of no document."""
    return "" if document is None else hashlib.sha256(document.read_bytes()).hexdigest()


def day_of(text: str) -> date:
    """A day as written on the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(
            "bad_date", f"{text!r} is no date.", message_zh=f"{text!r} 不是日期。", hint="Write it like 2026-11-20.",
            hint_zh="格式如 2026-11-20。",
        ) from None  # fmt: skip


def moment_of(text: str) -> datetime:
    """A moment as written on the command line, with its zone."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(text)
    except ValueError:
        raise Invalid(
            "bad_time", f"{text!r} is no time with its zone.", message_zh=f"{text!r} 不是带时区的时间。",
            hint="Write it like 2026-03-10T09:00+08:00.", hint_zh="格式如 2026-03-10T09:00+08:00。",
        ) from None  # fmt: skip
    return found


def days_of(first: str, last: str, today: date) -> tuple[date, date]:
    """The days from one to another as `First` and `Last` are written; Invalid for too many."""
    return days_asked(day_of(first) if first else None, day_of(last) if last else None, today)


async def find_org(services: Services, word: str) -> Organisation:
    """The organisation with this id or name; `NotFound` when there is none or the name is ambiguous."""
    try:
        return await services.identity.orgs.get(UUID(word))
    except ValueError:
        found = [org for org in await services.identity.orgs.list(find=word) if org.name == word]
    if len(found) == 1:
        return found[0]
    raise NotFound(
        "unknown_organisation",
        f"{len(found) or 'No'} organisations are called {word!r}.",
        message_zh=f"名为“{word}”的机构有 {len(found)} 个。" if found else f"没有名为“{word}”的机构。",
        hint="`shanhe orgs list` shows names and ids; an id is never ambiguous.",
        hint_zh="`shanhe orgs list` 可查看名称与编号；编号不会重复。",
    )


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


def _plainly(value: Any) -> Any:
    to_dict = getattr(value, "to_dict", None)
    return to_dict() if callable(to_dict) else str(value)
