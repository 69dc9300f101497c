"""`shanhe workflows`: check, write and publish workflows, start and follow their runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from shanhe.cli.common import (
    REFUSED,
    Data,
    First,
    Json,
    Last,
    days_of,
    find_org,
    in_city,
    json_object,
    pairs,
    rows,
    show,
    show_costs,
)
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_credits
from shanhe.settings import language
from shanhe.workflows.api import mark_of

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option("--org", help="Whose it is: id or name of an organisation.")]
Slug = Annotated[str, typer.Argument(help="Name of a workflow, like weekly-report.")]
File = Annotated[Path, typer.Argument(help="JSON file with a definition.", exists=True, dir_okay=False)]
RunId = Annotated[UUID, typer.Argument(help="Id of a run.")]
Given = Annotated[str, typer.Option("--input", help="JSON object that runs are given.")]
BY = "cli"


@app.command()
def check(definition: File, data: Data = None, as_json: Json = False) -> None:
    """Every reason why a definition can't run."""

    async def work(services: Services) -> Any:
        found = services.routines.workflows.check(json_object(definition))
        return [{"node": node, "code": code, "zh": zh, "en": en} for node, code, zh, en in found]

    found = in_city(data, work)
    lines = [(one["node"], one["code"], one[language()]) for one in found]
    show(as_json, found, lambda: rows(("node", "code", "found"), lines) if lines else "✓ it can run · 可以运行")
    if found:
        raise typer.Exit(REFUSED)


@app.command(name="list")
def list_(org: Org, data: Data = None, as_json: Json = False) -> None:
    """An organisation's workflows."""

    async def work(services: Services) -> Any:
        found = await services.routines.workflows.mine((await find_org(services, org)).id)
        return msgspec.to_builtins(found, enc_hook=str)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "title", "published", "draft"), [
        (one["slug"], one["title"], one["published"] or "", one["draft"] or "") for one in found
    ]))  # fmt: skip


