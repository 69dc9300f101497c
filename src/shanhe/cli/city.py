"""`shanhe up`, `migrate`, `doctor`: start the city, bring its database up to date, look at the machine."""

from __future__ import annotations

import asyncio
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from shanhe.cli.common import (
    Data,
    Json,
    database,
    err,
    out,
    reaching_the_database,
    rows,
    run,
    settings_for,
    show,
    show_error,
)
from shanhe.kernel import logs
from shanhe.kernel.errors import ShanheError
from shanhe.settings import Settings

if TYPE_CHECKING:
    from shanhe.founding import Outcome


class Terminal:
    """Shows the start of a city to whoever sits in front of it."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def step(self, zh: str, en: str) -> None:
        self.close()
        err.print(f"[dim]·[/] {zh} · {en}")

    def progress(self, what: str, done: int, total: int) -> None:
        if self._bars is None:
            columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bars = Progress(*columns, console=err)
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total or None)
        self._bars.update(self._tasks[what], completed=done, total=total or None)
        if total and done >= total:
            self.close()

    def warn(self, error: ShanheError) -> None:
        self.close()
        show_error(error)

    def ready(self, settings: Settings, outcome: Outcome) -> None:
        self.close()
        demo = outcome.demo
        lines = [f"控制台 Console    [bold]{settings.url}[/]"]
        if demo is not None:
            lines += [
                f"管理员 Admin      {demo.admin_user}  /  {demo.admin_password}",
                f"密钥   API key    {demo.api_key}",
            ]
            lines += [f"[dim]也写在 also in {settings.data / 'demo.env'}[/]"]
        elif outcome.unmanned:
            place = f" --data {shlex.quote(str(settings.data))}"
            lines += [
                "还没有管理员，请在另一个终端创建 · No admin yet: in another terminal, run",
                f"[bold]{escape('shanhe people create LOGIN --role admin' + place)}[/]",
            ]
        lines.append("[dim]按 Ctrl-C 停止 · Ctrl-C stops everything[/]")
        out.print(Panel("\n".join(lines), title="山河 Shanhe", expand=False))

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()


def register(app: typer.Typer) -> None:
    """Add these commands to the top level."""
    app.command()(up)
    app.command()(migrate)
    app.command()(doctor)


def up(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the console and the API.")] = None,
    data: Data = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Gateway processes.")] = None,
    model: Annotated[bool | None, typer.Option("--model/--no-model", help="Run the local model.")] = None,
    role: Annotated[str, typer.Option(help="all, gateway, jobs or console.")] = "all",
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
) -> None:
    """Start the city and serve until Ctrl-C."""
    from shanhe.children import open_nursery
    from shanhe.supervisor import Role, Supervisor

    if role not in tuple(Role):
        raise typer.BadParameter(f"{role!r} is none of {', '.join(Role)}", param_hint="--role")
    settings = settings_for(data, port=port, workers=workers, with_model=model, host=host)
    logs.configure(settings.log_level, as_json=settings.log_json, worker="up")
    terminal = Terminal()
    nursery = open_nursery()
    try:
        with reaching_the_database():
            asyncio.run(Supervisor(settings, Role(role), terminal, nursery).run())
    finally:
        terminal.close()
    err.print("[dim]已停止 · stopped[/]")


def migrate(data: Data = None, as_json: Json = False) -> None:
    """Apply the migrations that the database lacks."""

    async def work() -> list[Any]:
        from shanhe.supervisor import migrate_city

        async with database(settings_for(data), migrating=False) as settings:
            return list(await migrate_city(settings))

    applied = run(work())
    plain = [{"ordinal": m.ordinal, "module": m.module, "name": m.name} for m in applied]
    show(as_json, plain, lambda: rows(("ordinal", "module", "name"), [
        (f"{m.ordinal:04d}", m.module, m.name) for m in applied
    ]) if applied else "up to date · 已是最新")  # fmt: skip


def doctor(data: Data = None, port: Annotated[int | None, typer.Option()] = None, as_json: Json = False) -> None:
    """Look at this machine and say what to do; exit code 1 when something is wrong."""
    from shanhe.doctor import examine

    findings = run(examine(settings_for(data, port=port)))
    plain = [{"check": f.check, "ok": f.ok, "found": f.found, "advice": f.advice} for f in findings]
    marks = {True: "✓", False: "✗"}
    show(as_json, plain, lambda: rows(("", "check", "found", "what to do"), [
        (marks[f.ok], f.check, f.found, f.advice) for f in findings
    ]))  # fmt: skip
    if not all(finding.ok for finding in findings):
        sys.exit(1)
