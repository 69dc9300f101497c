"""`shanhe usage`: what calls used, by windows of time, models, keys and tags; and the calls themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import Data, First, Json, Last, Org, days_of, find_org, in_city, rows, show
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Tag = Annotated[str, typer.Option(help="Only what was called with this tag.")]


@app.command("sums")
def sums(
    org: Org,
    by: Annotated[str, typer.Option(help="day, week or month, and model, key, tag; commas between.")] = "day",
    first: First = "",
    last: Last = "",
    tag: Tag = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tokens and credits of an organisation. A call with two tags counts under both."""
    from shanhe.gateway.api import complete
    from shanhe.gateway.routes import grouping

    async def work(services: Services) -> list[dict[str, Any]]:
        owner = await find_org(services, org)
        days = days_of(first, last, services.clock.today())
        found = complete(await services.gateway.usage(owner.id, *days, group=grouping(by), tag=tag or None))
        return [{name: getattr(row, name) for name in (*row.__struct_fields__, "tokens")} for row in found]

    found = in_city(data, work)
    shown = [name for name in ("day", "model", "key_id", "tag") if any(row[name] is not None for row in found)]
    lines = [(*(row[name] for name in shown), row["calls"], row["tokens"], format_credits(row["amount_micro"]))
             for row in found]  # fmt: skip
    figures = ("调用 calls", "词元 tokens", "积分 credits")
    show(as_json, found, lambda: rows((*shown, *figures), lines, right=figures))


@app.command("calls")
def calls(
    org: Org,
    tag: Tag = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest calls are looked at.")] = 20,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The newest calls of an organisation, with their tags and receipts."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner = await find_org(services, org)
        page = await services.gateway.recent(owner.id, limit, tag=tag or None)
        return [{name: getattr(call, name) for name in call.__struct_fields__} for call in page.calls]

    found = in_city(data, work)
    lines = [(f"{call['at']:%Y-%m-%d %H:%M}", call["model"], call["status"], "、".join(call["tags"]), call["tokens"],
              format_credits(call["amount_micro"]), call["id"]) for call in found]  # fmt: skip
    columns = ("时间 at", "模型 model", "状态 status", "标签 tags", "词元 tokens", "积分 credits", "凭据 receipt")
    show(as_json, found, lambda: rows(columns, lines, right=columns[4:6]))
