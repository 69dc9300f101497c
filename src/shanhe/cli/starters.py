"""`shanhe starters`: what agents and workflows begin with, and copies of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, id_of, in_city, rows, show
from shanhe.kernel.money import said_credits
from shanhe.settings import language

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of a starter, like residents.")]
Language = Annotated[str, typer.Option("--language", help="zh or en; the terminal's when not said.")]


@app.command(name="list")
def list_(
    org: Annotated[str, typer.Option("--org", help="Whose knowledge bases count: id or name of an organisation.")] = "",
    wanted: Language = "", data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What comes with the city, what an ordinary run costs today, and what is missing here."""
    from shanhe.starters.routes import shown_view

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id if org else None
        return [shown_view(one) for one in await services.starters.every(_language(wanted), owner)]

    found, said = in_city(data, work), _language(wanted)
    show(as_json, found, lambda: rows(("name", "kind", "title", "model", "credits", "missing"), [
        (one["name"], one["kind"], one["title"][said], next(iter(one["models"]), "–"),
         "–" if one["cost_micro"] is None else said_credits(one["cost_micro"]), _missing(one["missing"]))
        for one in found
    ], right=("credits",)))  # fmt: skip


@app.command(name="show")
def show_(name: Name, wanted: Language = "", data: Data = None, as_json: Json = False) -> None:
    """A starter's definition, a file as an export is, but that it names the kind of model."""

    async def work(services: Services) -> Any:
        return services.starters.one(name).definitions[_language(wanted)]

    found = in_city(data, work)
    show(as_json, found, lambda: json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
def copy(
    name: Name,
    org: Annotated[str, typer.Option("--org", help="Whose draft it becomes: id or name of an organisation.")],
    slug: Annotated[str, typer.Option("--slug", help="What the copy is called, in a–z, 0–9 and -.")] = "",
    model: Annotated[str, typer.Option("--model", help="The model that answers; the city's default if not said.")] = "",
    knowledge: Annotated[
        list[str] | None, typer.Option("--knowledge", help="A base in the place of those it names; repeat it.")
    ] = None,
    wanted: Language = "",
    copy_id: Annotated[str, typer.Option("--id", help="Id of the copy; the same again is the same copy.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A draft of an organisation's own out of a starter; nothing is published."""
    from shanhe.kernel.ids import new_id
    from shanhe.starters.routes import copied_view

    number = id_of(copy_id) if copy_id else new_id()

    async def work(services: Services) -> Any:
        owner = (await find_org(services, org)).id
        return copied_view(await services.starters.copy(
            name, _language(wanted), copy_id=number, org_id=owner, by=ACTOR, slug=slug, model=model,
            knowledge=list(dict.fromkeys(knowledge or ())),
        ))  # fmt: skip

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['name']} {_missing(made['missing'])}".rstrip())


def _language(wanted: str) -> str:
    if wanted and wanted not in ("zh", "en"):
        raise typer.BadParameter("zh or en", param_hint="--language")
    return wanted or language()


def _missing(found: dict[str, Any]) -> str:
    return ", ".join([*(["model"] if found["model"] else []), *found["tools"], *found["knowledge"]])
