"""`shanhe evaluations`: what an agent must answer, and whether its draft does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from shanhe.cli.common import REFUSED, Data, Json, find_org, in_city, json_of, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Org = Annotated[str, typer.Option("--org", help="Whose agent it is: id or name of an organisation.")]
Agent = Annotated[str, typer.Argument(help="Name of an agent, like agent/letters.")]
BY = "cli"


@app.command(name="show")
def show_(agent: Agent, org: Org, data: Data = None, as_json: Json = False) -> None:
    """An agent's set, and what was measured."""

    async def work(services: Services) -> Any:
        trials, owner = services.routines.trials, (await find_org(services, org)).id
        reports = [_view(one) for one in await trials.reports(owner, agent)]
        return {"cases": msgspec.to_builtins(await trials.cases(owner, agent)), "reports": reports}

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("question", "form", "expected"), [
        (one["question"], one["form"], one["expected"]) for one in found["cases"]
    ]))  # fmt: skip


@app.command(name="set")
def set_(
    agent: Agent,
    cases: Annotated[Path, typer.Argument(help="JSON file with a list of cases.", exists=True, dir_okay=False)],
    org: Org, data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Replace an agent's set; an empty list takes the gate away."""

    content = json_of(cases)

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        return msgspec.to_builtins(await services.routines.trials.set_cases(owner, agent, content, by=BY))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("question", "form", "expected"), [
        (one["question"], one["form"], one["expected"]) for one in found
    ]))  # fmt: skip


@app.command()
def run(agent: Agent, org: Org, data: Data = None, as_json: Json = False) -> None:
    """Measure the draft beside the version in use; refused when it is worse."""

    async def work(services: Services) -> Any:
        return _view(await services.routines.trials.run((await find_org(services, org)).id, agent))

    _told(as_json, in_city(data, work))


@app.command()
def excuse(
    agent: Agent, reason: Annotated[str, typer.Argument(help="Why it should go on; the log keeps it.")], org: Org,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Let a worse draft go on for a reason."""

    async def work(services: Services) -> Any:
        return _view(await services.routines.trials.excuse((await find_org(services, org)).id, agent, reason, by=BY))

    _told(as_json, in_city(data, work))


def _told(as_json: bool, found: dict[str, Any]) -> None:
    show(as_json, found, lambda: rows(("asked", "draft right", "in use right", "passed"), [
        (found["asked"], found["draft_right"], "" if found["base_right"] is None else found["base_right"],
         "✓" if found["passed"] else "✗")
    ]))  # fmt: skip
    if not found["passed"]:
        raise typer.Exit(REFUSED)


def _view(one: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(one, key=b""), enc_hook=str)
    found.pop("key")
    return found | {"worse": one.worse, "passed": one.passed}