@app.command()
def save(
    slug: Slug, definition: File, org: Org,
    title: Annotated[str, typer.Option("--title", help="What a new one is called.")] = "",
    base: Annotated[str, typer.Option("--base", help="Mark of the draft that was read: changes since are kept.")] = "",
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Write the draft; a workflow that isn't there is made."""

    async def work(services: Services) -> Any:
        workflows, owner = services.routines.workflows, (await find_org(services, org)).id
        if slug not in {one.slug for one in await workflows.mine(owner)}:
            await workflows.create(slug, title or slug, org_id=owner, by=BY)
        version = await workflows.save(owner, slug, json_object(definition), by=BY, base=base or None)
        return {"slug": slug, "draft": version.n, "mark": mark_of(version.definition)}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command(name="show")
def show_(
    slug: Slug, org: Org,
    number: Annotated[int, typer.Option("--version", help="The draft or what is published when not said.")] = 0,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """A version's definition, as `save` and the console take it."""

    async def work(services: Services) -> Any:
        workflows, owner = services.routines.workflows, (await find_org(services, org)).id
        found = await workflows.one(owner, slug)
        return (await workflows.version(owner, slug, number or found.draft or found.published or 0)).definition

    found = in_city(data, work)
    show(as_json, found, lambda: json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
def publish(slug: Slug, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Make the draft what runs from now on."""

    async def work(services: Services) -> Any:
        version = await services.routines.workflows.publish((await find_org(services, org)).id, slug)
        return {"slug": slug, "published": version.n}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command()
def start(
    slug: Slug, org: Org, given: Given = "{}",
    ref: Annotated[str, typer.Option("--ref", help="The same reference again is the same run.")] = "",
    draft: Annotated[bool, typer.Option("--draft", help="Run what is not published yet.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Start a run; a gateway process of the city works on it."""

    async def work(services: Services) -> Any:
        run = await services.routines.workflows.start(
            (await find_org(services, org)).id, slug, json_object(given), ref=ref or str(new_id()), draft=draft
        )
        return {"run": str(run.id), "state": run.state}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command("try")
def try_node(
    slug: Slug, node: Annotated[str, typer.Argument(help="Id of the node.")], org: Org,
    variables: Annotated[str, typer.Option("--variables", help="What it finds, as a JSON object or @file.")] = "",
    ref: Annotated[str, typer.Option("--ref", help="The same reference again is the same run.")] = "",
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Run one node of the draft alone; without --variables: what it needs, as the newest run left it."""

    async def work(services: Services) -> Any:
        workflows, owner = services.routines.workflows, await find_org(services, org)
        if not variables:
            return await workflows.wants(owner.id, slug, node)
        run = await workflows.try_node(owner.id, slug, node, json_object(variables), ref=ref or str(new_id()))
        return {"run": str(run.id), "state": run.state}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command()
def delete(
    slug: Slug, org: Org,
    anyway: Annotated[bool, typer.Option(help="Also where something refers to it; open runs are cancelled.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Take a workflow away; refused with what refers to it."""

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        await services.routines.workflows.delete(owner, slug, by=BY, anyway=anyway)
        return {"slug": slug}

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['slug']}: deleted")


@app.command()
def runs(org: Org, data: Data = None, as_json: Json = False) -> None:
    """An organisation's runs, newest first."""

    async def work(services: Services) -> Any:
        found = await services.routines.workflows.runs((await find_org(services, org)).id)
        return [_but(msgspec.to_builtins(one, enc_hook=str), "course") for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("run", "workflow", "by", "state", "steps", "credits", "error"), [
        (one["id"], f"{one['slug']} {one['version']}", one["source"], one["state"], one["steps"],
         format_credits(one["paid_micro"]), one["error"]) for one in found
    ], right=("steps", "credits")))  # fmt: skip


@app.command()
def costs(
    org: Org,
    first: First = "", last: Last = "",
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What an organisation paid for workflows, by day and key."""

    async def work(services: Services) -> Any:
        days = days_of(first, last, services.clock.today())
        found = await services.routines.workflows.costs((await find_org(services, org)).id, *days)
        return [msgspec.to_builtins(one, enc_hook=str) for one in found]

    show_costs(as_json, in_city(data, work))


@app.command()
def trace(run_id: RunId, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Every step of a run, what it cost, and its receipt."""

    async def work(services: Services) -> Any:
        run, steps = await services.routines.workflows.trace(run_id, (await find_org(services, org)).id)
        found = _but(msgspec.to_builtins(run, enc_hook=str), "course")
        return {**found, "step_list": [_but(msgspec.to_builtins(one, enc_hook=str), "answer") for one in steps]}

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("n", "branch", "node", "kind", "state", "ms", "tokens", "credits", "receipt"), [
        (step["n"], step["branch"], step["node"], step["kind"], f"{step['state']} {step['error']}".strip(),
         step["took_ms"], step["tokens"], format_credits(step["paid_micro"]), step["receipt_id"] or "")
        for step in found["step_list"]
    ], right=("ms", "tokens", "credits")))  # fmt: skip


@app.command()
def cancel(run_id: RunId, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Do nothing more of a run; what was done stays paid."""

    async def work(services: Services) -> Any:
        run = await services.routines.workflows.cancel(run_id, (await find_org(services, org)).id)
        return {"run": str(run.id), "state": run.state}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command()
def schedule(
    slug: Slug, org: Org,
    every: Annotated[int, typer.Option("--every", help="Every so many minutes.")] = 0,
    at: Annotated[str, typer.Option("--at", help="Time of the city's day, like 09:30.")] = "",
    days: Annotated[str, typer.Option("--days", help="Days of the week with --at, 1 = Monday.")] = "1,2,3,4,5,6,7",
    stop: Annotated[bool, typer.Option("--stop", help="Start it no more by itself.")] = False,
    given: Given = "{}", data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """When it starts by itself; without options, say when."""

    async def work(services: Services) -> Any:
        workflows, owner = services.routines.workflows, (await find_org(services, org)).id
        if stop:
            await workflows.stop_schedule(owner, slug)
        elif every or at:
            form = {"every_minutes": every} if every else {"at": at, "days": [int(day) for day in days.split(",")]}
            await workflows.set_schedule(owner, slug, form, json_object(given), by=BY)
        return await workflows.schedule(owner, slug) or {"next_at": None}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


def _but(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
