"""`shanhe agents`: check definitions, look at runs and their steps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import (
    Data,
    First,
    Json,
    Last,
    days_of,
    find_org,
    in_city,
    json_object,
    rows,
    show,
    show_checks,
    show_costs,
)
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option("--org", help="Who paid for the runs: id or name of an organisation.")]


@app.command()
def check(
    definition: Annotated[Path, typer.Argument(help="JSON file with a definition.", exists=True, dir_okay=False)],
    kind: Annotated[str, typer.Option(help="agent, clone or alliance.")] = "agent",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What is wrong with a definition before it is submitted."""

    content = json_object(definition)
    show_checks(as_json, in_city(data, lambda services: services.agents.check(content, kind=kind)))


@app.command()
def runs(org: Org, data: Data = None, as_json: Json = False) -> None:
    """An organisation's runs, newest first."""

    async def work(services: Services) -> Any:
        return [asdict(one) for one in await services.agents.runs((await find_org(services, org)).id)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("run", "agent", "started", "state", "credits", "error"), [
        (one["id"], f"{one['agent']} {one['version']}", f"{one['started_at']:%m-%d %H:%M}", one["state"],
         format_credits(one["paid_micro"]), one["error"]) for one in found
    ], right=("credits",)))  # fmt: skip


@app.command()
def costs(
    org: Org,
    first: First = "", last: Last = "",
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What an organisation paid for agents, by day and key."""

    async def work(services: Services) -> Any:
        days = days_of(first, last, services.clock.today())
        found = await services.agents.costs((await find_org(services, org)).id, *days)
        return [asdict(one) for one in found]

    show_costs(as_json, in_city(data, work))


@app.command()
def thumbs(
    agent: Annotated[str, typer.Argument(help="Name of an agent, like agent/letters.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Thumbs up and down of an agent, by day and version; what was written is its maker's to read."""

    async def work(services: Services) -> Any:
        return [asdict(one) for one in (await services.agents.thumbs.of_maker(agent)).days]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("day", "version", "up", "down"), [
        (one["day"], one["version"], one["up"], one["down"]) for one in found
    ], right=("version", "up", "down")))  # fmt: skip


@app.command()
def trace(
    run_id: Annotated[UUID, typer.Argument(help="Id of a run.")], data: Data = None, as_json: Json = False
) -> None:
    """Every step of a run, what it cost, and its receipt."""

    async def work(services: Services) -> Any:
        found, steps = await services.agents.trace(run_id, None)
        return {**asdict(found), "steps": [asdict(step) for step in steps]}

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("n", "kind", "name", "state", "ms", "tokens", "credits", "receipt"), [
        (step["n"], step["kind"], step["name"], f"{step['state']} {step['error']}".strip(), step["took_ms"],
         step["tokens"], format_credits(step["paid_micro"]), step["receipt_id"] or "") for step in found["steps"]
    ], right=("ms", "tokens", "credits")))  # fmt: skip


@app.command()
def refund(
    run_id: Annotated[UUID, typer.Argument(help="Id of a run.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take back everything a run cost and paid, that of an alliance's clones included."""

    async def work(services: Services) -> Any:
        return {"reversed": await services.agents.refund(run_id, actor="cli", reason=reason)}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {len(done['reversed'])} reversed")
