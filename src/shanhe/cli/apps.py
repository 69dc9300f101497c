"""`shanhe apps`: what apps a person let act for them, and its end."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import Data, First, Json, Last, days_of, find_org, in_city, rows, show
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Person = Annotated[UUID, typer.Option("--person", help="Id of the person; `shanhe people list` shows it.")]


@app.command("list")
def list_apps(person: Person, data: Data = None, as_json: Json = False) -> None:
    """Apps that may act for a person or did, newest first."""
    from shanhe.oauth.routes import app_view

    async def work(services: Services) -> Any:
        return [app_view(one, services.oauth) for one in await services.oauth.apps(person)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "app", "for", "since", "acts", "budget a day"), [
        (one["id"], one["name"], one["resource"], f"{one['made_at']:%Y-%m-%d}", "yes" if one["acts"] else "no",
         "–" if one["budget_day_micro"] is None else format_credits(one["budget_day_micro"])) for one in found
    ], right=("budget a day",)))  # fmt: skip


@app.command()
def costs(
    org: Annotated[str, typer.Option("--org", help="Id or name of an organisation; left out: each of them.")] = "",
    first: First = "", last: Last = "", data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What each connected app cost, by day and organisation."""

    async def work(services: Services) -> Any:
        days = days_of(first, last, services.clock.today())
        payer = (await find_org(services, org)).id if org else None
        return [asdict(one) for one in await services.oauth.costs(payer, *days)]

    found = in_city(data, work)
    lines = [(one["day"], one["name"], one["client_id"], one["org_id"], one["calls"],
              format_credits(one["paid_micro"])) for one in found]  # fmt: skip
    columns = ("day", "app", "client", "organisation", "calls", "credits")
    show(as_json, found, lambda: rows(columns, lines, right=("calls", "credits")))


@app.command()
def end(
    which: Annotated[UUID, typer.Argument(help="Id of the connected app.")], person: Person, data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Let an app act no more; its tokens and its key end at once."""

    async def work(services: Services) -> Any:
        await services.oauth.end(which, person)
        return {"ended": which}

    show(as_json, in_city(data, work), lambda: "✓ ended")
