"""`shanhe bulletin`: what 山河小智 tells the city every week (B15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import Data, Json, day_of, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_issues(data: Data = None, as_json: Json = False) -> None:
    """Issues, newest first, with how much each tells of."""

    async def work(services: Services) -> Any:
        from shanhe.bulletin.api import row_view

        return [row_view(one) for one in await services.bulletin.issues()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("日期 day", "自 since", "内容 items"),
        [(one["day"], one["since"], ", ".join(f"{kind} {n}" for kind, n in one["counts"].items())) for one in found],
    ))  # fmt: skip


@app.command("show")
def show_issue(
    day: Annotated[str, typer.Argument(help="Day of the issue (default: the newest).")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """One issue: the talk, and everything it lists."""

    async def work(services: Services) -> Any:
        from shanhe.bulletin.api import issue_view

        return issue_view(await services.bulletin.issue(day_of(day) if day else None))

    _show(as_json, in_city(data, work))


@app.command()
def preview(data: Data = None, as_json: Json = False) -> None:
    """What an issue of today would say; nothing is published."""

    async def work(services: Services) -> Any:
        from shanhe.bulletin.api import issue_view

        return issue_view(await services.bulletin.preview())

    _show(as_json, in_city(data, work))


@app.command()
def publish(data: Data = None, as_json: Json = False) -> None:
    """Publish the issue that is due at once, instead of within the hour."""

    async def work(services: Services) -> Any:
        from shanhe.bulletin.api import issue_view

        return issue_view(await services.bulletin.publish())

    _show(as_json, in_city(data, work))


def _show(as_json: bool, issue: dict[str, Any]) -> None:
    talk = [("播报 talk", f"{one['zh']}\n{one['en']}") for one in issue["talk"]]
    items = [(item["kind"], f"{item['title']['zh']}：{item['says']['zh']}") for item in issue["items"]]
    show(as_json, issue, lambda: rows(("类别 kind", f"{issue['since']} – {issue['day']}"), [*talk, *items]))
