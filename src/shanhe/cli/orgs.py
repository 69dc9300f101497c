"""`shanhe orgs`: organisations, frozen and unfrozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, find_org, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.identity.api import Organisation


app = typer.Typer(no_args_is_help=True)


def _plain(org: Organisation) -> dict[str, Any]:
    return {
        "id": org.id,
        "name": org.name,
        "kind": str(org.kind),
        "state": str(org.state),
        "created_at": org.created_at,
    }


@app.command()
def create(
    name: str,
    kind: Annotated[str, typer.Option(help="company, government or institution.")] = "company",
    registration: Annotated[str, typer.Option(help="Registration number.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an organisation; its wallet is opened with its first credits."""
    from shanhe.identity.api import NewOrganisation, OrgKind

    if kind not in tuple(OrgKind):
        raise typer.BadParameter(f"{kind!r} is none of company, government, institution", param_hint="--kind")

    async def work(services: Services) -> Organisation:
        new = NewOrganisation(OrgKind(kind), name, registration or None)
        return await services.identity.orgs.create(new, by=ACTOR)

    made = in_city(data, work)
    show(as_json, _plain(made), lambda: f"✓ {made.name}  {made.id}")


@app.command("list")
def list_orgs(
    find: Annotated[str, typer.Option(help="Part of the name.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """Organisations, newest first."""
    found = in_city(data, lambda services: services.identity.orgs.list(find=find or None, limit=500))
    show(as_json, [_plain(org) for org in found], lambda: rows(("id", "name", "kind", "state"), [
        (org.id, org.name, org.kind, org.state) for org in found
    ]))  # fmt: skip


@app.command()
def freeze(
    org: Org, reason: Annotated[str, typer.Option(help="Why.")], data: Data = None, as_json: Json = False
) -> None:
    """Stop all its keys within a second; nothing is deleted."""

    async def work(services: Services) -> Organisation:
        return await services.identity.orgs.freeze((await find_org(services, org)).id, reason, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _plain(done), lambda: f"✓ {done.name}: {done.state}")


@app.command()
def unfreeze(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Let its keys work again."""

    async def work(services: Services) -> Organisation:
        return await services.identity.orgs.unfreeze((await find_org(services, org)).id, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _plain(done), lambda: f"✓ {done.name}: {done.state}")
