"""`shanhe tools`: publishers' MCP servers: their tools, secrets, and what was called."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, json_object, rows, show, show_checks
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Server = Annotated[str, typer.Argument(help="Name of a server, like weather for mcp/weather.")]
Owner = Annotated[str, typer.Option("--org", help="The publisher: id or name of an organisation.")]


@app.command()
def check(
    server: Annotated[Path, typer.Argument(help="JSON file that describes a server.", exists=True, dir_okay=False)],
    org: Owner,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Reach a server and look at its tools, as submitting it would."""

    content = json_object(server)

    async def work(services: Services) -> Any:
        return await services.tools.check((await find_org(services, org)).id, content)

    show_checks(as_json, in_city(data, work))


@app.command("list")
def list_tools(server: Server, data: Data = None, as_json: Json = False) -> None:
    """The allowed tools of a server, as they were reviewed."""

    async def work(services: Services) -> Any:
        return [msgspec.to_builtins(tool) for tool in await services.tools.tools(server)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("tool", "description"), [(one["name"], one["description"]) for one in found]))


@app.command()
def calls(
    org: Annotated[str | None, typer.Option("--org", help="Who called: id or name.")] = None,
    server: Annotated[str | None, typer.Option(help="Only calls of this server.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What was called, newest first."""

    async def work(services: Services) -> Any:
        payer = (await find_org(services, org)).id if org else None
        return [asdict(one) for one in await services.tools.calls(org_id=payer, server=server)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("at", "tool", "state", "ms", "bytes", "credits"), [
        (f"{one['at']:%m-%d %H:%M:%S}", f"{one['server']}/{one['tool']}", f"{one['state']} {one['error']}".strip(),
         one["took_ms"], one["got_bytes"], format_credits(one["paid_micro"])) for one in found
    ], right=("ms", "bytes", "credits")))  # fmt: skip


@app.command()
def secret(
    name: Annotated[str, typer.Argument(help="What the secret is called in the server's description.")],
    org: Owner,
    drop: Annotated[bool, typer.Option("--drop", help="Forget it.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Keep a secret (read from standard input) for a server's header, or forget it."""

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        if drop:
            return {"name": name, "dropped": await services.tools.drop_secret(owner, name)}
        await services.tools.put_secret(owner, name, sys.stdin.readline().rstrip("\n"), actor=ACTOR)
        return {"name": name}

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['name']}")
