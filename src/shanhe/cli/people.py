"""`shanhe people`: who signs in to the console."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, one_of, pairs, person_of, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.identity.api import Person

PASSWORD_BYTES = 15

app = typer.Typer(no_args_is_help=True)
Login = Annotated[str, typer.Argument(help="Login name.")]


@app.command()
def create(
    login: Login,
    name: Annotated[str, typer.Option(help="Name to be shown.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="admin, operator or auditor; may be repeated.")] = None,
    org: Annotated[str, typer.Option(help="Organisation to be an owner of: id or name.")] = "",
    stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password instead of making one.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a person who can sign in; prints a generated password once. Without a role and an organisation they act
    for themselves."""
    from shanhe.identity.api import NewPerson
    from shanhe.identity.api import Role as PersonRole

    roles = [one_of(PersonRole, word) for word in role or ()]
    password = sys.stdin.readline().rstrip("\n") if stdin else secrets.token_urlsafe(PASSWORD_BYTES)

    async def work(services: Services) -> Person:
        owner = await find_org(services, org) if org else None
        person = await services.identity.people.create(NewPerson(name or login, login, password=password), by=ACTOR)
        for given in roles:
            await services.identity.people.grant(person.id, given, by=ACTOR)
        if owner is not None:
            await services.identity.orgs.set_member(owner.id, person.id, PersonRole.OWNER, by=ACTOR)
        elif not role:
            await services.identity.orgs.create_personal(person.id, by=ACTOR)
        return person

    person = in_city(data, work)
    shown: dict[str, Any] = {"id": person.id, "login": login}
    if not stdin:
        shown["password"] = password
    show(as_json, shown, lambda: pairs(shown))


@app.command("list")
def list_people(data: Data = None, as_json: Json = False) -> None:
    """People, newest first."""
    found = in_city(data, lambda services: services.identity.people.list(limit=200))
    plain = [{"id": p.id, "login": p.login, "name": p.name, "state": str(p.state)} for p in found]
    show(as_json, plain, lambda: rows(("id", "login", "name", "state"), [
        (p.id, p.login or "", p.name, p.state) for p in found
    ]))  # fmt: skip


@app.command()
def grant(login: Login, role: str, data: Data = None, as_json: Json = False) -> None:
    """Give a role in the city: admin, operator or auditor."""
    from shanhe.identity.api import Role as PersonRole

    given = one_of(PersonRole, role)

    async def work(services: Services) -> None:
        await services.identity.people.grant(await person_of(services, login), given, by=ACTOR)

    in_city(data, work)
    show(as_json, {"login": login, "role": role}, lambda: "✓")
