"""`shanhe orgs`: organisations, frozen and unfrozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, find_org, in_city, one_of, person_of, rows, show
from shanhe.kernel.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shanhe.app import Services
    from shanhe.identity.api import Invitation, Member, Organisation


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


# -- members ---------------------------------------------------------------------------------------------------------


@app.command()
def members(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Who may act for it."""

    async def work(services: Services) -> Sequence[Member]:
        return await services.identity.orgs.members((await find_org(services, org)).id)

    found = in_city(data, work)
    plain = [{"id": one.person_id, "name": one.name, "role": str(one.role)} for one in found]
    show(as_json, plain, lambda: rows(("id", "name", "role"), [(one.person_id, one.name, one.role) for one in found]))


@app.command()
def invite(
    org: Org,
    login: Annotated[str, typer.Argument(help="Whom to ask: login or e-mail.")],
    role: Annotated[str, typer.Option(help="member or owner.")] = "member",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask somebody to become a member; they accept or decline in their settings."""
    from shanhe.identity.api import Role as OrgRole

    wanted = one_of(OrgRole, role)

    async def work(services: Services) -> Invitation:
        found = await find_org(services, org)
        person = await person_of(services, login)
        return await services.identity.invitations.invite(new_id(), found.id, person, wanted, called=login, by=ACTOR)

    made = in_city(data, work)
    show(as_json, _asked(made), lambda: f"✓ {made.called}  {made.id}")


@app.command()
def invitations(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What waits for an answer."""

    async def work(services: Services) -> Sequence[Invitation]:
        return await services.identity.invitations.of_org((await find_org(services, org)).id)

    found = in_city(data, work)
    show(as_json, [_asked(one) for one in found], lambda: rows(("id", "whom", "role", "until"), [
        (one.id, one.called, one.role, one.expires_at.date()) for one in found
    ]))  # fmt: skip


@app.command()
def withdraw(org: Org, invitation: UUID, data: Data = None, as_json: Json = False) -> None:
    """Take an invitation back."""

    async def work(services: Services) -> Invitation:
        found = await find_org(services, org)
        return await services.identity.invitations.withdraw(invitation, found.id, by=ACTOR)

    done = in_city(data, work)
    show(as_json, _asked(done), lambda: f"✓ {done.called}: {done.state}")


def _asked(one: Invitation) -> dict[str, Any]:
    return {"id": one.id, "whom": one.called, "role": str(one.role), "state": str(one.state),
            "expires_at": one.expires_at}  # fmt: skip
